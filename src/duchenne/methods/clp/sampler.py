"""Which frames CLP sees of a clip: a sequence for the temporal contrast, separate frames for the reconstruction."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from duchenne.data.clip_frames import draw_frames
from duchenne.data.clip_samplers import Clip, SequenceSampler


class SequenceAndFrames(SequenceSampler):
    """Draws a sequence of J frames at a stride, and then L frames of the same clip, perhaps frames of the sequence too.

    Args:
        length: J.
        stride: in interval units.
        separate: L, at least 0.
        unit_s: see `SequenceSampler`.
    """

    def __init__(self, length: int, stride: int, separate: int, unit_s: float | None) -> None:
        super().__init__([stride * n for n in range(length)], unit_s)
        self.separate = separate

    @property
    def frames(self) -> int:
        """Frames per clip in a batch: J + L."""
        return len(self.offsets) + self.separate

    def draw(self, clip: Clip, rng: np.random.Generator) -> NDArray[np.int64]:
        """(J + L,) rows: the sequence in order of time, then the separate frames."""
        sequence = super().draw(clip, rng)
        return np.concatenate([sequence, draw_frames(clip.clip_of(int(sequence[0])), self.separate, rng)])
