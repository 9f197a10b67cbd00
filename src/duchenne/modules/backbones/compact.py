"""A small network for small pictures and small machines that keeps where things are.

A face is the same everywhere but for its action units, so what an average over the last map throws away, the place, is
what tells them apart. Here that map is flattened, not averaged. The network is our own; no paper describes it.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from duchenne.modules.backbones.base import Backbone

STAGES: Final = ("layer1", "layer2", "layer3")
"""Names of the stages; their maps are 1/4, 1/8 and 1/16 of the input's side, as those of a ResNet's first three."""
CELLS: Final = 4
"""Rows and columns in which the last map is read; a larger map is averaged to them."""
SMALLEST_PX: Final = 64
"""Side of the smallest picture: its last map has `CELLS` rows and columns."""
_STEM: Final = 24
_WIDTHS: Final = (48, 96, 128)
_FEATURES: Final = 128


class Compact(Backbone):
    """A 5x5 convolution with stride 2, then stages of two 3x3 convolutions with BatchNorm and a 2x2 maximum.

    The last map, as 4 x 4 cells, is flattened into 128 features with BatchNorm: 0.68 million parameters. It takes
    pictures of any side from 64 px; 64 px is the side that it was made for.

    Args:
        last_stage: one of `STAGES`, whose map is what is trained: it is then flattened without a layer after it, and
            later stages are not built. None for the whole network.

    Attributes:
        feature_dim: 128, or 16 cells x channels after a named stage.
        later: beginnings of the keys of what comes after a named stage and is not built.
    """

    def __init__(self, last_stage: str | None = None) -> None:
        super().__init__()
        self.stages = STAGES[: STAGES.index(last_stage or STAGES[-1]) + 1]
        self.conv1, self.relu = nn.Conv2d(3, _STEM, kernel_size=5, stride=2, padding=2), nn.ReLU(inplace=True)
        channels = _STEM
        for stage, width in zip(self.stages, _WIDTHS):
            setattr(self, stage, nn.Sequential(*_twice(channels, width), nn.MaxPool2d(2)))
            channels = width
        self.channels, self.smallest_px = channels, SMALLEST_PX
        self.readout: nn.Module | None = None
        self.feature_dim = channels * CELLS**2
        if last_stage is None:
            layer = nn.Linear(self.feature_dim, _FEATURES, bias=False)
            self.readout, self.feature_dim = nn.Sequential(layer, nn.BatchNorm1d(_FEATURES)), _FEATURES
        self.later = () if last_stage is None else ("readout.", *(f"{name}." for name in STAGES[len(self.stages) :]))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def feature_map(self, x: Tensor, stage: str | None = None) -> Tensor:
        """The map after a stage.

        Args:
            x: (B, 3, H, W), normalised.
            stage: one of `stages`; None for the last.

        Returns:
            (B, C, h, w); after the last stage (B, 128, H/16, W/16).

        Raises:
            ValueError: when there is no such stage, or the picture is smaller than 64 px.
        """
        stage = self.known_stage(stage)
        if min(x.shape[-2:]) < SMALLEST_PX:
            raise ValueError(f"compact takes pictures from {SMALLEST_PX} px, not {min(x.shape[-2:])} px")
        x = self.relu(self.conv1(x))
        for name in self.stages[: self.stages.index(stage) + 1]:
            x = getattr(self, name)(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W), normalised -> (B, feature_dim): the last map in 4 x 4 cells, flattened."""
        flat = torch.flatten(to_cells(self.feature_map(x)), 1)
        return flat if self.readout is None else torch.as_tensor(self.readout(flat))


def to_cells(maps: Tensor, cells: int = CELLS) -> Tensor:
    """Averages maps over equal areas, (B, C, h, w) -> (B, C, cells, cells); cells may share a row or column by parts.

    Two products with fixed weights, which every exporter and device can do for any size; where h = w = cells the map is
    returned as it is.
    """
    for dimension in (-2, -1):
        side = maps.shape[dimension]
        if side != cells:
            weights = _area_weights(side, cells).to(maps)
            maps = weights @ maps if dimension == -2 else maps @ weights.T
    return maps


def _area_weights(side: int, cells: int) -> Tensor:
    """(cells, side) the share of each row that lies in each cell; rows sum to 1."""
    width = side / cells
    edges = torch.arange(cells + 1, dtype=torch.float64) * width
    places = torch.arange(side, dtype=torch.float64)
    inside = torch.minimum(edges[1:, None], places + 1) - torch.maximum(edges[:-1, None], places)
    return (inside.clamp_min(0) / width).float()


def _twice(channels_in: int, channels: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for width in (channels_in, channels):
        layers.append(nn.Conv2d(width, channels, kernel_size=3, padding=1, bias=False))
        layers += [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
    return layers
