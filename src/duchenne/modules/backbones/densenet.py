"""DenseNet-121 with torchvision's state-dict keys, so that its published weight file loads.

Huang, Liu, van der Maaten & Weinberger, Densely Connected Convolutional Networks, CVPR 2017. Written here because
torchvision does not import beside CPU builds of torch.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import torch
from torch import Tensor, nn

from duchenne.modules.backbones.base import Backbone

STAGES: Final = ("layer1", "layer2", "layer3", "layer4")
"""Names of the four dense blocks, as in a ResNet; their maps are 1/4, 1/8, 1/16 and 1/32 of the input's side."""
DEPTHS: Final = (6, 12, 24, 16)
"""Layers per block."""
GROWTH: Final = 32
"""Channels that a layer adds."""
BOTTLENECK: Final = 4
"""Channels between the two convolutions of a layer, in multiples of `GROWTH`."""


class DenseLayer(nn.Module):
    """BatchNorm, ReLU and convolution twice, 1x1 and 3x3; the input's channels go on beside what it makes of them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        between = BOTTLENECK * GROWTH
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, between, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(between)
        self.conv2 = nn.Conv2d(between, GROWTH, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C + 32, H, W)."""
        y = self.conv1(nn.functional.relu(self.norm1(x)))
        return torch.cat([x, self.conv2(nn.functional.relu(self.norm2(y)))], dim=1)


class DenseNet121(Backbone):
    """DenseNet-121 without its classifier.

    Args:
        last_stage: one of `STAGES`; later blocks are not built. None for the whole network.

    Attributes:
        stages: names of the blocks that there are.
        channels, feature_dim: of the last map, which is averaged: 1,024 after layer4.
        smallest_px: side of the smallest picture it takes.
        later: beginnings of the keys of blocks that are not built.
    """

    def __init__(self, last_stage: str | None = None) -> None:
        super().__init__()
        self.smallest_px = 32
        self.stages = STAGES[: STAGES.index(last_stage or STAGES[-1]) + 1]
        parts: OrderedDict[str, nn.Module] = OrderedDict(
            conv0=nn.Conv2d(3, 2 * GROWTH, 7, stride=2, padding=3, bias=False),
            norm0=nn.BatchNorm2d(2 * GROWTH),
            relu0=nn.ReLU(inplace=True),
            pool0=nn.MaxPool2d(3, stride=2, padding=1),
        )
        channels = 2 * GROWTH
        for number in range(1, len(self.stages) + 1):
            if number > 1:
                parts[f"transition{number - 1}"] = _transition(channels)
                channels //= 2
            layers = [(f"denselayer{k + 1}", DenseLayer(channels + k * GROWTH)) for k in range(DEPTHS[number - 1])]
            parts[f"denseblock{number}"] = nn.Sequential(OrderedDict(layers))
            channels += DEPTHS[number - 1] * GROWTH
        if len(self.stages) == len(STAGES):
            parts["norm5"] = nn.BatchNorm2d(channels)
        self.features = nn.Sequential(parts)
        self.channels = self.feature_dim = channels
        built = len(self.stages)
        self.later = tuple(
            f"features.{part}."
            for number in range(built, len(STAGES))
            for part in (f"transition{number}", f"denseblock{number + 1}")
        ) + (("features.norm5.",) if built < len(STAGES) else ())
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def feature_map(self, x: Tensor, stage: str | None = None) -> Tensor:
        """The map after a block; that after the last one is normalised and passes a ReLU.

        Args:
            x: (B, 3, H, W), normalised.
            stage: one of `stages`; None for the last.

        Returns:
            (B, C, h, w): 256, 512, 1,024 and 1,024 channels.

        Raises:
            ValueError: when there is no such stage.
        """
        stage = self.known_stage(stage)
        end = f"denseblock{self.stages.index(stage) + 1}"
        for name, part in self.features.named_children():
            x = part(x)
            if name == end and stage != STAGES[-1]:
                return x
        return nn.functional.relu(x)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W), normalised -> (B, feature_dim): the last map averaged over space."""
        return torch.flatten(nn.functional.adaptive_avg_pool2d(self.feature_map(x), 1), 1)


def _transition(channels: int) -> nn.Sequential:
    """Halves channels and side between two blocks."""
    return nn.Sequential(
        OrderedDict(
            norm=nn.BatchNorm2d(channels),
            relu=nn.ReLU(inplace=True),
            conv=nn.Conv2d(channels, channels // 2, 1, bias=False),
            pool=nn.AvgPool2d(2, stride=2),
        )
    )
