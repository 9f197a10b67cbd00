"""Made-up films, as the tests of `detection` have them."""

from tests.detection.conftest import film, scripted

__all__ = ["film", "scripted"]
