"""Episodes and summaries, against loops over frames and numbers worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import duchenne
from duchenne.cli.main import main
from duchenne.errors import InputError, UsageError
from duchenne.tables.episodes import find_episodes, find_measures, frame_seconds, is_present
from duchenne.tables.quality import advice


def film_table(
    values: list[float | None], *, step_s: float = 0.5, source: str = "a.mp4", **columns: list
) -> pd.DataFrame:
    """One face with AU12 as given; None is a frame without a face."""
    here = [value is not None for value in values]
    return pd.DataFrame(
        {
            "source": source,
            "frame": range(len(values)),
            "time_s": [frame / 2 for frame in range(len(values))],
            "face": pd.array([0 if one else pd.NA for one in here], dtype="Int64"),
            "AU12_s": [np.nan if value is None else value for value in values],
            **columns,
        }
    )


def test_one_episode_by_hand() -> None:
    summary = duchenne.summarize(film_table([0.0, 0.4, 0.9, 0.25, 0.1, 0.0]))
    (episode,) = summary.episodes.to_dict("records")
    # It begins at 0.3, lasts until it is below 0.2, and is over when the first frame without it is shown.
    assert (episode["onset_s"], episode["apex_s"], episode["offset_s"], episode["duration_s"]) == (0.5, 1.0, 2.0, 1.5)
    assert episode["peak"] == 0.9
    assert episode["mean"] == pytest.approx((0.4 + 0.9 + 0.25) / 3, abs=1e-6)
    (face,) = summary.faces.to_dict("records")
    assert (face["measure"], face["frames"], face["seconds"], face["episodes"]) == ("AU12_s", 6, 3.0, 1)
    assert (face["peak"], face["peak_s"], face["share"]) == (0.9, 1.0, 0.5)
    assert face["mean"] == pytest.approx(1.65 / 6, abs=1e-6)


def test_means_are_weighted_by_how_long_frames_are_shown() -> None:
    table = film_table([1.0, 0.0, 0.0]).assign(time_s=[0.0, 3.0, 4.0])  # shown 3 s, 1 s and, as the median, 2 s
    (face,) = duchenne.summarize(table).faces.to_dict("records")
    assert (face["mean"], face["share"], face["seconds"]) == (0.5, 0.5, 6.0)


def test_an_episode_does_not_bridge_frames_without_the_face() -> None:
    summary = duchenne.summarize(film_table([0.9, 0.9, None, 0.25, 0.9]))
    assert summary.episodes[["onset_s", "offset_s"]].to_numpy().tolist() == [[0.0, 1.0], [2.0, 2.5]]


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=30), st.floats(0.05, 0.95))
def test_presence_is_what_a_loop_says(values: list[float | None], threshold: float) -> None:
    rows = film_table(values)
    (measure,) = find_measures(list(rows), threshold)
    present = is_present(rows, measure)
    before = False
    for value, now in zip(values, present, strict=True):
        assert now == (value is not None and (value >= threshold or (before and value >= threshold * 2 / 3)))
        before = now


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), max_size=40))
def test_episodes_cover_presence_once(frames: list[tuple[bool, float]]) -> None:
    present = np.array([one for one, _ in frames], dtype=bool)
    values = np.array([value for _, value in frames])
    covered = np.zeros(len(frames), dtype=int)
    stops = [-1]
    for episode in find_episodes(values, present):
        covered[episode.start : episode.stop] += 1
        assert episode.start > stops[-1]  # a frame between two episodes
        assert episode.start <= episode.apex < episode.stop
        assert values[episode.apex] == values[episode.start : episode.stop].max()
        stops.append(episode.stop)
    assert (covered == present).all()


def test_frames_are_shown_until_the_next() -> None:
    assert frame_seconds(np.array([0.0, 0.1, 0.4, 0.5])).tolist() == pytest.approx([0.1, 0.3, 0.1, 0.1])
    assert frame_seconds(np.array([7.0])).tolist() == [0.0]


def test_what_the_model_decides_comes_before_thresholds() -> None:
    table = film_table([0.9, 0.9, 0.1], AU06_p=[0.9, 0.1, 0.6], AU06_c=[0, 1, 1], AU09_r=[1.9, 2.0, 5.0])
    assert [measure.column for measure in find_measures(list(table))] == ["AU06_p", "AU09_r", "AU12_s"]
    shares = duchenne.summarize(table).faces.set_index("au").share
    assert shares.to_dict() == pytest.approx({6: 2 / 3, 9: 2 / 3, 12: 2 / 3}, abs=1e-6)


def test_combinations() -> None:
    table = film_table([0.9, 0.9, 0.0, 0.0], AU06_p=[0.9, 0.1, 0.9, np.nan], AU01_s=[np.nan] * 4, AU04_s=[0.9] * 4)
    rows = duchenne.summarize(table, combinations=["6+12", "1+4", "12+25"]).combinations.set_index("combination")
    alone = duchenne.summarize(table, combinations="6+12").combinations.set_index("combination")
    pd.testing.assert_frame_equal(alone, rows.loc[["6+12"]])
    assert rows.seconds.to_dict() == {"6+12": 1.5, "1+4": 0.0, "12+25": 0.0}
    assert rows.share["6+12"] == pytest.approx(1 / 3, abs=1e-6)
    assert rows.share[["1+4", "12+25"]].isna().all()  # unseen is not absent


def test_how_well_people_could_be_seen() -> None:
    table = film_table(
        [0.1, None, 0.1, 0.1],
        x=[-3, np.nan, 5, 5], y=[5, np.nan, 5, 5], width=[60, np.nan, 70, 70],
        yaw=[31, np.nan, -31, 10], pitch=[0, np.nan, 0, -10],
    ).assign(flag=[None, None, "no_landmarks", None])  # fmt: skip
    (row,) = duchenne.summarize(table).quality.to_dict("records")
    assert row.pop("source") == "a.mp4"
    assert np.isnan([row.pop("blurred"), row.pop("dark")]).all(), "the table does not say"
    third = pytest.approx(1 / 3, abs=1e-6)
    assert row == {
        "face": 0, "frames": 3, "seen": 0.75, "unread": third, "turned": pytest.approx(2 / 3, abs=1e-6),
        "narrow": third, "cut": third,
    }  # fmt: skip
    sentences = advice(duchenne.summarize(table).quality)
    assert len(sentences) == 4
    assert "turned over 30 degrees for 67 % of the time" in sentences[1]
    assert advice(duchenne.summarize(film_table([0.1])).quality) == []
    said = table.assign(quality=["cut blurred", None, None, "blurred dark"])
    (row,) = duchenne.summarize(said).quality.to_dict("records")
    assert [row["cut"], row["blurred"], row["dark"]] == pytest.approx([1 / 3, 2 / 3, 1 / 3], abs=1e-6)
    words = said.drop(columns="width").assign(quality=["narrow cut", None, "narrow", None])  # OpenFace's has no box
    assert duchenne.summarize(words).quality["narrow"].tolist() == [pytest.approx(2 / 3, abs=1e-6)]


def test_trials_are_compared_with_their_own_baseline() -> None:
    table = film_table([0.1, 0.3, 0.8, 0.6, 0.2, None])
    trials = pd.DataFrame(
        {"trial": ["joke"], "onset_s": [1.0], "offset_s": [2.0], "baseline_onset_s": [0], "baseline_offset_s": [1.0]}
    )
    (row,) = duchenne.summarize(table, trials=trials).trials.to_dict("records")
    assert (row["trial"], row["au"], row["frames"], row["peak"], row["share"]) == ("joke", 12, 2, 0.8, 1.0)
    assert (row["mean"], row["baseline_mean"], row["change"]) == pytest.approx((0.7, 0.2, 0.5))
    (row,) = duchenne.summarize(table, trials=trials[["trial", "onset_s", "offset_s"]]).trials.to_dict("records")
    assert np.isnan(row["change"])


def test_a_recording_without_any_face_does_not_stop_a_study(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    table = pd.concat([film_table([0.1, 0.9]), film_table([None, None], source="empty.mp4")])
    trials = pd.DataFrame({"trial": [1, 1], "source": ["a.mp4", "empty.mp4"], "onset_s": 0, "offset_s": 1})
    summary = duchenne.summarize(table, trials=trials)
    seen, nobody = summary.trials.to_dict("records")
    assert (seen["source"], seen["face"], seen["mean"]) == ("a.mp4", 0, 0.5)
    assert (nobody["source"], nobody["trial"], nobody["au"], nobody["frames"]) == ("empty.mp4", 1, 12, 0)
    assert pd.isna([nobody[name] for name in ("face", "mean", "peak", "share", "baseline_mean", "change")]).all()
    assert summary.quality[["source", "seen"]].to_numpy().tolist() == [["a.mp4", 1.0], ["empty.mp4", 0.0]]
    assert advice(summary.quality) == ["empty.mp4 has no face in the table, so its trials have no values."]
    assert summary.trials.to_csv(index=False).splitlines()[1].startswith("a.mp4,0,1,12,")  # not face 0.0
    only = duchenne.summarize(film_table([None], source="empty.mp4"), trials=trials[1:])
    assert only.trials["frames"].tolist() == [0]
    assert only.faces.empty


def test_tables_that_a_european_spreadsheet_saved(tmp_path: Path) -> None:
    table = film_table([0.1, 0.3, 0.8, 0.6, 0.2, None])
    table.to_csv(tmp_path / "aus.csv", index=False, sep=";", decimal=",", encoding="utf-8-sig")
    (tmp_path / "trials.csv").write_text("trial;onset_s;offset_s\nwitz;1,0;2,0\n;;\n", encoding="cp1252")
    (tmp_path / "names.csv").write_bytes("source;face;name\na.mp4;0;Jürg\n".encode("cp1252"))
    paths = {"trials": tmp_path / "trials.csv", "names": tmp_path / "names.csv"}
    (row,) = duchenne.summarize(tmp_path / "aus.csv", **paths).trials.to_dict("records")  # type: ignore[arg-type]
    assert (row["trial"], row["face"], row["mean"]) == ("witz", "Jürg", pytest.approx(0.7))


def two_people() -> pd.DataFrame:
    """Face 0 leaves after the first two frames and returns as face 2 for the last two; face 1 is there throughout."""
    rows = [(0, 0, 0.9), (0, 1, 0.1), (1, 0, 0.9), (1, 1, 0.1), (2, 1, 0.1), (3, 2, 0.5), (3, 1, 0.1)]
    table = pd.DataFrame(rows, columns=["frame", "face", "AU12_s"])
    return table.assign(source="a.mp4", time_s=table.frame / 2, face=table.face.astype("Int64"))


def test_names_merge_and_leave_out(tmp_path: Path) -> None:
    (tmp_path / "names.csv").write_text("source,face,name\na.mp4,0,Ann\na.mp4,2,Ann\na.mp4,1,\n")
    summary = duchenne.summarize(two_people(), names=tmp_path / "names.csv")
    (face,) = summary.faces.to_dict("records")
    assert (face["face"], face["frames"], face["seconds"]) == ("Ann", 3, 1.5)
    assert face["mean"] == pytest.approx((0.9 + 0.9 + 0.5) / 3, abs=1e-6)
    assert summary.episodes[["onset_s", "offset_s"]].to_numpy().tolist() == [[0, 1], [1.5, 2]]
    assert summary.quality.seen.tolist() == [0.75]  # of the whole video, in which somebody else was left out
    some = duchenne.summarize(two_people(), names=pd.DataFrame({"source": ["a.mp4"], "face": [0], "name": ["Ann"]}))
    assert some.faces.face.tolist() == ["1", "2", "Ann"]


def test_a_source_may_be_given_by_its_file_name(tmp_path: Path) -> None:
    both = pd.concat([film_table([0.9, 0.5], source="rec/a.mp4"), film_table([0.2, 0.2], source="rec/b.mp4")])
    names = pd.DataFrame({"source": ["a.mp4", "b"], "face": [0, 0], "name": ["Ann", "Bob"]})
    trials = pd.DataFrame({"source": ["b.mp4"], "trial": ["x"], "onset_s": [0], "offset_s": [1]})
    summary = duchenne.summarize(both, names=names, trials=trials)
    assert summary.faces.face.tolist() == ["Ann", "Bob"]
    assert summary.trials is not None
    assert summary.trials[["source", "face", "mean"]].to_numpy().tolist() == [["rec/b.mp4", "Bob", 0.2]]
    other = both.assign(source=both.source.replace("rec/b.mp4", "other/a.mp4"))
    with pytest.raises(InputError, match=r"row 1: `a.mp4` means no input of the table, or several"):
        duchenne.summarize(other, names=names[:1])


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        ("source,face,name\nb.mp4,0,Ann\n", "row 2: `b.mp4` means no input"),
        ("source,face\na.mp4,0\n", "`name`"),
        ("source,face,name\na.mp4,7,Ann\n", "row 2: there is no face 7"),
        ("source,face,name\na.mp4,0,Ann\na.mp4,0,Bob\n", "row 3"),
        ("source,face,name\na.mp4,0,Ann\na.mp4,1,Ann\n", "`Ann` is there twice in frame 0"),
    ],
)
def test_bad_names_are_named(tmp_path: Path, names: str, sentence: str) -> None:
    (tmp_path / "names.csv").write_text(names)
    with pytest.raises(InputError, match=sentence):
        duchenne.summarize(two_people(), names=tmp_path / "names.csv")


def test_a_single_picture() -> None:
    (face,) = duchenne.summarize(film_table([0.9])).faces.to_dict("records")
    assert (face["mean"], face["share"], face["seconds"]) == (0.9, 1.0, 0.0)


def test_the_command_writes_every_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = pd.concat([film_table([0.1, None, 0.1]), film_table([0.9, 0.9], source="b.mp4")])
    both.to_csv(tmp_path / "study_aus.csv", index=False)
    (tmp_path / "trials.csv").write_text("trial,source,onset_s,offset_s\n1,b.mp4,0,0.5\n")
    words = ["summarize", str(tmp_path / "study_aus.csv"), "--trials", str(tmp_path / "trials.csv")]
    assert main([*words, "-o", str(tmp_path / "out"), "--combinations", "6+12"]) == 0
    written = {path.name: pd.read_csv(path) for path in (tmp_path / "out").glob("*.csv")}
    assert {name: len(table) for name, table in written.items()} == {
        "study_summary.csv": 2, "study_episodes.csv": 1, "study_combinations.csv": 2, "study_quality.csv": 2,
        "study_trials.csv": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "trials", "sentence"),
    [
        ("a,b\n1,2\n", None, "no column `source`"),
        ("source,frame,time_s,face\na,0,0,0\n", None, "no column of an action unit"),
        ("", None, "cannot be read as a table"),
        ("source,frame,time_s,face,AU12_s\na,0,0,0,1\n", "trial,onset_s\n1,0\n", "`offset_s`"),
        ("source,frame,time_s,face,AU12_s\na,0,0,0,1\n", "trial,onset_s,offset_s\n1,2,1\n", "row 2"),
        ("source,frame,time_s,face,AU12_s\na,0,0,0,1\n", "trial,onset_s,offset_s\n1,x,1\n", "no number"),
        ("source,frame,time_s,face,AU12_s\na,0,0,0,1\n", "trial,source,onset_s,offset_s\n\n1,b,0,1\n", "row 3: `b`"),
    ],
)
def test_bad_tables_are_named(tmp_path: Path, text: str, trials: str | None, sentence: str) -> None:
    (tmp_path / "aus.csv").write_text(text)
    if trials is not None:
        (tmp_path / "trials.csv").write_text(trials)
    with pytest.raises(InputError, match=sentence) as caught:
        duchenne.summarize(tmp_path / "aus.csv", trials=None if trials is None else tmp_path / "trials.csv")
    assert ("trials.csv" if trials else "aus.csv") in str(caught.value)


def test_bad_use(tmp_path: Path) -> None:
    table = film_table([0.9])
    with pytest.raises(UsageError, match="6 and 12"):
        duchenne.summarize(table, combinations=["6 and 12"])
    with pytest.raises(UsageError, match="above 0"):
        duchenne.summarize(table, threshold=0)
    with pytest.raises(InputError, match="no such file"):
        duchenne.summarize(tmp_path / "missing.csv")
