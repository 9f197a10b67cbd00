"""Finding faces in a picture: YuNet finds them, MediaPipe puts landmarks and blendshapes on each.

YuNet finds faces of about 10 to 300 pixels, so large pictures are searched at several sizes. MediaPipe's own detector
is made for near faces; given one face enlarged in a square of its own, its landmark model works on far ones too.
"""

from __future__ import annotations

import ctypes
import os
import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from duchenne.errors import InputError
from duchenne.faces.landmarks import BLENDSHAPES, points_68
from duchenne.model_files import model_path

MIN_FACE_PX: Final = 32
"""Faces narrower than this get no landmarks."""
DETECTION_SCORE: Final = 0.7
_OVERLAP: Final = 0.3
_SEARCH_SIDE_PX: Final = 960  # longest side of the picture that YuNet sees
_SEARCH_FACE_PX: Final = 12  # but no face of `min_face_px` is made smaller than this for it
_COARSE_SIDE_PX: Final = 320  # halved copies are searched down to this, for near faces
_SQUARE: Final = 1.9  # side of the square given to MediaPipe, in box sides
_SQUARE_PX: Final = 256


@dataclass
class Face:
    """One face found in a picture. Coordinates are continuous pixels of the displayed picture.

    Attributes:
        box: (x, y, width, height); x, y is the top-left corner.
        score: of the face detector, 0.7 to 1.
        landmarks: (68, 2) float32, or None.
        blendshapes: (52,) float32 in [0, 1], in the order of `landmarks.BLENDSHAPES`, or None.
        pose: (pitch, yaw, roll) in degrees, or None. Pitch grows as the chin goes down, yaw as the face turns to the
            picture's right, roll as the head tilts clockwise in the picture.
        flag: why there are no landmarks: "small" (narrower than asked for) or "no_landmarks"; "" where there are.
    """

    box: tuple[float, float, float, float]
    score: float
    landmarks: NDArray[np.float32] | None = None
    blendshapes: NDArray[np.float32] | None = None
    pose: tuple[float, float, float] | None = None
    flag: str = ""


def silent_options(options: Any) -> Any:
    """MediaPipe's `BaseOptions` that keep it from sending usage figures to its maker.

    MediaPipe has no switch for that, but it only sends over a connection whose certificate it can check; with an empty
    list of authorities it never can. Nothing else in MediaPipe uses the network.
    """
    convert = options.to_ctypes

    def without_authorities() -> Any:
        converted = convert()
        converted.ca_bundle_path = os.devnull.encode()
        return converted

    options.to_ctypes = without_authorities
    return options


class FaceFinder:
    """Finds every face of a picture. Make one per process, use it from one thread, close it (or use `with`)."""

    def __init__(self, min_face_px: float = MIN_FACE_PX) -> None:
        """Loads both models (about a second, mostly MediaPipe's import).

        Args:
            min_face_px: faces whose box is narrower are reported with flag "small" and without landmarks.

        Raises:
            InputError: when a model file cannot be had.
        """
        detector, landmarker = model_path("face_detection_yunet_2026may.onnx"), model_path("face_landmarker.task")
        self.min_face_px = min_face_px
        with _quiet():
            mediapipe: Any = import_module("mediapipe")  # here: it takes most of a second
            tasks: Any = import_module("mediapipe.tasks.python")
            vision = tasks.vision
            self._image_type, self._rgb = mediapipe.Image, mediapipe.ImageFormat.SRGB
            self._detector = cv2.FaceDetectorYN.create(str(detector), "", (320, 320), DETECTION_SCORE, _OVERLAP, 5000)
            self._landmarker: Any = vision.FaceLandmarker.create_from_options(
                vision.FaceLandmarkerOptions(
                    base_options=silent_options(tasks.BaseOptions(model_asset_path=str(landmarker))),
                    running_mode=vision.RunningMode.IMAGE,
                    num_faces=1,
                    min_face_detection_confidence=0.3,
                    min_face_presence_confidence=0.3,
                    output_face_blendshapes=True,
                    output_facial_transformation_matrixes=True,
                )
            )
            # Closed before the interpreter takes MediaPipe's modules apart: its own destructor comes too late.
            self._close = weakref.finalize(self, _close, self._landmarker)
            self._mesh(np.zeros((_SQUARE_PX, _SQUARE_PX, 3), dtype=np.uint8))  # the first use has messages too

    def __enter__(self) -> FaceFinder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Frees MediaPipe's models and thread; the finder cannot be used afterwards."""
        self._close()

    def find(self, image: NDArray[np.uint8]) -> list[Face]:
        """Finds the faces of a picture.

        Args:
            image: (H, W, 3) RGB uint8.

        Returns:
            The faces from left to right (by the left edge of their boxes, then the upper).
        """
        boxes = self._boxes(image)
        return [self._landmarked(image, tuple(map(float, box[:4])), float(box[4])) for box in boxes]

    def _boxes(self, image: NDArray[np.uint8]) -> NDArray[np.float64]:
        """(F, 5) x, y, width, height, score, in reading order."""
        longest = max(image.shape[:2])
        scale = min(1.0, max(_SEARCH_SIDE_PX / longest, _SEARCH_FACE_PX / self.min_face_px))
        picture = _resized(image[:, :, ::-1], scale)
        found = []
        while True:
            height, width = picture.shape[:2]
            factor = np.array([image.shape[1] / width, image.shape[0] / height])
            self._detector.setInputSize((width, height))
            _, rows = self._detector.detect(picture)
            if rows is not None:
                found.append(np.hstack([rows[:, :4] * np.tile(factor, 2), rows[:, 14:15]]).astype(np.float64))
            if max(height, width) < 2 * _COARSE_SIDE_PX:
                break
            picture = _resized(picture, 0.5)
        if not found:
            return np.empty((0, 5))
        boxes = np.concatenate(found)
        if len(found) > 1:
            kept = cv2.dnn.NMSBoxes(boxes[:, :4].tolist(), boxes[:, 4].tolist(), DETECTION_SCORE, _OVERLAP)
            boxes = boxes[np.asarray(kept, dtype=int).reshape(-1)]
        return boxes[np.lexsort((boxes[:, 1], boxes[:, 0]))]

    def _mesh(self, square: NDArray[np.uint8]) -> Any:
        return self._landmarker.detect(self._image_type(image_format=self._rgb, data=square))

    def _landmarked(self, image: NDArray[np.uint8], box: Any, score: float) -> Face:
        x, y, width, height = box
        if width < self.min_face_px:
            return Face(box, score, flag="small")
        side = _SQUARE * max(width, height)
        corner = np.array([x + width / 2 - side / 2, y + height / 2 - side / 2])
        result = self._mesh(_square(image, corner, side))
        if not result.face_landmarks:
            return Face(box, score, flag="no_landmarks")
        mesh = np.array([(point.x, point.y) for point in result.face_landmarks[0]]) * side + corner
        middle = mesh.mean(axis=0)
        if not (x <= middle[0] <= x + width and y <= middle[1] <= y + height):
            return Face(box, score, flag="no_landmarks")  # it saw a neighbour
        categories = result.face_blendshapes[0]
        if [category.category_name for category in categories] != list(BLENDSHAPES):
            raise InputError("face_landmarker.task: gives unknown blendshapes; use the file that duchenne fetches.")
        values = np.array([category.score for category in categories], dtype=np.float32)
        return Face(box, score, points_68(mesh), values, _pose(result.facial_transformation_matrixes[0]))


def _close(landmarker: Any) -> None:
    try:
        landmarker.close()
    except RuntimeError:
        # The process is ending and MediaPipe's thread is gone already: keep the object for good, so that its
        # destructor, which would print a traceback, never runs. The memory goes with the process.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(landmarker))


def _resized(image: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    if scale == 1:
        return np.ascontiguousarray(image)
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return np.asarray(cv2.resize(np.ascontiguousarray(image), size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _square(image: NDArray[np.uint8], corner: NDArray[np.float64], side: float) -> NDArray[np.uint8]:
    """Cuts a square with its top-left at `corner`, border replicated, resized to what MediaPipe gets."""
    if side > 2 * _SQUARE_PX:  # averaged first, because bilinear sampling would skip pixels
        low = np.maximum(np.floor(corner).astype(int), 0)
        part = image[low[1] : int(corner[1] + side) + 2, low[0] : int(corner[0] + side) + 2]
        shrink = _SQUARE_PX / side
        image, corner = _resized(part, shrink), (corner - low) * shrink
        side = _SQUARE_PX
    scale = _SQUARE_PX / side
    # OpenCV counts from pixel centres, this library from corners.
    shift = -corner * scale + 0.5 * scale - 0.5
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    size = (_SQUARE_PX, _SQUARE_PX)
    cut = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cut, dtype=np.uint8)


def _pose(matrix: NDArray[np.floating]) -> tuple[float, float, float]:
    """Pitch, yaw, roll in degrees from MediaPipe's face-to-camera matrix (x right, y up, z to the viewer)."""
    rotation = np.asarray(matrix, dtype=np.float64)[:3, :3]
    rotation = rotation / np.linalg.norm(rotation, axis=0)
    pitch = np.arctan2(rotation[2, 1], rotation[2, 2])
    yaw = np.arcsin(np.clip(-rotation[2, 0], -1, 1))
    roll = np.arctan2(rotation[1, 0], rotation[0, 0])
    return float(np.degrees(pitch)), float(np.degrees(yaw)), float(-np.degrees(roll))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the C++ sides of MediaPipe and OpenCV from writing to the terminal while their models are loaded.

    They write to the process's standard error directly and offer no switch; Python's exceptions are not touched.
    """
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    sys.stderr.flush()
    kept = os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)
        cv2.utils.logging.setLogLevel(level)
