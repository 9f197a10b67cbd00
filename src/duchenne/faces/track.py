"""Following faces over time: who is who from one frame to the next, and where a shot is cut.

Within a shot a face keeps its number while it stays near its place; where all frames are over a second apart, by its
looks first. After a cut, after a pause, or when it comes back later, it gets its old number only if it looks the same.
There is no face recognition in this: a person who returns changed gets a new number, which is the safe mistake, because
one subject under two names can be merged later (`names.csv`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from duchenne.faces.find import Face
from duchenne.faces.search import nearness, rescaled, thumbnail

_MEMORY_S: Final = 1.0  # how long a place stays the place of a face that is not seen; where frames are further apart,
_MEMORY_STEPS: Final = 1.5  # so many of the smaller of the latest two steps: not over a pause
_ALIKE: Final = 0.8  # correlation of two 16-pixel pictures of a face; of the same person in a row over 0.85, of
_LOOK_PX: Final = 16  # different people up to 0.70 on the sample videos
_CUT_LEVEL: Final = 6.0  # mean change of a small picture, in levels of 255; in a shot up to 3, at cuts 9 to 76
_CUT_LEVEL_PER_S: Final = 20.0  # more where frames are further apart: in a shot up to 8 at two frames a second,
_CUT_LEVEL_MOST_S: Final = 1.0  # but no more than at one: up to 21, however far they are apart
_CUT_RATIO: Final = 4.0  # against the median of the changes before, so that a moving camera is not cut
_THUMBNAIL: Final = (48, 27)
_SMALL_PX: Final = 160


@dataclass
class _Track:
    box: tuple[float, float, float, float]
    look: NDArray[np.float32]
    time_s: float
    shot: int


class FaceTracker:
    """Gives every face of a video a number that stays. One tracker per video, frames in order.

    Attributes:
        cut: whether a new shot began with the latest frame.
    """

    def __init__(self) -> None:
        self.cut = False
        self._tracks: list[_Track] = []
        self._seen: set[int] = set()
        self._shot = 0
        self._time_s: float | None = None
        self._step_s = 0.0
        self._shape: tuple[int, ...] = ()
        self._thumbnail: NDArray[np.float32] | None = None
        self._changes: deque[float] = deque(maxlen=12)

    def update(self, faces: Sequence[Face], image: NDArray[np.uint8], time_s: float) -> list[int]:
        """Takes the next frame.

        Args:
            faces: all faces found in it, with landmarks or not.
            image: (H, W, 3) RGB uint8, the frame.
            time_s: its time stamp.

        Returns:
            A number per face, from 0 in order of first appearance (in one frame: in the order given).
        """
        self._resize(image.shape)
        step_s = 0.0 if self._time_s is None else max(0.0, time_s - self._time_s)
        usual_s = min(self._step_s or step_s, step_s)  # a pause is neither before nor after its end a usual step
        memory_s = max(_MEMORY_S, _MEMORY_STEPS * usual_s)
        self._time_s, self._step_s = time_s, step_s
        self.cut = self._is_cut(image, step_s)
        looks = [_look(image, face.box) for face in faces]
        numbers: dict[int, int] = {}
        self._shot += self.cut
        near = [
            (nearness(face.box, track.box), place, number)
            for place, face in enumerate(faces)
            for number, track in enumerate(self._tracks)
            if track.shot == self._shot and time_s - track.time_s <= memory_s
        ]
        alike = [
            (float(look @ track.look), place, number)
            for place, look in enumerate(looks)
            for number, track in enumerate(self._tracks)
        ]
        if step_s > _MEMORY_S:
            _assign(numbers, alike, above=_ALIKE)
        _assign(numbers, (pair for pair in near if pair[2] in self._seen), above=0.0)
        _assign(numbers, near, above=0.0)  # those not seen of late come after those that were
        _assign(numbers, alike, above=_ALIKE)
        for place, (face, look) in enumerate(zip(faces, looks)):
            track = _Track(face.box, look, time_s, self._shot)
            if place in numbers:
                self._tracks[numbers[place]] = track
            else:
                numbers[place] = len(self._tracks)
                self._tracks.append(track)
        self._seen = set(numbers.values())
        return [numbers[place] for place in range(len(faces))]

    def _resize(self, shape: tuple[int, ...]) -> None:
        """Moves everybody's place to a picture of another size."""
        if self._tracks and shape != self._shape:
            places = rescaled(np.array([track.box for track in self._tracks], dtype=np.float64), self._shape, shape)
            for track, (x, y, width, height) in zip(self._tracks, places.tolist(), strict=True):
                track.box = (x, y, width, height)
        self._shape = shape

    def _is_cut(self, image: NDArray[np.uint8], step_s: float) -> bool:
        before = self._thumbnail
        small = thumbnail(image, _SMALL_PX)
        self._thumbnail = cv2.resize(small, _THUMBNAIL, interpolation=cv2.INTER_AREA).astype(np.float32)
        if before is None:
            return False
        change = float(np.abs(self._thumbnail - before).mean())
        usual = float(np.median(self._changes)) if self._changes else 0.0
        self._changes.append(change)
        level = _CUT_LEVEL + _CUT_LEVEL_PER_S * min(step_s, _CUT_LEVEL_MOST_S)
        return change > max(level, _CUT_RATIO * usual)


def _assign(numbers: dict[int, int], pairs: Iterable[tuple[float, int, int]], *, above: float) -> None:
    """Adds place -> number for the best pairs first; every place and number once."""
    taken = set(numbers.values())
    for value, place, number in sorted(pairs, key=lambda pair: (-pair[0], pair[1], pair[2])):
        if value > above and place not in numbers and number not in taken:
            numbers[place] = number
            taken.add(number)


def _look(image: NDArray[np.uint8], box: tuple[float, ...]) -> NDArray[np.float32]:
    """A small colour picture of the face, free of brightness and contrast, as a unit vector."""
    height, width = image.shape[:2]
    side = max(box[2:])
    left, top = box[0] + (box[2] - side) / 2, box[1] + (box[3] - side) / 2
    x0, y0 = min(max(0, int(left)), width - 1), min(max(0, int(top)), height - 1)
    x1, y1 = max(x0 + 1, min(width, int(left + side))), max(y0 + 1, min(height, int(top + side)))
    small = cv2.resize(image[y0:y1, x0:x1], (_LOOK_PX, _LOOK_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
    small -= small.mean()
    look: NDArray[np.float32] = (small / max(float(np.linalg.norm(small)), 1e-6)).reshape(-1)
    return look
