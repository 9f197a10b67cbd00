"""Crops of large faces are averaged, wherever they lie, and look at the part of the picture that they show."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from tests.faces.media import Image

from duchenne.faces.align import crop_face


def similarity(scale: float, degrees: float, centre: tuple[float, float], size_px: int) -> np.ndarray:
    turn = np.deg2rad(degrees)
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return np.column_stack([linear, size_px / 2 - linear @ np.array(centre)])


def smooth_noise() -> Image:
    noise = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(noise, (240, 160), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


@pytest.mark.parametrize("degrees", [0, 25, 180])
@pytest.mark.parametrize("centre", [(120, 80), (5, 8), (238, 158), (-10, 80)])
@pytest.mark.parametrize("factor", [3, 8])
def test_a_larger_picture_gives_the_same_crop(degrees: float, centre: tuple[float, float], factor: int) -> None:
    small = smooth_noise()
    large = np.asarray(cv2.resize(small, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
    far = (factor * centre[0], factor * centre[1])
    wanted = crop_face(small, similarity(0.9, degrees, centre, 64), 64).astype(int)
    found = crop_face(large, similarity(0.9 / factor, degrees, far, 64), 64).astype(int)
    assert np.abs(found - wanted).mean() < 3
    assert np.abs(found - wanted).max() < 60


def test_thin_lines_are_averaged_and_not_skipped() -> None:
    stripes = np.zeros((800, 800, 3), np.uint8)
    stripes[:, ::8] = 240
    crop = crop_face(stripes, similarity(1 / 8, 0, (400, 400), 64), 64)
    assert np.abs(crop.astype(int) - 30).max() <= 6
