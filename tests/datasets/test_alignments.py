"""What crops can be fitted to, and landmarks that data sets bring."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from duchenne.errors import InputError
from duchenne.faces.align import EYE_MIDPOINT, Fit, crop_matrix, five_points, transform_points
from duchenne.faces.shape import MEAN_SHAPE
from duchenne.facs import LANDMARK_FLIP
from duchenne.preparing.sources.points import Points
from duchenne.preparing.sources.tree import Stored

FITS: tuple[Fit, ...] = ("rigid", "five", "all68")


def moved(points: NDArray[np.floating], angle: float = 0.4, scale: float = 1.7) -> NDArray[np.float64]:
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return scale * points @ turn.T + np.array([30.0, -20.0])


@pytest.mark.parametrize("fit", ["five", "all68"])
def test_the_mean_face_comes_to_its_place_however_it_lies(fit: Fit) -> None:
    face = moved(MEAN_SHAPE * 200)
    np.testing.assert_allclose(transform_points(face, crop_matrix(face, 96, fit)), MEAN_SHAPE * 96, atol=1e-9)


def test_the_mean_face_is_symmetric_and_where_the_crop_has_it() -> None:
    mirrored = np.column_stack([1 - MEAN_SHAPE[:, 0], MEAN_SHAPE[:, 1]])[list(LANDMARK_FLIP)]
    np.testing.assert_allclose(mirrored, MEAN_SHAPE, atol=1e-3)
    right, left = five_points(MEAN_SHAPE)[:2]
    np.testing.assert_allclose((right + left) / 2, EYE_MIDPOINT, atol=0.01)
    assert left[0] - right[0] == pytest.approx(0.30, abs=0.015)


@pytest.mark.parametrize("fit", FITS)
def test_only_all68_and_five_follow_the_mouth(fit: Fit) -> None:
    smile = (MEAN_SHAPE * 200).copy()
    smile[[48, 54]] += [[-8, -6], [8, -6]]
    apart = np.abs(crop_matrix(smile, 96, fit) - crop_matrix(MEAN_SHAPE * 200, 96, fit)).max()
    assert (apart < 1e-9) == (fit == "rigid")


def test_points_that_are_not_known_are_left_out() -> None:
    face = moved(MEAN_SHAPE * 200)
    face[[60, 64]] = np.nan
    found = transform_points(face, crop_matrix(face, 96, "all68"))
    np.testing.assert_allclose(found[:60], MEAN_SHAPE[:60] * 96, atol=1e-9)


@pytest.mark.parametrize("fit", FITS)
def test_points_that_coincide_define_no_crop(fit: Fit) -> None:
    with pytest.raises(ValueError, match="no crop is defined"):
        crop_matrix(np.ones((68, 2)), 96, fit)


@pytest.mark.parametrize(("number", "unknown"), [(68, 0), (66, 2), (49, 19), (5, 0)])
def test_schemes_of_landmarks(number: int, unknown: int) -> None:
    values = np.arange(2 * number, dtype=float)
    found = Points(values=tuple(values)).load()
    assert len(found) == (5 if number == 5 else 68)
    assert np.isnan(found).any(axis=1).sum() == unknown
    np.testing.assert_array_equal(found[~np.isnan(found)], values)  # their order stays


def test_49_points_begin_at_the_brows() -> None:
    found = Points(values=tuple(np.arange(98.0))).load()
    assert np.isnan(found[:17]).all()
    assert found[17].tolist() == [0, 1]
    assert found[48].tolist() == [62, 63]  # the corner of the mouth, 31 points later


def test_files_of_landmarks(tmp_path: Path) -> None:
    text = tmp_path / "a.txt"
    text.write_text("1 2\n3,4\n5\t6\n7 8\n9 10\n\n1\n0\n2\n")
    five = [[1, 2], [3, 4], [5, 6], [7, 8], [9, 10]]
    assert Points(place=Stored(text), rows=5).load().tolist() == five
    buffer = io.BytesIO()
    np.save(buffer, np.array(["x"], dtype=object), allow_pickle=True)
    bad = tmp_path / "b.npy"
    bad.write_bytes(buffer.getvalue())
    with pytest.raises(InputError, match=r"b\.npy: cannot be read as an array"):
        Points(place=Stored(bad)).load()
    for name, content in {
        "c.mat": b"",
        "d.mat": b"MATLAB 5.0 MAT-file",
        "e.npy": b"",
        "f.npy": b"PK\5\6" + b"\0" * 18,
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=rf"{name}: (cannot be read as|is an archive of arrays)"):
            Points(place=Stored(tmp_path / name)).load()
    with pytest.raises(InputError, match="holds 4 landmarks; known are 5, 68, 66, 49"):
        Points(values=tuple(range(8))).load()
