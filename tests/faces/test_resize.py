"""Pictures at another size."""

import numpy as np

from duchenne.faces.resize import resized


def test_areas_are_averaged_where_a_picture_shrinks() -> None:
    picture = np.array([[0, 100, 10, 30], [40, 60, 50, 70]], dtype=np.uint8)
    assert resized(picture, 2, 1).tolist() == [[50, 40]]


def test_it_is_bilinear_where_a_picture_grows() -> None:
    """Centres of the new pixels lie at -1/4, 1/4, 3/4 and 5/4 of the old ones; the border is repeated."""
    assert resized(np.array([[0, 100]], dtype=np.uint8), 4, 1).tolist() == [[0, 25, 75, 100]]


def test_what_has_the_size_already_is_the_same() -> None:
    picture = np.zeros((4, 4, 3), dtype=np.uint8)
    assert resized(picture, 4) is picture
    assert resized(picture, 8).shape == (8, 8, 3)
    assert resized(picture, 8, 2).shape == (2, 8, 3)
