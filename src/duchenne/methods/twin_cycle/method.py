"""The twin-cycle autoencoder: separates AUs from head pose by moving each alone (Li, Zeng, Shan & Chen, CVPR 2019)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, cast

import torch
from torch import Tensor

from duchenne.losses.reconstruction import reconstruction_loss
from duchenne.methods.families.flow_method import FlowMethod
from duchenne.methods.twin_cycle.config import TwinCycleConfig
from duchenne.methods.twin_cycle.loss import Codes, feature_consistency, flow_size, merge_flows
from duchenne.modules.backbones.strided import Strided, cells
from duchenne.modules.encoder import Encoder, EncoderSpec
from duchenne.modules.flow import FlowDecoder, clamped, polynomial, sample
from duchenne.modules.split_batchnorm import split_batchnorm
from duchenne.types import ClipBatch, StepOutput

OWN_LAYERS = 3
"""Of each code (authors' code); those before are shared."""


class Moved(NamedTuple):
    """What the two decoders make of a source.

    Attributes:
        pose, au, merged: (B, 3, H, W) the source moved by the pose flow, by the AU flow, and by both.
        pose_flow, au_flow: (B, 2, H, W).
        attention: (B, 2, H, W) to the pose flow and to the AU flow, before the softmax.
        source, target: codes of the two frames.
    """

    pose: Tensor
    au: Tensor
    merged: Tensor
    pose_flow: Tensor
    au_flow: Tensor
    attention: Tensor
    source: Codes
    target: Codes


class TwinCycle(FlowMethod):
    """Two codes of a frame, two decoders: one moves the head of a source to the target's, the other its face.

    Differs: the convolutions before a BatchNorm have no bias, see `duchenne.modules.backbones.strided`.
    """

    Config = TwinCycleConfig
    config: TwinCycleConfig
    CITATION = (
        "Y. Li, J. Zeng, S. Shan, X. Chen. Self-Supervised Representation Learning From Videos for Facial Action Unit "
        "Detection. CVPR 2019."
    )

    def __init__(self, config: TwinCycleConfig) -> None:
        super().__init__(config)
        spec = EncoderSpec(backbone=f"strided{config.layers}_bn")
        self.encoder = Encoder(spec)
        self.other_encoder = Encoder(spec)
        width = 2 * self.encoder.feature_dim
        self.pose_decoder = FlowDecoder(width, config.layers, 3)
        self.au_decoder = FlowDecoder(width, config.layers, 3)
        split_batchnorm(self, config.bn_splits)
        stages = self.encoder.backbone.stages
        self.shared = stages[: len(stages) - OWN_LAYERS]
        for name in self.shared:  # the same layers under both names
            setattr(self.other_encoder.backbone, name, getattr(self.encoder.backbone, name))

    def other_encoders(self) -> Mapping[str, Encoder]:
        """The encoder of the code that `code` did not choose."""
        return {"pose" if self.config.code == "au" else "au": self.other_encoder}

    def codes(self, images: Tensor) -> Codes:
        """(B, 3, H, W) in [0, 1] -> both codes, through the shared layers once."""
        maps = self.encoder.feature_map(images, self.shared[-1])
        networks = [cast(Strided, encoder.backbone) for encoder in (self.encoder, self.other_encoder)]
        own, other = (cells(network.between(maps, self.shared[-1])) for network in networks)
        return Codes(other, own) if self.config.code == "au" else Codes(own, other)

    def pose_map(self, start: Tensor, goal: Tensor) -> Tensor:
        """Pose codes (B, D) of two frames -> (B, 3, H, W): the flow from one to the other, and its attention."""
        maps: Tensor = self.pose_decoder(torch.cat([start, goal], dim=1))
        if self.config.pose_degree is None:
            return maps
        flow = polynomial(maps[:, :2], self.config.pose_degree)
        return torch.cat([flow, maps[:, 2:].to(flow)], dim=1)

    def move(self, target: Tensor, source: Tensor) -> Moved:
        """Moves a source towards a target, both (B, 3, H, W) in [0, 1]: its head, its face, and both."""
        goal, start = self.codes(target), self.codes(source)
        pose = self.pose_map(start.pose, goal.pose)
        au = self.au_decoder(torch.cat([start.au, goal.au], dim=1))
        flows, attention = torch.stack([pose[:, :2], au[:, :2]], 1), torch.stack([pose[:, 2], au[:, 2]], 1)
        merged = sample(source, merge_flows(flows, attention))
        moved = (sample(source, pose[:, :2]), sample(source, au[:, :2]), merged)
        return Moved(*moved, pose[:, :2], au[:, :2], attention, start, goal)

    def losses(self, target: Tensor, source: Tensor) -> dict[str, Tensor]:
        """Every term for each sample: `reconstruction`, `pose_cycle`, `au_cycle`, `flow` (B,), `features` (6, B)."""
        found = self.move(target, source)
        pose_moved, au_moved, merged = (self.codes(made) for made in (found.pose, found.au, found.merged))
        pose_back = self.pose_map(pose_moved.pose, found.source.pose)[:, :2]
        au_back = self.au_decoder(torch.cat([au_moved.au, found.source.au], dim=1))[:, :2]
        return {
            "reconstruction": reconstruction_loss(found.merged, target),
            "features": feature_consistency(found.source, found.target, pose_moved, au_moved, merged),
            "pose_cycle": reconstruction_loss(sample(found.pose, pose_back), source),
            "au_cycle": reconstruction_loss(sample(found.au, au_back), source),
            "flow": flow_size(clamped(found.au_flow)),
        }

    def total(self, terms: Mapping[str, Tensor]) -> Tensor:
        """() the weighted sum of terms that are one number each (`features`: six)."""
        config = self.config
        return (
            config.reconstruction_weight * terms["reconstruction"]
            + config.feature_weight * terms["features"].sum()
            + config.cycle_weight * (terms["pose_cycle"] + terms["au_cycle"])
            + config.flow_weight * terms["flow"]
        )

    def training_step(self, batch: ClipBatch) -> StepOutput:
        """The loss of (B, 2, 3, H, W) frames, target and source; each term within a window of its own (authors' code).

        Logs the mean of every term over the batch, and the window's lower end.
        """
        found = self.losses(batch.images[:, 0], batch.images[:, 1])
        terms = {
            name: torch.stack([self.windowed(row) for row in values]) if values.ndim == 2 else self.windowed(values)
            for name, values in found.items()
        }
        logs: dict[str, Tensor | float] = {name: values.detach().mean() for name, values in found.items()}
        logs["window"] = self.curriculum.window()[0]
        return StepOutput(self.total(terms), logs)

    def validation_score(self, batch: ClipBatch) -> Tensor:
        """Minus the loss on whole pictures, no sample left out."""
        images = batch.images.float() / 255
        found = self.losses(images[:, 0], images[:, 1])
        terms = {name: values.mean(-1) for name, values in found.items()}
        return -self.total(terms)
