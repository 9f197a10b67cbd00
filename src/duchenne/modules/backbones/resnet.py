"""ResNet-18, 34, 50 and 152 with torchvision's state-dict keys, so that its published weight files load.

He, Zhang, Ren & Sun, Deep Residual Learning for Image Recognition, CVPR 2016. Written here because torchvision does
not import beside CPU builds of torch. As in torchvision, the stride of a bottleneck sits in its 3x3 convolution.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from duchenne.modules.backbones.base import Backbone

STAGES: Final = ("layer1", "layer2", "layer3", "layer4")
"""Names of the four stages; their maps are 1/4, 1/8, 1/16 and 1/32 of the input's side."""


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (ResNet-18 and 34)."""

    expansion = 1

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv(channels_in, channels, 3, stride)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = _conv(channels, channels, 3)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(channels_in, channels * self.expansion, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) -> (B, C, H/stride, W/stride)."""
        y: Tensor = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        y = y + (x if self.downsample is None else self.downsample(x))
        return nn.functional.relu(y, inplace=True)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions and a shortcut (ResNet-50 and 152)."""

    expansion = 4

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv(channels_in, channels, 1)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = _conv(channels, channels, 3, stride)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = _conv(channels, channels * self.expansion, 1)
        self.bn3 = nn.BatchNorm2d(channels * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(channels_in, channels * self.expansion, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) -> (B, 4C, H/stride, W/stride)."""
        y: Tensor = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        y = y + (x if self.downsample is None else self.downsample(x))
        return nn.functional.relu(y, inplace=True)


class ResNet(Backbone):
    """A ResNet without its classifier.

    Args:
        block: `BasicBlock` or `Bottleneck`.
        depths: blocks per stage.
        last_stage: one of `STAGES`; later ones are not built.

    Attributes:
        channels, feature_dim: 512 or 2048 at layer4, whose map is averaged.
    """

    def __init__(
        self, block: type[BasicBlock | Bottleneck], depths: tuple[int, int, int, int], last_stage: str = STAGES[-1]
    ) -> None:
        super().__init__()
        self.stages = STAGES[: STAGES.index(last_stage) + 1]
        self.conv1 = nn.Conv2d(3, 64, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        channels_in = 64
        for number, (stage, depth) in enumerate(zip(self.stages, depths)):
            channels = 64 * 2**number
            blocks = [block(channels_in, channels, stride=1 if number == 0 else 2)]
            channels_in = channels * block.expansion
            blocks += [block(channels_in, channels, stride=1) for _ in range(depth - 1)]
            setattr(self, stage, nn.Sequential(*blocks))
        self.channels = self.feature_dim = channels_in
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def feature_map(self, x: Tensor, stage: str | None = None) -> Tensor:
        """The map after a stage.

        Args:
            x: (B, 3, H, W), normalised.
            stage: one of `stages`; None for the last.

        Returns:
            (B, C, h, w); for ResNet-18 at layer4 (B, 512, H/32, W/32).

        Raises:
            ValueError: when there is no such stage.
        """
        stage = self.known_stage(stage)
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for name in self.stages[: self.stages.index(stage) + 1]:
            x = getattr(self, name)(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W), normalised -> (B, feature_dim): the last map averaged over space."""
        return torch.flatten(nn.functional.adaptive_avg_pool2d(self.feature_map(x), 1), 1)


_ARCHITECTURES: Final[dict[str, tuple[type[BasicBlock | Bottleneck], tuple[int, int, int, int]]]] = {
    "resnet18": (BasicBlock, (2, 2, 2, 2)),
    "resnet34": (BasicBlock, (3, 4, 6, 3)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
    "resnet152": (Bottleneck, (3, 8, 36, 3)),
}


def build_resnet(name: str, last_stage: str = STAGES[-1]) -> ResNet:
    """A ResNet with random weights, by its name (`resnet18`), up to one of `STAGES`."""
    return ResNet(*_ARCHITECTURES[name], last_stage)


def _conv(channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, kernel, stride=stride, padding=kernel // 2, bias=False)


def _shortcut(channels_in: int, channels_out: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and channels_in == channels_out:
        return None
    return nn.Sequential(_conv(channels_in, channels_out, 1, stride), nn.BatchNorm2d(channels_out))
