"""Finding faces: YuNet finds them (`duchenne.faces.search`), MediaPipe puts landmarks and blendshapes on each.

MediaPipe's own detector is made for near faces; given one face enlarged in a square of its own, its landmark model
works on far ones too. In a video only the places of faces follow from one frame to the next; landmarks are made of one
picture and one box, so several threads can make them at a time and nothing is smoothed or delayed.
"""

from __future__ import annotations

import ctypes
import math
import os
import sys
import threading
import weakref
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from queue import SimpleQueue
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from duchenne.devices import one_opencv_thread
from duchenne.errors import InputError
from duchenne.faces import unconnected
from duchenne.faces.decode import Picture
from duchenne.faces.landmarks import BLENDSHAPES, MESH_TO_68
from duchenne.faces.quality import quality_words
from duchenne.faces.search import FaceSearch, Follower, cut_square
from duchenne.model_files import model_path

MIN_FACE_PX: Final = 32
"""Faces narrower than this get no landmarks."""
MOST_THREADS: Final = 4
"""That put landmarks on faces; searching and the rest keep up with about so many."""
_SQUARE: Final = 1.9  # side of the square given to MediaPipe, in box sides
_SQUARE_PX: Final = 256


@dataclass
class Face:
    """One face found in a picture. Coordinates are continuous pixels of the displayed picture.

    Attributes:
        box: (x, y, width, height); x, y is the top-left corner.
        score: of the face detector, 0.6 to 1; a new face has 0.7 at least.
        landmarks: (68, 2) float32, or None.
        blendshapes: (52,) float32 in [0, 1], in the order of `landmarks.BLENDSHAPES`, or None.
        pose: (pitch, yaw, roll) in degrees, or None. Pitch grows as the chin goes down, yaw as the face turns to the
            picture's right, roll as the head tilts clockwise in the picture.
        flag: why there are no landmarks: "small" (narrower than asked for) or "no_landmarks"; "" where there are.
        quality: what makes numbers read off it less sure, see `duchenne.faces.quality`; nothing for small ones.
        mesh: (478, 3) float32, MediaPipe's points: x and y in pixels, z in the same unit and smaller nearer to the
            camera; or None.
    """

    box: tuple[float, float, float, float]
    score: float
    landmarks: NDArray[np.float32] | None = None
    blendshapes: NDArray[np.float32] | None = None
    pose: tuple[float, float, float] | None = None
    flag: str = ""
    quality: tuple[str, ...] = ()
    mesh: NDArray[np.float32] | None = None


def usable_cores() -> int:
    """How many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class FaceFinder:
    """Finds every face of pictures and videos. Threads may share it; close it, or use `with`.

    Attributes:
        min_face_px: faces whose box is narrower are reported with flag "small" and without landmarks.
        threads: that put landmarks on the faces of a video.
    """

    def __init__(self, min_face_px: float = MIN_FACE_PX, *, threads: int | None = None) -> None:
        """Loads both models (about a second, mostly MediaPipe's import).

        Args:
            min_face_px: see above.
            threads: for videos; None for one per core, at most 4. The faces found are the same for any number.

        Raises:
            InputError: when a model file cannot be had.
        """
        path = model_path("face_landmarker.task")
        self.min_face_px = min_face_px
        self.threads = threads or min(MOST_THREADS, usable_cores())
        with _quiet():
            mediapipe: Any = import_module("mediapipe")  # here: it takes most of a second
            tasks: Any = import_module("mediapipe.tasks.python")
            vision = tasks.vision
            self._image_type, self._rgb = mediapipe.Image, mediapipe.ImageFormat.SRGB
            self._search = FaceSearch(min_face_px)
            self._options = vision.FaceLandmarkerOptions(
                base_options=unconnected.silent_options(tasks.BaseOptions(model_asset_path=str(path))),
                running_mode=vision.RunningMode.IMAGE,
                num_faces=1,
                min_face_detection_confidence=0.3,
                min_face_presence_confidence=0.3,
                output_face_blendshapes=True,
                output_facial_transformation_matrixes=True,
            )
            self._create: Any = vision.FaceLandmarker.create_from_options
        self._landmarkers: list[Any] = []
        self._free: SimpleQueue[Any] = SimpleQueue()
        self._pool: ThreadPoolExecutor | None = None
        self._opening = threading.Lock()
        # Closed before the interpreter takes MediaPipe's modules apart: its own destructor comes too late.
        unconnected.hold()
        self._close = weakref.finalize(self, _close, self._landmarkers)
        self._open_landmarkers(1)

    def __enter__(self) -> FaceFinder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Frees MediaPipe's models and threads; the finder cannot be used afterwards."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        self._close()

    def find(self, image: NDArray[np.uint8]) -> list[Face]:
        """Finds the faces of a picture.

        Args:
            image: (H, W, 3) RGB uint8.

        Returns:
            The faces from left to right (by the left edge of their boxes, then the upper).
        """
        return [self._landmarked(image, box) for box in self._search.everywhere(image)]

    def follow(
        self, pictures: Iterable[Picture], *, depth: int = 0, start_s: float = -math.inf
    ) -> Iterator[tuple[Picture, list[Face]]]:
        """Finds the faces of the frames of one video, at a fraction of the time that `find` takes for each.

        How soon a face that enters is found: see `duchenne.faces.search.Follower`.

        Args:
            pictures: in order.
            depth: how many pictures are taken ahead while landmarks are made of earlier ones; 0 gives every picture
                before the next is taken.
            start_s: faces of earlier pictures get no landmarks (and no flag).

        Raises:
            InputError: that of `pictures`, after everything that came before it was given.
        """
        with self._opening:
            if self._pool is None:
                self._open_landmarkers(self.threads)
                self._pool = ThreadPoolExecutor(self.threads, "duchenne landmarks")
        with one_opencv_thread():
            yield from self._followed(pictures, self._pool, depth, start_s)

    def _followed(
        self, pictures: Iterable[Picture], pool: ThreadPoolExecutor, depth: int, start_s: float
    ) -> Iterator[tuple[Picture, list[Face]]]:
        follower = Follower(self._search)
        waiting: deque[tuple[Picture, list[Future[Face]]]] = deque()
        failure: InputError | None = None
        iterator = iter(pictures)
        while True:
            try:
                picture = next(iterator, None)
            except InputError as error:
                picture, failure = None, error
            if picture is None:
                break
            boxes = follower.boxes(picture.image, picture.time_s)
            make = self._landmarked if picture.time_s >= start_s else self._placed
            waiting.append((picture, [pool.submit(make, picture.image, box) for box in boxes]))
            if len(waiting) > depth:
                yield _awaited(*waiting.popleft())
        while waiting:
            yield _awaited(*waiting.popleft())
        if failure is not None:
            raise failure

    def _open_landmarkers(self, number: int) -> None:
        with _quiet():
            while len(self._landmarkers) < number:
                landmarker = self._create(self._options)
                self._landmarkers.append(landmarker)
                # The first use has messages too.
                self._detect(landmarker, np.zeros((_SQUARE_PX, _SQUARE_PX, 3), dtype=np.uint8))
                self._free.put(landmarker)

    def _mesh(self, square: NDArray[np.uint8]) -> Any:
        landmarker = self._free.get()
        try:
            return self._detect(landmarker, square)
        finally:
            self._free.put(landmarker)

    def _detect(self, landmarker: Any, square: NDArray[np.uint8]) -> Any:
        return landmarker.detect(self._image_type(image_format=self._rgb, data=square))

    @staticmethod
    def _placed(image: NDArray[np.uint8], row: NDArray[np.float64]) -> Face:
        return Face((float(row[0]), float(row[1]), float(row[2]), float(row[3])), float(row[4]))

    def _landmarked(self, image: NDArray[np.uint8], row: NDArray[np.float64]) -> Face:
        face = self._placed(image, row)
        box, score = face.box, face.score
        x, y, width, height = box
        if width < self.min_face_px:
            return Face(box, score, flag="small")
        side = _SQUARE * max(width, height)
        corner = np.array([x + width / 2 - side / 2, y + height / 2 - side / 2])
        result = self._mesh(cut_square(image, corner, side, _SQUARE_PX))
        if not result.face_landmarks:
            return Face(box, score, flag="no_landmarks", quality=quality_words(image, box, None))
        mesh = np.array([(point.x, point.y, point.z) for point in result.face_landmarks[0]]) * side
        mesh[:, :2] += corner
        points = mesh[list(MESH_TO_68), :2]
        middle = points.mean(axis=0)
        if not (x <= middle[0] <= x + width and y <= middle[1] <= y + height):
            # It saw a neighbour.
            return Face(box, score, flag="no_landmarks", quality=quality_words(image, box, None))
        categories = result.face_blendshapes[0]
        if [category.category_name for category in categories] != list(BLENDSHAPES):
            raise InputError("face_landmarker.task: gives unknown blendshapes; use the file that duchenne fetches.")
        values = np.array([category.score for category in categories], dtype=np.float32)
        pose = _pose(result.facial_transformation_matrixes[0])
        words = quality_words(image, box, pose, points)
        return Face(
            box, score, points.astype(np.float32), values, pose, quality=words, mesh=mesh.astype(np.float32)
        )  # fmt: skip


def _awaited(picture: Picture, faces: list[Future[Face]]) -> tuple[Picture, list[Face]]:
    return picture, [face.result() for face in faces]


def _close(landmarkers: list[Any]) -> None:
    for landmarker in landmarkers:
        try:
            landmarker.close()
        except RuntimeError:
            # The process is ending and MediaPipe's thread is gone already: keep the object for good, so that its
            # destructor, which would print a traceback, never runs. The memory goes with the process.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(landmarker))
    unconnected.release()


def _pose(matrix: NDArray[np.floating]) -> tuple[float, float, float]:
    """Pitch, yaw, roll in degrees from MediaPipe's face-to-camera matrix (x right, y up, z to the viewer)."""
    rotation = np.asarray(matrix, dtype=np.float64)[:3, :3]
    rotation = rotation / np.linalg.norm(rotation, axis=0)
    pitch = np.arctan2(rotation[2, 1], rotation[2, 2])
    yaw = np.arcsin(np.clip(-rotation[2, 0], -1, 1))
    roll = np.arctan2(rotation[1, 0], rotation[0, 0])
    return float(np.degrees(pitch)), float(np.degrees(yaw)), float(-np.degrees(roll))


_QUIETENING: Final = threading.Lock()  # the process has one standard error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the C++ sides of MediaPipe and OpenCV from writing to the terminal while their models are loaded.

    They write to the process's standard error directly and offer no switch; Python's exceptions are not touched.
    """
    with _QUIETENING:
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
