"""Configuration of CL-ILE; the defaults are the paper's for BP4D, but that weights are random and label embeddings have
an Adam of their own. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from duchenne.methods.families.labelled_config import LabelledConfig


@dataclass(frozen=True, kw_only=True)
class ClIleConfig(LabelledConfig):
    """CL-ILE (Lian, Adama, Machado & Vinkemeier, BMVC 2023). `lr`, `epochs` and `max_steps` are those of its stages
    `identity` and `general`; stage `backbone` has its own."""

    TRAINING_DEFAULTS: ClassVar[Mapping[str, Any]] = {
        **LabelledConfig.TRAINING_DEFAULTS,
        "lr": 1e-5,  # paper, BP4D (DISFA: 5e-5)
        "epochs": 20,  # paper, BP4D (DISFA: 150)
    }

    backbone_epochs: int = 300
    """Epochs of stage `backbone` (paper: 300); 0: there is none, the network comes from `weights` as it is."""
    backbone_steps: int | None = None
    """Steps of stage `backbone`; null: as `backbone_epochs` says."""
    backbone_lr: float = 1e-4
    """Learning rate of stage `backbone` (paper: 1e-4)."""
    subject_numbers: tuple[int, ...] = ()
    """Numbers of the training subjects, one row of identity-label embeddings each; filled in from the data."""
    layers: int = 1
    """Of each transformer encoder (not stated)."""
    heads: int = 8
    """Of its attention (not stated)."""
    hidden: int = 2048
    """Width of its feed-forward part (not stated)."""
    dropout: float = 0.1
    """In the transformer encoders (not stated)."""
    pooling: Literal["mean", "token"] = "mean"
    """How the tokens of a face become one vector: their mean, or a token of its own (not stated)."""
    bce_share: float = 0.4
    """lambda of Eq. 3: share of the cross-entropy beside the identity-label loss (paper: 0.4); 1: no identity-label
    loss (ablations A2 and A3)."""
    direction: Literal["by_subject", "as_printed"] = "by_subject"
    """Of the identity-label loss: what the paper's text and Fig. 3 say, or its Eq. 1 as printed, which does the
    opposite."""
    orthogonality_weight: float = 0.5
    """Of the orthogonality loss (paper: 0.5); 0: there is none, and no stage `identity` (ablation A1)."""
    contrast_weight: float = 0.4
    """Of the label contrast (paper: 0.4); 0: there is none (ablations A2 and A4)."""
    temperature: float = 2.0
    """tau of the label contrast (paper: 2)."""
    eps: float = 1e-4
    """Added to |cos| inside the logarithm of the orthogonality loss, which has no lower bound otherwise (ours)."""
    init_from_id: bool = True
    """Start the general encoder as a copy of the identity encoder (paper: same structure and parameters), or afresh."""
    embedding_lr: float = 1e-3
    """Learning rate of the label embeddings, which have an Adam of their own (ours: at the paper's 1e-5 they hardly
    move)."""
    literal_sgd: bool = False
    """Train the label embeddings with everything else (paper: "SGD for all networks"; recipes that quote its scores set
    it)."""

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
            ValueError: when a value is out of range.
        """
        super().__post_init__()
        if min(self.layers, self.heads, self.hidden) < 1 or not 0 <= self.dropout < 1:
            raise ValueError("layers, heads and hidden must be at least 1, and 0 <= dropout < 1")
        if not 0 < self.bce_share <= 1 or min(self.orthogonality_weight, self.contrast_weight) < 0:
            raise ValueError("0 < bce_share <= 1 must hold, and the weights must be at least 0")
        if min(self.temperature, self.eps, self.embedding_lr, self.backbone_lr) <= 0:
            raise ValueError("temperature, eps, embedding_lr and backbone_lr must be above 0")
        if self.backbone_epochs < 0 or (self.backbone_steps is not None and self.backbone_steps < 1):
            raise ValueError("backbone_epochs must be at least 0 and backbone_steps at least 1")
