"""The record of who was seen: starting weights pass theirs on or are refused; a resumed run sees the same data."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from tests.training.made import changed

import duchenne
from duchenne.errors import InputError, UsageError
from duchenne.training.checkpoints import load_checkpoint, save_checkpoint
from duchenne.training.pretrain import PretrainResult
from duchenne.training.runs import load_encoder, save_encoder

FAST: dict[str, Any] = {
    "size_px": 64, "backbone": "compact", "batch_size": 4, "max_steps": 1, "validation_share": 0.0, "quiet": True,
}  # fmt: skip


@pytest.fixture(scope="module")
def run(squares: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    duchenne.pretrain("temporal_ranking", data=squares, out=out, **FAST)
    return out


def start_from(weights: Path, squares: Path, out: Path) -> None:
    duchenne.pretrain("temporal_ranking", data=squares, out=out, **FAST, weights=str(weights))


def test_starting_weights_pass_on_what_they_have_seen(run: Path, squares: Path, tmp_path: Path) -> None:
    loaded = load_encoder(run)
    earlier = tuple(replace(item, dataset="earlier", labels=True) for item in loaded.record.trained_on)
    save_encoder(tmp_path, loaded.encoder, replace(loaded.record, trained_on=earlier), name="start")
    start_from(tmp_path / "start.safetensors", squares, tmp_path / "run")
    seen = load_encoder(tmp_path / "run").record.trained_on
    assert [(item.dataset, item.labels) for item in seen] == [("squares", False), ("earlier", True)]
    assert "earlier" not in (tmp_path / "run" / "methods.txt").read_text()


def test_an_encoder_without_its_own_record_is_refused(run: Path, squares: Path, tmp_path: Path) -> None:
    start = tmp_path / "start.safetensors"
    shutil.copy(run / "encoder.safetensors", start)
    with pytest.raises(InputError, match=r"start\.safetensors: start\.json, which says whose faces .* is missing"):
        start_from(start, squares, tmp_path / "run")
    record = json.loads((run / "encoder.json").read_text())
    start.with_suffix(".json").write_text(json.dumps({**record, "trained_on": []}))
    with pytest.raises(InputError, match=r"start\.json: was changed since the training"):
        start_from(start, squares, tmp_path / "run")
    other = save_other(run, tmp_path)
    shutil.copy(other, start.with_suffix(".json"))
    with pytest.raises(InputError, match=r"start\.safetensors: is not the file that start\.json belongs to"):
        start_from(start, squares, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(InputError, match="is none of the released networks"):
        duchenne.convert(start, out=tmp_path / "converted")


def save_other(run: Path, folder: Path) -> Path:
    """The record of another encoder."""
    loaded = load_encoder(run)
    with torch.no_grad():
        next(loaded.encoder.parameters()).add_(1)
    save_encoder(folder, loaded.encoder, replace(loaded.record, trained_on=()), name="other")
    return folder / "other.json"


@pytest.mark.parametrize("name", ["checkpoint.pt", "renamed.pth"])
def test_a_checkpoint_of_a_run_does_not_say_whom_it_has_seen(
    name: str, run: Path, squares: Path, tmp_path: Path
) -> None:
    weights = tmp_path / name
    shutil.copy(run / "checkpoint.pt", weights)
    message = rf"{name}: is the checkpoint of a run and does not say .* name the encoder\.safetensors"
    with pytest.raises(InputError, match=message):
        start_from(weights, squares, tmp_path / "run")
    with pytest.raises(InputError, match=message):
        duchenne.convert(weights, out=tmp_path / "converted")
    assert not (tmp_path / "run").exists()


@pytest.fixture
def begun(squares: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A run of one step, and the data that it was begun with."""
    data = Path(shutil.copytree(squares, tmp_path / "data"))
    duchenne.pretrain("temporal_ranking", data=data, out=tmp_path / "run", **FAST)
    return tmp_path / "run", data


def go_on(run: Path, data: Path) -> PretrainResult:
    return duchenne.pretrain("temporal_ranking", data=data, out=run, resume=True, **{**FAST, "max_steps": 2})


def renamed(frames: pd.DataFrame) -> pd.DataFrame:
    return frames.assign(subject="other " + frames["subject"])


def recoded(frames: pd.DataFrame) -> pd.DataFrame:
    return frames.assign(AU01_i=frames["AU01_i"].where(frames.index != 7, 5.0))


@pytest.mark.parametrize("change", [renamed, recoded])
def test_nothing_goes_on_with_data_prepared_anew(
    change: Callable[[pd.DataFrame], pd.DataFrame], begun: tuple[Path, Path], squares: Path
) -> None:
    run, data = begun
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    shutil.rmtree(data)
    changed(squares, data, change)
    with pytest.raises(UsageError, match="was begun with other data: a folder was prepared anew or changed since"):
        go_on(run, data)
    assert {path.name: path.read_bytes() for path in run.iterdir() if path.name in before} == before
    shutil.rmtree(data)
    shutil.copytree(squares, data)  # the same again
    assert go_on(run, data).steps == 2


def test_a_licence_put_right_and_a_checkpoint_of_an_earlier_version_go_on(begun: tuple[Path, Path]) -> None:
    run, data = begun
    info = (data / "dataset.yaml").read_text()
    (data / "dataset.yaml").write_text(info.replace("CC0-1.0", "for research"))
    checkpoint = load_checkpoint(run / "checkpoint.pt")
    assert go_on(run, data).load_encoder().record.trained_on[0].licence == "for research"
    save_checkpoint(run / "checkpoint.pt", {key: value for key, value in checkpoint.items() if key != "data"})
    (data / "dataset.yaml").write_text(info.replace("clips: 6", "clips: 7"))
    assert go_on(run, data).steps == 2
