"""How heads are trained: settings with their defaults, which command lines inherit. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from duchenne.errors import UsageError
from duchenne.keywords import post_init_of
from duchenne.losses.weightings import Weighting

Tune = Literal["head", "bn", "all"]
L2_CANDIDATES: Final = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)


@dataclass(frozen=True, kw_only=True)
class PenaltySettings:
    """The penalty on the weights of linear units."""

    l2: tuple[float, ...] = L2_CANDIDATES
    """Penalty strengths; where there are several, one is chosen per fold on held-out training subjects."""

    def __post_init__(self) -> None:
        """Checks the strengths.

        Raises:
            UsageError: when there is none, or one is not above 0.
        """
        if not self.l2 or min(self.l2) <= 0:
            raise UsageError(f"--l2 {' '.join(map(str, self.l2))}: needs at least one strength, all above 0.")
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
    held_out: float = 0.2
    tolerance: float = 1e-6


@dataclass(frozen=True, kw_only=True)
class TuneSettings:
    """How an encoder is trained further.

    Attributes:
        held_out: share of the training subjects that are held out where `patience` is not 0.
    """

    tune: Tune = "all"
    """Which part of the encoder is trained: none (head: only the linear units), its BatchNorm layers, or all."""
    epochs: int = 10
    """Passes over the training faces."""
    batch_size: int = 64
    """Faces per step."""
    lr: float = 1e-4
    """Learning rate of the encoder (AdamW)."""
    head_lr: float = 1e-3
    """Learning rate of the linear units."""
    layer_decay: float = 1.0
    """Factor of the learning rate from each part of the encoder to the one before it."""
    patience: int = 0
    """Stop after this many epochs without a better AUC on held-out training subjects, and keep the best; 0: train on
    all subjects for all epochs."""
    held_out: float = field(default=0.2, init=False)
    curve: bool = False
    """Score the tested faces after every epoch too, for a figure; nothing is chosen by these scores."""

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
            UsageError: when a value is out of range.
        """
        if self.epochs < 1 or self.batch_size < 2 or self.patience < 0:
            raise UsageError("--epochs must be at least 1, --batch-size at least 2, --patience at least 0.")
        if min(self.lr, self.head_lr) <= 0 or not 0 < self.layer_decay <= 1:
            raise UsageError("--lr and --head-lr must be above 0, --layer-decay above 0 and at most 1.")
        post_init_of(super())
