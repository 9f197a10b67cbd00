"""Following faces through a video finds whom searching every frame finds, in any number of threads."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.faces.media import Image

from duchenne.errors import InputError
from duchenne.faces.decode import Picture, read_pictures
from duchenne.faces.find import Face, FaceFinder
from duchenne.faces.search import NEAR_SHARE, SEARCH_EVERY_S, THOROUGH_EVERY_S, FaceSearch, Follower, distinct, nearness
from duchenne.faces.track import FaceTracker

# As the videos' notice counts them: people in every frame.
PEOPLE = {
    "classroom": 4, "face-demographics-walking-and-pause": 3, "face-demographics-walking": 2,
    "head-pose-face-detection-female-and-male": 2, "head-pose-face-detection-female": 1,
    "head-pose-face-detection-male": 1,
}  # fmt: skip


def film(portrait: Image, places: list[list[tuple[int, int, float]]], rate: float = 25.0) -> Iterator[Picture]:
    """Frames of 640 x 360 with the portrait (its face is 90 pixels wide) at (x, y), scaled."""
    for frame, people in enumerate(places):
        image = np.full((360, 640, 3), 90, np.uint8)
        for x, y, scale in people:
            small = cv2.resize(portrait, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            image[y : y + len(small), x : x + len(small)] = small
        yield Picture(image, frame, frame / rate)


def found(finder: FaceFinder, pictures: Iterator[Picture], **options: float) -> list[list[Face]]:
    return [faces for _, faces in finder.follow(pictures, **options)]


def same(one: list[list[Face]], two: list[list[Face]]) -> bool:
    """Bit for bit."""
    return len(one) == len(two) and all(
        [(face.box, face.score, face.pose, face.flag) for face in a] == [(b.box, b.score, b.pose, b.flag) for b in bs]
        and all(np.array_equal(face.landmarks, b.landmarks) for face, b in zip(a, bs) if face.landmarks is not None)
        for a, bs in zip(one, two)
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", PEOPLE)
def test_everyone_is_found_in_every_frame(shared: Path, finder: FaceFinder, name: str) -> None:
    tracker, numbers = FaceTracker(), set()
    video = shared / "data" / "intel-sample-videos" / f"{name}.mp4"
    for picture, faces in finder.follow(read_pictures(video), depth=4):
        assert len(faces) == PEOPLE[name], picture.frame
        assert all(face.flag == ("small" if face.box[2] < 32 else "") for face in faces)
        assert [face.box[0] for face in faces] == sorted(face.box[0] for face in faces)
        assert all(face.score >= 0.6 for face in faces)
        numbers.update(tracker.update(faces, picture.image, picture.time_s))
    assert numbers == set(range(PEOPLE[name]))


def test_faces_are_those_of_a_search_of_every_frame(shared: Path, finder: FaceFinder) -> None:
    """Landmarks differ by less than a head moves between two frames of a calm recording (0.005 face widths)."""
    video = shared / "data" / "intel-sample-videos" / "head-pose-face-detection-male.mp4"
    apart = []
    for picture, (face,) in islice(finder.follow(read_pictures(video), depth=4), 0, 60, 6):
        (other,) = finder.find(picture.image)
        assert face.landmarks is not None
        assert other.landmarks is not None
        apart.append(np.linalg.norm(face.landmarks - other.landmarks, axis=1).mean() / other.box[2])
    assert np.mean(apart) < 0.005


def test_threads_change_nothing(shared: Path, finder: FaceFinder) -> None:
    video = shared / "data" / "intel-sample-videos" / "face-demographics-walking-and-pause.mp4"
    usual = found(finder, islice(read_pictures(video), 12), depth=4)
    with FaceFinder(threads=1) as alone, FaceFinder(threads=3) as several:
        assert same(found(alone, islice(read_pictures(video), 12)), usual)
        assert same(found(several, islice(read_pictures(video), 12), depth=7), usual)


def test_frames_before_the_start_get_boxes_only(shared: Path, finder: FaceFinder) -> None:
    video = shared / "data" / "intel-sample-videos" / "head-pose-face-detection-female-and-male.mp4"
    whole = found(finder, islice(read_pictures(video), 16))
    part = found(finder, islice(read_pictures(video), 16), start_s=0.8)
    assert same(part[10:], whole[10:])
    assert [face.box for faces in part[:10] for face in faces] == [face.box for faces in whole[:10] for face in faces]
    assert all(face.landmarks is None for faces in part[:10] for face in faces)


def test_a_near_face_is_found_when_it_enters_leaves_and_returns(finder: FaceFinder, portrait: Image) -> None:
    here = [(200, 90, 1.0)]
    places = [[]] * 3 + [here] * 4 + [[]] * 3 + [[*here, (420, 100, 0.9)]] * 3
    assert NEAR_SHARE < 90 * 0.9 / 640
    counts = [len(faces) for faces in found(finder, film(portrait, places))]
    assert counts == [len(people) for people in places]


def test_a_far_face_is_found_within_the_stated_time(finder: FaceFinder, portrait: Image) -> None:
    near, far = (40, 90, 1.0), (420, 120, 0.4)
    assert NEAR_SHARE > 90 * 0.4 / 640
    enters = 3
    places = [[near]] * enters + [[near, far]] * 14
    counts = [len(faces) for faces in found(finder, film(portrait, places))]
    first = counts.index(2)
    assert (first - enters) / 25 <= SEARCH_EVERY_S
    assert counts == [1] * first + [2] * (len(places) - first)
    slow = [len(faces) for faces in found(finder, film(portrait, places[: enters + 3], rate=1.5))]
    assert slow == [1] * enters + [2] * 3, "frames that are far apart are all searched as wholes"


def test_a_tiny_face_is_found_within_two_seconds(finder: FaceFinder, portrait: Image) -> None:
    near, tiny = (40, 90, 1.0), (420, 120, 0.2)  # 18 pixels: too small for landmarks
    places = [[near]] * 3 + [[near, tiny]] * 60
    counts = [len(faces) for faces in found(finder, film(portrait, places))]
    first = counts.index(2)
    assert (first - 3) / 25 <= THOROUGH_EVERY_S
    assert counts[first:] == [2] * (len(places) - first)


def test_a_face_that_jumps_is_found_again_at_once(finder: FaceFinder, portrait: Image) -> None:
    places = [[(20, 40, 0.5)]] * 2 + [[(500, 200, 0.5)]] * 2
    boxes = [[face.box[0] for face in faces] for faces in found(finder, film(portrait, places))]
    assert [len(row) for row in boxes] == [1, 1, 1, 1]
    assert boxes[1][0] < 100 < 500 < boxes[2][0]


def test_pictures_are_taken_one_by_one_unless_asked_otherwise(finder: FaceFinder, portrait: Image) -> None:
    taken: list[int] = []

    def camera() -> Iterator[Picture]:
        for picture in film(portrait, [[(200, 90, 1.0)]] * 3):
            taken.append(picture.frame)
            yield picture

    for picture, faces in finder.follow(camera()):
        assert (taken[-1], len(faces)) == (picture.frame, 1)


def test_an_error_comes_after_the_frames_before_it(finder: FaceFinder, portrait: Image) -> None:
    def breaks() -> Iterator[Picture]:
        yield from film(portrait, [[(200, 90, 1.0)]] * 3)
        raise InputError("broken")

    seen = []
    with pytest.raises(InputError, match="broken"):
        seen.extend(faces for _, faces in finder.follow(breaks(), depth=5))
    # Whatever `extend` took before the error is kept.
    assert [len(faces) for faces in seen] == [1, 1, 1]


class Counting(FaceSearch):
    """Notes which frames were searched as wholes."""

    def __init__(self) -> None:
        super().__init__(32)
        self.wholes: list[bool] = []

    def everywhere(self, image: Image, *, thorough: bool = True) -> np.ndarray:
        self.wholes.append(thorough)
        return super().everywhere(image, thorough=thorough)


def test_the_schedule_goes_by_time_stamps(shared: Path, portrait: Image) -> None:
    search = Counting()
    follower, wholes = Follower(search), {}
    for picture in film(portrait, [[(200, 90, 1.0)]] * 60):
        search.wholes.clear()
        follower.boxes(picture.image, picture.time_s)
        if search.wholes:
            wholes[picture.frame] = search.wholes[0]
    # The first at or after 0, 0.5, 1, 1.5 and 2 s.
    assert wholes == {0: True, 13: False, 25: False, 38: False, 50: True}


def test_nearness_and_overlap() -> None:
    box = (10.0, 10.0, 40.0, 50.0)
    assert nearness(box, box) == 1
    assert nearness(box, (10.0 + 0.75 * 50, 10.0, 40.0, 50.0)) == pytest.approx(0)
    assert nearness(box, (10.0, 10.0, 90.0, 110.0)) == 0
    boxes = np.array([[*box, 0.7], [12, 10, 40, 50, 0.9], [200, 10, 40, 50, 0.6]])
    assert sorted(distinct(boxes)[:, 4]) == [0.6, 0.9]
