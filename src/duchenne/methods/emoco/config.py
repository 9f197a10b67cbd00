"""Configuration of EmoCo; the defaults are the paper's. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from duchenne.config import Range, Weight
from duchenne.facs import EMOTIONS
from duchenne.methods.families.view_config import MomentumConfig


@dataclass(frozen=True, kw_only=True)
class EmoCoConfig(MomentumConfig):
    """EmoCo: momentum contrast within emotions (Sun et al., FG 2021)."""

    TRAINING_DEFAULTS: ClassVar[Mapping[str, Any]] = {
        **MomentumConfig.TRAINING_DEFAULTS,  # also this paper's
        "lr": 0.03,  # paper, for a batch of 256
        "batch_size": 256,  # paper
        "epoch_of": "frame",
    }

    backbone: str = "resnet50"
    """Network that is kept (paper: ResNet-50)."""
    views: str = "moco_v1"
    """Augmentation (paper: "follows MoCo", its reference to the first version, CVPR 2020; moco_v2 is the variant)."""
    emotions: tuple[str, ...] = ()
    """Classes; empty: those of AffectNet's seven (paper; neutral among them) that the training frames show. Frames with
    another emotion, or none, are left out."""
    memory: Annotated[int, Range(1, 2_000_000)] = 65536
    """K, keys kept of each emotion (paper); more than twice a class's images, it holds old keys of the same images."""
    queues: Literal["per_class", "single"] = "per_class"
    """A memory for each emotion, or one for all (an ablation of the paper)."""
    normalisation: Literal["intra_class", "l2"] = "intra_class"
    """Embeddings seen from their emotion's prototype, or as they are (an ablation of the paper)."""
    emotion_weight: Weight = 1.0
    """lambda, of the emotion loss (paper)."""
    contrast_weight: Weight = 1.0
    """Of the contrastive loss; 0 for the ablation with the emotion loss alone, which needs no keys."""
    temperature: Annotated[float, Range(0, 1e3, above=True)] = 0.2
    """tau (paper)."""
    detach_prototypes: bool = True
    """Whether the classifier learns from the emotion loss alone (not stated)."""
    mask_unfilled: bool = False
    """Leave places of the memory that no key has been written to yet out of the negatives (paper: no)."""
    mask_own_image: bool = False
    """Leave earlier keys of the query's own image out of the negatives (paper: no)."""
    balanced: bool = False
    """Draw every emotion equally often, rare ones repeatedly (not stated)."""

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
            ValueError: when a value is out of range.
        """
        super().__post_init__()
        if not self.emotion_weight and not self.contrast_weight:
            raise ValueError("emotion_weight and contrast_weight are both 0: nothing would be learned")
        if not self.emotion_weight and self.normalisation == "intra_class" and self.detach_prototypes:
            raise ValueError("emotion_weight 0 leaves the prototypes at random; set normalisation to l2")
        if self.emotions and len(set(self.emotions)) < max(2, len(self.emotions)):
            raise ValueError("emotions must name at least two, each once")

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the emotions, in the order of their numbers."""
        return self.emotions or EMOTIONS[:7]
