"""The contract between methods and the training loop.

A method holds its networks and says what to sample, how to augment, what to minimise and what moves after a step. It
knows no optimiser, device or logger, and never loads files.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from duchenne.data.frame_labels import LabelSpec
from duchenne.data.loaders import ClipSampler
from duchenne.data.prepared import Prepared
from duchenne.modules.encoder import Encoder
from duchenne.types import ClipBatch, StepOutput


class Method(nn.Module, ABC):
    """Base class of every method.

    Class attributes:
        Config: the method's dataclass; the paper's values are its defaults.
        TRAINING_DEFAULTS: fields of `TrainingConfig` whose defaults the method changes; taken from `Config`.
        CITATION: of the paper, for `methods.txt`.

    Attributes:
        config: of this instance; every method's has `bn_splits`.
        encoder: what is kept after training.
    """

    Config: ClassVar[type]
    TRAINING_DEFAULTS: ClassVar[Mapping[str, Any]] = {}
    CITATION: ClassVar[str]
    config: Any
    encoder: Encoder

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if hasattr(cls, "Config"):
            cls.TRAINING_DEFAULTS = cls.Config.TRAINING_DEFAULTS  # type: ignore[attr-defined]

    @classmethod
    @abstractmethod
    def sampler(cls, config: Any) -> ClipSampler:
        """Which frames of a clip a batch holds."""

    @classmethod
    def labels(cls, config: Any) -> LabelSpec:
        """Which labels a batch holds beside the frames; none unless a method says so."""
        return LabelSpec()

    @classmethod
    def complete(cls, config: Any, data: Prepared, rows: NDArray[np.int64]) -> Any:
        """The configuration with what it leaves to the data filled in, e.g. which action units are coded.

        Args:
            config: as given; fields that are set are kept.
            data: trained on.
            rows: those that may be used.

        Raises:
            InputError: when the data lacks what the method needs.
        """
        return config

    @abstractmethod
    def augment(self, batch: ClipBatch) -> ClipBatch:
        """Turns the uint8 frames of a batch into the float views that `training_step` takes.

        All randomness of a step is drawn here, from torch's global generator, which the loop seeds by step.
        """

    @abstractmethod
    def training_step(self, batch: ClipBatch) -> StepOutput:
        """The loss of an augmented batch; equal batches give equal losses."""

    def validation_score(self, batch: ClipBatch) -> Tensor | None:
        """How good the encoder is on clips held out, (); higher is better. None where the method has no such score.

        Called in evaluation mode with the uint8 frames of a batch, not augmented.
        """
        return None

    def after_step(self) -> None:
        """Called after the optimiser: the only place where momentum weights and queues move."""

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Parameter groups for the optimiser; every trainable parameter once."""
        return [{"params": [parameter for parameter in self.parameters() if parameter.requires_grad]}]

    def smallest_batch(self) -> int:
        """The smallest number of clips per process that the method can train on."""
        splits: int = self.config.bn_splits
        return 2 * splits if splits > 1 else 1
