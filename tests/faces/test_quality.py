"""Words for faces that are hard to see hold where they should and nowhere else."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from tests.faces.media import Image

from duchenne.faces.find import FaceFinder
from duchenne.faces.quality import BLURRED, quality_words, sharpness

FRONTAL = (0.0, 0.0, 0.0)
BOX = (30.0, 30.0, 100.0, 120.0)


def noise(side: int = 200) -> Image:
    return np.random.default_rng(0).integers(0, 255, (side, side, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("box", "pose", "words"),
    [
        (BOX, FRONTAL, ()),
        ((30, 30, 63, 80), FRONTAL, ("narrow",)),
        (BOX, (31, 0, 0), ("turned",)),
        (BOX, (0, -31, 80), ("turned",)),
        (BOX, (29, 29, 90), ()),
        ((-1, 30, 100, 120), FRONTAL, ("cut",)),
        ((30, -1, 100, 120), FRONTAL, ("cut",)),
        ((101, 30, 100, 120), FRONTAL, ("cut",)),
        ((30, 81, 100, 120), FRONTAL, ("cut",)),
        ((150, 150, 60, 60), (0, 50, 0), ("narrow", "turned", "cut")),
    ],
)
def test_words(box: tuple[float, ...], pose: tuple[float, ...], words: tuple[str, ...]) -> None:
    assert quality_words(noise(), box, pose) == words  # type: ignore[arg-type]


def test_flat_pictures_are_blurred() -> None:
    assert sharpness(np.full((200, 200, 3), 128, np.uint8), BOX) == 0
    assert quality_words(np.full((200, 200, 3), 128, np.uint8), BOX, FRONTAL) == ("blurred",)
    assert quality_words(np.full((200, 200, 3), 40, np.uint8), BOX, FRONTAL) == ("blurred", "dark")


@pytest.mark.parametrize("scale", [0.8, 1, 4])
def test_blur_is_relative_to_the_face(finder: FaceFinder, portrait: Image, scale: float) -> None:
    picture = cv2.resize(portrait, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    (face,) = finder.find(picture)
    assert face.quality == ()
    assert sharpness(picture, face.box) > 1.2 * BLURRED
    (blurred,) = finder.find(cv2.GaussianBlur(picture, (0, 0), 0.05 * face.box[2]))
    assert "blurred" in blurred.quality


def test_a_real_face_at_the_edge(finder: FaceFinder, portrait: Image) -> None:
    (face,) = finder.find(portrait)
    left = int(face.box[0] + 0.1 * face.box[2])
    (cut,) = finder.find(np.ascontiguousarray(portrait[:, left:]))
    assert "cut" in cut.quality


@pytest.mark.parametrize("side", ["left", "right", "top", "bottom"])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_half_a_face_at_the_edge_is_cut(finder: FaceFinder, portrait: Image, side: str, share: float) -> None:
    """Whether landmarks were put on it or not; a finder's box may end at the edge, or a pixel before it."""
    (face,) = finder.find(portrait)
    x, y, width, height = face.box
    kept = {
        "left": portrait[:, int(x + share * width) :], "right": portrait[:, : int(x + (1 - share) * width)],
        "top": portrait[int(y + share * height) :], "bottom": portrait[: int(y + (1 - share) * height)],
    }[side]  # fmt: skip
    for cut in finder.find(np.ascontiguousarray(kept)):
        assert "cut" in cut.quality


def test_a_face_in_the_dark(finder: FaceFinder, portrait: Image) -> None:
    """A fifth of the light; dark skin in good light (half of all levels, with its lights) is not dark."""
    noisy = np.random.default_rng(0).normal(0, 2, portrait.shape)
    (dark,) = finder.find(np.clip(portrait * 0.2 + noisy, 0, 255).astype(np.uint8))
    assert "dark" in dark.quality
    (lit,) = finder.find(np.clip(portrait * 0.5 + noisy, 0, 255).astype(np.uint8))
    assert "dark" not in lit.quality
