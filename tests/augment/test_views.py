"""Views of the contrastive methods: crops, shares of what happens to them, ranges."""

import math

import pytest
import torch
from kornia.filters import get_gaussian_kernel1d

from duchenne.augment.views import VIEWS, ViewRecipe, blur, draw_crops, draw_views

PLAIN = ViewRecipe(area_min=1.0, jitter=(0, 0, 0, 0), jitter_share=0, grey_share=0, grey_first=False, blur_share=0)


def boxes(matrices, size):
    """(N, 2, 2): the two opposite corners of the crops in the picture."""
    corners = torch.tensor([[0.0, 0.0], [size, size]]).expand(len(matrices), 2, 2)
    return torch.linalg.solve(matrices[:, :, :2], corners.transpose(1, 2) - matrices[:, :, 2:]).transpose(1, 2)


@pytest.mark.parametrize("area_min", [0.08, 0.2])
def test_crops(area_min):
    torch.manual_seed(0)
    found = boxes(draw_crops(4000, 100, area_min=area_min, flip=True), 100.0)
    assert found.min() > -1e-2
    assert found.max() < 100 + 1e-2
    sides = (found[:, 1] - found[:, 0]).abs()
    area, ratio = sides.prod(1) / 1e4, sides[:, 0] / sides[:, 1]
    assert area_min - 1e-4 <= area.min() <= area_min * 1.05
    assert area.max() > 0.95
    assert 0.74 < ratio.min() < 0.8
    assert 1.25 < ratio.max() < 1.35
    mirrored = found[:, 1, 0] < found[:, 0, 0]
    assert 0.47 < mirrored.float().mean() < 0.53
    assert (found[:, 1, 1] > found[:, 0, 1]).all()


def test_nothing_drawn_is_the_picture_or_its_mirror():
    torch.manual_seed(0)
    images = torch.rand(20, 3, 16, 16)
    views = draw_views(images, PLAIN)
    same = [torch.allclose(a, b, atol=1e-4) for a, b in zip(views, images, strict=True)]
    mirrored = [torch.allclose(a, b.flip(-1), atol=1e-4) for a, b in zip(views, images, strict=True)]
    assert all(one != other for one, other in zip(same, mirrored, strict=True))
    assert 4 < sum(mirrored) < 16


@pytest.mark.parametrize("name", VIEWS)
def test_named_recipes(name):
    images = torch.rand(300, 3, 12, 12, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(0)
    views = draw_views(images, VIEWS[name])
    assert views.shape == images.shape
    assert views.min() >= 0
    assert views.max() <= 1 + 1e-6
    grey = (views.amax(1) - views.amin(1)).amax((1, 2)) < 1e-5
    assert abs(grey.float().mean() - VIEWS[name].grey_share) < 0.07
    torch.manual_seed(0)
    assert torch.equal(draw_views(images, VIEWS[name]), views)
    assert not torch.allclose(draw_views(images, VIEWS[name]), views, atol=0.1)


@pytest.mark.parametrize("share", ["jitter_share", "grey_share", "blur_share"])
def test_shares(share):
    recipe = {**vars(PLAIN), share: 0.3, "jitter": (0.4, 0.4, 0.4, 0.1)}
    images = torch.rand(300, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    images = (images + images.flip(-1)) / 2  # so that mirroring changes nothing
    torch.manual_seed(0)
    views = draw_views(images, ViewRecipe(**recipe))
    changed = ((views - images).abs().amax((1, 2, 3)) > 1e-4).float().mean()
    lowest = 0.1 if share == "blur_share" else 0.24  # the narrowest blurs change nothing at 64 px
    assert lowest < changed < 0.36


def test_blur_is_gaussian_with_a_width_of_its_own():
    images = torch.zeros(2, 3, 224, 224)
    images[:, :, 112, 112] = 1
    sigma = torch.tensor([0.7, 2.0])
    blurred = blur(images, sigma)
    for picture, width in zip(blurred, sigma, strict=True):
        kernel = get_gaussian_kernel1d(13, float(width))[0]
        assert torch.allclose(picture[0, 106:119, 106:119], torch.outer(kernel, kernel), atol=1e-5)
    axis = torch.arange(224) - 112.0
    assert math.isclose(float((blurred[1, 0].sum(0) * axis**2).sum()) ** 0.5, 2.0, rel_tol=0.02)
