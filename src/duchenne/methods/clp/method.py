"""CLP: representations of facial expressions that do not depend on the person (Li & Shan, 2023)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from duchenne.augment.frames import change_frames
from duchenne.data.clip_frames import ClipFrames
from duchenne.data.prepared import Prepared
from duchenne.data.stored.spilled import distinct
from duchenne.errors import InputError
from duchenne.losses.rows import unit_rows
from duchenne.methods.base import Method, RunFacts
from duchenne.methods.clp.config import CLPConfig
from duchenne.methods.clp.loss import cross_identity_reconstruction_loss, temporal_contrastive_loss
from duchenne.methods.clp.sampler import SequenceAndFrames
from duchenne.methods.families.memory import check_memory, memory_dtype, memory_notes
from duchenne.modules.encoder import Encoder, EncoderSpec
from duchenne.modules.gather import world
from duchenne.modules.heads import projection_head
from duchenne.modules.momentum import MomentumCopy
from duchenne.modules.split_batchnorm import split_batchnorm
from duchenne.modules.split_memory import SplitMemory
from duchenne.types import ClipBatch, StepOutput


class CLP(Method):
    """Temporal contrast within a clip, and the reconstruction of a face from those of other people.

    Args:
        config: of the method.
    """

    Config = CLPConfig
    config: CLPConfig
    CITATION = (
        "Y. Li, S. Shan. Contrastive Learning of Person-Independent Representations for Facial Action Unit Detection. "
        "IEEE Transactions on Image Processing 32, 2023."
    )

    def __init__(self, config: CLPConfig) -> None:
        super().__init__(config)
        self.encoder = Encoder(EncoderSpec(backbone=config.backbone))
        split_batchnorm(self.encoder, config.bn_splits)
        widths = (self.encoder.feature_dim, config.hidden_dim, config.embedding_dim)
        if config.terms != "cir":
            self.tcl_head = projection_head(widths)
        if config.terms != "tcl":
            self.cir_head = projection_head(widths)
            network = nn.Sequential(self.encoder, self.cir_head)
            self.key_network = MomentumCopy(network, config.key_momentum, splits=config.bn_splits)
            self.memory = SplitMemory(
                config.memory, config.embedding_dim, config.support, ids=("identity",), dtype=memory_dtype(config)
            )

    @classmethod
    def sampler(cls, config: CLPConfig) -> SequenceAndFrames | ClipFrames:
        """J frames at stride s, and L separate ones; only those that the configured terms need."""
        if config.terms == "cir":
            return ClipFrames(config.separate_frames)
        separate = 0 if config.terms == "tcl" else config.separate_frames
        return SequenceAndFrames(config.length, config.stride, separate, config.interval_unit)

    @classmethod
    def complete(cls, config: Any, data: Prepared, rows: NDArray[np.int64], run: RunFacts) -> Any:
        """Refuses data of one person (or clip) where that person's keys are masked, and a memory that is too small.

        Raises:
            InputError: when nobody else is there to reconstruct a face from, or people are unknown.
            UsageError: when the memory cannot hold the keys of one step.
        """
        if config.terms == "tcl":
            return config
        check_memory(config, run.batch_size * config.separate_frames)
        if config.mask_same == "none":
            return config
        clips, _ = cls.sampler(config).usable_clips(data, rows)  # people with short clips alone are never seen
        people = distinct(data.subject_ids if config.mask_same == "subject" else data.clip_ids, clips.first_rows())
        if (people < 0).any():
            unknown = sum(int((data.subject_ids(piece) < 0).sum()) for piece in clips.pieces())
            raise InputError(
                f"{data.paths[0]}: column `subject` of frames.parquet is empty in {unknown} rows, and "
                "faces must not be put together from the same person's; name the subjects, or use --mask-same clip."
            )
        if len(people) < 2:
            raise InputError(
                f"{data.paths[0]}: only one {config.mask_same} may be used and has clips that are long enough, so "
                "there is nobody else to put a face together from; use data of several, --terms tcl, or --mask-same "
                "none."
            )
        return config

    @classmethod
    def notes(cls, config: Any, data: Prepared, rows: NDArray[np.int64]) -> list[str]:
        """Says where the memory is large for the data."""
        return [] if config.terms == "tcl" else memory_notes(config, len(rows))

    def start_stage(self, number: int) -> None:
        """The momentum encoder starts as a copy of the encoder, whatever weights that was given."""
        if self.config.terms != "tcl":
            self.key_network.restart()

    def augment(self, batch: ClipBatch) -> ClipBatch:
        """(B, J + L, ...) frames -> (B, J + 2L, ...): the sequence, then two views of every separate frame.

        The frames of a sequence share their draws unless `augment_per` says otherwise; views have their own.
        """
        config, frames = self.config, batch.images.float() / 255
        options: dict[str, Any] = {
            "crop_min": config.crop_min, "crop_max": config.crop_max, "rotation": config.rotation,
            "colour": config.colour, "flip": config.flip,
        }  # fmt: skip
        length = 0 if config.terms == "cir" else config.length
        parts, rows = [], [batch.rows]
        if length:
            parts.append(change_frames(frames[:, :length], per=config.augment_per, **options))
        if config.terms != "tcl":
            separate = frames[:, length:].flatten(0, 1)[:, None]  # as clips of one frame
            still = {"crop_min": 1.0, "crop_max": 1.0, "rotation": 0.0, "flip": False}
            key = options | (still if config.key_view == "colour" else {})
            views = [change_frames(separate, per="clip", **changes) for changes in (options, key)]
            parts += [view.reshape(len(frames), -1, *frames.shape[2:]) for view in views]
            rows.append(batch.rows[:, length:])
        return replace(batch, images=torch.cat(parts, dim=1), rows=torch.cat(rows, dim=1))

    def training_step(self, batch: ClipBatch) -> StepOutput:
        """The sum of both losses (Eq. 6) for the frames that `augment` gives.

        Logs each term; `accuracy`, the share of frames in the right order from the first one, and the mean distance of
        the last frame, `spread` (0 where the embedding has collapsed); `similarity`, the mean cosine of query and key.
        """
        config, loss, logs = self.config, batch.images.new_zeros(()), dict[str, Tensor | float]()
        kept: dict[str, Tensor] = {}
        length = 0 if config.terms == "cir" else config.length
        separate = 0 if config.terms == "tcl" else config.separate_frames
        seen = batch.images[:, : length + separate]
        features = torch.as_tensor(self.encoder(seen.flatten(0, 1))).reshape(*seen.shape[:2], -1)
        if length:
            loss = loss + self._temporal_contrast(unit_rows(self.tcl_head(features[:, :length])), logs)
        if separate:
            query = unit_rows(self.cir_head(features[:, length:].flatten(0, 1)))
            key = unit_rows(self.key_network(batch.images[:, length + separate :].flatten(0, 1)))
            kept = {"keys": key, "identities": self._identities(batch)}
            loss = loss + config.beta * self._reconstruction(query, key, kept["identities"], logs)
        return self.remember(StepOutput(loss, logs, kept))

    def after_step(self) -> None:
        """The momentum encoder follows, the keys enter the memory, and the support is drawn anew."""
        if self.config.terms != "tcl":
            kept = self.kept()
            self.key_network.update()
            self.memory.push(kept["keys"], identity=kept["identities"])
            self.memory.deal()

    def smallest_batch(self) -> int:
        """Two clips for each part of a batch with BatchNorm statistics of its own; one clip cannot be normalised."""
        return 2 * self.config.bn_splits

    def _temporal_contrast(self, clip: Tensor, logs: dict[str, Tensor | float]) -> Tensor:
        config = self.config
        loss = temporal_contrastive_loss(
            clip, margin=config.margin, weighting=config.weighting, offset=config.offset, distance=config.distance
        )
        with torch.no_grad():
            distances = (clip[:, 1:] - clip[:, :1]).norm(dim=-1)
            ordered = (distances[:, :-1] < distances[:, 1:]).float().mean()
        logs.update(tcl=loss.detach(), accuracy=ordered, spread=distances[:, -1].mean())
        return loss * len(clip) * world()[1] if config.tcl_reduction == "sum" else loss

    def _reconstruction(
        self, query: Tensor, key: Tensor, identities: Tensor, logs: dict[str, Tensor | float]
    ) -> Tensor:
        config, same, same_negatives = self.config, None, None
        if config.mask_same != "none":
            kept = self.memory.split(self.memory.ids("identity"))
            same = identities[:, None] == kept[0]
            same_negatives = identities[:, None] == kept[1] if config.mask_negatives else None
        loss = cross_identity_reconstruction_loss(
            query, key, *self.memory.split(), temperature=config.temperature, same_identity=same,
            same_identity_negatives=same_negatives,
        )  # fmt: skip
        logs.update(cir=loss.detach(), similarity=(query.detach() * key).sum(1).mean())
        return loss

    def _identities(self, batch: ClipBatch) -> Tensor:
        """(B L,) whose faces the separate frames show: numbers of subjects, or of clips."""
        numbers = batch.clips if self.config.mask_same == "clip" else batch.subjects
        return numbers.repeat_interleave(self.config.separate_frames)
