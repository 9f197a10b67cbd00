"""A real face to find, and one finder for all tests that find."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.faces.media import Image

from duchenne.faces.decode import read_pictures
from duchenne.faces.find import FaceFinder


@pytest.fixture(scope="session")
def finder(shared: Path) -> Iterator[FaceFinder]:
    with FaceFinder() as made:
        yield made


@pytest.fixture(scope="session")
def portrait(shared: Path) -> Image:
    """(200, 200, 3): one smiling woman, frontal, her face 90 pixels wide."""
    image = next(read_pictures(shared / "data" / "scikit-image" / "astronaut.png")).image
    return np.ascontiguousarray(image[20:220, 120:320])
