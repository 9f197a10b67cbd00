"""The encoder that every method trains and every protocol reads: pixels in, one feature vector per face out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from duchenne.config import Range, Share, Width
from duchenne.errors import UsageError
from duchenne.modules.backbones.build import build_backbone
from duchenne.modules.token_encoder import TokenEncoder, TokenSpec


@dataclass(frozen=True, kw_only=True)
class EncoderSpec:
    """Everything that is needed to build an encoder again; stored in `encoder.json`.

    Attributes:
        backbone: name of the network, see `duchenne.modules.backbones.build`.
        embedding_dim: width of a linear layer after the backbone; None for the backbone's features themselves.
        unit_rows: whether the output rows are scaled to length 1.
        backbone_config: of a backbone `transformers:FOLDER`, so that the folder is not needed again; filled in.
        last_stage: of the backbone, whose map is pooled; later ones are not there. None for the whole backbone.
        view: share of the face's side that the network sees, in its centre; under 1 where it was trained on random
            crops of that size, so that a face is as large in use as in training.
        token_layers: of a transformer over the cells of the last map, in place of its pooling; 0: there is none.
        token_heads, token_hidden, token_dropout, token_side, token_pooling: see `duchenne.modules.token_encoder`.
    """

    backbone: str = "resnet18"
    embedding_dim: Width | None = None
    unit_rows: bool = False
    backbone_config: str | None = None
    last_stage: str | None = None
    view: Annotated[float, Range(0.01, 1)] = 1.0
    token_layers: Annotated[int, Range(0, 64)] = 0
    token_heads: Annotated[int, Range(1, 1024)] = 8
    token_hidden: Width = 2048
    token_dropout: Share = 0.0
    token_side: Annotated[int, Range(1, 256)] = 7
    token_pooling: Literal["mean", "token"] = "mean"

    def tokens(self) -> TokenSpec | None:
        """How to build the transformer over the last map; None where the map is averaged instead."""
        if not self.token_layers:
            return None
        return TokenSpec(
            layers=self.token_layers,
            heads=self.token_heads,
            hidden=self.token_hidden,
            dropout=self.token_dropout,
            side=self.token_side,
            pooling=self.token_pooling,
        )


class Encoder(nn.Module):
    """A backbone with its pooling or a transformer, and optionally a linear layer and scaling to unit length.

    `encoder(x)` takes (B, 3, H, W) RGB in [0, 1] and gives (B, feature_dim). The input's mean and standard deviation
    (ImageNet's, or the backbone's own) are buffers, so that exported encoders carry them.

    Args:
        spec: what to build.

    Raises:
        UsageError: when there is no such backbone, it has no such stage, or its channels are not shared out evenly
            among the heads of the transformer.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, spec: EncoderSpec) -> None:
        super().__init__()
        self.backbone = build_backbone(spec.backbone, spec.last_stage, spec.backbone_config)
        config = getattr(self.backbone, "config", None)
        self.spec = replace(spec, backbone_config=config) if isinstance(config, str) else spec
        tokens = spec.tokens()
        if tokens and self.backbone.channels % tokens.heads:
            raise UsageError(
                f"--heads {tokens.heads}: does not divide the {self.backbone.channels} channels of the last map of "
                f"{spec.backbone}; choose another number."
            )
        self.tokens = TokenEncoder(self.backbone.channels, tokens) if tokens else None
        width = self.backbone.channels if tokens else self.backbone.feature_dim
        self.embedding = nn.Linear(width, spec.embedding_dim) if spec.embedding_dim else None
        self.feature_dim = spec.embedding_dim or width
        self.register_buffer("mean", torch.tensor(self.backbone.input_mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(self.backbone.input_std).view(1, 3, 1, 1))

    def normalise(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> the same with the input's mean and standard deviation taken out."""
        return (x - self.mean) / self.std

    def look(self, x: Tensor) -> Tensor:
        """What the network sees of whole faces: their centre, enlarged to the same size; see `EncoderSpec.view`."""
        if self.spec.view >= 1:
            return x
        height, width = int(x.shape[-2]), int(x.shape[-1])
        (top, rows), (left, columns) = self._centre(height), self._centre(width)
        centre = x[..., top : top + rows, left : left + columns]
        return functional.interpolate(centre, (height, width), mode="bilinear", align_corners=False)

    def look_boxes(self, boxes: Tensor, side: int) -> Tensor:
        """Where boxes of whole faces lie in what `look` shows of them: (..., 4) in pixels of `side` -> the same."""
        start, kept = self._centre(side)
        return (boxes - start) * (side / kept)

    def _centre(self, side: int) -> tuple[int, int]:
        """First pixel and number of pixels that are seen of a side."""
        kept = min(side, max(1, round(self.spec.view * side)))
        return (side - kept) // 2, kept

    def feature_map(self, x: Tensor, stage: str | None = None) -> Tensor:
        """The map after a stage of the backbone, None for the last, of pictures as they are (not of their centre):
        (B, 3, H, W) in [0, 1] -> (B, C, h, w)."""
        return self.backbone.feature_map(self.normalise(x), stage)

    def pooled(self, x: Tensor) -> Tensor:
        """The backbone's features, its pooled last map: (B, 3, H, W) in [0, 1] -> (B, 512) for ResNet-18."""
        return self.average(self.look(x))

    def average(self, x: Tensor) -> Tensor:
        """As `pooled`, of pictures as they are, such as random crops in training."""
        features: Tensor = self.backbone(self.normalise(x))
        return features

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) RGB in [0, 1] -> (B, feature_dim)."""
        return self.embed(self.look(x))

    def embed(self, x: Tensor) -> Tensor:
        """As `forward`, of pictures as they are, such as random crops in training."""
        features: Tensor = self.average(x) if self.tokens is None else self.tokens(self.feature_map(x))
        if self.embedding is not None:
            features = self.embedding(features)
        if self.spec.unit_rows:
            features = functional.normalize(features.float(), dim=1)
        return features
