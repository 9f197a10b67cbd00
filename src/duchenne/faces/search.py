"""Where the faces of a picture are: YuNet, over the whole picture or around a place where a face was.

YuNet finds faces of about 10 to 300 pixels, so large pictures are searched at several sizes. Looking again for a face
whose place is known takes a fifth of that time or less: the place is cut out and scaled so that the face has the size
at which YuNet is surest.
"""

from __future__ import annotations

import threading
from math import floor
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from duchenne.model_files import model_path

DETECTION_SCORE: Final = 0.7
"""Least score of a face that is new."""
KEPT_SCORE: Final = 0.6
"""Least score of a face that was in the frame before, so that one at the edge of being found does not come and go."""
SEARCH_EVERY_S: Final = 0.5
"""A video is searched as a whole this often, in a copy in which faces of `min_face_px` have 16 pixels."""
THOROUGH_EVERY_S: Final = 2.0
"""And in its own size this often, which finds smaller faces, too small for landmarks, and hard cases."""
NEAR_SHARE: Final = 0.1
"""A face at least this wide, as a share of the picture's longer side, is found in the frame in which it enters."""
_OVERLAP: Final = 0.3
_SEARCH_SIDE_PX: Final = 960  # longest side of the picture that YuNet sees
_SEARCH_FACE_PX: Final = 12  # but no face of `min_face_px` is made smaller than this for it,
_QUICK_FACE_PX: Final = 16  # nor, in a quick search, larger
_HALVED_TO_PX: Final = 320  # halved copies are searched down to this, for near faces
_COARSE_SIDE_PX: Final = 160  # longest side of the copy that is searched in every frame, for faces that enter
_AROUND_PX: Final = 128  # side of the picture around a known face,
_AROUND: Final = 1.8  # and of the square it shows, in box sides: faces of 71 pixels; turned heads score less at 40
_REACH: Final = 0.75  # how far a face may move between two frames, in box sides
_SAME: Final = 0.5  # nearness from which two boxes of one frame are one face's

Boxes = NDArray[np.float64]
"""(F, 5): x, y, width, height in pixels of the picture, and score."""


def nearness(box: tuple[float, ...] | NDArray[np.float64], other: tuple[float, ...] | NDArray[np.float64]) -> float:
    """How near two boxes (x, y, width, height ...) are: 1 for the same box, 0 from 0.75 box sides on.

    0 as well where one is over twice as wide as the other.
    """
    side, other_side = max(box[2:4]), max(other[2:4])
    if not 0.5 < side / other_side < 2:
        return 0.0
    distance = np.hypot(
        box[0] + box[2] / 2 - other[0] - other[2] / 2,
        box[1] + box[3] / 2 - other[1] - other[3] / 2,
    )
    return max(0.0, float(1 - distance / (_REACH * (side + other_side) / 2)))


class FaceSearch:
    """YuNet. Threads may share it; they wait for each other."""

    def __init__(self, min_face_px: float) -> None:
        """Loads the model.

        Args:
            min_face_px: width of the smallest faces of interest; smaller ones are found where it costs nothing.

        Raises:
            InputError: when the model file cannot be had.
        """
        path = str(model_path("face_detection_yunet_2026may.onnx"))
        self._min_face_px = min_face_px
        self._detector = cv2.FaceDetectorYN.create(path, "", (320, 320), KEPT_SCORE, _OVERLAP, 5000)
        self._alone = threading.Lock()  # YuNet keeps the size of its input

    def everywhere(self, image: NDArray[np.uint8], *, thorough: bool = True) -> Boxes:
        """Everyone in a picture (H, W, 3) RGB, in reading order; a pure function of the picture.

        A search that is not `thorough` costs a quarter and may miss faces narrower than `min_face_px`.
        """
        scale = self._scale(image.shape)
        picture = resized(image, scale if thorough else min(scale, _QUICK_FACE_PX / self._min_face_px))
        found = []
        while True:
            found.append(_certain(self._run(picture, image.shape)))
            if max(picture.shape[:2]) < 2 * _HALVED_TO_PX:
                return reading_order(distinct(np.concatenate(found)) if len(found) > 1 else found[0])
            picture = resized(picture, 0.5)

    def near(self, image: NDArray[np.uint8]) -> Boxes:
        """Faces at least `NEAR_SHARE` wide; boxes are coarse."""
        picture = thumbnail(image, _COARSE_SIDE_PX)
        return _certain(self._run(picture, image.shape))

    def around(self, image: NDArray[np.uint8], box: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """The face nearest to a place, (5,), or None where there is none within reach; its score is 0.6 or more."""
        side = _AROUND * max(box[2:4])
        corner = box[:2] + box[2:4] / 2 - side / 2
        square = cut_square(image, corner, side, _AROUND_PX)
        found = self._run(square, square.shape)
        found[:, :4] *= side / _AROUND_PX
        found[:, :2] += corner
        best = max(found, key=lambda one: nearness(box, one), default=None)
        return None if best is None or nearness(box, best) == 0 else best

    def is_cheaper_around(self, image: NDArray[np.uint8], faces: int) -> bool:
        """Whether looking around that many faces costs less than searching everywhere; both go by pixels."""
        height, width = (size * self._scale(image.shape) for size in image.shape[:2])
        coarse = min(1.0, _COARSE_SIDE_PX / max(height, width)) ** 2
        return bool(faces * _AROUND_PX**2 < (1 - coarse) * height * width)

    def _scale(self, shape: tuple[int, ...]) -> float:
        return min(1.0, max(_SEARCH_SIDE_PX / max(shape[:2]), _SEARCH_FACE_PX / self._min_face_px))

    def _run(self, picture: NDArray[np.uint8], shape: tuple[int, ...]) -> Boxes:
        """Faces in a copy of the picture, in pixels of the picture of the given shape."""
        height, width = picture.shape[:2]
        turned = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        with self._alone:
            self._detector.setInputSize((width, height))
            rows: Any = self._detector.detect(turned)[1]
        if rows is None:
            return np.empty((0, 5))
        factor = np.array([shape[1] / width, shape[0] / height])
        return np.hstack([rows[:, :4] * np.tile(factor, 2), rows[:, 14:15]]).astype(np.float64)


class Follower:
    """Finds everyone in the frames of one video, in order: known faces by their place, new ones by searching.

    In every frame a known face is looked for around its place, and a small copy of the frame is searched, which finds
    near faces that enter (`NEAR_SHARE`). The whole frame is searched in the first frame at or after every multiple of
    `SEARCH_EVERY_S`; thoroughly at every multiple of `THOROUGH_EVERY_S`, when a known face is not where it was, and
    when that costs no more. The schedule goes by time stamps, so frames that are 2 s apart are all searched thoroughly.
    """

    def __init__(self, search: FaceSearch) -> None:
        self._search = search
        self._known: Boxes = np.empty((0, 5))
        self._shape: tuple[int, ...] = ()
        self._periods: tuple[int, int] | None = None

    def boxes(self, image: NDArray[np.uint8], time_s: float) -> Boxes:
        """Everyone in the next frame, in reading order.

        Args:
            image: (H, W, 3) RGB uint8.
            time_s: its time stamp.
        """
        self._known = rescaled(self._known, self._shape, image.shape)
        self._shape = image.shape
        before, self._periods = self._periods, (floor(time_s / SEARCH_EVERY_S), floor(time_s / THOROUGH_EVERY_S))
        is_cheaper = self._search.is_cheaper_around(image, len(self._known))
        found: Boxes | None = None
        if is_cheaper and before is not None and before[1] == self._periods[1]:
            found = self._again(image) if before == self._periods else self._settled(image, thorough=False)
        if found is None and is_cheaper:
            found = self._settled(image, thorough=True)
        self._known = self._search.everywhere(image) if found is None else found
        return self._known

    def _again(self, image: NDArray[np.uint8]) -> Boxes | None:
        """The known faces and near new ones; None where a known one is missing."""
        found = []
        for box in self._known:
            again = self._search.around(image, box)
            if again is None:
                return None
            found.append(again)
        new = [box for box in self._search.near(image) if not _is_among(box, self._known)]
        found += [_or_else(self._search.around(image, box), box) for box in new]
        return reading_order(distinct(_rows(found)))

    def _settled(self, image: NDArray[np.uint8], *, thorough: bool) -> Boxes | None:
        """The faces of a search, and known ones that it just missed, with the boxes that looking around gives.

        So a face's box does not change its kind from frame to frame. None where a known face is missing and the search
        was not thorough.
        """
        everyone = self._search.everywhere(image, thorough=thorough)
        found = [_or_else(self._search.around(image, box), box) for box in everyone]
        missed = [self._search.around(image, box) for box in self._known if not _is_among(box, everyone)]
        if not thorough and any(box is None for box in missed):
            return None
        return reading_order(distinct(_rows([*found, *(box for box in missed if box is not None)])))


def _or_else(box: NDArray[np.float64] | None, other: NDArray[np.float64]) -> NDArray[np.float64]:
    return other if box is None else box


def _is_among(box: NDArray[np.float64], boxes: Boxes) -> bool:
    return any(nearness(box, other) > _SAME for other in boxes)


def _rows(boxes: list[NDArray[np.float64]]) -> Boxes:
    return np.stack(boxes) if boxes else np.empty((0, 5))


def _certain(boxes: Boxes) -> Boxes:
    return boxes[boxes[:, 4] >= DETECTION_SCORE]


def distinct(boxes: Boxes) -> Boxes:
    """Of boxes that overlap, the one with the highest score."""
    if len(boxes) < 2:
        return boxes
    kept = cv2.dnn.NMSBoxes(boxes[:, :4].tolist(), boxes[:, 4].tolist(), 0.0, _OVERLAP)
    chosen: Boxes = boxes[np.asarray(kept, dtype=int).reshape(-1)]
    return chosen


def rescaled(boxes: Boxes, shape: tuple[int, ...], other: tuple[int, ...]) -> Boxes:
    """Boxes (N, 4 or 5) of a picture in one of another size: conferences change theirs with the line."""
    if shape[:2] == other[:2] or not shape:
        return boxes
    scaled = boxes.copy()
    scaled[:, :4] *= np.tile((other[1] / shape[1], other[0] / shape[0]), 2)
    return scaled


def reading_order(boxes: Boxes) -> Boxes:
    """By the left edge, then the upper."""
    return boxes[np.lexsort((boxes[:, 1], boxes[:, 0]))]


def resized(image: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    """The picture scaled by averaging, at least one pixel wide and high."""
    if scale == 1:
        return np.ascontiguousarray(image)
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return np.asarray(cv2.resize(np.ascontiguousarray(image), size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def thumbnail(image: NDArray[np.uint8], longest_px: int) -> NDArray[np.uint8]:
    """A small copy, no larger than the picture; of large pictures not every pixel is looked at, which is faster."""
    longest = max(image.shape[:2])
    step = max(1, longest // (4 * longest_px))  # at least four by four pixels are averaged
    return resized(image[::step, ::step], min(1.0, longest_px / -(-longest // step)))


def cut_square(image: NDArray[np.uint8], corner: NDArray[np.float64], side: float, size_px: int) -> NDArray[np.uint8]:
    """Cuts a square with its top-left at `corner`, border replicated, as a picture of `size_px`."""
    if side > 2 * size_px:  # averaged first, because bilinear sampling would skip pixels
        low = np.maximum(np.floor(corner).astype(int), 0)
        part = image[low[1] : int(corner[1] + side) + 2, low[0] : int(corner[0] + side) + 2]
        shrink = size_px / side
        image, corner = resized(part, shrink), (corner - low) * shrink
        side = size_px
    scale = size_px / side
    # OpenCV counts from pixel centres, this library from corners.
    shift = -corner * scale + 0.5 * scale - 0.5
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    cut = cv2.warpAffine(image, matrix, (size_px, size_px), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cut, dtype=np.uint8)
