"""Drawn faces, as the tests of `evaluation` have them."""

from tests.evaluation.conftest import faces, make_faces

__all__ = ["faces", "make_faces"]
