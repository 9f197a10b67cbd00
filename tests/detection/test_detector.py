"""One detector in a program: plain arrays in, named action units out, from any number of threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import duchenne
from duchenne.detection.results import DetectedFace
from duchenne.errors import UsageError
from duchenne.faces.decode import Picture, read_pictures
from duchenne.faces.find import Face


@pytest.fixture(scope="module")
def pictures(shared: Path) -> list[NDArray[np.uint8]]:
    """Pictures with one, several and no people, of two sizes."""
    found = []
    for name in ("head-pose-face-detection-female-and-male.mp4", "face-demographics-walking.mp4"):
        frames = [picture.image for picture in read_pictures(shared / "data" / "intel-sample-videos" / name)]
        found += [frames[0], frames[len(frames) // 2]]
    return [*found, np.zeros((240, 320, 3), np.uint8)]


@pytest.fixture(scope="module")
def detector() -> Any:
    with duchenne.Detector() as opened:
        yield opened


def numbers(result: Any) -> list[Any]:
    return [(face.number, face.face.box, face.face.pose, face.scores.tolist()) for face in result.faces]


def test_several_threads_get_what_one_gets(detector: Any, pictures: list[NDArray[np.uint8]]) -> None:
    alone = [numbers(detector(picture)) for picture in pictures]
    assert [len(found) for found in alone][-1] == 0
    assert max(len(found) for found in alone) > 1
    jobs = [number % len(pictures) for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda number: numbers(detector(pictures[number])), jobs))
    np.testing.assert_equal(together, [alone[number] for number in jobs])


def test_a_picture_is_what_its_file_is(detector: Any, pictures: list[NDArray[np.uint8]], tmp_path: Path) -> None:
    import cv2

    cv2.imwrite(str(tmp_path / "a.png"), pictures[0][:, :, ::-1])
    table = duchenne.detect(tmp_path / "a.png").drop(columns="source")
    own = detector(pictures[0]).table().drop(columns="source")
    assert {"AU12_s", "au_scale"} <= set(own)
    pd.testing.assert_frame_equal(own, table)
    bgr = detector(np.ascontiguousarray(pictures[0][:, :, ::-1]), channels="bgr")
    np.testing.assert_equal(numbers(bgr), numbers(detector(pictures[0])))


def test_several_pictures_are_read_one_by_one(detector: Any, pictures: list[NDArray[np.uint8]]) -> None:
    np.testing.assert_equal(
        [numbers(result) for result in detector(pictures)], [numbers(detector(picture)) for picture in pictures]
    )
    stacked = np.stack([pictures[0], pictures[1]])
    assert [len(result.faces) for result in detector(stacked)] == [
        len(detector(pictures[number]).faces) for number in (0, 1)
    ]


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (np.zeros((8, 8, 3)), "float64"),
        (np.zeros((8, 8), np.uint8), r"uint8 \(8, 8\)"),
        (np.zeros((8, 8, 4), np.uint8), r"\(8, 8, 4\)"),
        (np.zeros((0, 8, 3), np.uint8), r"\(0, 8, 3\)"),
        (["a.png"], "not str; convert it .* give files to duchenne.detect"),
        ("a.png", "not str; convert it"),
        (Path("a.png"), "not PosixPath; convert it"),
        (Image.new("RGB", (8, 8)), "not Image; convert it"),
        (torch.zeros((8, 9, 3), dtype=torch.uint8), r"not torch.uint8 \(8, 9, 3\); convert it"),
        (torch.zeros((2, 8, 9, 3), dtype=torch.uint8), r"not torch.uint8 \(2, 8, 9, 3\); convert it"),
        (None, "not NoneType; convert it"),
    ],
)  # fmt: skip
def test_what_is_no_picture_is_refused(detector: Any, picture: Any, words: str) -> None:
    with pytest.raises(UsageError, match=f"a picture must be a NumPy array .*{words}"):
        detector(picture)


def test_a_picture_without_a_face_has_the_same_columns(
    detector: Any, pictures: list[NDArray[np.uint8]], tmp_path: Path
) -> None:
    import cv2

    cv2.imwrite(str(tmp_path / "blank.png"), pictures[-1])
    own = detector(pictures[-1]).table()
    assert own["AU12_s"].isna().all()
    pd.testing.assert_frame_equal(
        own.drop(columns="source"), duchenne.detect(tmp_path / "blank.png").drop(columns="source")
    )
    assert "AU12_s" in detector(pictures[-1])._repr_html_()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"threads": -1}, "^threads -1: must be at least 1 and at most 1024"), ({"threads": 0}, "^threads 0: must"),
        ({"threads": 2.5}, "Detector: `threads` must be a whole number or null, not 2.5"),
        ({"min_face": -5}, "^min_face -5: must be at least 1"),
        ({"min_face": "a"}, "Detector: `min_face` must be a whole number"),
    ],
)  # fmt: skip
def test_numbers_that_cannot_be_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        duchenne.Detector(**options)


@pytest.mark.parametrize(("every", "words"), [(0, "^every 0: must be at least 1"), (-1, "^every -1"), (1.5, "not 1.5")])
def test_frames_that_cannot_be_counted_are_refused(detector: Any, every: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        next(detector.frames("a.png", every=every))


def test_a_closed_detector_says_so(pictures: list[NDArray[np.uint8]]) -> None:
    with duchenne.Detector(threads=1) as opened:
        assert repr(opened) == "<detector duchenne: 18 action units>"
    assert repr(opened) == "<detector duchenne: 18 action units, closed>"
    for use in (lambda: opened(pictures[0]), lambda: opened([]), lambda: next(opened.frames("a.png"))):
        with pytest.raises(UsageError, match=r"this Detector is closed; make another one"):
            use()
    opened.close()


def test_unknown_channels(detector: Any) -> None:
    with pytest.raises(UsageError, match="no channels `gbr`; choose rgb or bgr"):
        detector(np.zeros((8, 8, 3), np.uint8), channels="gbr")


def test_action_units_by_name(detector: Any, pictures: list[NDArray[np.uint8]]) -> None:
    face = DetectedFace(0, Face((0, 0, 9, 9), 0.9), np.array([0.25, 1, 3.5, 0.1, 0.5], np.float32), (
        "AU12_p", "AU12_c", "AU12_r", "AU06_s", "AU06_left"))  # fmt: skip
    assert face.au == {"AU12": 0.25, "AU06": pytest.approx(0.1)}
    assert face.values["AU12_r"] == 3.5
    result = next(result for result in detector(pictures) if len(result.faces) != 1)
    with pytest.raises(UsageError, match=f"shows {len(result.faces)} faces"):
        result.au  # noqa: B018
    assert len(repr(result)) < 80
    assert "<table" in result._repr_html_()


def test_a_recording_of_arrays_is_asked_for_its_times(detector: Any) -> None:
    dark = np.zeros((48, 64, 3), np.uint8)
    for source, said in (
        ([dark], "^source list: gives ndarray, not Picture"),
        (iter([Picture(dark, 0, 0.0), "b.png"]), "gives str, not Picture"),
        ([Picture(dark, 0, None)], "gives one without a time"),  # type: ignore[arg-type]
        ([Picture(dark / 255, 0, 0.0)], "not float64"),
        ([Picture(dark[:, :, 0], 0, 0.0)], "not uint8 .48, 64.;"),
        (3, "^source int: is no recording"),
        (None, "^source NoneType: is no recording"),
    ):
        with pytest.raises(UsageError, match=said):
            list(detector.frames(source))
    assert [frame.time_s for frame in detector.frames([Picture(dark, 0, np.float32(0.5))])] == [0.5]


@pytest.mark.parametrize("given", [3, None, np.zeros((4, 4, 3), np.uint8), [np.zeros(3)], ["a.png", 3]])
def test_what_names_no_file_is_refused(given: Any) -> None:
    with pytest.raises(UsageError, match=r"^inputs \w+: names no file; give paths"):
        duchenne.detect(given)
