"""Every protocol is asked for its own fields alone, on the command line and in Python."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from torch import Tensor, nn

import duchenne
from duchenne.cli.main import main
from duchenne.data.prepared import Prepared
from duchenne.errors import UsageError
from duchenne.evaluation.protocols.registry import (
    PROTOCOLS,
    FinetuneArguments,
    LinearArguments,
    SemiArguments,
    check_fields,
    read_arguments,
)
from duchenne.features.columns import ColumnSource
from duchenne.heads.settings import L2_CANDIDATES, TuneSettings

INPUTS = {"model", "data", "out"}


def flags(capsys: pytest.CaptureFixture[str], name: str) -> set[str]:
    with pytest.raises(SystemExit):
        main(["evaluate", name, "--help"])
    rows = re.findall(r"^[│ ]? ?--((?:no-)?[a-z][a-z0-9-]*)", capsys.readouterr().out, re.MULTILINE)
    return {row.removeprefix("no-").replace("-", "_") for row in rows}


@pytest.mark.parametrize("name", PROTOCOLS)
def test_the_help_is_of_one_protocol(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert flags(capsys, name) == PROTOCOLS[name].fields | INPUTS


def test_fields_of_some_protocols(capsys: pytest.CaptureFixture[str]) -> None:
    common = {"folds", "baselines", "device", "quiet"}
    assert flags(capsys, "probes") == common | INPUTS | {"feature", "l2"}
    assert {"tune", "method", "workers", "curve"} <= flags(capsys, "finetune")
    assert not flags(capsys, "finetune") & {"l2", "maps", "prior", "areas", "held_out"}
    assert not flags(capsys, "linear") & {"tune", "method", "workers", "prior", "areas"}
    assert main(["evaluate", "--help"]) == 0
    said = capsys.readouterr().out
    assert all(f"  {name} " in said for name in PROTOCOLS)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_class_is_where_it_is_said_to_be(name: str) -> None:
    assert PROTOCOLS[name].load().name == name


def test_defaults_stand_once() -> None:
    assert read_arguments("linear", {}, models=1) == LinearArguments()
    assert FinetuneArguments().tuning == TuneSettings()
    own = {field.name for field in dataclasses.fields(FinetuneArguments)}
    assert {field.name for field in dataclasses.fields(TuneSettings)} <= own


def test_python_values_become_those_of_the_command_line() -> None:
    given = {"l2": 1, "folds": 2, "seeds": np.int64(3), "train_data": "bp4d", "label_share": np.array([1, 0.5, 0.5])}
    found = read_arguments("linear", given, models=1)
    assert isinstance(found, LinearArguments)
    assert (found.l2, found.folds, found.seeds, found.train_data) == ((1.0,), "2", 3, (Path("bp4d"),))
    assert found.shares == [0.5]
    areas = read_arguments("areas", {"areas": "areas.yaml"}, models=1)
    assert areas == PROTOCOLS["areas"].arguments(areas=Path("areas.yaml"))  # type: ignore[call-arg]
    assert read_arguments("semi", {"prior": "rbm", "l2": [0.1]}, models=1) == SemiArguments(prior="rbm", l2=(0.1,))


@pytest.mark.parametrize(
    ("name", "given", "why"),
    [
        ("linear", {"seed": 3}, "evaluate linear: unknown key `seed`; did you mean `seeds`"),
        ("linear", {"seeds": "3"}, "`seeds` must be a whole number"),
        ("linear", {"seeds": 0}, "seeds 0: must be at least 1"),
        ("linear", {"target": "aus"}, "`target` must be one of 'au', 'emotion'"),
        ("linear", {"threshold": 1.0}, "threshold 1.0: must lie between 0 and 1"),
        ("linear", {"threshold": "best"}, "`threshold` must be"),
        ("linear", {"threshold": "oracle", "target": "emotion"}, "the highest-scoring class is predicted"),
        ("ridge", {"threshold": 0.3, "target": "emotion"}, r"^threshold 0\.3: for emotions the highest-scoring class"),
        ("finetune", {"threshold": 0.5, "target": "emotion"}, "the highest-scoring class is predicted"),
        ("finetune", {"tune": "head", "lr": 1e-4}, "^lr: is of the encoder, of which tune head trains nothing"),
        ("finetune", {"tune": "head", "layer_decay": 0.5}, "^layer_decay: is of the encoder"),
        ("linear", {"l2": []}, "l2: needs at least one strength"),
        ("ridge", {"l2": [0.1, 0.0]}, "l2 0: must be above 0"),
        ("linear", {"maps": "none", "map_faces": 1000}, "there are no maps"),
        ("linear", {"label_unit": "subjects"}, "label_unit subjects: says what label_share leaves out"),
        ("finetune", {"workers": 0}, "workers 0: must be at least 1"),
        ("finetune", {"epochs": 0}, "epochs 0: must be at least 1"),
        ("finetune", {"held_out": 0.5}, "unknown key `held_out`"),
        ("probes", {"folds": "split"}, "probes need a number of folds"),
        ("lineal", {}, "evaluate lineal: there is no such protocol; choose linear, linear.bn"),
    ],
)
def test_what_is_refused(name: str, given: dict[str, object], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        read_arguments(name, given, models=1)


def test_a_default_that_was_given_was_given() -> None:
    with pytest.raises(UsageError, match=r"^l2: is for `evaluate linear`, .* not for `evaluate knn`; leave it out"):
        check_fields("knn", {"l2": L2_CANDIDATES})
    read_arguments("finetune", {"method": "supervised"}, models=0)
    read_arguments("finetune", {"method": "supervised", "tune": "all"}, models=1)
    with pytest.raises(UsageError, match=r"tune: for encoders \(model\) alone"):
        read_arguments("finetune", {"method": "supervised", "tune": "all"}, models=0)
    for name in ("linear", "probes", "finetune"):
        with pytest.raises(UsageError, match="name at least one model"):
            read_arguments(name, {}, models=0)


def test_the_command_line_says_whose_flag_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["evaluate", "linear", "--model", "pixels", "--data", str(tmp_path), "--out", str(tmp_path / "out")]
    for flag in (["--batch-size", "64"], ["--batch-size=64"], ["--batch_size", "64"]):
        assert main([*words, *flag]) == 2
        said = capsys.readouterr().err
        assert said == (
            "duchenne evaluate: --batch-size: is for `evaluate finetune`, not for `evaluate linear`; leave it out.\n"
        )
    assert main(["evaluate", "probes", *words[2:], "--no-baselines", "--sample-faces", "12"]) == 2
    assert "--sample-faces: is for `evaluate linear`" in capsys.readouterr().err


class Means(nn.Module):
    """The mean of each colour."""

    size_px = 16

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 3)."""
        return images.mean((2, 3))


def test_objects_in_place_of_words(faces: Path, tmp_path: Path) -> None:
    how = {"l2": 0.1, "baselines": False, "maps": "none", "sample_faces": 0, "quiet": True}
    data = Prepared([faces])
    models = [Means(), ColumnSource("landmarks")]
    found = duchenne.evaluate("linear", model=models, data=data, out=tmp_path / "a", **how)
    assert list(found["model"].unique()) == ["Means", "landmarks"]
    with pytest.raises(UsageError, match="model nowhere"):
        duchenne.evaluate("linear", model=Path("nowhere"), data=data, out=tmp_path / "c", **how)
    word = duchenne.evaluate("linear", model="landmarks", data=str(faces), out=tmp_path / "b", **how)
    mine = found[found["model"] == "landmarks"].reset_index(drop=True)
    pd.testing.assert_frame_equal(mine, word.table)
    with pytest.raises(UsageError, match="each only once"):
        duchenne.evaluate("linear", model=[models[0], models[0]], data=data, out=tmp_path / "c", **how)
