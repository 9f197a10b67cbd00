"""docs/other_programs.md: columns that its code names are those that `summarize` writes, and its Python runs."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from duchenne.cli.main import main

PAGE = Path(__file__).parents[2] / "docs" / "other_programs.md"


def code_of(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """Six people in two trials, as the page has them; what `summarize` writes of them."""
    rng, rows, trials = np.random.default_rng(0), [], []
    for number in range(6):
        smile = np.concatenate([rng.normal(0, 1, 20), rng.normal(2, 1, 20)])
        rows.append(
            pd.DataFrame(
                {"source": f"p{number}.mp4", "frame": range(40), "time_s": np.arange(40.0), "face": 0, "AU12_s": smile}
            )
        )
        for trial, at in (("weather", 0), ("joke", 20)):
            trials.append((f"p{number}.mp4", trial, at, at + 20, 0, 5))
    (tmp_path / "tables").mkdir()
    pd.concat(rows).to_csv(tmp_path / "tables" / "all_aus.csv", index=False)
    columns = ["source", "trial", "onset_s", "offset_s", "baseline_onset_s", "baseline_offset_s"]
    pd.DataFrame(trials, columns=columns).to_csv(tmp_path / "trials.csv", index=False)
    pd.DataFrame({"source": [f"p{n}.mp4" for n in range(6)], "face": 0, "name": [f"p{n}" for n in range(6)]}).to_csv(
        tmp_path / "names.csv", index=False
    )
    monkeypatch.chdir(tmp_path)
    assert main(["summarize", "tables/", "--trials", "trials.csv", "--names", "names.csv"]) == 0
    (tmp_path / "all_trials.csv").rename(tmp_path / "tables_trials.csv")  # the page has a folder of several tables
    return pd.read_csv("tables_trials.csv")


def test_spss_is_told_the_columns_in_their_order(study: pd.DataFrame) -> None:
    (syntax,) = code_of("spss")
    told = re.search(r"/VARIABLES=(.*?)\.\nSELECT", syntax, re.DOTALL)
    assert told is not None
    pairs = told[1].split()
    assert pairs[::2] == list(study.columns)
    for name, form in zip(pairs[::2], pairs[1::2], strict=True):
        assert (form[0] == "A") == (not pd.api.types.is_numeric_dtype(study[name])), name
        if form[0] == "A":
            assert study[name].str.len().max() <= int(form[1:])
    dropped = re.search(r"/DROP=([^.]*)\.", syntax)
    assert dropped is not None
    assert {*dropped[1].split(), "face", "trial", "change"} == set(study.columns)


@pytest.mark.parametrize("language", ["r", "matlab"])
def test_r_and_matlab_name_columns_that_are_there(language: str, study: pd.DataFrame) -> None:
    (code,) = code_of(language)
    named = set(re.findall(r'"([a-z_]+)"', code)) - {"string", "wide"}
    named |= set(re.findall(r"trials[.$]([a-z_]+)\b(?!\.csv)", code)) - {"csv"}
    assert "change" in named
    assert named <= set(study.columns)


@pytest.mark.usefixtures("study")
def test_the_python_runs() -> None:
    (code,) = code_of("python")
    exec(code, {})
    wide, again = pd.read_csv("smiles_wide.csv"), pd.read_excel("smiles_wide.xlsx")
    assert list(wide) == ["source", "face", "joke", "weather"]
    assert len(wide) == len(again) == 6


@pytest.mark.parametrize(("name", "program"), [("a.sav", "SPSS"), ("a.xlsx", "Excel"), ("a.mat", "MATLAB")])
def test_other_formats_are_refused_with_the_way_on(
    name: str, program: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["detect", "none.mp4", "-o", str(tmp_path / name)]) == 2
    said = capsys.readouterr().err
    assert f"{program} opens CSV; docs/other_programs.md says how." in said
    if name != "a.xlsx":
        (tmp_path / name).write_bytes(b"$FL2\0\1\2")
        assert main(["summarize", str(tmp_path / name)]) == 1
        assert f"a file of {program} is not read; save it as CSV there" in capsys.readouterr().err
