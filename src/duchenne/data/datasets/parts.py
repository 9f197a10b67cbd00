"""What a reader hands to the `prepare` job: the inputs, in fixed groups, each with what is known about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class VideoPart:
    """One video in which faces are to be found; it becomes one shard.

    Attributes:
        path: of the video.
        source: its path relative to the root, with forward slashes.
        frames: number of frames by its header, for the progress bar.
    """

    path: Path
    source: str
    frames: int


@dataclass(frozen=True)
class Plan:
    """Everything that is to be prepared.

    Attributes:
        parts: in their final order.
        aus: FACS numbers that are coded.
        label_kind: how they are coded.
        inputs: (source, size in bytes) of every input; a finished or interrupted folder is continued only for the same.
    """

    parts: Sequence[VideoPart]
    aus: tuple[int, ...]
    label_kind: Literal["none", "occurrence", "intensity"]
    inputs: Sequence[tuple[str, int]]
