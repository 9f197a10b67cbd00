"""Agreement of two tables: coefficients against textbooks and scikit-learn, joining, events, lag, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score, roc_auc_score

from duchenne.cli.main import main
from duchenne.errors import InputError
from duchenne.metrics import cohen_kappa, gwet_ac1, icc
from duchenne.tables.agree import agree, join
from duchenne.tables.codings import read_coding


def counts(a: np.ndarray, b: np.ndarray) -> list[int]:
    return [int(((a == x) & (b == y)).sum()) for x, y in ((1, 1), (1, 0), (0, 1), (0, 0))]


def test_kappa_and_ac1() -> None:
    generator = np.random.default_rng(0)
    a = generator.integers(0, 2, 200)
    b = np.where(generator.random(200) < 0.2, 1 - a, a)
    assert cohen_kappa(*counts(a, b)) == pytest.approx(cohen_kappa_score(a, b), abs=1e-12)
    # Gwet 2008, table 1 style: 118 both, 5 and 2 apart, 0 neither of 125 -> kappa below 0, AC1 near the raw agreement
    assert cohen_kappa(118, 5, 2, 0) == pytest.approx(-0.0234, abs=1e-3)
    rate = (2 * 118 + 7) / 250
    chance = 2 * rate * (1 - rate)
    assert gwet_ac1(118, 5, 2, 0) == pytest.approx((118 / 125 - chance) / (1 - chance))
    assert np.isnan(cohen_kappa(9, 0, 0, 0))
    assert np.isnan(gwet_ac1(0, 0, 0, 0))


def test_icc_of_shrout_and_fleiss_example() -> None:
    ratings = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
    found = icc(ratings)
    assert found.absolute == pytest.approx(0.29, abs=5e-3)
    assert found.consistency == pytest.approx(0.71, abs=6e-3)
    assert np.isnan(icc([[1, 1], [1, 1]])).all()
    assert np.isnan(icc([[1, 2]])).all()
    for value in (0.07, 0.1, 0.3, 1.1):  # whose mean is not exactly they
        assert np.isnan(icc(np.full((7, 2), value))).all()
        assert np.isnan(icc(np.tile([value, 3 * value], (7, 1)))).all()


def coded(rows: int = 400, seed: int = 0) -> pd.DataFrame:
    """Two videos of 25 frames a second; AU12 in stretches, AU04 too."""
    generator = np.random.default_rng(seed)
    frame = np.arange(rows)
    table = pd.DataFrame({"source": "one.mp4", "frame": frame, "time_s": frame / 25})
    for au in ("AU12", "AU04"):
        table[au] = (np.sin(frame / 11 + generator.uniform(0, 6)) > 0.3).astype(int)
    return pd.concat([table, table.assign(source="two.mp4", AU12=1 - table["AU12"])], ignore_index=True)


def save(folder: Path, name: str, table: pd.DataFrame) -> Path:
    path = folder / name
    table.to_csv(path, index=False)
    return path


def test_a_table_agrees_with_itself(tmp_path: Path) -> None:
    path = save(tmp_path, "a.csv", coded())
    table = agree(path, path, out=tmp_path / "out").set_index("au")
    assert table.loc["AU12", ["kappa", "ac1", "f1", "event_f1", "correlation"]].tolist() == [1] * 5
    assert table.loc["AU12", ["kappa_low", "kappa_high"]].tolist() == [1, 1]
    assert table["lag_s"].tolist() == [0, 0]
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["facs_agreement"] == 1
    assert (summary["frames"], summary["only_first_frames"], summary["joined_by"]) == (800, 0, "time")


def test_numbers_equal_scikit_learn_with_unknown_frames_masked(tmp_path: Path) -> None:
    first, second = coded(), coded()
    generator = np.random.default_rng(1)
    second["AU12_p"] = np.clip(second.pop("AU12") * 0.4 + generator.random(800) * 0.6, 0, 1)
    second.loc[5:50, "AU12_p"] = np.nan
    table = agree(save(tmp_path, "a.csv", first), save(tmp_path, "b.csv", second), out=tmp_path / "out").set_index("au")
    known = second["AU12_p"].notna()
    a, b = first["AU12"][known], second["AU12_p"][known]
    row = table.loc["AU12"]
    assert row["frames"] == known.sum()
    assert row["kappa"] == pytest.approx(cohen_kappa_score(a, b >= 0.5), abs=1e-6)
    assert row["auc"] == pytest.approx(roc_auc_score(a, b), abs=1e-6)
    assert row["correlation"] == pytest.approx(np.corrcoef(a, b)[0, 1], abs=1e-6)
    assert row["kappa_low"] <= row["kappa"] <= row["kappa_high"]


def test_openface_tables_are_joined_by_time_and_failures_masked(tmp_path: Path) -> None:
    ours = coded().query("source == 'one.mp4'")
    theirs = pd.DataFrame({
        "frame": ours["frame"] + 1, " timestamp": ours["time_s"].round(3), " success": 1,
        " AU45_r": np.nan, " AU12_c": ours["AU12"], " AU12_r": ours["AU12"] * 2.5, " AU04_c": ours["AU04"],
    })  # fmt: skip
    theirs.loc[:9, [" success", " AU12_c", " AU12_r", " AU04_c"]] = 0
    paths = save(tmp_path, "ours.csv", ours), save(tmp_path, "openface.csv", theirs)
    table = agree(*paths, out=tmp_path / "out").set_index("au")
    assert table.loc["AU12", "frames"] == 390
    assert table.loc["AU12", "kappa"] == 1
    by_frame = agree(*paths, out=tmp_path / "out", by="frame").set_index("au")
    assert by_frame.loc["AU12", "kappa"] == 1


def one() -> pd.DataFrame:
    return coded().query("source == 'one.mp4'")


def tools() -> dict[str, tuple[pd.DataFrame, dict[str, str]]]:
    """The same coding with the columns of other tools, and the kind that AU12 has there."""
    ours = one()
    frame, au12, au4 = ours["frame"], ours["AU12"], ours["AU04"]
    likely = 0.1 + 0.8 * au12
    return {
        "py-feat": (
            pd.DataFrame({"AU12": likely, "AU04": 0.9 * au4, "input": "clips/one.mp4", "frame": frame.astype(float),
                          "Identity": np.where(frame < 200, "Person_0", "Person_3")}),
            {"second": "probability"},
        ),
        "libreface": (
            pd.DataFrame({"frame_idx": frame, "frame_time_in_ms": frame * 40.0, "path_to_frame": "tmp/one/1.png",
                          "facial_expression": "Neutral", "au_12": au12, "au_4": au4, "au_12_intensity": 3.0 * au12}),
            {"second": "intensity"},
        ),
        "pyafar": (
            pd.DataFrame({"Frame": frame, "Person_ID": 0, "Eye Aspect Ratio": 0.3, "Occ_au_12": likely, "Occ_au_4": au4,
                          "Int_au_17": 2.5}),
            {"second": "probability"},
        ),
        "fg-net": (
            pd.DataFrame({"image_path": [f"one/{number:05d}.jpg" for number in frame], "au12": au12, "au4": au4}),
            {"second": "occurrence"},
        ),
        "semicolons": (ours.assign(AU12_p=likely).drop(columns="AU12"), {"second": "probability"}),
    }  # fmt: skip


@pytest.mark.parametrize("name", tools())
def test_tables_of_other_tools_are_read_by_their_headers(tmp_path: Path, name: str) -> None:
    theirs, expected = tools()[name]
    theirs = theirs[theirs.columns[::-1]]  # never by position
    path = tmp_path / "theirs.csv"
    marks = {"sep": ";", "decimal": ",", "encoding": "utf-8-sig"} if name == "semicolons" else {}
    theirs.to_csv(path, **marks)  # with pandas' own column of row numbers, as LibreFace writes it
    table = agree(save(tmp_path, "ours.csv", one()), path, out=tmp_path / "out").set_index("au")
    assert table.loc["AU12", ["second", "frames", "kappa"]].tolist() == [expected["second"], 400, 1]
    assert table.loc["AU04", "kappa"] == 1


@pytest.mark.parametrize("said", ["score", "AU12=score AU04=probability"])
def test_raw_scores_in_fex_columns_are_not_taken_for_probabilities(tmp_path: Path, said: str) -> None:
    scores = one().assign(AU12=lambda t: 0.2 + 0.6 * t["AU12"], AU04=lambda t: 0.9 * t["AU04"], au_measure=said)
    scores.loc[:3, ["AU12", "AU04", "au_measure"]] = np.nan  # rows without a face
    table = agree(save(tmp_path, "a.csv", one()), save(tmp_path, "b.csv", scores), out=tmp_path / "out").set_index("au")
    assert table.loc["AU12", "second"] == "score"
    assert np.isnan(table.loc["AU12", "kappa"])
    assert table.loc["AU12", "auc"] == 1
    assert table.loc["AU04", "second"] == ("score" if said == "score" else "probability")


def test_nothing_is_said_of_what_no_frame_has_from_both(tmp_path: Path) -> None:
    halves = [one().assign(AU12=lambda t, part=part: t["AU12"].where(t["frame"] // 200 == part)) for part in (0, 1)]
    table = agree(save(tmp_path, "a.csv", halves[0]), save(tmp_path, "b.csv", halves[1]), out=tmp_path / "out")
    row = table.set_index("au").loc["AU12"]
    assert row["frames"] == 0
    assert row.drop(["first", "second", "frames"]).isna().all()


def test_faces_may_have_names(tmp_path: Path) -> None:
    both = [pd.concat([one().assign(face="Ann"), one().assign(face=who, AU12=0)]) for who in ("Bob", "Cy")]
    joined = join(read_coding(save(tmp_path, "a.csv", both[0])), read_coding(save(tmp_path, "b.csv", both[1])))
    assert (joined.counts["frames"], joined.counts["only_first_frames"]) == (400, 400)
    single = join(
        read_coding(save(tmp_path, "c.csv", one().assign(face="Ann"))), read_coding(save(tmp_path, "d.csv", one()))
    )
    assert joined.counts["frames"] == single.counts["frames"]


def test_lag_and_events(tmp_path: Path) -> None:
    first = coded().query("source == 'one.mp4'").drop(columns="AU04")
    second = first.assign(AU12=np.r_[[0] * 5, first["AU12"].to_numpy()[:-5]])
    table = agree(save(tmp_path, "a.csv", first), save(tmp_path, "b.csv", second), out=tmp_path / "out").set_index("au")
    assert table.loc["AU12", "lag_s"] == pytest.approx(0.2)
    assert table.loc["AU12", "first_events"] >= 5
    assert table.loc["AU12", "event_f1"] > 0.85
    assert np.isnan(table.loc["AU12", "kappa_low"])  # one source cannot be resampled


def test_rows_without_a_partner_are_counted(tmp_path: Path) -> None:
    first, second = coded(), coded().iloc[100:].query("source == 'one.mp4'")
    second = pd.concat([second, second.assign(source="three.mp4")])
    joined = join(read_coding(save(tmp_path, "a.csv", first)), read_coding(save(tmp_path, "b.csv", second)))
    assert joined.counts == {
        "frames": 300, "only_first_frames": 500, "only_second_frames": 300, "sources": 1, "only_first_sources": 1,
        "only_second_sources": 1,
    }  # fmt: skip


def test_times_match_within_half_a_frame_and_each_once(tmp_path: Path) -> None:
    first = coded().query("source == 'one.mp4'")
    second = first.iloc[::2].assign(time_s=lambda t: t["time_s"] + 0.013)
    joined = join(read_coding(save(tmp_path, "a.csv", first)), read_coding(save(tmp_path, "b.csv", second)))
    assert len(joined.first) == 200
    assert joined.first.tolist() == list(range(0, 400, 2))
    assert joined.second.tolist() == list(range(200))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: t.drop(columns=["AU12", "AU04"]), "has no column with values of an action unit"),
        (lambda t: t.drop(columns=["frame", "time_s"]), "neither `frame` nor `time_s`"),
        (lambda t: t.assign(AU12_i=7), "`AU12_i` is 7, which is no intensity"),
        (lambda t: t.assign(AU12="yes"), "'yes' is no number"),
        (lambda t: pd.concat([t.assign(face=who) for who in ("Ann", "Bob")]), "it may be any of Ann, Bob"),
        (lambda t: pd.concat([t, t.iloc[:1]]), "more than once"),
        (lambda t: t.rename(columns={"AU12": "AU01", "AU04": "AU02"}), "no action unit in common"),
        (lambda t: t.assign(time_s=t["time_s"] + 1000), "no frame of one is in the other"),
        (lambda t: t.drop(columns="source").iloc[:400], "one has several sources"),
    ],
)
def test_wrong_tables_are_one_sentence(tmp_path: Path, change: object, sentence: str) -> None:
    paths = save(tmp_path, "a.csv", coded()), save(tmp_path, "b.csv", change(coded()))  # type: ignore[operator]
    with pytest.raises(InputError) as caught:
        agree(*paths, out=tmp_path / "out")
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = save(tmp_path, "a.csv", coded())
    assert main(["agree", str(path), str(path), "--out", str(tmp_path / "out")]) == 0
    assert "AU12" in capsys.readouterr().out
    page = (tmp_path / "out" / "report.html").read_text()
    assert "FACS agreement ratio 1.00" in page
    assert main(["agree", str(path), str(tmp_path / "none.csv"), "--out", str(tmp_path / "out")]) == 1


def test_a_column_that_names_an_au_and_is_not_read_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A slip of the pen in a column's name does not make its codes vanish without a word; sides are no slip."""
    monkeypatch.chdir(tmp_path)
    Path("codes.csv").write_text("frame,AU12,AU06_ix\n0,1,3\n1,0,2\n")
    rows = "source,frame,time_s,face,AU12_s,AU06_sx,AU12_left\na.mp4,0,0.0,0,1.0,2.0,1\na.mp4,1,0.04,0,3.0,2.0,1\n"
    Path("a.csv").write_text(rows)
    assert main(["agree", "a.csv", "codes.csv", "--out", "out"]) == 0
    told = capsys.readouterr()
    how = "(write AU12, AU12_c, AU12_r, AU12_p or AU12_s)."
    assert f"codes.csv: not read: AU06_ix {how}" in told.out + told.err
    assert f"a.csv: not read: AU06_sx {how}" in told.out + told.err
    assert main(["summarize", "a.csv", "-o", "summed"]) == 0
    told = capsys.readouterr()
    assert f"a.csv: not read: AU06_sx {how}" in told.out + told.err
