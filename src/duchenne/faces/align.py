"""The crop that every part of the library uses: a similarity transform from eye corners and nose.

Coordinates are continuous pixels: (0, 0) is the top-left corner of the picture, (0.5, 0.5) the centre of its first
pixel. Only rigid points are fitted, because fitting all 68 would absorb the motion that action units make.
"""

from __future__ import annotations

from typing import Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from duchenne.faces.shape import MEAN_SHAPE

INTER_OCULAR: Final = 0.30
"""Distance of the eye centres (an eye's centre is the middle of its corners), as a share of the crop's side."""
OUTER_EYE_CORNERS: Final = 2 * 0.2143
"""Distance of the outer eye corners of a frontal face, as a share of the crop's side."""
EYE_MIDPOINT: Final = (0.5, 0.42)
"""Where the middle between the eye centres lies, as shares of the crop's side."""
ALIGNMENT: Final = "similarity from eye corners and nose, per frame"

RIGID_POINTS: Final = (36, 39, 42, 45, 27, 33)
_EYE_X, _EYE_Y = EYE_MIDPOINT
# Outer and inner eye corners, nose root, nose base of a frontal face, in shares of the crop's side: the mean of seven
# people whose frontal frames (yaw under 8, pitch under 12 degrees) were measured, made symmetric.
_TEMPLATE: Final = np.array(
    [
        (_EYE_X - OUTER_EYE_CORNERS / 2, _EYE_Y - 0.0043),
        (_EYE_X - 0.0857, _EYE_Y + 0.0043),
        (_EYE_X + 0.0857, _EYE_Y + 0.0043),
        (_EYE_X + OUTER_EYE_CORNERS / 2, _EYE_Y - 0.0043),
        (_EYE_X, _EYE_Y - 0.0172),
        (_EYE_X, _EYE_Y + 0.2100),
    ]
)


Fit = Literal["rigid", "five", "all68"]
"""What a crop is fitted to: six points that expressions do not move, five points as face detectors give them (eye
centres, tip of the nose, corners of the mouth), or all 68, which takes out some of the motion of action units."""
ALIGNMENTS: Final[dict[str, str]] = {
    "frame": ALIGNMENT,
    "five": "similarity from eye centres, nose tip and mouth corners, per frame",
    "all68": "similarity from all 68 landmarks, per frame",
    "dataset": "similarity from the data set's own landmarks, per frame",
    "none": "as given",
}
"""Names of alignments, in words. `smooth` is `frame`, steadied over time."""


def crop_matrix(landmarks: NDArray[np.floating], size_px: int, fit: Fit = "rigid") -> NDArray[np.float64]:
    """The similarity transform that takes a face to the crop, by least squares.

    Args:
        landmarks: (68, 2) in pixels of the picture, NaN for unknown points; or the (5, 2) points of `five` themselves.
        size_px: side of the crop.
        fit: which points.

    Returns:
        (2, 3) matrix M with crop point = M @ (x, y, 1).

    Raises:
        ValueError: when the points coincide, so that no transform is defined.
    """
    points = np.asarray(landmarks, dtype=np.float64)
    if fit == "five":
        points, template = (points if len(points) == 5 else five_points(points)), five_points(MEAN_SHAPE)
    elif fit == "all68":
        known = ~np.isnan(points).any(axis=1)
        points, template = points[known], MEAN_SHAPE[known]
    else:
        points, template = points[list(RIGID_POINTS)], _TEMPLATE
    source = points[:, 0] + 1j * points[:, 1]
    target = (template[:, 0] + 1j * template[:, 1]) * size_px
    centred = source - source.mean()
    spread = float((np.abs(centred) ** 2).sum())
    if not np.isfinite(spread) or spread < 1e-12:
        raise ValueError("the eye corners and nose coincide; no crop is defined")
    factor = (centred.conj() * (target - target.mean())).sum() / spread
    shift = target.mean() - factor * source.mean()
    return np.array([[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]])


def five_points(landmarks: NDArray[np.floating]) -> NDArray[np.float64]:
    """(5, 2) of (68, 2): the middles of the eyes' corners, the tip of the nose, the corners of the mouth."""
    points = np.asarray(landmarks, dtype=np.float64)
    eyes = [(points[outer] + points[inner]) / 2 for outer, inner in ((36, 39), (42, 45))]
    return np.array([*eyes, points[30], points[48], points[54]])


def transform_points(points: NDArray[np.floating], matrix: NDArray[np.floating]) -> NDArray[np.float64]:
    """Applies a (2, 3) matrix to (..., 2) points."""
    moved: NDArray[np.float64] = np.asarray(points, dtype=np.float64) @ matrix[:, :2].T + matrix[:, 2]
    return moved


def crop_face(image: NDArray[np.uint8], matrix: NDArray[np.floating], size_px: int) -> NDArray[np.uint8]:
    """Cuts a crop: bilinear, with the border replicated; faces over twice as large as the crop are averaged down first.

    Args:
        image: (H, W, 3) uint8.
        matrix: (2, 3) from `crop_matrix` for the same `size_px`.
        size_px: side of the crop.

    Returns:
        (size_px, size_px, 3) uint8.
    """
    shrink = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    if shrink < 0.5:  # bilinear sampling alone would skip pixels
        image, matrix = _averaged(image, np.asarray(matrix, dtype=np.float64), size_px, shrink)
    # OpenCV counts from pixel centres, this library from corners: half a pixel in, half a pixel out.
    centred = np.array(matrix, dtype=np.float64)
    centred[:, 2] += centred[:, :2] @ np.array([0.5, 0.5]) - 0.5
    cut = cv2.warpAffine(image, centred, (size_px, size_px), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cut, dtype=np.uint8)


def _averaged(
    image: NDArray[np.uint8], matrix: NDArray[np.float64], size_px: int, shrink: float
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """The part of the picture that the crop shows, averaged down to the crop's scale, and the matrix for it."""
    height, width = image.shape[:2]
    inverse = cv2.invertAffineTransform(matrix)
    corners = inverse[:, :2] @ (np.array([[0, 1, 0, 1], [0, 0, 1, 1]]) * size_px) + inverse[:, 2:]
    margin = 2 / shrink  # bilinear sampling looks one averaged pixel further
    low = np.clip(np.floor(corners.min(axis=1) - margin), 0, (width - 1, height - 1)).astype(int)
    high = np.clip(np.ceil(corners.max(axis=1) + margin), low + 1, (width, height)).astype(int)
    part = image[low[1] : high[1], low[0] : high[0]]
    size = tuple(max(1, round(int(side) * shrink)) for side in high - low)
    moved = np.column_stack([matrix[:, :2], matrix[:, 2] + matrix[:, :2] @ low])
    scaled = moved * np.array([part.shape[1] / size[0], part.shape[0] / size[1], 1.0])
    return np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), dtype=np.uint8), scaled
