"""How well a face can be seen: words for what makes its values less reliable."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from duchenne.faces.search import cut_square

NARROW_PX: Final = 64.0
"""Faces narrower than this are enlarged a lot before they are read."""
TURNED_DEGREES: Final = 30.0
"""From this yaw or pitch on, half of the face is hardly seen."""
BLURRED: Final = 0.25
"""Sharpness under which a face counts as blurred. 98 % of the faces of the sample videos have 0.37 or more; blurred by
a Gaussian with a standard deviation of 2 % of their width 0.26 or more, of 3 % 0.28 or less, of 5 % 0.21 or less."""
DARK: Final = 48.0
"""A face of which the brightest twentieth is darker than this, of 255, counts as dark: lit skin of any colour has its
lights. Of faces of the sample videos made darker (with a sensor's noise of 2 levels), blendshapes change by 0.01 to
0.04 on average about there, twice as much as at half the light, and faces are lost soon after."""
EDGE: Final = 0.02
"""A box that comes nearer to the edge of the picture than this share of its size is cut: boxes end at the edge."""
QUALITY_WORDS: Final = ("narrow", "turned", "cut", "blurred", "dark")
_SHARP_PX: Final = 64
_FINE, _COARSE = 1.2, 4.0  # standard deviations, pixels


def sharpness(image: NDArray[np.uint8], box: tuple[float, float, float, float]) -> float:
    """How much of a face is fine detail: contrast finer than 2 % of its side over that between 2 and 6 %; 0 if flat.

    Args:
        image: (H, W, 3) RGB uint8.
        box: of the face.
    """
    x, y, width, height = box
    side = max(width, height)
    corner = np.array([x + width / 2 - side / 2, y + height / 2 - side / 2])
    grey = cv2.cvtColor(cut_square(image, corner, side, _SHARP_PX), cv2.COLOR_RGB2GRAY).astype(np.float32)
    fine, coarse = (cv2.GaussianBlur(grey, (0, 0), deviation) for deviation in (_FINE, _COARSE))
    inner = slice(_SHARP_PX // 8, -_SHARP_PX // 8)
    middle = float((fine - coarse)[inner, inner].std())
    return float((grey - fine)[inner, inner].std()) / middle if middle > 1e-3 else 0.0


def brightness(image: NDArray[np.uint8], box: tuple[float, float, float, float]) -> float:
    """How bright the brightest twentieth of a face is at least, 0 to 255; 255 where its box lies outside the picture.

    Args:
        image: (H, W, 3) RGB uint8.
        box: of the face.
    """
    x, y, width, height = box
    face = image[max(0, int(y)) : max(0, int(y + height)), max(0, int(x)) : max(0, int(x + width))]
    return float(np.percentile(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), 95)) if face.size else 255.0


def quality_words(
    image: NDArray[np.uint8],
    box: tuple[float, float, float, float],
    pose: tuple[float, float, float] | None,
    landmarks: NDArray[np.floating] | None = None,
) -> tuple[str, ...]:
    """Those of `QUALITY_WORDS` that hold for a face.

    Args:
        image: (H, W, 3) RGB uint8.
        box: x, y, width, height in pixels.
        pose: pitch, yaw, roll in degrees; None where they are not known.
        landmarks: (68, 2) pixels; None where there are none.
    """
    shape = np.array([image.shape[1], image.shape[0]])
    outside = landmarks is not None and bool(((landmarks < 0) | (landmarks > shape)).any())
    x, y, width, height = box
    holds = (
        width < NARROW_PX,
        pose is not None and max(abs(pose[0]), abs(pose[1])) > TURNED_DEGREES,
        outside or min(x, shape[0] - x - width) < EDGE * width or min(y, shape[1] - y - height) < EDGE * height,
        sharpness(image, box) < BLURRED,
        brightness(image, box) < DARK,
    )
    return tuple(word for word, is_so in zip(QUALITY_WORDS, holds, strict=True) if is_so)
