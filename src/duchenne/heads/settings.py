"""How heads are trained: settings with their defaults, which command lines inherit. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

from duchenne.config import Number, Range, Rate, Share
from duchenne.errors import UsageError
from duchenne.keywords import check_numbers, post_init_of
from duchenne.losses.weightings import Weighting

Tune = Literal["head", "bn", "all"]
L2_CANDIDATES: Final = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)


@dataclass(frozen=True, kw_only=True)
class PenaltySettings:
    """The penalty on the weights of linear units."""

    l2: tuple[Annotated[float, Range(0, 1e9, above=True)], ...] = L2_CANDIDATES
    """Penalty strengths; where there are several, one is chosen per fold on held-out training subjects."""

    def __post_init__(self) -> None:
        """Checks the strengths.

        Raises:
            UsageError: when there is none, or one is not above 0.
        """
        if not self.l2:
            raise UsageError("--l2: needs at least one strength.")
        check_numbers(self)
        post_init_of(super())


@dataclass(frozen=True, kw_only=True)
class LinearSettings(PenaltySettings):
    """How the linear units are fitted.

    Attributes:
        l2: strengths of the penalty on the weights of standardised features, relative to a mean loss with mean weight
            1; of several, one per fold is chosen by the mean AUC over AUs on held-out training subjects.
        weighting: of the two classes. `balanced`: 1/(2p) for positives, 1/(2(1-p)) for negatives, p the share of
            positives among the training rows with a known label; `inverse_frequency`: one weight per AU, proportional
            to 1/p, mean 1 over AUs; `none`.
        held_out: share of the training subjects that choose the L2 strength.
        tolerance: of the final fits, see `logistic.fit_heads`; the candidates' is ten times as wide.
    """

    weighting: Weighting = "balanced"
    held_out: Annotated[float, Range(0, 0.9, above=True)] = 0.2
    tolerance: Annotated[float, Range(0, 1, above=True)] = 1e-6


@dataclass(frozen=True, kw_only=True)
class TuneSettings:
    """How an encoder is trained further.

    Attributes:
        held_out: share of the training subjects that are held out where `patience` is not 0.
    """

    tune: Tune = "all"
    """Which part of the encoder is trained: none (head: only the linear units), its BatchNorm layers, or all."""
    epochs: Annotated[int, Range(1, 1_000_000)] = 10
    """Passes over the training faces."""
    batch_size: Annotated[int, Range(2, 65_536)] = 64
    """Faces per step."""
    lr: Rate = 1e-4
    """Learning rate of the encoder (AdamW)."""
    head_lr: Rate = 1e-3
    """Learning rate of the linear units."""
    layer_decay: Annotated[float, Range(0, 1, above=True)] = 1.0
    """Factor of the learning rate from each part of the encoder to the one before it."""
    patience: Number = 0
    """Stop after this many epochs without a better AUC on held-out training subjects, and keep the best; 0: train on
    all subjects for all epochs."""
    held_out: Share = field(default=0.2, init=False)
    curve: bool = False
    """Score the tested faces after every epoch too, for a figure; nothing is chosen by these scores."""

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
            UsageError: when a value is out of range.
        """
        check_numbers(self)
        post_init_of(super())
