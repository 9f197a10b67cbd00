"""A backbone: a function without arguments that returns a torch module, (B, 3, H, W) RGB in [0, 1] -> (B, D)."""

from itertools import pairwise

from torch import Tensor, nn


class Tiny(nn.Module):
    """Three convolutions, 32 features."""

    def __init__(self) -> None:
        super().__init__()
        widths = pairwise((3, 8, 16, 32))
        layers = (nn.Sequential(nn.Conv2d(a, b, 3, stride=2, padding=1), nn.GELU()) for a, b in widths)
        self.layers = nn.Sequential(*layers)

    def feature_map(self, x: Tensor, stage: str | None = None) -> Tensor:
        """(B, 3, H, W) -> (B, 32, H/8, W/8); only heat maps and token encoders need this."""
        return self.layers(x)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) RGB in [0, 1] -> (B, 32)."""
        return self.feature_map(x).mean((2, 3))


def build() -> nn.Module:
    """What the entry point names."""
    return Tiny()
