"""What most tests of training learn from."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.training.made import moving_squares


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of moving squares as a prepared folder, made once per file of tests."""
    folder = tmp_path_factory.mktemp("data") / "squares"
    moving_squares(folder)
    return folder
