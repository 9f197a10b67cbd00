"""What a reader hands to the `prepare` job: the inputs, in fixed groups, each with what is known about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from duchenne.data.datasets.codes import VideoCodes


@dataclass(frozen=True)
class VideoPart:
    """One video in which faces are to be found; it becomes one shard.

    Attributes:
        path: of the video.
        source: its path relative to the root, with forward slashes.
        units: number of frames by its header, for the progress bar.
        codes: its labels; None where it is not coded.
    """

    path: Path
    source: str
    units: int
    codes: VideoCodes | None = None


@dataclass(frozen=True)
class TableImage:
    """One image of a table.

    Attributes:
        path: of the image.
        source: as the table names it.
        values: columns of the prepared data that the table gives: subject, clip, frame, time_s, split, emotion, AUs.
    """

    path: Path
    source: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class ImagesPart:
    """A fixed group of images; it becomes one shard.

    Attributes:
        images: in their final order.
        detect: whether a face is to be found and aligned; otherwise the images are aligned crops already.
    """

    images: Sequence[TableImage]
    detect: bool

    @property
    def units(self) -> int:
        """For the progress bar."""
        return len(self.images)


@dataclass(frozen=True)
class Plan:
    """Everything that is to be prepared.

    Attributes:
        parts: in their final order.
        aus: FACS numbers that are coded.
        label_kind: how they are coded.
        inputs: what identifies the inputs: a finished or interrupted folder is continued only for the same.
        notes: sentences for the user.
    """

    parts: Sequence[VideoPart | ImagesPart]
    aus: tuple[int, ...]
    label_kind: Literal["none", "occurrence", "intensity"]
    inputs: Sequence[Any]
    notes: Sequence[str] = ()
