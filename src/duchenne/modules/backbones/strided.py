"""Convolutions of stride 2 from a picture down to one cell: the encoder of FAb-Net and, with two ends, of TCAE.

Source: Wiles, Koepke & Zisserman, BMVC 2018, and Li, Zeng, Shan & Chen, CVPR 2019, as in the authors' codes: kernels of
4, stride 2, padding 1; 32, 64, 128 and then 256 channels; BatchNorm and LeakyReLU 0.2 after every convolution but the
last, and in FAb-Net no BatchNorm after the first; eight convolutions for 256 px.
Differs: a convolution before a BatchNorm has no bias, which the BatchNorm would take out again.
"""

from __future__ import annotations

import re
from typing import Final

import torch
from torch import Tensor, nn

from duchenne.errors import UsageError
from duchenne.modules.backbones.base import Backbone

SLOPE: Final = 0.2
WIDTHS: Final = (32, 64, 128, 256)
"""Channels after the first convolutions; all later ones have the last number."""
_NAME: Final = re.compile(r"strided([4-9])(_bn)?")


class Strided(Backbone):
    """The convolutions of stride 2, each with what follows it as a stage of its own.

    Args:
        layers: convolutions; a picture of 2^layers pixels becomes one cell.
        first_norm: whether BatchNorm follows the first convolution too (TCAE).

    Attributes:
        stages: `layer1` ... in order.
        feature_dim: 256.
        input_mean, input_std: pictures are taken as they are, in [0, 1].
    """

    input_mean = (0.0, 0.0, 0.0)
    input_std = (1.0, 1.0, 1.0)

    def __init__(self, layers: int, *, first_norm: bool) -> None:
        super().__init__()
        self.stages = tuple(f"layer{number}" for number in range(1, layers + 1))
        before = 3
        for number, stage in enumerate(self.stages):
            width, last = WIDTHS[min(number, len(WIDTHS) - 1)], number == layers - 1
            norm = not last and (first_norm or number > 0)
            parts: list[nn.Module] = [nn.Conv2d(before, width, 4, stride=2, padding=1, bias=not norm)]
            parts += [nn.BatchNorm2d(width)] if norm else []
            parts += [] if last else [nn.LeakyReLU(SLOPE, inplace=True)]
            setattr(self, stage, nn.Sequential(*parts))
            before = width
        self.channels = self.feature_dim = before
        self.smallest_px = 2**layers

    def feature_map(self, x: Tensor, stage: str | None = None) -> Tensor:
        """The map after a stage, None for the last: (B, 3, H, W) in [0, 1] -> (B, C, h, w).

        Raises:
            ValueError: when there is no such stage, or the pictures are too small for it.
        """
        return self.between(x, None, self.known_stage(stage))

    def between(self, x: Tensor, after: str | None, stage: str | None = None) -> Tensor:
        """Goes on from the map after one stage (None: from pictures) to that after a later one (None: the last).

        Raises:
            ValueError: when the pictures are too small.
        """
        start = self.stages.index(after) + 1 if after else 0
        stop = self.stages.index(stage) + 1 if stage else len(self.stages)
        if min(x.shape[-2:]) >> (stop - start) == 0:
            least = 2 ** len(self.stages)
            raise ValueError(f"pictures of {x.shape[-1]} px are too small for this encoder; it needs {least}")
        for name in self.stages[start:stop]:
            x = getattr(self, name)(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> (B, 256); a larger picture's cells are averaged."""
        return cells(self.feature_map(x))


def cells(maps: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, C): the one cell, or the mean of several."""
    return torch.flatten(nn.functional.adaptive_avg_pool2d(maps, 1), 1)


def is_strided(name: str) -> bool:
    """Whether `build_strided` knows a name."""
    return _NAME.fullmatch(name) is not None


def build_strided(name: str, last_stage: str | None = None) -> Strided:
    """The network of a name: `strided8` is FAb-Net's for 256 px, `strided8_bn` one branch of TCAE's, `strided6` for 64.

    Raises:
        ValueError: for another name.
        UsageError: when it shall end early, which it cannot.
    """
    found = _NAME.fullmatch(name)
    if found is None:
        raise ValueError(f"there is no backbone {name!r}; strided4 to strided9, with _bn or without, are there")
    if last_stage is not None:
        raise UsageError(f"backbone {name} cannot end after a stage; it goes down to one cell.")
    return Strided(int(found[1]), first_norm=found[2] is not None)
