"""Faces drawn: boxes, landmark contours and bars of action units, on the picture or in its place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from duchenne.detection.results import DetectedFace, FrameResult
from duchenne.errors import InputError
from duchenne.faces.resize import resized
from duchenne.facs import LANDMARK_GROUPS

FACE_COLOURS: Final = (
    (64, 196, 255),
    (255, 176, 59),
    (120, 220, 120),
    (255, 120, 170),
    (180, 150, 255),
    (240, 240, 110),
)
"""RGB, by the number of the face, repeated."""
_BACKGROUND: Final = (24, 26, 30)
_TEXT: Final = (235, 235, 235)
_TRACK: Final = (70, 74, 80)
_CLOSED: Final = frozenset({"right_eye", "left_eye", "outer_lip", "inner_lip"})
_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX
_MOST_BLOCKS: Final = 3
_PORTRAIT: Final = 1.6  # side of a portrait, in box sides
_SHIFT: Final = 4  # OpenCV draws at sixteenths of a pixel


def face_colour(number: int) -> tuple[int, int, int]:
    """The colour of a face, RGB 0 to 255."""
    return FACE_COLOURS[number % len(FACE_COLOURS)]


def draw_faces(result: FrameResult, size: tuple[int, int], *, anonymous: bool) -> NDArray[np.uint8]:
    """The frame at another size with boxes, numbers and landmark contours.

    Args:
        result: a frame with its picture.
        size: (width, height) in pixels of the drawing.
        anonymous: draw on an empty background, so that nothing of the picture is left but boxes and landmarks.

    Returns:
        (height, width, 3) uint8 RGB.
    """
    assert result.image is not None, "the frame's picture was dropped"
    height, width = result.image.shape[:2]
    scale = np.array([size[0] / width, size[1] / height])
    empty = np.full((size[1], size[0], 3), _BACKGROUND, np.uint8)
    canvas = empty if anonymous else resized(result.image, *size).copy()
    thick = max(1, round(size[1] / 540))
    for detected in result.faces:
        colour = face_colour(detected.number)
        x, y, w, h = detected.face.box
        corners = np.array([[x, y], [x + w, y + h]]) * scale
        low, high = (tuple(int(value) for value in corner) for corner in np.round(corners))
        cv2.rectangle(canvas, low, high, colour, thick, cv2.LINE_AA)
        label = f"{detected.number}" + (f" {detected.face.flag}" if detected.face.flag else "")
        cv2.putText(canvas, label, (low[0], max(12, low[1] - 5)), _FONT, 0.5 * thick, colour, thick, cv2.LINE_AA)
        if detected.face.landmarks is not None:
            _contours(canvas, detected.face.landmarks * scale, colour)
    return canvas


def draw_portrait(
    image: NDArray[np.uint8], detected: DetectedFace, size_px: int, *, anonymous: bool
) -> NDArray[np.uint8]:
    """One face with some space around it, upright as in the picture.

    Args:
        image: (H, W, 3) RGB uint8, the frame.
        detected: the face.
        size_px: side of the portrait.
        anonymous: draw the landmarks on an empty background in place of the picture.

    Returns:
        (size_px, size_px, 3) uint8 RGB.
    """
    x, y, width, height = detected.face.box
    side = max(2, round(_PORTRAIT * max(width, height)))
    left, top = round(x + width / 2 - side / 2), round(y + height / 2 - side / 2)
    if anonymous:
        canvas = np.full((size_px, size_px, 3), _BACKGROUND, np.uint8)
        if detected.face.landmarks is not None:
            points = (detected.face.landmarks - np.array([left, top])) * (size_px / side)
            _contours(canvas, points, face_colour(detected.number))
        return canvas
    rows = np.clip(np.arange(top, top + side), 0, image.shape[0] - 1)
    columns = np.clip(np.arange(left, left + side), 0, image.shape[1] - 1)
    return resized(image[np.ix_(rows, columns)], size_px)


def encode(image: NDArray[np.uint8], suffix: str, options: Sequence[int] = ()) -> bytes:
    """A drawing as the content of an image file.

    Args:
        image: (H, W, 3) RGB uint8.
        suffix: which kind, `.jpg` or `.png`.
        options: OpenCV's, of the kind.

    Raises:
        InputError: when it cannot be encoded.
    """
    done, encoded = cv2.imencode(suffix, image[:, :, ::-1], options)
    if not done:
        height, width = image.shape[:2]
        raise InputError(f"a drawing of {width} x {height} pixels cannot be written as {suffix}; name a .png instead.")
    return encoded.tobytes()


def _contours(canvas: NDArray[np.uint8], points: NDArray[np.floating], colour: tuple[int, int, int]) -> None:
    # This library counts from corners, OpenCV from pixel centres.
    fixed = np.round((points - 0.5) * 2**_SHIFT).astype(np.int32)
    for name, group in LANDMARK_GROUPS.items():
        line = fixed[list(group)].reshape(-1, 1, 2)
        cv2.polylines(canvas, [line], name in _CLOSED, colour, 1, cv2.LINE_AA, _SHIFT)


def draw_bars(canvas: NDArray[np.uint8], faces: Sequence[DetectedFace], bars: Sequence[tuple[str, int, float]]) -> None:
    """Draws bars of action units, one block per face from top to bottom.

    Args:
        canvas: (H, W, 3) RGB, changed in place; filled with the background first.
        faces: those to draw; the three largest are.
        bars: (label, index into the scores, value of a full bar) from top to bottom.
    """
    canvas[:] = _BACKGROUND
    largest = sorted(faces, key=lambda detected: -detected.face.box[2])[:_MOST_BLOCKS]
    height = canvas.shape[0] // max(1, len(largest))
    for block, detected in enumerate(sorted(largest, key=lambda detected: detected.number)):
        _block(canvas[block * height : (block + 1) * height], detected, bars)


def _block(canvas: NDArray[np.uint8], detected: DetectedFace, bars: Sequence[tuple[str, int, float]]) -> None:
    line = min(30.0, (canvas.shape[0] - 6) / (len(bars) + 1))
    font, left, right = line / 36, 8, canvas.shape[1] - 10
    colour, start = face_colour(detected.number), 8 + round(line * 2.2)
    title = f"face {detected.number}" + (f": {detected.face.flag}" if detected.face.flag else "")
    cv2.putText(canvas, title, (left, round(line * 0.8)), _FONT, font, colour, 1, cv2.LINE_AA)
    for row, (label, index, full) in enumerate(bars, start=1):
        value = float(detected.scores[index])
        known = bool(np.isfinite(value))
        cv2.putText(
            canvas, label, (left, round((row + 0.8) * line)), _FONT, font, _TEXT if known else _TRACK, 1, cv2.LINE_AA
        )
        low, bottom = (start, round((row + 0.25) * line)), round((row + 0.85) * line)
        cv2.rectangle(canvas, low, (right, bottom), _TRACK, 1)
        if known:
            filled = start + round(float(np.clip(value / full, 0, 1)) * (right - start))
            cv2.rectangle(canvas, low, (filled, bottom), colour, -1)
