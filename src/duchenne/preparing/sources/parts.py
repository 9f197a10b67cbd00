"""What a reader hands to the `prepare` job: the inputs, in fixed groups, each with what is known about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from duchenne.faces.recordings.listing import Assembly

if TYPE_CHECKING:  # numpy, for which --help need not wait
    from duchenne.preparing.codes.video_codes import VideoCodes
    from duchenne.preparing.sources.points import Points

LabelKind = Literal["none", "occurrence", "intensity"]
IMAGES_PER_PART: Final = 256


@dataclass(frozen=True)
class VideoPart:
    """One video in which faces are to be found; it becomes one shard.

    Attributes:
        path: of the video.
        source: its path relative to the root, with forward slashes.
        units: number of frames by its header, for the progress bar.
        codes: its labels; None where it is not coded.
        subject: who is seen, where it is known that the video shows one person; then only the largest face of every
            frame is kept. None: everyone seen is a subject.
        split: of the data set, where it has one.
        first_frame: number that the data set gives to the first frame.
        assembly: how a file, several or a folder of pictures become one recording.
        left_out: faces that nobody wants, of which codes that name no face are not.
        others: faces with other names than theirs whom such codes are about, which are taken last.
    """

    path: Path
    source: str
    units: int
    codes: VideoCodes | None = None
    subject: str | None = None
    split: str | None = None
    first_frame: int = 0
    assembly: Assembly = field(default_factory=Assembly)
    left_out: frozenset[int] = frozenset()
    others: frozenset[int] = frozenset()


@dataclass(frozen=True)
class VideosPart:
    """Several short videos that become one shard together.

    Attributes:
        videos: in their final order.
    """

    videos: Sequence[VideoPart]

    @property
    def units(self) -> int:
        """For the progress bar."""
        return len(self.videos)


@dataclass(frozen=True)
class TableImage:
    """One image with what is known about it.

    Attributes:
        path: of the image, or of the zip archive that holds it.
        source: as the table or the data set names it.
        values: columns of the prepared data that are known: subject, clip, frame, time_s, split, emotion, AUs.
        member: name within the archive; empty for an image that is a file.
        points: the data set's own landmarks, where the alignment goes by them.
    """

    path: Path
    source: str
    values: Mapping[str, Any]
    member: str = ""
    points: Points | None = None


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

    parts: Sequence[VideoPart | VideosPart | ImagesPart]
    aus: tuple[int, ...]
    label_kind: LabelKind
    inputs: Sequence[Any]
    notes: Sequence[str] = ()


def plan_images(
    images: Iterable[TableImage],
    aus: tuple[int, ...],
    label_kind: LabelKind,
    *,
    detect: bool = True,
    notes: Sequence[str] = (),
) -> Plan:
    """Groups images, sorted by subject, clip, frame and name; see `Plan` and `ImagesPart` for the arguments."""
    ordered = sorted(images, key=_order)
    parts = [
        ImagesPart(tuple(ordered[start : start + IMAGES_PER_PART]), detect)
        for start in range(0, len(ordered), IMAGES_PER_PART)
    ]
    points = [image.points for image in ordered if image.points is not None]
    files = dict.fromkeys(image.path for image in ordered)  # an archive once
    files |= dict.fromkeys(one.place.path for one in points if one.place is not None)
    known = [[image.source, sorted(image.values.items(), key=str)] for image in ordered]
    inputs = [known, [one.values for one in points], file_sizes(files)]
    return Plan(parts, aus, label_kind, inputs, notes)


def file_sizes(files: Iterable[Path]) -> list[int]:
    """By which changed inputs are known; 0 where there is no such file.

    Their times are not looked at: those of a copied data set differ.
    """
    return [file.stat().st_size if file.exists() else 0 for file in files]


def _order(image: TableImage) -> tuple[str, str, int, str]:
    return image.values["subject"] or "", image.values["clip"], image.values["frame"], image.source
