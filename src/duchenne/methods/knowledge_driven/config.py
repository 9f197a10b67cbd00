"""Configuration of the knowledge-driven method; the defaults are the paper's. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from duchenne.config import Range, Share, Weight, Width, check_ranges
from duchenne.faces.areas import counterparts, parse_boxes, parse_pairs, write_pairs
from duchenne.facs import AREA_BOXES, AREA_RELATIONS, SYMMETRIC_AREAS


@dataclass(frozen=True, kw_only=True)
class KnowledgeDrivenConfig:
    """Knowledge-driven representation learning of areas of the face (Chang & Wang, CVPR 2022)."""

    TRAINING_DEFAULTS: ClassVar[Mapping[str, Any]] = {
        "optimiser": "adam",  # paper
        "lr": 1e-4,  # paper, "initial"; no schedule is stated
        "batch_size": 128,  # paper
        "epochs": 30,  # not stated; ours
        "epoch_of": "frame",
        "size_px": 224,  # paper
        "validation_share": 0.3,  # paper: 70 % of the subjects train
        "validation_by": "subject",  # paper
    }

    backbone: str = "resnet50"
    """Network, up to conv4_x (paper: ResNet-50)."""
    projection_hidden: Width = 2048
    """Hidden width of the projector that all areas share (paper)."""
    projection_dim: Width = 128
    """Width of an area's embedding (paper)."""
    predictor_hidden: Width = 1024
    """Hidden width of the predictors between related areas (paper)."""
    temperature: Annotated[float, Range(0, 1e3, above=True)] = 0.07
    """tau (paper)."""
    contrast_weight: Weight = 0.01
    """alpha, of both contrastive terms (paper)."""
    intra_weight: Weight = 0.1
    """lambda, of contrast within areas against contrast between areas (paper)."""
    prediction_weight: Weight = 1.0
    """beta, of the prediction between related areas (paper)."""
    predict_stop_grad: bool = False
    """Whether the embeddings that are predicted have no gradient (not stated)."""
    colour: Share = 0.4
    """Largest change of brightness, contrast and saturation, 0 to 1 (strength not stated; as in SimSiam)."""
    hue: Annotated[float, Range(0, 0.5)] = 0.1
    """Largest change of hue, in turns, 0 to 0.5 (strength not stated)."""
    crop_min: Annotated[float, Range(0.01, 1)] = 1.0
    """Smallest side of a random crop, as a share of the picture's (paper: no geometric augmentation)."""
    rotation: Annotated[float, Range(0, 180)] = 0.0
    """Largest random rotation to either side, in degrees (paper: none)."""
    flip: bool = False
    """Mirror views at random; areas then change names with their counterparts (paper: no)."""
    smallest_area_px: Annotated[float, Range(0, 4096, above=True)] = 16.0
    """Smallest side of an area after it is cut to the picture (ours: one cell of the conv4_x map)."""
    area_boxes: tuple[str, ...] = AREA_BOXES
    """Where each area lies, by landmarks (ours; the format is that of `duchenne.facs.AREA_BOXES`)."""
    symmetric_areas: tuple[str, ...] = write_pairs(SYMMETRIC_AREAS)
    """Areas that are positives of each other, numbered from 1 (paper: left and right)."""
    related_areas: tuple[str, ...] = write_pairs(tuple(AREA_RELATIONS))
    """Areas that predict each other, in both directions (paper: 26 arrows; which ones is an inference)."""
    bn_splits: Annotated[int, Range(1, 65_536)] = 1
    """Parts of a batch with BatchNorm statistics of their own."""

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
            ValueError: when a value is out of range, or a table of areas cannot be read.
        """
        check_ranges(self)
        areas = len(parse_boxes(self.area_boxes))
        counterparts(parse_pairs(self.symmetric_areas, areas), areas)
        related = {area for pair in parse_pairs(self.related_areas, areas) for area in pair}
        if len(related) < areas:
            alone = min(set(range(1, areas + 1)) - related)
            raise ValueError(f"related_areas must hold every area; area {alone} is related to none")
