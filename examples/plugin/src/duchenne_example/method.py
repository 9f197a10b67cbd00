"""A method: the features of a frame foretell those of the next frame of its clip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from torch import nn
from torch.nn import functional

from duchenne import Method
from duchenne.data.clip_samplers import SequenceSampler
from duchenne.modules.encoder import Encoder, EncoderSpec
from duchenne.types import ClipBatch, StepOutput


@dataclass(frozen=True, kw_only=True)
class NextFrameConfig:
    """Foretells the features of the next frame."""

    TRAINING_DEFAULTS: ClassVar[Mapping[str, Any]] = {"optimiser": "adam", "lr": 1e-3, "batch_size": 8}
    backbone: str = "tiny"
    """Network that is kept."""
    hidden: int = 16
    """Width of the predictor's hidden layer."""
    bn_splits: int = 1
    """Parts of a batch with BatchNorm statistics of their own; every method has this field."""


class NextFrame(Method):
    """SimSiam's loss (Chen & He, CVPR 2021) between a frame's foretold and its successor's features."""

    Config = NextFrameConfig
    CITATION = "An example, without a paper."

    def __init__(self, config: NextFrameConfig) -> None:
        super().__init__(config)
        self.encoder = Encoder(EncoderSpec(backbone=config.backbone))
        width = self.encoder.feature_dim
        self.predictor = nn.Sequential(nn.Linear(width, config.hidden), nn.ReLU(), nn.Linear(config.hidden, width))

    @classmethod
    def sampler(cls, config: NextFrameConfig) -> SequenceSampler:
        """Two frames of a clip, one after the other."""
        return SequenceSampler([0, 1], None, None)

    def augment(self, batch: ClipBatch) -> ClipBatch:
        """uint8 -> float in [0, 1]."""
        return replace(batch, images=batch.images.float() / 255)

    def training_step(self, batch: ClipBatch) -> StepOutput:
        """Minus the mean cosine between what is foretold and what comes, through which no gradient flows."""
        first, second = (self.encoder(batch.images[:, place]) for place in (0, 1))
        cosine = functional.cosine_similarity(self.predictor(first), second.detach(), dim=1).mean()
        return StepOutput(-cosine, {"cosine": cosine.detach()})
