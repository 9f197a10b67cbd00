"""Methods as a user writes them, outside of the package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from duchenne.data.clip_samplers import SequenceSampler
from duchenne.methods.base import Method
from duchenne.methods.supervised.config import SupervisedConfig
from duchenne.methods.supervised.method import Supervised
from duchenne.modules.encoder import Encoder, EncoderSpec
from duchenne.types import ClipBatch, StepOutput


@dataclass(frozen=True, kw_only=True)
class BrightnessConfig:
    """Of `Brightness`."""

    TRAINING_DEFAULTS: ClassVar[Mapping[str, Any]] = {"batch_size": 4}
    target: float = 0.5
    """What the embedding's mean is drawn to."""
    bn_splits: int = 1
    """Groups of a batch with BatchNorm statistics of their own."""


class Brightness(Method):
    """Draws the mean of the embedding to a number."""

    Config = BrightnessConfig
    CITATION = "A paper of one's own."

    def __init__(self, config: BrightnessConfig) -> None:
        super().__init__(config)
        self.encoder = Encoder(EncoderSpec(backbone="resnet18", embedding_dim=4))

    @classmethod
    def sampler(cls, config: BrightnessConfig) -> SequenceSampler:
        return SequenceSampler([0], None, None)

    def smallest_batch(self) -> int:
        return 2 * self.config.bn_splits  # one face of 32 px cannot be normalised

    def augment(self, batch: ClipBatch) -> ClipBatch:
        return replace(batch, images=batch.images.float() / 255)

    def training_step(self, batch: ClipBatch) -> StepOutput:
        loss = (self.encoder(batch.images[:, 0]).mean() - self.config.target) ** 2
        return StepOutput(loss, {})


@dataclass(frozen=True, kw_only=True)
class OwnSupervisedConfig(SupervisedConfig):
    """The supervised baseline for one step."""

    TRAINING_DEFAULTS: ClassVar[Mapping[str, Any]] = {
        **SupervisedConfig.TRAINING_DEFAULTS, "max_steps": 1, "batch_size": 4, "size_px": 32,
        "validation_share": 0.0, "schedule": "constant",
    }  # fmt: skip


class OwnSupervised(Supervised):
    """A method derived from one of the package."""

    Config = OwnSupervisedConfig
