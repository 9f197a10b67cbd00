"""What the methods on flow fields share: frames of a clip, crops, and the curriculum over a batch's losses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from duchenne.augment.frames import change_frames
from duchenne.data.clip_frames import ClipFrames
from duchenne.data.loaders import ClipSampler
from duchenne.data.prepared import Prepared
from duchenne.errors import UsageError
from duchenne.losses.window import window_mean
from duchenne.methods.base import Method, RunFacts
from duchenne.methods.families.flow_config import FlowConfig
from duchenne.modules.gather import gather_rows
from duchenne.types import ClipBatch


class Curriculum(nn.Module):
    """Where the window over the sorted losses lies; its state is saved and resumed with the method's.

    Args:
        config: of the method.
    """

    moves: Tensor
    steps: Tensor
    validations: Tensor
    since: Tensor
    best: Tensor

    def __init__(self, config: FlowConfig) -> None:
        super().__init__()
        self.config = config
        for name in ("moves", "steps", "validations", "since"):
            self.register_buffer(name, torch.zeros((), dtype=torch.long))
        self.register_buffer("best", torch.zeros(()))

    def window(self) -> tuple[float, float]:
        """The shares of the sorted batch between which losses count."""
        config = self.config
        if not config.curriculum:
            return 0.0, 1.0
        low = round(int(self.moves) * config.window_shift, 9)
        return low, min(1.0, round(low + config.window_share, 9))

    def stepped(self) -> None:
        """Counts a step."""
        self.steps += 1
        every = self.config.window_steps
        if every and int(self.steps) % every == 0:
            self._move()

    def validated(self, score: float) -> None:
        """Counts a validation; after enough of them without a better one the window moves, and counting begins anew."""
        if self.config.window_steps:
            return
        better = int(self.validations) == 0 or score > float(self.best)
        if better:
            self.best.fill_(score)
        self.since.fill_(0 if better else int(self.since) + 1)
        self.validations += 1
        if int(self.since) > self.config.window_patience:
            self._move()
            self.validations.zero_()
            self.since.zero_()

    def start_stage(self) -> None:
        """Forgets earlier scores, which belong to what was trained before; the window stays where it is."""
        self.validations.zero_()
        self.since.zero_()

    def _move(self) -> None:
        if self.window()[1] < self.config.window_until:
            self.moves += 1


class FlowMethod(Method):
    """A frame of a clip (the target) is made from others (the sources) by moving their pixels.

    Args:
        config: of the method.
    """

    config: FlowConfig

    def __init__(self, config: FlowConfig) -> None:
        super().__init__(config)
        self.curriculum = Curriculum(config)

    @classmethod
    def sampler(cls, config: Any) -> ClipSampler:
        """The target and the source: different frames of a clip, each pair equally likely.

        Differs: the authors' codes draw frames with replacement where a clip has too few; here it is left out.
        """
        return ClipFrames(2)

    @classmethod
    def complete(cls, config: Any, data: Prepared, rows: NDArray[np.int64], run: RunFacts) -> Any:
        """Refuses pictures of another side than the network's, and a curriculum that could never move.

        Raises:
            UsageError: see above.
        """
        if run.size_px != 2**config.layers:
            near = max(4, min(9, round(np.log2(run.size_px))))
            raise UsageError(
                f"--size-px {run.size_px}: {config.layers} layers need pictures of {2**config.layers} px; use that, "
                f"or --layers {near} with --size-px {2**near}."
            )
        if config.curriculum and not config.window_steps and not run.holds_out:
            raise UsageError(
                "--validation-share 0: the curriculum moves on when validations stop getting better; hold clips out, "
                "or give --window-steps N, or --no-curriculum."
            )
        return config

    def augment(self, batch: ClipBatch) -> ClipBatch:
        """Random crops, by default drawn anew for every frame (both codes)."""
        config = self.config
        images = change_frames(
            batch.images.float() / 255,
            crop_min=config.crop_min,
            crop_max=config.crop_max,
            rotation=0.0,
            colour=0.0,
            flip=False,
            per=config.augment_per,
        )
        return replace(batch, images=images)

    def windowed(self, losses: Tensor) -> Tensor:
        """() mean of losses (B,) within the curriculum's window over the batches of all processes."""
        return window_mean(gather_rows(losses, gradient=True), *self.curriculum.window())

    def after_step(self) -> None:
        """The curriculum counts the step."""
        self.curriculum.stepped()

    def after_validation(self, score: float) -> None:
        """The curriculum counts the validation."""
        self.curriculum.validated(score)
