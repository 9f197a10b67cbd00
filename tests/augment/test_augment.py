"""Pixels and points move together; draws stay in their ranges."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from duchenne.augment.colour import draw_colour, jitter_colour
from duchenne.augment.geometry import draw_geometry, move_points, warp


@given(seed=st.integers(0, 10_000))
def test_points_follow_the_pixels(seed):
    """Paint a blob, warp, and find its centre where `move_points` says."""
    torch.manual_seed(seed)
    matrices = draw_geometry(4, 64, crop_min=0.7, crop_max=1.0, rotation=20)
    point = torch.tensor([24.0, 30.0]) + 16 * torch.rand(4, 1, 2)
    axis = torch.arange(64) + 0.5
    squared = (axis[None, None, :] - point[..., :1]) ** 2 + (axis[None, :, None] - point[..., 1:]) ** 2
    images = torch.exp(-squared / 8)[:, None]
    moved, wanted = warp(images, matrices)[:, 0], move_points(point, matrices)[:, 0]
    weights = moved / moved.sum((1, 2), keepdim=True)
    found = torch.stack([(weights.sum(1) * axis).sum(1), (weights.sum(2) * axis).sum(1)], dim=1)
    inside = ((wanted > 10) & (wanted < 54)).all(1)
    assert torch.allclose(found[inside], wanted[inside], atol=0.15)


def test_no_change_without_a_crop():
    images = torch.rand(2, 3, 16, 16)
    matrices = draw_geometry(2, 16, crop_min=1.0, crop_max=1.0)
    assert torch.allclose(warp(images, matrices), images, atol=1e-5)


def test_rotated_crops_are_those_of_torch():
    """Our grid of places to sample, against `affine_grid` with the inverse worked out another way."""
    torch.manual_seed(1)
    images, matrices = torch.rand(6, 3, 32, 32), draw_geometry(6, 32, crop_min=0.6, crop_max=0.9, rotation=30)
    scaled = torch.tensor([[1 / 16, 0, -1], [0, 1 / 16, -1], [0, 0, 1]])  # pixels of 32 to [-1, 1]
    whole = torch.cat([matrices, torch.tensor([[[0.0, 0, 1]]]).expand(6, 1, 3)], dim=1)
    to_source = (scaled @ torch.linalg.inv(whole) @ torch.linalg.inv(scaled))[:, :2]
    grid = functional.affine_grid(to_source, [6, 3, 32, 32], align_corners=False)
    wanted = functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
    assert torch.allclose(warp(images, matrices), wanted, atol=1e-4)


def test_crops_stay_inside():
    torch.manual_seed(0)
    matrices = draw_geometry(500, 100, crop_min=0.5, crop_max=0.9)
    corners = torch.tensor([[0.0, 0.0], [100.0, 100.0]]).expand(500, 2, 2)
    linear, shift = matrices[:, :, :2], matrices[:, :, 2:]
    source = torch.linalg.solve(linear, corners.transpose(1, 2) - shift).transpose(1, 2)
    assert (source > -1e-3).all()
    assert (source < 100 + 1e-3).all()
    sides = (source[:, 1] - source[:, 0])[:, 0]
    assert 50 - 1e-3 <= float(sides.min()) < 55
    assert 85 < float(sides.max()) <= 90 + 1e-3


def test_a_seed_gives_the_same_draws():
    for draw in (lambda: draw_geometry(3, 32, crop_min=0.5, crop_max=1, rotation=5), lambda: draw_colour(3, 0.4)):
        torch.manual_seed(4)
        first = draw()
        torch.manual_seed(4)
        assert torch.equal(first, draw())


def test_colour_range_and_identity():
    images = torch.rand(5, 3, 8, 8)
    assert torch.allclose(jitter_colour(images, torch.ones(5, 3)), images, atol=1e-6)
    jittered = jitter_colour(images, draw_colour(5, 0.8))
    assert float(jittered.min()) >= 0
    assert float(jittered.max()) <= 1
    factors = draw_colour(2000, 0.4).numpy()
    assert np.all((factors >= 0.6) & (factors <= 1.4))
    assert factors.mean() == pytest.approx(1.0, abs=0.02)


def test_brightness_is_a_factor():
    image = torch.full((1, 3, 4, 4), 0.25)
    assert torch.allclose(jitter_colour(image, torch.tensor([[1.2, 1.0, 1.0]])), torch.full_like(image, 0.3), atol=1e-6)
