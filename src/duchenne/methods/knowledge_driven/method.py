"""The knowledge-driven method: contrast of facial areas, and prediction between related ones."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from kornia.enhance import adjust_hue
from numpy.typing import NDArray
from torch import Tensor, nn

from duchenne.augment.colour import draw_colour, jitter_colour
from duchenne.augment.geometry import draw_geometry, warp
from duchenne.data.labels import LabelSpec, known
from duchenne.data.prepared import Prepared
from duchenne.data.single_frames import FrameSampler
from duchenne.data.stored.spilled import parts_of
from duchenne.errors import InputError
from duchenne.faces.areas import counterparts, parse_boxes, parse_pairs
from duchenne.faces.boxes import area_boxes, clip_boxes, mirror_boxes, move_boxes
from duchenne.methods.base import Method, RunFacts
from duchenne.methods.knowledge_driven.config import KnowledgeDrivenConfig
from duchenne.methods.knowledge_driven.loss import inter_area_loss, intra_area_loss, prediction_loss
from duchenne.methods.knowledge_driven.predictors import Predictors
from duchenne.modules.encoder import Encoder, EncoderSpec
from duchenne.modules.gather import gather_rows
from duchenne.modules.roi_align import roi_align
from duchenne.modules.split_batchnorm import split_batchnorm
from duchenne.types import ClipBatch, StepOutput

STAGE = "layer3"
"""conv4_x: the last stage of the encoder."""
GRID = 2
"""Rows and columns of the grid that an area is read as (the paper's 4,096 values are 1,024 channels x 2 x 2)."""


class KnowledgeDriven(Method):
    """Chang & Wang, CVPR 2022, Eq. 9: alpha (L_a + lambda L_b) + beta L_pre on the areas of two views of each image."""

    Config = KnowledgeDrivenConfig
    config: KnowledgeDrivenConfig
    CITATION = (
        "Y. Chang, S. Wang. Knowledge-Driven Self-Supervised Representation Learning for Facial Action Unit "
        "Recognition. CVPR 2022."
    )

    def __init__(self, config: KnowledgeDrivenConfig) -> None:
        super().__init__(config)
        self.areas = parse_boxes(config.area_boxes)
        number = len(self.areas)
        self.symmetric = counterparts(parse_pairs(config.symmetric_areas, number), number)
        self.encoder = Encoder(EncoderSpec(backbone=config.backbone, last_stage=STAGE))
        split_batchnorm(self.encoder, config.bn_splits)
        self.projector = nn.Sequential(
            nn.Linear(self.encoder.backbone.channels * GRID**2, config.projection_hidden),
            nn.ReLU(),
            nn.Linear(config.projection_hidden, config.projection_dim),
        )
        pairs = parse_pairs(config.related_areas, number)
        edges = [(a - 1, b - 1) for pair in pairs for a, b in (pair, pair[::-1])]
        self.predictors = Predictors(edges, config.projection_dim, config.predictor_hidden)

    @classmethod
    def sampler(cls, config: KnowledgeDrivenConfig) -> FrameSampler:
        """Single frames with landmarks."""
        return FrameSampler(cls.labels(config))

    @classmethod
    def labels(cls, config: KnowledgeDrivenConfig) -> LabelSpec:
        """Landmarks."""
        return LabelSpec(landmarks=True)

    @classmethod
    def complete(cls, config: Any, data: Prepared, rows: NDArray[np.int64], run: RunFacts) -> Any:
        """Nothing is filled in; checks that there are landmarks.

        Raises:
            InputError: when no frame that may be used has landmarks.
        """
        if not any(known("landmarks", data.landmarks(rows[part])).any() for part in parts_of(len(rows))):
            raise InputError(
                f"{data.paths[0]}: knowledge_driven finds the areas of a face by its landmarks, and the column "
                "`landmarks` of frames.parquet is empty; prepare the data with face detection (without --no-detect)."
            )
        return config

    def augment(self, batch: ClipBatch) -> ClipBatch:
        """Two views of every picture, (B, 2, 3, H, W), and `labels["boxes"]` (B, 2, A, 4) of the areas in them.

        Boxes are cut to the picture and have a smallest side; `labels["seen"]` (B, 2, A) is the share of each that lay
        inside before.
        """
        config, size = self.config, batch.images.shape[-1]
        images = batch.images.float().div(255).expand(-1, 2, -1, -1, -1).flatten(0, 1)
        boxes = area_boxes(batch.labels["landmarks"][:, 0], self.areas).repeat_interleave(2, dim=0)
        number = len(images)
        if config.crop_min < 1 or config.rotation:
            matrices = draw_geometry(
                number, size, crop_min=config.crop_min, crop_max=1.0, rotation=config.rotation, device=images.device
            )
            images, boxes = warp(images, matrices), move_boxes(boxes, matrices)
        if config.flip:
            mirrored = (torch.rand(number) < 0.5).to(images.device)
            images = torch.where(mirrored.view(-1, 1, 1, 1), images.flip(-1), images)
            boxes = torch.where(mirrored.view(-1, 1, 1), mirror_boxes(boxes, size, self.symmetric), boxes)
        images = jitter_colour(images, draw_colour(number, config.colour))
        if config.hue:
            turns = config.hue * (2 * torch.rand(number) - 1)
            images = adjust_hue(images, 2 * math.pi * turns.to(images)).clamp(0, 1)
        boxes, seen = clip_boxes(boxes, size, min(config.smallest_area_px, size))
        views = (number // 2, 2)
        labels = {"boxes": boxes.view(*views, *boxes.shape[1:]), "seen": seen.view(*views, -1)}
        return replace(batch, images=images.view(*views, *images.shape[1:]), labels=labels)

    def training_step(self, batch: ClipBatch) -> StepOutput:
        """The weighted sum of the three losses on (B, 2, 3, H, W) views.

        Logs `inter` (L_a), `intra` (L_b), `prediction` (L_pre), and `cut`: the share of areas of which less than half
        lay inside the picture.
        """
        config = self.config
        embeddings = self.embed(batch.images.flatten(0, 1), batch.labels["boxes"].flatten(0, 1))
        # In evaluation the processes may hold different numbers of rows, and each scores its own.
        together = gather_rows(embeddings, gradient=True) if self.training else embeddings
        views = torch.cat([together[0::2], together[1::2]])
        inter = inter_area_loss(views, temperature=config.temperature, symmetric=self.symmetric)
        intra = intra_area_loss(views, temperature=config.temperature)
        target = embeddings.detach() if config.predict_stop_grad else embeddings
        prediction = prediction_loss(target, self.predictors(embeddings))
        contrast = inter + config.intra_weight * intra
        loss = config.contrast_weight * contrast + config.prediction_weight * prediction
        cut = (batch.labels["seen"] < 0.5).float().mean()
        logs = {"inter": inter.detach(), "intra": intra.detach(), "prediction": prediction.detach(), "cut": cut}
        return StepOutput(loss, logs)

    def validation_score(self, batch: ClipBatch) -> Tensor:
        """Minus the loss, with the same colours at every validation."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            views = self.augment(batch)
        return -self.training_step(views).loss

    def embed(self, images: Tensor, boxes: Tensor) -> Tensor:
        """Embeds the areas of pictures: (N, 3, H, W) in [0, 1] and (N, A, 4) in pixels -> (N, A, D)."""
        maps = self.encoder.feature_map(images)
        areas = roi_align(maps, boxes, output=GRID, scale=maps.shape[-1] / images.shape[-1])
        return torch.as_tensor(self.projector(areas.flatten(2)))
