"""One real face, at a size that is quick to search."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.datasets.made import Image

from duchenne.faces.decode import read_pictures


@pytest.fixture(scope="session")
def portrait(shared: Path) -> Image:
    """(200, 200, 3): one smiling woman, frontal, her face 90 pixels wide."""
    image = next(read_pictures(shared / "data" / "scikit-image" / "astronaut.png")).image
    return np.ascontiguousarray(image[20:220, 120:320])
