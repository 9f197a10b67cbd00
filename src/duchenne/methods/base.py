"""The contract between methods and the training loop.

A method holds its networks and says what to sample, how to augment, what to minimise and what moves after a step. It
knows no optimiser, device or logger, and never loads files.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from duchenne.data.labels import LabelSpec
from duchenne.data.loaders import ClipSampler
from duchenne.data.prepared import Prepared
from duchenne.errors import UsageError
from duchenne.modules.encoder import Encoder
from duchenne.types import ClipBatch, StepOutput


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A part of a training, with parameters and an optimiser of its own.

    Attributes:
        name: for the log.
        epochs: passes over the usable clips; None: as many as the job says.
        max_steps: steps; None: as the job says, where `epochs` is None too.
        lr: learning rate; None: the job's.
        beside: what `parameter_groups` trains in another way, in words for `methods.txt`.
    """

    name: str
    epochs: int | None = None
    max_steps: int | None = None
    lr: float | None = None
    beside: str = ""


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """What a method may know of the job that trains it.

    Attributes:
        batch_size: clips per step, over all processes.
        size_px: side of the pictures.
        processes: that share a batch.
        holds_out: whether clips are held out for validation.
    """

    batch_size: int
    size_px: int
    processes: int = 1
    holds_out: bool = False


class Method(nn.Module, ABC):
    """Base class of every method.

    Class attributes:
        Config: the method's dataclass; the paper's values are its defaults.
        TRAINING_DEFAULTS: fields of `TrainingConfig` whose defaults the method changes; `Config`'s, if it has any.
        CITATION: of the paper, for `methods.txt`.

    Attributes:
        config: of this instance; every method's has `bn_splits`.
        encoder: what is kept after training.
        head: where there is a module of this name: what the loss sees of the features; its spread is logged.
    """

    Config: ClassVar[type]
    TRAINING_DEFAULTS: ClassVar[Mapping[str, Any]] = {}
    CITATION: ClassVar[str]
    config: Any
    encoder: Encoder

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        self._kept: Mapping[str, Tensor] | None = None

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        stated = getattr(getattr(cls, "Config", None), "TRAINING_DEFAULTS", None)
        if stated is not None:
            cls.TRAINING_DEFAULTS = stated

    @classmethod
    @abstractmethod
    def sampler(cls, config: Any) -> ClipSampler:
        """Which frames of a clip a batch holds."""

    @classmethod
    def labels(cls, config: Any) -> LabelSpec:
        """Which labels a batch holds beside the frames; none unless a method says so."""
        return LabelSpec()

    @classmethod
    def complete(cls, config: Any, data: Prepared, rows: NDArray[np.int64], run: RunFacts) -> Any:
        """The configuration with what it leaves to data and job filled in, e.g. which action units are coded.

        Args:
            config: as given; fields that are set are kept.
            data: trained on.
            rows: those that may be used.
            run: the job.

        Raises:
            UsageError: when the job does not suit the configuration.
            InputError: when the data lacks what the method needs.
        """
        return config

    @classmethod
    def notes(cls, config: Any, data: Prepared, rows: NDArray[np.int64]) -> list[str]:
        """What a user should know of how the configuration suits the data, one sentence each; see `complete`."""
        return []

    @abstractmethod
    def augment(self, batch: ClipBatch) -> ClipBatch:
        """Turns the uint8 frames of a batch into the float views that `training_step` takes.

        All randomness of a step is drawn here, from torch's global generator, which the loop seeds by step.
        """

    @abstractmethod
    def training_step(self, batch: ClipBatch) -> StepOutput:
        """The loss of an augmented batch; equal batches give equal losses.

        A method whose `after_step` needs something of the step, such as keys, gives it as `StepOutput.kept` and ends
        with `return self.remember(output)`.
        """

    def remember(self, output: StepOutput) -> StepOutput:
        """Holds what the output of a step keeps until `after_step`, and returns the output."""
        self._kept = output.kept
        return output

    def kept(self) -> Mapping[str, Tensor]:
        """`StepOutput.kept` of the step just made, once.

        Raises:
            RuntimeError: when no step was made since the last call.
        """
        if self._kept is None:
            raise RuntimeError("after_step() follows a training_step(); there was none since the last one.")
        kept, self._kept = self._kept, None
        return kept

    def stages(self) -> tuple[Stage, ...]:
        """The stages of the training, in order; one unless a method's paper says otherwise."""
        return (Stage(name="training"),)

    def start_stage(self, number: int) -> None:
        """Called before the first step of each stage, and before the state is taken up that a resumed one had.

        Here a method sets which of its parameters are trained, and what a stage takes over from the one before.
        """

    def validation_score(self, batch: ClipBatch) -> Tensor | None:
        """How good the encoder is on held-out clips, (); higher is better. None where the method has no such score.

        Called in evaluation mode with the uint8 frames of a batch, not augmented.
        """
        return None

    def validation_counts(self, batch: ClipBatch) -> Tensor | None:
        """What is added up over the batches and processes of a validation, (K,) float64; by default score and clips.

        A method whose score is no mean over clips, such as F1, returns its counts; called as `validation_score`.
        """
        score = self.validation_score(batch)
        if score is None:
            return None
        score = score.cpu().double()  # MPS has no float64
        clips = torch.full_like(score, len(batch.images))
        return torch.stack([score * clips, clips])

    @classmethod
    def validates(cls) -> bool:
        """Whether the method has a validation score."""
        own = (cls.validation_score, cls.validation_counts)
        return own != (Method.validation_score, Method.validation_counts)

    def validation_of(self, counts: Tensor) -> float:
        """The score of a whole validation from the sum (K,) of its counts."""
        return float(counts[0] / counts[1])

    def after_validation(self, score: float) -> None:
        """Called with the score of every validation, in all processes alike, e.g. for a curriculum."""

    def other_encoders(self) -> Mapping[str, Encoder]:
        """Encoders that are kept beside `encoder`, by name: a run saves them as `encoder_NAME`; none by default."""
        return {}

    def after_step(self) -> None:
        """Called after the optimiser's step: the only place where momentum weights and queues move."""

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Parameter groups for the optimiser of the stage; every trainable parameter once.

        A group may say `lr` and `optimiser` (sgd, adam or adamw) where they differ from the stage's and the job's, and
        `scheduled: False` where its learning rate stays as it is.
        """
        return [{"params": [parameter for parameter in self.parameters() if parameter.requires_grad]}]

    def smallest_batch(self) -> int:
        """The smallest number of clips per process that the method can train on."""
        splits: int = self.config.bn_splits
        return 2 * splits if splits > 1 else 1


def checked(method: Any) -> Method:
    """A method just built, as it was given.

    Raises:
        UsageError: when it is none, or what it holds as `encoder` cannot be saved and opened again.
    """
    name, encoder = type(method).__name__, getattr(method, "encoder", None)
    if not isinstance(method, Method):
        raise UsageError(f"{name}: is no method; derive it from duchenne.Method.")
    if not isinstance(encoder, Encoder):
        raise UsageError(
            f"{name}: its `encoder` is a {type(encoder).__name__}, not an Encoder of duchenne.modules.encoder; name a "
            'network of your own in one, EncoderSpec(backbone="package.module:builder").'
        )
    return method
