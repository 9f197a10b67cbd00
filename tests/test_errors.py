"""Messages name fields as whoever reads them writes them: as flags on the command line, as keywords in Python."""

from __future__ import annotations

from pathlib import Path

import pytest

import duchenne
from duchenne.cli.main import main
from duchenne.errors import InputError, UsageError


@pytest.mark.parametrize(
    ("raised", "read"),
    [
        ("--label-share 2: shares lie above 0.", "label_share 2: shares lie above 0."),
        ("use --seeds, or leave out --no-baselines.", "use seeds, or leave out baselines=False."),
        ("run `duchenne fit --model M` again.", "run `duchenne fit --model M` again."),
        ("a/--data.csv and x--y: broken; name another --out.", "a/--data.csv and x--y: broken; name another out."),
    ],
)  # fmt: skip
def test_fields_are_named_as_they_are_written(raised: str, read: str) -> None:
    for kind in (UsageError, InputError):
        assert str(kind(raised)) == read
        assert kind(raised).on_command_line() == raised


def test_the_same_mistake_both_ways(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match=r"^label_share 2: must be above 0"):
        duchenne.evaluate("linear", model="pixels", data=tmp_path, out=tmp_path / "out", label_share=2.0)
    words = ["--model", "pixels", "--data", str(tmp_path), "--out", str(tmp_path / "out"), "--label-share", "2"]
    assert main(["evaluate", "linear", *words]) == 2
    assert "--label-share 2" in capsys.readouterr().err
