"""Configuration of CL-ILE; the defaults are the paper's for BP4D, but that weights are random and label embeddings have
an Adam of their own. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from duchenne.config import Count, Number, Range, Share, Weight, Width
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

    backbone_epochs: Annotated[int, Range(0, 1_000_000)] = 300
    """Epochs of stage `backbone` (paper: 300); 0: there is none, the network comes from `weights` as it is."""
    backbone_steps: Count | None = None
    """Steps of stage `backbone`; null: as `backbone_epochs` says."""
    backbone_lr: Annotated[float, Range(0, 1e3, above=True)] = 1e-4
    """Learning rate of stage `backbone` (paper: 1e-4)."""
    subject_numbers: tuple[Number, ...] = ()
    """Numbers of the training subjects, one row of identity-label embeddings each; filled in from the data."""
    token_side: Annotated[int, Range(1, 1024)] | None = None
    """Cells along a side of the network's last feature map, of which each has its own position; filled in from the side
    of the pictures."""
    layers: Annotated[int, Range(1, 64)] = 1
    """Of each transformer encoder (not stated)."""
    heads: Annotated[int, Range(1, 1024)] = 8
    """Of its attention (not stated)."""
    hidden: Width = 2048
    """Width of its feed-forward part (not stated)."""
    dropout: Share = 0.1
    """In the transformer encoders (not stated)."""
    pooling: Literal["mean", "token"] = "mean"
    """How the tokens of a face become one vector: their mean, or a token of its own (not stated)."""
    bce_share: Annotated[float, Range(0, 1, above=True)] = 0.4
    """lambda of Eq. 3: share of the cross-entropy beside the identity-label loss (paper: 0.4); 1: no identity-label
    loss (ablations A2 and A3)."""
    direction: Literal["by_subject", "as_printed"] = "by_subject"
    """Of the identity-label loss: what the paper's text and Fig. 3 say, or its Eq. 1 as printed, which does the
    opposite."""
    orthogonality_weight: Weight = 0.5
    """Of the orthogonality loss (paper: 0.5); 0: there is none, and no stage `identity` (ablation A1)."""
    contrast_weight: Weight = 0.4
    """Of the label contrast (paper: 0.4); 0: there is none (ablations A2 and A4)."""
    temperature: Annotated[float, Range(0, 1e3, above=True)] = 2.0
    """tau of the label contrast (paper: 2)."""
    eps: Annotated[float, Range(0, 1, above=True)] = 1e-4
    """Added to |cos| inside the logarithm of the orthogonality loss, which has no lower bound otherwise (ours)."""
    init_from_id: bool = True
    """Start the general encoder as a copy of the identity encoder (paper: same structure and parameters), or afresh."""
    embedding_lr: Annotated[float, Range(0, 1e3, above=True)] = 1e-3
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
        if self.dropout == 1:
            raise ValueError("dropout must be below 1")
