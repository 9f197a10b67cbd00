"""A real face and a finder, as the tests of `faces` have them."""

from tests.faces.conftest import finder, portrait

__all__ = ["finder", "portrait"]
