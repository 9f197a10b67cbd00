"""Following faces: numbers stay within a shot, and after gaps and cuts only where the face looks the same."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tests.faces.media import Image

from duchenne.faces.find import Face
from duchenne.faces.track import FaceTracker

RNG = np.random.default_rng(0)
LOOKS = RNG.integers(0, 255, (4, 8, 8, 3), dtype=np.uint8).repeat(5, axis=1).repeat(5, axis=2)  # 40-pixel "faces"
ROOMS = RNG.integers(0, 255, (3, 9, 16, 3), dtype=np.uint8).repeat(20, axis=1).repeat(20, axis=2)  # 180 x 320


def scene(room: int, people: dict[int, tuple[int, int]]) -> tuple[list[Face], Image]:
    """A picture with person -> top-left corner, and the faces in it from left to right."""
    image = ROOMS[room].copy()
    for person, (x, y) in people.items():
        image[y : y + 40, x : x + 40] = LOOKS[person]
    boxes = sorted(people.values())
    return [Face((float(x), float(y), 40.0, 40.0), 0.9) for x, y in boxes], image


def test_numbers_stay_when_people_pass_each_other() -> None:
    tracker = FaceTracker()
    for step in range(20):
        left, right = (20 + 8 * step, 20), (240 - 8 * step, 110)
        faces, image = scene(0, {0: left, 1: right})
        numbers = tracker.update(faces, image, step / 25)
        assert dict(zip((face.box[:2] for face in faces), numbers)) == {left: 0, right: 1}


@given(st.lists(st.sets(st.integers(0, 2)), min_size=1, max_size=12))
def test_numbers_are_unique_in_a_frame_and_count_from_zero(frames: list[set[int]]) -> None:
    tracker, seen = FaceTracker(), set()
    for step, people in enumerate(frames):
        faces, image = scene(0, {person: (20 + 100 * person, 60) for person in people})
        numbers = tracker.update(faces, image, step / 25)
        assert len(numbers) == len(set(numbers)) == len(faces)
        seen.update(numbers)
        assert seen == set(range(len(seen)))
    assert len(seen) == len(set().union(*frames))


def test_a_change_of_size_keeps_the_number() -> None:
    """A conference that goes from 180 to 90 lines and back: everybody's place is the same share of the picture."""
    tracker = FaceTracker()
    faces, image = scene(0, {0: (20, 20), 1: (240, 110)})
    assert tracker.update(faces, image, 0.0) == [0, 1]
    small = np.ascontiguousarray(image[::2, ::2])
    halved = [Face((face.box[0] / 2, face.box[1] / 2, 20.0, 20.0), 0.9) for face in faces]
    for face in halved:  # both look like nobody that was seen, so that only their places tell
        x, y = int(face.box[0]), int(face.box[1])
        small[y : y + 20, x : x + 20] = 255 - small[y : y + 20, x : x + 20]
    assert tracker.update(halved[::-1], small, 0.04) == [1, 0]
    assert tracker.update(faces, image, 0.08) == [0, 1]


def test_a_short_gap_keeps_the_number() -> None:
    tracker = FaceTracker()
    faces, image = scene(0, {0: (50, 60)})
    assert tracker.update(faces, image, 0.0) == [0]
    assert tracker.update([], image, 0.04) == []
    faces, image = scene(0, {1: (55, 60)})  # even changed: it may have turned
    assert tracker.update(faces, image, 0.08) == [0]


def test_after_a_long_gap_only_the_same_look_is_the_same_person() -> None:
    for person, number in [(0, 0), (1, 1)]:
        tracker = FaceTracker()
        faces, image = scene(0, {0: (50, 60)})
        tracker.update(faces, image, 0.0)
        for step in range(1, 4):
            tracker.update([], ROOMS[0], float(step))
        faces, image = scene(0, {person: (60, 60)})
        assert tracker.update(faces, image, 4.0) == [number]


def test_frames_far_apart_keep_numbers_by_look_then_by_place() -> None:
    """Two seconds from frame to frame: who changes (a turned head) is known by the place, who moves by the look."""
    tracker = FaceTracker()
    for step, people in enumerate([
        {0: (50, 60), 1: (200, 60)}, {2: (55, 62), 1: (205, 62)}, {1: (50, 60), 2: (200, 60)},
    ]):  # fmt: skip
        faces, image = scene(0, people)
        numbers = tracker.update(faces, image, 2.0 * step)
        assert numbers == ([1, 0] if step == 2 else [0, 1])


def test_after_a_pause_the_place_is_nobodys() -> None:
    """A camera that was stopped for a minute: somebody else may sit there now, in the same room."""
    for step_s in (0.04, 2.0):
        tracker, numbers = FaceTracker(), []
        for time_s, person in [(0.0, 0), (step_s, 0), (2 * step_s, 2), (60.0, 1), (60.0 + step_s, 1)]:
            faces, image = scene(0, {person: (50, 60)})
            numbers += tracker.update(faces, image, time_s)
        assert numbers == [0, 0, 0, 1, 1]


def test_nor_is_it_where_nobody_was_found_at_first() -> None:
    for pause_s in (2.0, 60.0):
        tracker, numbers = FaceTracker(), []
        for time_s, person in [(0.0, 0), (0.04, 0), (0.08, 0), (pause_s, None), (pause_s + 0.04, 1)]:
            faces, image = scene(0, {} if person is None else {person: (50, 60)})
            numbers += tracker.update(faces, image, time_s)
        assert numbers == [0, 0, 0, 1]


def test_frames_far_apart_show_cuts() -> None:
    """However long ago the last frame was, another person in another room is no one that changed."""
    tracker, numbers = FaceTracker(), []
    for step, room in enumerate((0, 0, 1)):
        faces, image = scene(room, {room: (50, 60)})
        numbers += tracker.update(faces, image, 20.0 * step)
    assert numbers == [0, 0, 1]


def test_cuts() -> None:
    """Interview: two people in turn at the same place; each keeps a number of their own."""
    tracker, numbers, cuts = FaceTracker(), [], []
    for step in range(40):
        shot = step // 10
        faces, image = scene(shot % 2, {shot % 2: (50 + step % 10, 60)})
        numbers += tracker.update(faces, image, step / 25)
        cuts.append(tracker.cut)
    assert [step for step, cut in enumerate(cuts) if cut] == [10, 20, 30]
    assert numbers == [0] * 10 + [1] * 10 + [0] * 10 + [1] * 10


def test_a_moving_camera_is_not_cut() -> None:
    tracker = FaceTracker()
    wide = np.tile(ROOMS[0], (1, 2, 1))
    cuts = []
    for step in range(20):
        tracker.update([], wide[:, 15 * step : 15 * step + 320], step / 25)
        cuts.append(tracker.cut)
    assert sum(cuts[2:]) == 0  # of the second picture nothing is known yet to compare with
