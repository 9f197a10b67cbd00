"""A transformer encoder over the cells of a backbone's last map: many tokens in, one feature vector out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, kw_only=True)
class TokenSpec:
    """How to build a `TokenEncoder`.

    Attributes:
        layers: of the transformer.
        heads: of the attention; must divide the number of channels.
        hidden: width of the layers' feed-forward part.
        dropout: share, while training.
        side: of the map for which positions are learned, in cells; another map's are interpolated.
        pooling: how the tokens become one vector: their mean, or an own token beside them.
    """

    layers: int
    heads: int
    hidden: int
    dropout: float
    side: int
    pooling: Literal["mean", "token"] = "mean"


class TokenEncoder(nn.Module):
    """Learned positions, transformer layers (Vaswani et al., NeurIPS 2017), and one vector from all tokens.

    Args:
        channels: of the map.
        spec: what to build.
    """

    def __init__(self, channels: int, spec: TokenSpec) -> None:
        super().__init__()
        self.spec = spec
        self.positions = nn.Parameter(0.02 * torch.randn(1, channels, spec.side, spec.side))
        self.token = nn.Parameter(0.02 * torch.randn(1, 1, channels)) if spec.pooling == "token" else None
        layer = nn.TransformerEncoderLayer(channels, spec.heads, spec.hidden, spec.dropout, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, spec.layers, enable_nested_tensor=False)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C)."""
        positions: Tensor = self.positions
        if positions.shape[-2:] != maps.shape[-2:]:
            positions = functional.interpolate(positions, maps.shape[-2:], mode="bilinear", align_corners=False)
        tokens = (maps + positions).flatten(2).transpose(1, 2)
        if self.token is not None:
            tokens = torch.cat([self.token.expand(len(tokens), -1, -1), tokens], dim=1)
        tokens = torch.as_tensor(self.layers(tokens))
        return tokens.mean(1) if self.token is None else tokens[:, 0]
