"""FAb-Net: a facial attribute embedding from videos alone (Wiles, Koepke & Zisserman, BMVC 2018)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from duchenne.data.clip_frames import ClipFrames
from duchenne.data.loaders import ClipSampler
from duchenne.losses.reconstruction import reconstruction_loss
from duchenne.methods.base import Stage
from duchenne.methods.fab_net.config import FabNetConfig
from duchenne.methods.fab_net.loss import merge_sources
from duchenne.methods.families.flow_method import FlowMethod
from duchenne.modules.encoder import Encoder, EncoderSpec
from duchenne.modules.flow import FlowDecoder, sample
from duchenne.modules.split_batchnorm import split_batchnorm
from duchenne.types import ClipBatch, StepOutput


class FabNet(FlowMethod):
    """An encoder of single frames; source and target codes together become the flow that moves the source's pixels."""

    Config = FabNetConfig
    config: FabNetConfig
    CITATION = (
        "O. Wiles, A. S. Koepke, A. Zisserman. Self-supervised learning of a facial attribute embedding from video. "
        "BMVC 2018."
    )

    def __init__(self, config: FabNetConfig) -> None:
        super().__init__(config)
        self.encoder = Encoder(EncoderSpec(backbone=f"strided{config.layers}"))
        width = 2 * self.encoder.feature_dim
        self.decoder = FlowDecoder(width, config.layers, 2)
        self.mask_decoder = FlowDecoder(width, config.layers, 1) if config.sources > 1 else None
        split_batchnorm(self, config.bn_splits)
        self._sources = config.sources

    @classmethod
    def sampler(cls, config: Any) -> ClipSampler:
        """The target and the sources: different frames of a clip, each set equally likely."""
        return ClipFrames(1 + int(config.sources))

    def stages(self) -> tuple[Stage, ...]:
        """One; for several sources one with a single source comes first."""
        if self.config.sources == 1:
            return (Stage(name="training"),)
        return (Stage(name="one source"), Stage(name="several sources"))

    def start_stage(self, number: int) -> None:
        """Says how many sources are used and what is trained."""
        several = self.mask_decoder is not None and number == 1
        self._sources = self.config.sources if several else 1
        self.decoder.requires_grad_(not several)
        if self.mask_decoder is not None:
            self.mask_decoder.requires_grad_(several)
        self.curriculum.start_stage()

    def make(self, target: Tensor, sources: Tensor) -> tuple[Tensor, Tensor]:
        """Makes targets from their sources.

        Args:
            target: (B, 3, H, W) in [0, 1]; only its code is used.
            sources: (B, S, 3, H, W).

        Returns:
            What was made, (B, 3, H, W), and the flows, (B, S, 2, H, W).
        """
        goal = self.encoder(target)
        moved, flows, masks = [], [], []
        for source in sources.unbind(1):
            codes = torch.cat([self.encoder(source), goal], dim=1)
            flows.append(self.decoder(codes))
            moved.append(sample(source, flows[-1]))
            if self.mask_decoder is not None and len(sources[0]) > 1:
                masks.append(self.mask_decoder(codes)[:, 0])
        made = merge_sources(torch.stack(moved, 1), torch.stack(masks, 1)) if masks else moved[0]
        return made, torch.stack(flows, 1)

    def training_step(self, batch: ClipBatch) -> StepOutput:
        """The L1 loss of (B, 1 + sources, 3, H, W) frames, the target first, within the curriculum's window.

        Logs `reconstruction` of the whole batch, how far the flow moves pixels (`flow_px`), and the window's lower end.
        """
        target, sources = batch.images[:, 0], batch.images[:, 1 : 1 + self._sources]
        made, flows = self.make(target, sources)
        losses = reconstruction_loss(made, target)
        logs = {
            "reconstruction": losses.detach().mean(),
            "flow_px": flows.detach().float().norm(dim=2).mean() * (flows.shape[-1] - 1) / 2,
            "window": self.curriculum.window()[0],
        }
        return StepOutput(self.windowed(losses), logs)

    def validation_score(self, batch: ClipBatch) -> Tensor:
        """Minus the reconstruction loss on whole pictures."""
        images = batch.images.float() / 255
        made, _ = self.make(images[:, 0], images[:, 1 : 1 + self._sources])
        return -reconstruction_loss(made, images[:, 0]).mean()
