"""CL-ILE: a network, then an encoder of identity, then one of everything else, each trained in its own stage."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from duchenne.data.prepared import Prepared
from duchenne.data.stored.spilled import distinct
from duchenne.errors import InputError
from duchenne.methods.base import RunFacts, Stage
from duchenne.methods.cl_ile.config import ClIleConfig
from duchenne.methods.cl_ile.loss import (
    identity_label_loss,
    label_contrastive_loss,
    label_likeness,
    orthogonality_loss,
)
from duchenne.methods.families.labelled_method import LabelledMethod
from duchenne.modules.backbones.build import cell_px
from duchenne.modules.encoder import Encoder, EncoderSpec
from duchenne.modules.split_batchnorm import split_batchnorm
from duchenne.modules.token_encoder import TokenEncoder
from duchenne.types import ClipBatch, StepOutput


class ClIle(LabelledMethod):
    """Three stages: `backbone`, `identity` (left out where nothing needs it) and `general`.

    What is kept is the network with the general encoder; the identity encoder and its label embeddings are not.

    Differs: the features are not normalised in the scores, the label embeddings are (the paper says so of the
    identity-label embeddings only).
    """

    Config = ClIleConfig
    config: ClIleConfig
    subject_numbers: Tensor
    CITATION = (
        "T. Lian, D. A. Adama, P. Machado, D. E. Vinkemeier. Supervised Contrastive Learning with Identity-Label "
        "Embeddings for Facial Action Unit Recognition. BMVC 2023."
    )

    def __init__(self, config: ClIleConfig) -> None:
        super().__init__(config)
        spec = EncoderSpec(
            backbone=config.backbone,
            view=config.view,
            token_layers=config.layers,
            token_heads=config.heads,
            token_hidden=config.hidden,
            token_dropout=config.dropout,
            token_side=config.token_side or _side(config.backbone, 224),  # the paper's pictures
            token_pooling=config.pooling,
        )
        self.encoder = Encoder(spec)
        self._trainable = {name for name, p in self.encoder.backbone.named_parameters() if p.requires_grad}
        split_batchnorm(self.encoder, config.bn_splits)
        width, count = self.encoder.feature_dim, len(config.aus)
        self.classifier = nn.Linear(self.encoder.backbone.feature_dim, count)
        self.identity = TokenEncoder(width, self._general().spec)
        self.identity_labels = nn.Parameter(torch.randn(len(config.subject_numbers), count, width))
        self.label_embeddings = nn.Parameter(torch.randn(count, width))
        numbers = torch.tensor(config.subject_numbers, dtype=torch.int64)
        self.register_buffer("subject_numbers", numbers, persistent=False)
        self._stages = _planned(config)
        self.start_stage(0)

    @classmethod
    def complete(cls, config: Any, data: Prepared, rows: NDArray[np.int64], run: RunFacts) -> Any:
        """Fills in the action units, how often each is present, and the subjects who have labels.

        Raises:
            InputError: when nothing is coded, an action unit cannot be learned, or a labelled frame shows an unknown
                person.
        """
        config = super().complete(config, data, rows, run)
        labelled, _ = cls.sampler(config).usable_clips(data, rows)
        numbers = distinct(data.subject_ids, labelled.rows)
        if (numbers < 0).any():
            raise InputError(
                f"{data.paths[0]}: some labelled frames have no subject, and cl_ile learns who is who; prepare them "
                "with subjects, or use the method supervised."
            )
        return replace(
            config,
            subject_numbers=tuple(int(number) for number in numbers),
            token_side=config.token_side or _side(config.backbone, run.size_px),
        )

    def stages(self) -> tuple[Stage, ...]:
        """See the class."""
        return self._stages

    def start_stage(self, number: int) -> None:
        """Sets what is trained; the general encoder starts from the identity encoder's weights, where it shall."""
        self._stage = self._stages[number].name
        trained: dict[str, tuple[nn.Module | nn.Parameter, ...]] = {
            "backbone": (self.encoder.backbone, self.classifier),
            "identity": (self.identity, self.identity_labels),
            "general": (self._general(), self.label_embeddings),
        }
        self.requires_grad_(False)
        for part in trained[self._stage]:
            part.requires_grad_(True)
        if self._stage == "backbone":  # parts that its last map does not go through rest, such as a pooler
            for name, parameter in self.encoder.backbone.named_parameters():
                parameter.requires_grad_(name in self._trainable)
        if self._stage == "general" and self.config.orthogonality_weight and self.config.init_from_id:
            self._general().load_state_dict(self.identity.state_dict())

    def train(self, mode: bool = True) -> ClIle:
        """As torch's; frozen parts stay in evaluation mode, so that their BatchNorm and dropout rest."""
        super().train(mode)
        if self._stage != "backbone":
            self.encoder.backbone.eval()
        if self._stage == "general":
            self.identity.eval()
        return self

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The networks of the stage, and its label embeddings with an optimiser of their own."""
        embeddings = [p for p in (self.identity_labels, self.label_embeddings) if p.requires_grad]
        others = [p for p in self.parameters() if p.requires_grad and all(p is not own for own in embeddings)]
        own: dict[str, Any] = {"params": embeddings}
        if not self.config.literal_sgd:
            own |= {"lr": self.config.embedding_lr, "optimiser": "adam"}
        return [{"params": others}, *([own] if embeddings else [])]

    def training_step(self, batch: ClipBatch) -> StepOutput:
        """The loss of the stage on (B, 1, 3, H, W) frames.

        Logs `accuracy` (share of right calls), `bce`, and in stage `identity` the mean |cos| of the identity-label
        embeddings with their subject's mean (`within_subject`) and their action unit's (`within_au`), in stage
        `general` the mean |cos| of both encoders' features (`likeness`) and the terms of the loss.
        """
        labels, weights = batch.labels["aus"][:, 0], batch.labels["weights"][:, 0]
        images = batch.images[:, 0]
        config, logs = self.config, dict[str, Tensor | float]()
        if self._stage == "backbone":
            scores = torch.as_tensor(self.classifier(self.encoder.average(images))).float()
            loss = self.cross_entropy(scores, labels, weights)
        elif self._stage == "identity":
            embeddings = functional.normalize(self.identity_labels, dim=-1)[self._rows_of(batch.subjects)]
            scores = (self.identity(self.encoder.feature_map(images)).float()[:, None] * embeddings).sum(-1)
            loss = logs["bce"] = self.cross_entropy(scores, labels, weights)
            if config.bce_share < 1:
                own = identity_label_loss(self.identity_labels, direction=config.direction)
                loss = config.bce_share * loss + (1 - config.bce_share) * own
                logs["identity"] = own
            by_subject, by_label = label_likeness(self.identity_labels.detach())
            logs |= {"within_subject": by_subject.mean(), "within_au": by_label.mean()}
        else:
            maps = self.encoder.feature_map(images)
            features = self._general()(maps).float()
            scores = self._against(features, self.label_embeddings)
            loss = logs["bce"] = self.cross_entropy(scores, labels, weights)
            if config.orthogonality_weight:
                with torch.no_grad():
                    who = self.identity(maps).float()
                apart = orthogonality_loss(who, features, eps=config.eps)
                loss = loss + config.orthogonality_weight * apart
                likeness = functional.cosine_similarity(who, features.detach(), dim=1).abs().mean()
                logs |= {"orthogonality": apart, "likeness": likeness}
            if config.contrast_weight:
                contrast = label_contrastive_loss(
                    features, self.label_embeddings, labels, temperature=config.temperature
                )
                loss = loss + config.contrast_weight * contrast
                logs["contrast"] = contrast
        known = labels >= 0
        logs["accuracy"] = (((scores > 0) == (labels == 1)) & known).sum() / known.sum().clamp_min(1)
        return StepOutput(loss, {name: torch.as_tensor(value).detach() for name, value in logs.items()})

    def scores(self, images: Tensor) -> Tensor:
        """See `LabelledMethod`; those of the stage. In stage `identity`, whose label embeddings are one training
        subject's each, an unseen face is compared with their mean over subjects."""
        if self._stage == "backbone":
            return torch.as_tensor(self.classifier(self.encoder.average(images))).float()
        if self._stage == "identity":
            mean = functional.normalize(self.identity_labels, dim=-1).mean(0)
            return self._against(self.identity(self.encoder.feature_map(images)).float(), mean)
        return self._against(self.encoder.embed(images).float(), self.label_embeddings)

    def _general(self) -> TokenEncoder:
        assert self.encoder.tokens is not None  # the spec asks for it
        return self.encoder.tokens

    def _against(self, features: Tensor, embeddings: Tensor) -> Tensor:
        return features @ functional.normalize(embeddings.float(), dim=-1).T

    def _rows_of(self, subjects: Tensor) -> Tensor:
        places = torch.searchsorted(self.subject_numbers, subjects).clamp_max(len(self.subject_numbers) - 1)
        if not torch.equal(self.subject_numbers[places], subjects):
            raise ValueError("a frame shows a subject that is not among subject_numbers")
        return places


def _planned(config: ClIleConfig) -> tuple[Stage, ...]:
    beside = "" if config.literal_sgd else f"label embeddings with adam, learning rate {config.embedding_lr:g}"
    stages = [Stage(name="general", beside=beside)]
    if config.orthogonality_weight:
        stages.insert(0, Stage(name="identity", beside=beside))
    if config.backbone_epochs or config.backbone_steps:
        own = Stage(
            name="backbone", epochs=config.backbone_epochs, max_steps=config.backbone_steps, lr=config.backbone_lr
        )
        stages.insert(0, own)
    return tuple(stages)


def _side(backbone: str, size_px: int) -> int:
    """Cells along a side of the last map of such pictures, or about; positions are interpolated to the true number."""
    return math.ceil(size_px / cell_px(backbone))
