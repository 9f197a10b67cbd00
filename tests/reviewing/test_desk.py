"""Comparing, choosing and teaching: the numbers are those of the commands."""

import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.reviewing.made import UNEVEN_MS, film, recordings, table

import duchenne
from duchenne.errors import InputError, UsageError
from duchenne.faces.recordings.listing import list_media
from duchenne.reviewing.choosing import Candidate, choose, doubt
from duchenne.reviewing.clips import frame_times
from duchenne.reviewing.desk import Desk, coded_frames
from duchenne.reviewing.jobs import Job, Step
from duchenne.reviewing.library import open_library
from duchenne.reviewing.teaching import fit_steps, in_words

TIMES = np.array(UNEVEN_MS) / 1000
CODES = f"""source,au,onset_s,offset_s,intensity,face,coder
film.webm,12,{TIMES[3]},{TIMES[22]},C,0,anna
film.webm,6,{TIMES[3]},{TIMES[10]},B,0,anna
film.webm,12,{TIMES[5]},{TIMES[20]},D,0,ben
film.webm,6,{TIMES[40]},{TIMES[44]},A,0,ben
film.webm,coded,0,{TIMES[60]},,0,ben
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = recordings(tmp_path / "recordings")
    (made / "codes.csv").write_text(CODES)
    return made


def of_agree(folder: Path, *files: Path) -> pd.DataFrame:
    return duchenne.agree(*files, out=folder / "agreement").set_index("au")


def test_the_numbers_of_two_coders_are_those_of_agree(folder: Path) -> None:
    found = Desk(open_library([folder])).compare("coder:anna", "coder:ben", "r0")
    frames = {}
    for name, spans in (("anna", {12: (3, 22, 3), 6: (3, 10, 2)}), ("ben", {12: (5, 20, 4), 6: (40, 44, 1)})):
        place = np.arange(64)
        columns = {
            f"AU{au:02d}_r": np.where((place >= a) & (place < b), much, 0.0) for au, (a, b, much) in spans.items()
        }
        if name == "ben":
            columns = {key: np.where(place < 60, values, np.nan) for key, values in columns.items()}
        frames[name] = folder / f"{name}.csv"
        pd.DataFrame({"source": "film.webm", "frame": place, "time_s": TIMES, "face": 0, **columns}).to_csv(
            frames[name], index=False
        )
    expected = of_agree(folder, frames["anna"], frames["ben"])
    assert [row["au"] for row in found["rows"]] == list(expected.index)
    for row in found["rows"]:
        for name in ("frames", "kappa", "ac1", "f1", "icc_absolute", "correlation"):
            value = expected.loc[row["au"], name]
            assert row[name] == (None if np.isnan(value) else pytest.approx(value)), (row["au"], name)


def test_coder_and_detector_as_agree_does(folder: Path) -> None:
    found = Desk(open_library([folder])).compare("coder:anna", "table", None)
    own = pd.read_csv(folder / "codes.csv").query("coder == 'anna'")
    own.to_csv(folder / "anna_codes.csv", index=False)
    expected = of_agree(folder, folder / "anna_codes.csv", folder / "film_aus.csv")
    smile = next(row for row in found["rows"] if row["au"] == "AU12")
    assert smile["kappa"] == pytest.approx(expected.loc["AU12", "kappa"])
    assert smile["auc"] == pytest.approx(expected.loc["AU12", "auc"])
    assert next(row for row in found["rows"] if row["au"] == "AU06")["kappa"] is None  # raw scores decide nothing


def test_codes_without_a_face_are_those_of_who_is_seen_largest_and_longest(folder: Path) -> None:
    left = pd.read_csv(folder / "film_aus.csv").assign(width=30.0, AU12_c=0, AU12_p=0.0)  # who asks, on the left
    right = pd.read_csv(folder / "film_aus.csv").assign(face=1, width=50.0)
    pd.concat([left, right]).to_csv(folder / "film_aus.csv", index=False)
    present = right["AU12_c"].to_numpy() == 1  # from frame 5 to 20 and on
    edges = np.flatnonzero(np.diff(np.r_[0, present.astype(int), 0]))
    ends = np.append(TIMES, 2 * TIMES[-1] - TIMES[-2])
    rows = [f"film.webm,12,{ends[on]},{ends[off]},anna" for on, off in zip(edges[::2], edges[1::2])]
    (folder / "codes.csv").write_text("\n".join(["source,au,onset_s,offset_s,coder", *rows, ""]))
    desk = Desk(open_library([folder]))
    assert desk.recording("r0")["table"]["main"] == 1
    (row,) = desk.compare("coder:anna", "table", "r0")["rows"]
    assert (row["frames"], row["kappa"]) == (64, 1)  # of face 1 alone; face 0 never does it
    (folder / "codes.csv").write_text(
        "\n".join(["source,au,onset_s,offset_s,coder", *rows, "film.webm,coded,0,1,anna", ""])
    )
    (row,) = Desk(open_library([folder])).compare("coder:anna", "table", "r0")["rows"]
    assert (row["frames"], row["kappa"]) == (int((TIMES + 0.02 < 1).sum()), 1)


def test_differences_are_the_stretches_that_one_has_alone(folder: Path) -> None:
    found = Desk(open_library([folder])).compare("coder:anna", "coder:ben", "r0")["differences"]
    assert [
        (one["au"], one["who"], round(one["onset_s"], 6), round(one["offset_s"], 6), one["frames"]) for one in found
    ] == [
        ("AU06", "first", TIMES[3], TIMES[10], 7),
        ("AU12", "first", TIMES[3], TIMES[5], 2),
        ("AU12", "first", TIMES[20], TIMES[22], 2),
    ]  # ben's AU6 of intensity A is under B, which counts as absent for `agree` too
    assert {one["key"] for one in found} == {"r0"}


def test_what_cannot_be_compared_is_said(folder: Path) -> None:
    desk = Desk(open_library([folder]))
    with pytest.raises(InputError, match="nobody has coded"):
        desk.compare("coder:nobody", "table", None)
    with pytest.raises(InputError, match="no table"):
        desk.compare("coder:anna", "fitted", None)
    with pytest.raises(UsageError, match="no coding"):
        desk.compare("coder:anna", "../x", None)


def test_codes_of_a_face_that_the_table_lacks_are_said(folder: Path) -> None:
    (folder / "codes.csv").write_text(CODES + f"film.webm,12,{TIMES[3]},{TIMES[9]},C,4,anna\n")
    found = Desk(open_library([folder])).compare("coder:anna", "table", None)
    assert found["notes"] == ["anna: the codes of 4 in film.webm are left out: the table has 0."]


def test_recordings_without_a_table_are_named_where_all_are_compared(folder: Path) -> None:
    film(folder / "untold.webm", UNEVEN_MS)
    desk = Desk(open_library([folder]))
    assert desk.compare("coder:anna", "table", None)["notes"] == [
        "Left out, because there is no table of them to compare with: untold.webm."
    ]
    assert desk.compare("coder:anna", "coder:ben", None)["notes"] == []


def test_doubt_is_the_entropy_in_bits() -> None:
    np.testing.assert_allclose(doubt(np.array([0.5, 0.25, 0.0, 1.0])), [1, 0.811278, 0, 0], atol=1e-4)
    assert np.isnan(doubt(np.array([np.nan]))).all()


def candidate(name: str, values: dict[int, list[float]], coded: list[int] = []) -> Candidate:  # noqa: B006
    """Four stretches of 2 s at one frame a second; `values` holds one number per stretch."""
    mask = np.isin(np.arange(8) // 2, coded)
    return Candidate(name, 0, np.arange(8.0), {au: np.repeat(v, 2).astype(float) for au, v in values.items()}, mask)


def test_the_least_sure_comes_first_and_what_is_coded_not_at_all() -> None:
    many = [candidate("a", {12: [0.5, 0.6, 0.9, 0.0]}, coded=[0]), candidate("b", {12: [0.1, 0.2, 0.0, 0.4]})]
    found = choose(many)
    # Of three and of four open stretches one and two are taken; 0.6 and 0.4 are equally unsure.
    assert [(one["source"], one["onset_s"]) for one in found] == [("a", 2.0), ("b", 6.0), ("b", 2.0)]
    values = [one["value"] for one in found]
    assert values == sorted(values, reverse=True)
    assert values[0] == pytest.approx(0.970951, abs=1e-5)  # of 0.6 and of 0.4


def test_what_is_rarely_coded_counts_more() -> None:
    one = candidate("a", {12: [0.9, 0.1, 0.0, 0.0], 4: [0.0, 0.0, 0.8, 0.0]})
    first = choose([one], by="rare", coded_seconds={12: 99.0})[0]
    assert (first["onset_s"], first["au"]) == (4.0, 4)
    assert choose([one], by="rare")[0]["onset_s"] == 0.0


def test_a_face_that_could_not_be_read_is_not_proposed() -> None:
    assert choose([candidate("a", {12: [np.nan] * 4})]) == []


def test_coded_frames_are_those_of_prepare(folder: Path) -> None:
    entries = Desk(open_library([folder])).codes.entries()
    ben = coded_frames([one for one in entries if one.coder == "ben"], 0, TIMES)
    assert ben.tolist() == [place < 60 for place in range(64)]
    assert coded_frames([one for one in entries if one.coder == "anna"], 0, TIMES).all()
    assert not coded_frames([], 0, TIMES).any()


def test_what_could_not_be_judged_is_not_proposed(folder: Path) -> None:
    rows = [("coded", 0, 20, ""), ("unknown", 20, 40, ""), ("12", 3, 9, "C"), ("4", 40, 50, "?")]
    text = [f"film.webm,{word},{TIMES[onset]},{TIMES[offset]},{much},0,mk\n" for word, onset, offset, much in rows]
    (folder / "codes.csv").write_text("source,au,onset_s,offset_s,intensity,face,coder\n" + "".join(text))
    found = coded_frames(Desk(open_library([folder])).codes.entries(), 0, TIMES)
    assert found.tolist() == [place < 40 for place in range(64)]  # of AU4 alone this is no reason not to look


def test_what_is_proposed_ends_with_the_recording() -> None:
    one = Candidate("a", 0, np.arange(5.0), {12: np.array([0.0, 0.0, 0.0, 0.0, 0.9])}, np.zeros(5, bool))
    assert [(found["onset_s"], found["offset_s"]) for found in choose([one], stretch_s=4.0)] == [(0.0, 4.0)]
    assert choose([one], stretch_s=3.0)[0]["offset_s"] == 5.0


def test_times_without_a_table_are_those_of_detect(folder: Path, tmp_path: Path) -> None:
    np.testing.assert_allclose(frame_times(folder / "film.webm"), TIMES, atol=1e-6)
    late = film(tmp_path / "late.webm", [5000, 5040, 5100])
    np.testing.assert_allclose(frame_times(late), [0, 0.04, 0.1], atol=1e-6)


def test_only_recordings_that_are_given(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        open_library([tmp_path / "nothing.mp4"])
    with pytest.raises(UsageError, match="no recording"):
        open_library([folder / "film_aus.csv"])
    with pytest.raises(UsageError, match="CSV"):
        open_library([folder], tmp_path / "codes.xlsx")
    (tmp_path / "a").mkdir()
    alone = film(tmp_path / "a" / "other.webm", [0, 40])
    library = open_library([alone, table(tmp_path / "elsewhere.csv", "other.webm", [0, 0.04], AU12_s=[0.0, 1.0])])
    assert library.table_of(library.recordings["r0"]) == tmp_path / "elsewhere.csv"
    assert library.codes == tmp_path / "a" / "codes.csv"


def test_a_linked_table_from_elsewhere_is_not_read(folder: Path, tmp_path: Path) -> None:
    (folder / "film_aus.csv").rename(tmp_path / "other_aus.csv")
    (folder / "film_aus.csv").symlink_to(tmp_path / "other_aus.csv")
    library = open_library([folder])
    assert library.table_of(library.recordings["r0"]) is None


def test_a_code_without_its_offset_teaches_nothing(folder: Path) -> None:
    text = (
        (folder / "codes.csv")
        .read_text()
        .replace("coder\n", "coder,comment\n")
        .replace("anna\n", "anna,offset not set\n", 1)
    )
    (folder / "codes.csv").write_text(text)
    desk = Desk(open_library([folder]))
    with pytest.raises(UsageError, match="1 of the codes have no offset yet"):
        desk.fit("anna", "blendshapes")
    assert not (folder / "duchenne_review").exists()


def test_what_the_page_makes_are_no_recordings_of_the_study(folder: Path) -> None:
    desk = Desk(open_library([folder]))
    entries = [one for one in desk.codes.entries() if one.coder == "anna"]
    (folder / "names.csv").write_bytes("source,face,name\nfilm.webm,0,Jörg\nother.webm,0,x\n".encode("cp1252"))
    steps = fit_steps(desk.library, entries, "blendshapes")
    assert [step.words[0] for step in steps] == ["prepare", "fit", "detect"]
    copy = desk.library.copy_of(desk.library.recordings["r0"])
    copy.parent.mkdir(parents=True)
    film(copy, [0, 40])
    assert [path.name for path in list_media([folder])] == ["film.webm"]
    names = folder / "duchenne_review" / ".new" / "names.csv"
    assert names.read_text().splitlines() == ["source,face,name", "film.webm,0,Jörg"]
    assert "--names" in steps[0].words


def test_without_the_extra_it_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "duchenne.reviewing.server", raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(UsageError, match=r"pip install 'duchenne\[review\]'"):
        duchenne.review(folder, browser=False)


def over(job: Job, seconds: float = 60) -> dict[str, object]:
    until = time.monotonic() + seconds
    while job.is_running and time.monotonic() < until:
        time.sleep(0.05)
    return job.status()


def test_a_step_that_fails_ends_a_job_and_says_why(tmp_path: Path) -> None:
    done: list[int] = []
    job = Job("x", [Step("look", ["info", "--nonsense"]), Step("never", ["--version"])], lambda: done.append(1))
    status = over(job)
    assert (status["state"], status["step"], done) == ("failed", 0, [])
    assert "nonsense" in " ".join(map(str, status["lines"]))  # type: ignore[call-overload]


def test_a_cancelled_job_leaves_no_process(tmp_path: Path) -> None:
    import psutil

    job = Job("x", [Step("long", ["synth", "--out", str(tmp_path / "faces"), "--subjects", "500"])])
    time.sleep(1.0)
    process = job._process
    assert process is not None
    children = psutil.Process(process.pid).children(recursive=True)
    job.cancel()
    assert job.status()["state"] == "cancelled"
    assert process.poll() is not None
    assert [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE] == []


def test_words_of_a_detector_do_not_promise_more_than_its_record() -> None:
    from types import SimpleNamespace

    def one(**held: object) -> SimpleNamespace:
        return SimpleNamespace(
            frames=100, present=20, subjects=7, showing=6, threshold=0.31, passed=False, why="failed: kappa 0.15",
            held_out={"kappa": 0.15, "kappa_low": -0.1, "kappa_high": 0.3, "auc": 0.6, **held},
        )  # fmt: skip

    record = SimpleNamespace(
        model="blendshapes",
        aus={"AU12": one(), "AU04": one(kappa=-0.2, kappa_high=-0.05), "AU06": one(kappa=None)},
        left_out={"AU01": "is never present"},
        notes=(),
    )
    words = in_words(record)  # type: ignore[arg-type]
    said = {row["au"]: row["sentence"] for row in words["aus"]}
    assert "kappa of 0.15, between -0.10 and 0.30" in said["AU12"]
    assert "Not enough to decide (failed: kappa 0.15)" in said["AU12"]
    assert "no better than chance" in said["AU04"]
    assert "not known" in said["AU06"]
    assert words["left_out"][0]["sentence"] == "It was not learned: is never present."
