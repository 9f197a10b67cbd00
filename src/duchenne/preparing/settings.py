"""What `prepare` is asked: dataclasses that are its command line and the keywords of Python. Imports nothing heavy.

A reader is asked what is common to all, what its kind has (`videos`, `table`, a data set), and of a data set what
`DataSet.options` names (`CHOICES`). Every default stands here once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

import tyro

from duchenne.config import CORES, Count, FramesPerSecond, Intensity, Range, Seed
from duchenne.errors import UsageError
from duchenne.keywords import check_numbers, post_init_of

CROP_PX: Final = 256
MIN_CROP_PX: Final = 32
Alignment = Literal["frame", "smooth", "five", "all68", "dataset", "none"]


@dataclass(frozen=True, kw_only=True)
class PrepareSettings:
    """What every reader is asked."""

    workers: Annotated[int, CORES] = 0
    """processes, 0 for one per core; any number writes the same bytes"""
    scheduler: Annotated[str | None, tyro.conf.arg(metavar="ADDRESS")] = None
    """a Dask cluster that does the work instead, tcp://HOST:PORT"""
    size_px: Annotated[int, Range(MIN_CROP_PX, 4096), tyro.conf.arg(name="size", metavar="PX")] = CROP_PX
    """side of the crops in pixels"""
    min_face: Annotated[float, Range(1, 65_536), tyro.conf.arg(metavar="PX")] = 32.0
    """faces narrower than this many pixels are counted but not kept"""
    alignment: Alignment = "frame"
    """every frame by its eye corners and nose; that, smoothed over time (videos); by eye centres, nose tip and mouth
    corners; by all 68 landmarks; by the data set's own landmarks; or not at all, for images that are aligned crops"""
    positive_from: Annotated[Intensity | None, tyro.conf.arg(metavar="X")] = None
    """lowest coded intensity, 0 to 5, that counts as present (2, unless the data set says otherwise)"""
    name: str | None = None
    """name of the data set, which namespaces its subjects (that of the reader, or of the folder)"""
    licence: str | None = None
    """licence of the data; it is copied into checkpoints and model cards"""
    quiet: tyro.conf.FlagCreatePairsOff[bool] = False
    """no progress bar"""

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
            UsageError: in one sentence.
        """
        check_numbers(self)
        post_init_of(super())


@dataclass(frozen=True, kw_only=True)
class RateSettings:
    """Which frames of videos are kept."""

    fps: Annotated[FramesPerSecond | None, tyro.conf.arg(metavar="FPS")] = None
    """frames per second to keep of videos, by time stamp (all by default)"""

    def __post_init__(self) -> None:
        """Checks the rate.

        Raises:
            UsageError: when it is not above 0.
        """
        check_numbers(self)
        post_init_of(super())


@dataclass(frozen=True, kw_only=True)
class MissingSettings:
    """What becomes of labels without a crop."""

    missing: Literal["drop", "negative"] = "drop"
    """labelled images without a crop: left out of evaluations, or counted as predicted absent"""


@dataclass(frozen=True, kw_only=True)
class VideosSettings(PrepareSettings, RateSettings):
    """Finds, tracks, aligns and stores the faces of videos; run again, it continues where it stopped.

    Inputs that cannot be read are listed with their reasons in OUT/failures.csv; the rest is complete.
    """

    labels: Annotated[Path | None, tyro.conf.arg(metavar="FILE|DIR")] = None
    """codes per frame or with onset and offset; a table, or a file or export of ELAN, BORIS, The Observer, Datavyu"""
    coder: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """whose codes to use where several people coded the same video, or one person did so in several sessions"""
    names: Annotated[Path | None, tyro.conf.arg(metavar="FILE.csv")] = None
    """a table `source, face, name` that names the faces found (equal names are merged, empty ones left out; needs no
    new search), and states which face each subject of the codes is"""
    sequence: Annotated[FramesPerSecond | None, tyro.conf.arg(metavar="FPS")] = None
    """every folder of pictures is one recording at this many frames per second, in the order of their names"""
    chapters: tyro.conf.FlagCreatePairsOff[bool] = False
    """files named as chapters (GoPro's, a DVD's, NAME_part1 ...) are joined into one recording"""
    mirrored: tyro.conf.FlagCreatePairsOff[bool] = False
    """they are mirror images (some front cameras, conferences): flip them first"""

    def __post_init__(self) -> None:
        """See `PrepareSettings`."""
        super().__post_init__()
        if self.sequence is not None and self.chapters:
            raise UsageError("--sequence and --chapters exclude each other; a folder of pictures has no chapters.")
        if self.alignment == "none":
            raise UsageError("--alignment none: is for images that are aligned crops already; leave it out.")


@dataclass(frozen=True, kw_only=True)
class TableSettings(PrepareSettings, MissingSettings):
    """Finds, aligns and stores the faces of images that a table names; run again, it continues where it stopped.

    Inputs that cannot be read are listed with their reasons in OUT/failures.csv; the rest is complete.
    """

    table: Annotated[Path, tyro.conf.arg(metavar="FILE.csv")]
    """the list of images, with a column `path` and any of subject, clip, frame, time_s, AUxx, emotion, split"""
    detect: bool = True
    """find and align a face in every image, or take images that are aligned crops already"""

    def __post_init__(self) -> None:
        """See `PrepareSettings`."""
        super().__post_init__()
        if not self.detect and self.alignment not in ("frame", "none"):
            raise UsageError(
                f"--no-detect: takes images as they are, so --alignment {self.alignment} cannot hold; drop one."
            )


@dataclass(frozen=True, kw_only=True)
class DataSetSettings(PrepareSettings, MissingSettings):
    """Finds, aligns and stores the faces of a data set, with its labels; run again, it continues where it stopped.

    Inputs that cannot be read are listed with their reasons in OUT/failures.csv; the rest is complete.
    """

    check: tyro.conf.FlagCreatePairsOff[bool] = False
    """only report what was found, what is missing and how the counts compare with the published ones; takes seconds,
    reads no pictures, writes nothing"""
    parts: Annotated[Path | None, tyro.conf.arg(metavar="FILE.csv")] = None
    """a table with subject and part that divides the subjects; train, validation and test give the split, others folds
    for `evaluate --folds parts`"""


@dataclass(frozen=True, kw_only=True)
class AusChoice:
    """Which action units of a data set are read."""

    aus: Literal["protocol", "all"] = "protocol"
    """the action units of the published protocol, or all that are coded and known"""


@dataclass(frozen=True, kw_only=True)
class FramesChoice:
    """Which frames of a data set are read."""

    frames: Literal["coded", "all"] = "coded"
    """those with labels, or all"""


@dataclass(frozen=True, kw_only=True)
class EmotionsChoice:
    """Which emotions are read."""

    emotions: Literal[7, 8] = 8
    """7 leaves out contempt"""


@dataclass(frozen=True, kw_only=True)
class CameraChoice:
    """Whose recordings are read."""

    camera: Literal["left", "right"] = "left"
    """which of the two"""


@dataclass(frozen=True, kw_only=True)
class DrawChoice:
    """How much of a large data set is read."""

    per_subject: Annotated[Count | None, tyro.conf.arg(metavar="N")] = None
    """draw this many utterances of every speaker, from as many of their videos as possible (all by default)"""
    seed: Annotated[Seed, tyro.conf.arg(metavar="S")] = 0
    """of that draw"""

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
            UsageError: in one sentence.
        """
        check_numbers(self)
        post_init_of(super())


CHOICES: Final[dict[str, type]] = {
    "aus": AusChoice,
    "frames": FramesChoice,
    "emotions": EmotionsChoice,
    "camera": CameraChoice,
    "per_subject": DrawChoice,
    "fps": RateSettings,
}
"""Name in `DataSet.options` -> its fields; `points` is asked for by `alignment`."""
