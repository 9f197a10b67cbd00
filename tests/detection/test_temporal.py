"""Smoothing and baselines, against naive loops in float64."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import duchenne
from duchenne.cli.main import main
from duchenne.detection.detect import detect_files
from duchenne.detection.job import Job, read_frames
from duchenne.detection.results import DetectedFace, FrameResult
from duchenne.detection.settings import DetectArguments, DetectSettings
from duchenne.detection.temporal import Baseline, resting_faces, smooth
from duchenne.errors import InputError, UsageError
from duchenne.faces.decode import Found
from duchenne.faces.find import Face

Film = Callable[..., Path]


def frames_of(values: list[dict[int, float]], times_s: list[float] | None = None) -> list[FrameResult]:
    """Frames 0.1 s apart; per frame, face -> its one value."""
    return [
        FrameResult(
            "a.mp4",
            frame,
            times_s[frame] if times_s else frame / 10,
            tuple(
                DetectedFace(number, Face((0, 0, 40, 40), 0.9), np.array([value], np.float32))
                for number, value in faces.items()
            ),
            np.zeros((2, 2, 3), np.uint8),
        )
        for frame, faces in enumerate(values)
    ]


values = st.one_of(st.just(float("nan")), st.floats(0, 1, width=32))


@given(
    st.lists(st.dictionaries(st.integers(0, 2), values, max_size=3), max_size=20),
    st.lists(st.floats(0.01, 0.5), min_size=20, max_size=20),
    st.sampled_from([0.1, 0.35, 1.0, 9.0]),
)
def test_smoothing_is_the_mean_over_the_window(faces: list[dict[int, float]], steps: list[float], width: float) -> None:
    times = np.cumsum(steps).tolist()
    given_frames = frames_of(faces, times)
    smoothed = list(smooth(given_frames, width))
    assert [frame.frame for frame in smoothed] == [frame.frame for frame in given_frames]
    for here, result in enumerate(smoothed):
        assert result.image is not None
        for face in result.faces:
            near = [
                other[face.number]
                for there, other in enumerate(faces)
                if abs(times[there] - times[here]) <= width / 2 + 1e-9
                and face.number in other
                and np.isfinite(other[face.number])
            ]
            expected = np.mean(near) if np.isfinite(faces[here][face.number]) else np.nan
            assert face.scores[0] == pytest.approx(expected, abs=1e-6, nan_ok=True)


def test_smoothing_keeps_only_pictures_that_are_still_to_come() -> None:
    held = []

    def watched() -> object:
        for frame in frames_of([{0: 0.5}] * 100):
            held.append(frame)
            yield frame

    iterator = smooth(watched(), 0.4)  # type: ignore[arg-type]
    first = next(iterator)
    assert (first.frame, len(held)) == (0, 4)  # 0.2 s ahead, and the one that shows that they are all there


def test_smoothing_gives_what_came_before_a_break() -> None:
    def broken() -> object:
        yield from frames_of([{0: 1.0}, {0: 0.0}])
        raise InputError("cut")

    found = []
    with pytest.raises(InputError, match="cut"):
        found.extend(smooth(broken(), 1.0))  # type: ignore[arg-type]
    iterator = smooth(broken(), 1.0)  # type: ignore[arg-type]
    assert [next(iterator).faces[0].scores[0] for _ in range(2)] == [0.5, 0.5]


def test_a_baseline_is_subtracted_per_person() -> None:
    rest = resting_faces(frames_of([{0: 0.1, 1: 0.5}, {0: 0.3}, {0: 0.2}]))
    assert {number: row.tolist() for number, row in rest.items()} == {0: [pytest.approx(0.2)], 1: [0.5]}
    (frame,) = Baseline(dict(rest)).subtract(frames_of([{0: 0.1, 1: 0.9, 2: 0.7}]))
    assert [face.scores[0] for face in frame.faces] == pytest.approx([-0.1, 0.4, np.nan], abs=1e-6, nan_ok=True)
    assert [face.face.flag for face in frame.faces] == ["", "", "no_baseline"]


def test_a_resting_face_that_is_subtracted_from_several_people_is_said(tmp_path: Path) -> None:
    rest = tmp_path / "rest.mp4"
    rest.touch()
    settings, common = DetectSettings(baseline=str(rest)), Baseline({None: np.array([0.1], np.float32)})
    for faces, said in (([{0: 0.5}, {}], False), ([{0: 0.5, 1: 0.4}, {1: 0.4}], True)):
        detector, found = SimpleNamespace(frames=lambda *_, own=faces, **__: frames_of(own)), Found()
        assert len(list(read_frames(Job(rest), cast(Any, detector), settings, common, found))) == 2
        assert [one.startswith("shows 2 people, and the resting face of") for one in found.notes] == [True] * said


@pytest.mark.usefixtures("scripted")
class TestOnFilms:
    def test_smoothing_that_changes_nothing_is_said(self, film: Film) -> None:
        path = film("a.mov", [20, 30, 20, 30], [0.0, 0.04, 0.3, 0.34])  # the nearest of every second frame: 0.3 s
        for every, width_s, said in ((1, 0.1, False), (2, 0.7, False), (2, 0.5, True), (2, 0, False)):
            attrs = duchenne.detect(path, every=every, smooth_s=width_s, model="blendshapes").attrs
            notes = attrs["notes"].get(str(path), [])
            assert any("0.3 s apart, so --smooth-s 0.5 changes nothing" in one for one in notes) == said

    def test_seconds_of_the_input_as_baseline(self, film: Film) -> None:
        table = duchenne.detect(film("a.mov", [20, 30, 20, 0, 70, 110]), baseline="0-0.12", model="blendshapes")
        assert table.AU12_s.tolist() == pytest.approx([0, 0.1, 0, np.nan, 0.5, -0.1, np.nan], abs=1e-6, nan_ok=True)
        assert table.flag.fillna("").tolist()[-1] == "small"

    def test_a_recording_as_baseline(self, film: Film, tmp_path: Path) -> None:
        rest, path = film("rest.mov", [20, 40, 30]), film("a.mov", [50, 20])
        out = tmp_path / "out"
        assert (
            main(["detect", "--model", "blendshapes", str(path), "--baseline", str(rest), "-o", f"{out}/", "--quiet"])
            == 0
        )
        table = duchenne.detect(path, baseline=str(rest), output=out, model="blendshapes")
        assert table.AU12_s.tolist() == pytest.approx([0.2, -0.1], abs=1e-6)
        film("rest.mov", [10])  # another resting face: made anew
        assert duchenne.detect(
            path, baseline=str(rest), output=out, model="blendshapes"
        ).AU12_s.tolist() == pytest.approx([0.4, 0.1])

    def test_an_input_without_a_resting_face_stops_nothing(self, film: Film, tmp_path: Path) -> None:
        paths = [film("a.mov", [0, 0, 30]), film("b.mov", [30, 40, 50])]
        done = detect_files(paths, DetectArguments(baseline="0-0.08", output=tmp_path / "out"), model="blendshapes")
        assert list(done.failures) == [str(paths[0])]
        assert "no face in seconds 0-0.08" in done.failures[str(paths[0])]
        assert [path.name for path in done.tables] == ["b_aus.csv"]

    def test_damage_in_the_resting_face_costs_no_rows(self, film: Film) -> None:
        """The second of six frames cannot be decoded: the first and third are at rest, and the input is named."""
        path = film("a.mov", [20, 99, 20, 40, 50, 60])
        data = bytearray(path.read_bytes())
        second = data.index(b"IDAT", data.index(b"\x89PNG", data.index(b"\x89PNG") + 1))
        data[second + 4 : second + 400] = bytes(396)
        path.write_bytes(bytes(data))
        for end_s in (None, 0.03):
            with pytest.warns(UserWarning, match="is damaged in 1 place"):
                table = duchenne.detect(path, baseline="0-0.12", end_s=end_s, model="blendshapes")
            assert table.AU12_s.tolist()[:1] == [0]
            assert len(table) == (5 if end_s is None else 1)

    def test_bad_baselines_are_named(self, film: Film) -> None:
        path, nobody = film("a.mov", [50, 20]), film("nobody.mov", [0])
        with pytest.raises(UsageError, match="neither a file nor seconds"):
            duchenne.detect(path, baseline="neutral.mp4")
        with pytest.raises(UsageError, match="ends before it begins"):
            duchenne.detect(path, baseline="5-2")
        with pytest.raises(InputError, match="no face that can be read"):
            duchenne.detect(path, baseline=str(nobody))
        with pytest.raises(InputError, match=r"a\.mov: ends at 0\.08 s, before seconds 7-9"):
            duchenne.detect(path, baseline="7-9")
        with pytest.raises(InputError, match=r"nobody\.mov: shows no face in seconds 0-9"):
            duchenne.detect(nobody, baseline="0-9")
        with pytest.raises(InputError, match=r"it goes from 0 to 0\.08 s; change start_s and end_s"):
            duchenne.detect(path, start_s=5)

    def test_a_baseline_that_goes_on_after_the_end_is_said(
        self, film: Film, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = film("a.mov", [50, 20])
        assert main(["detect", str(path), "--baseline", "0.04-9", "-o", str(path.with_name("out.csv"))]) == 0
        said = " ".join(capsys.readouterr().err.split())
        assert "ends at 0.08 s, so its resting face is that from 0.04 s to there" in said

    def test_a_picture_is_not_its_own_resting_face(self, film: Film, tmp_path: Path) -> None:
        """Its time is 0, so that every action unit of it became 0 without a word."""
        cv2.imwrite(str(tmp_path / "smile.png"), np.full((48, 64, 3), 90, np.uint8))
        with pytest.raises(InputError, match=r"smile\.png: is a picture and has no seconds 0-5; give a picture or"):
            duchenne.detect(tmp_path / "smile.png", baseline="0-5", model="blendshapes")
        with pytest.raises(InputError, match=r"a\.mov: has no frame that every reads in seconds 0\.05-0\.1; choose"):
            duchenne.detect(film("a.mov", [50, 20, 30]), baseline="0.05-0.1", every=5, model="blendshapes")

    def test_smoothing(self, film: Film) -> None:
        table = duchenne.detect(film("a.mov", [10, 40, 10, 0, 90]), smooth_s=0.08, model="blendshapes")
        assert table.AU12_s.tolist() == pytest.approx([0.25, 0.2, 0.25, np.nan, 0.9], nan_ok=True)

    def test_every_nth_frame(self, film: Film) -> None:
        path = film("a.mov", [10, 20, 30, 0, 50, 60, 70])
        whole, some = duchenne.detect(path), duchenne.detect(path, every=3)
        assert some.frame.tolist() == [0, 3, 6]
        assert some.AU12_s.fillna(-1).tolist() == whole.AU12_s[::3].fillna(-1).tolist()

    @pytest.mark.parametrize("smooth_s", [0.0, 0.12])
    def test_a_time_range_gives_the_rows_of_the_whole(self, film: Film, smooth_s: float) -> None:
        path = film("a.mov", [10, 120, 130, 40, 0, 60, 170, 80])
        whole = duchenne.detect(path, smooth_s=smooth_s)
        part = duchenne.detect(path, smooth_s=smooth_s, start_s=0.08, end_s=0.25)
        expected = whole[(whole.time_s >= 0.08) & (whole.time_s < 0.25)].reset_index(drop=True)
        assert part.equals(expected)
        assert part.frame.unique().tolist() == [2, 3, 4, 5, 6]
        with pytest.raises(InputError, match="no frame in the time"):
            duchenne.detect(path, start_s=5)

    def test_settings_that_make_no_sense(self, film: Film) -> None:
        path = film("a.mov", [10])
        for wrong in ({"every": 0}, {"start_s": -1}, {"end_s": 0}, {"smooth_s": -1}, {"workers": 0}):
            with pytest.raises(UsageError, match=next(iter(wrong))):
                duchenne.detect(path, **wrong)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="anonymous"):
            duchenne.detect(path, anonymous=True)
