"""Random views of single pictures, as the contrastive methods draw them; batched, on the device.

He et al., MoCo (CVPR 2020) and Chen et al., MoCo v2 (2020); SimCLR's from Chen et al., ICML 2020.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import torch
from kornia.color import rgb_to_grayscale
from kornia.enhance import adjust_hue
from kornia.filters import gaussian_blur2d
from torch import Tensor

from duchenne.augment.colour import jitter_colour
from duchenne.augment.geometry import warp
from duchenne.errors import UsageError, did_you_mean
from duchenne.plugins import import_builder, is_builder, load_plugin, plugins

BLUR_SIZE_PX: Final = 224
"""Side of the pictures that the papers' blur refers to; smaller pictures are blurred less, in proportion."""


@dataclass(frozen=True, kw_only=True)
class ViewRecipe:
    """How views are drawn.

    Attributes:
        area_min: smallest area of the random crop, as a share of the picture's; the largest is 1.
        jitter: largest change of brightness, contrast, saturation (factors 1 - x to 1 + x) and hue (turns, -x to x).
        jitter_share: of the views whose colours are changed.
        grey_share: of the views without colour.
        grey_first: whether colour goes before the other colours change.
        blur_share: of the views that are blurred, with a standard deviation of 0.1 to 2 px at 224 px.
    """

    area_min: float
    jitter: tuple[float, float, float, float]
    jitter_share: float
    grey_share: float
    grey_first: bool
    blur_share: float


VIEWS: Final[dict[str, ViewRecipe]] = {
    "moco_v1": ViewRecipe(
        area_min=0.2, jitter=(0.4, 0.4, 0.4, 0.4), jitter_share=1.0, grey_share=0.2, grey_first=True, blur_share=0.0
    ),
    "moco_v2": ViewRecipe(
        area_min=0.2, jitter=(0.4, 0.4, 0.4, 0.1), jitter_share=0.8, grey_share=0.2, grey_first=False, blur_share=0.5
    ),
    "simclr": ViewRecipe(
        area_min=0.08, jitter=(0.8, 0.8, 0.8, 0.2), jitter_share=0.8, grey_share=0.2, grey_first=False, blur_share=0.5
    ),
    "faces": ViewRecipe(
        area_min=0.8,
        jitter=(0.25, 0.25, 0.25, 0.05),
        jitter_share=1.0,
        grey_share=0.0,
        grey_first=False,
        blur_share=0.0,
    ),
}
"""Settings of the official code of MoCo (v1, v2) and of SimCLR's paper; all mirror half of the views. `faces` is ours:
where something is on an aligned face tells action units apart, and crops of a fifth of the area take that away."""


def view_function(name: str) -> Callable[[Tensor], Tensor]:
    """What draws one random view of every picture: (N, 3, H, H) RGB in [0, 1] -> the same.

    Args:
        name: of `VIEWS`; or of an augmentation of another package, or `package.module:Name`: a `ViewRecipe`, or a
            function of such pictures that draws from torch's global generator alone.

    Raises:
        UsageError: when there is none of that name, or it is neither.
    """
    found: Any = VIEWS.get(name)
    if found is None:
        found = import_builder(name, "--views") if is_builder(name) else load_plugin("augmentations", name)
    if found is None:
        names = [*VIEWS, *plugins("augmentations")]
        hint = did_you_mean(name, names, "choose one.")
        raise UsageError(f"--views {name}: there are {', '.join(names)}, package.module:Name; {hint}")
    if isinstance(found, ViewRecipe):
        return partial(draw_views, recipe=found)
    if isinstance(found, type) or not callable(found):
        raise UsageError(f"--views {name}: is neither a ViewRecipe nor a function of pictures.")
    return partial(_checked, found, name)


def _checked(draw: Callable[[Tensor], Tensor], name: str, images: Tensor) -> Tensor:
    views: Any = draw(images)
    if not isinstance(views, Tensor) or views.shape != images.shape or views.dtype != images.dtype:
        got = f"{tuple(views.shape)} {views.dtype}" if isinstance(views, Tensor) else type(views).__name__
        raise UsageError(f"--views {name}: gives {got} of {tuple(images.shape)} {images.dtype}; return the same shape.")
    return views


def draw_crops(number: int, size_px: int, *, area_min: float, flip: bool) -> Tensor:
    """Random crops of any place, of an area from `area_min` to 1 and sides in a proportion of 3/4 to 4/3.

    Drawn on the CPU from torch's global generator: the first of ten draws that fits into the picture, as in
    torchvision, or the whole picture.

    Args:
        number: of crops.
        size_px: side of the pictures.
        area_min: share of the picture's area.
        flip: mirror half of the crops.

    Returns:
        (number, 2, 3) float32 matrices from the picture to the crop stretched to the same size, for `warp`.
    """
    area = area_min + (1 - area_min) * torch.rand(number, 10)
    stretch = (math.log(4 / 3) * (2 * torch.rand(number, 10) - 1)).exp()
    drawn = torch.stack([(area * stretch).sqrt(), (area / stretch).sqrt()], dim=2)
    fits = (drawn <= 1).all(2)
    first = drawn[torch.arange(number), fits.int().argmax(1)]
    sides = size_px * torch.where(fits.any(1, keepdim=True), first, 1.0)
    corner = (size_px - sides) * torch.rand(number, 2)
    scale = size_px / sides
    shift = -corner * scale
    if flip:
        mirrored = (torch.rand(number) < 0.5).float()
        shift[:, 0] += mirrored * (size_px - 2 * shift[:, 0])
        scale[:, 0] *= 1 - 2 * mirrored
    return torch.cat([torch.diag_embed(scale), shift[:, :, None]], dim=2)


def draw_views(images: Tensor, recipe: ViewRecipe) -> Tensor:
    """One random view of every picture.

    All draws are made on the CPU from torch's global generator, so a seed gives the same views on every device.

    Args:
        images: (N, 3, H, H) RGB in [0, 1].
        recipe: one of `VIEWS`.

    Returns:
        (N, 3, H, H) in [0, 1].

    Differs: brightness, contrast, saturation and hue change in this order; the papers' code draws the order anew.
    """
    number, size = len(images), images.shape[-1]
    images = warp(images, draw_crops(number, size, area_min=recipe.area_min, flip=True).to(images.device))
    jittered = torch.rand(number) < recipe.jitter_share
    factors = 1 + torch.tensor(recipe.jitter[:3]) * (2 * torch.rand(number, 3) - 1)
    turns = recipe.jitter[3] * (2 * torch.rand(number) - 1)
    grey = torch.rand(number) < recipe.grey_share
    blurred = torch.rand(number) < recipe.blur_share
    sigma = (0.1 + 1.9 * torch.rand(number)) * size / BLUR_SIZE_PX

    if recipe.grey_first:
        images = _on(images, grey, _without_colour)
    images = _on(images, jittered, lambda some: jitter_colour(some, factors[jittered]))
    images = _on(images, jittered, lambda some: adjust_hue(some, 2 * math.pi * turns[jittered].to(some)))
    if not recipe.grey_first:
        images = _on(images, grey, _without_colour)
    return _on(images, blurred, lambda some: blur(some, sigma[blurred]))


def blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur, (N, 3, H, H), each picture with its own standard deviation (N,) in pixels, at most 2."""
    reach = max(1, math.ceil(6 * images.shape[-1] / BLUR_SIZE_PX))  # three times the largest standard deviation
    size = 2 * reach + 1
    blurred: Tensor = gaussian_blur2d(images, (size, size), sigma.to(images)[:, None].expand(-1, 2), "replicate")
    return blurred


def _on(images: Tensor, chosen: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    """The pictures with those `chosen` (N,) replaced by their change."""
    places = chosen.nonzero()[:, 0].to(images.device)
    return images.index_copy(0, places, change(images[places])) if len(places) else images


def _without_colour(images: Tensor) -> Tensor:
    return rgb_to_grayscale(images).expand(-1, 3, -1, -1)
