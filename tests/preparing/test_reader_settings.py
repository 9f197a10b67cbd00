"""Every reader of `prepare` is asked for its own settings alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import duchenne
from duchenne.cli.main import main
from duchenne.errors import UsageError
from duchenne.keywords import field_names
from duchenne.preparing.arguments import READERS, read_settings, settings_class
from duchenne.preparing.datasets.registry import DATA_SETS
from duchenne.preparing.settings import TableSettings, VideosSettings
from duchenne.preparing.sources.reading import Options

COMMON = {"workers", "scheduler", "size_px", "min_face", "alignment", "positive_from", "name", "licence", "quiet"}
OF_DATA_SETS = {"missing", "check", "parts"}


def test_fields_of_readers() -> None:
    fields = {reader: field_names(settings_class(reader)) - COMMON for reader in READERS}
    assert fields["videos"] == {"labels", "coder", "names", "sequence", "chapters", "mirrored", "fps"}
    assert fields["table"] == {"table", "detect", "missing"}
    assert fields["disfa"] - OF_DATA_SETS == {"aus", "frames", "camera", "fps"}
    assert fields["voxceleb2"] - OF_DATA_SETS == {"fps", "per_subject", "seed"}
    assert fields["affectnet"] - OF_DATA_SETS == {"emotions"}
    assert fields["rafdb"] == OF_DATA_SETS
    assert all(fields[name] >= OF_DATA_SETS for name in DATA_SETS)


def test_what_readers_are_given_when_nothing_is_asked() -> None:
    bare, asked = Options(), read_settings("disfa", {})
    assert all(getattr(asked, name) == getattr(bare, name) for name in ("aus", "frames", "camera"))


def test_python_values_become_those_of_the_command_line() -> None:
    found = read_settings("videos", {"labels": "codes.csv", "fps": 5, "size_px": np.int64(64), "min_face": 20})
    assert found == VideosSettings(labels=Path("codes.csv"), fps=5.0, size_px=64, min_face=20.0)
    assert read_settings("table", {"table": "list.csv"}) == TableSettings(table=Path("list.csv"))


@pytest.mark.parametrize(
    ("reader", "given", "why"),
    [
        ("bp5d", {}, "there is no data set `bp5d`; the known ones are videos, table, bp4d"),
        ("bp4d", {"camera": "left"}, "camera: is for `prepare disfa`, not for `prepare bp4d`; leave it out"),
        ("bp4d", {"fps": None}, "fps: is for `prepare videos`, .*`prepare disfa`, .* not for `prepare bp4d`"),
        ("videos", {"check": False}, "check: is for data sets, not for `prepare videos`"),
        ("videos", {"missing": "drop"}, "missing: is for `prepare table`, data sets, not for `prepare videos`"),
        ("videos", {"detect": False}, "detect=False: is for `prepare table`, not for .* say alignment none"),
        ("videos", {"label": "codes.csv"}, "unknown key `label`; did you mean `labels`"),
        ("videos", {"alignment": "none"}, "alignment none: is for images"),
        ("videos", {"alignment": "dataset"}, "landmarks are read of bp4d, .*, not of videos"),
        ("videos", {"alignment": "eyes"}, "`alignment` must be one of 'frame', 'smooth'"),
        ("videos", {"sequence": 5, "chapters": True}, "exclude each other"),
        ("videos", {"sequence": 0}, "sequence 0: must be above 0"),
        ("videos", {"fps": 0}, "fps 0: must be above 0"),
        ("videos", {"workers": -1}, "workers -1: must be at least 0"),
        ("table", {}, "prepare table: needs table; name it"),
        ("table", {"table": "x", "alignment": "smooth"}, "alignment smooth: needs videos"),
        ("table", {"table": "x", "detect": False, "alignment": "five"}, "detect=False: takes images as they are"),
        ("table", {"table": "x", "size_px": 16}, "size_px 16: must be at least 32"),
        ("table", {"table": "x", "min_face": 0}, "min_face 0: must be at least 1"),
        ("table", {"table": "x", "positive_from": 6}, "positive_from 6: must be above 0 and at most 5"),
        ("bp4d", {"positive_from": 2}, "BP4D-Spontaneous says itself what is present"),
        ("voxceleb2", {"seed": 0}, "seed 0: is that of per_subject"),
        ("voxceleb2", {"per_subject": 2, "seed": -1}, "seed -1: must be at least 0"),
        ("voxceleb2", {"per_subject": 2, "fps": -1}, "fps -1: must be above 0"),
        ("affectnet", {"emotions": 6}, "`emotions` must be one of 7, 8"),
    ],
)
def test_what_is_refused(reader: str, given: dict[str, object], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        read_settings(reader, given)


def test_a_folder_must_be_named_unless_a_data_set_is_checked(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="out: name the folder to write"):
        duchenne.prepare("videos", root=tmp_path)


def test_the_command_line_says_whose_flag_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--root", str(tmp_path), "--out", str(tmp_path / "out")]
    assert main(["prepare", "gft", *words, "--table=list.csv"]) == 2
    assert capsys.readouterr().err == (
        "duchenne prepare: --table: is for `prepare table`, not for `prepare gft`; leave it out.\n"
    )
    assert main(["prepare", "videos", *words, "--size", "31"]) == 2
    assert "--size 31: must be at least 32 and at most 4096." in capsys.readouterr().err
    assert main(["prepare", "--help"]) == 0
    said = capsys.readouterr().out
    assert all(f"  {reader} " in said for reader in READERS)
