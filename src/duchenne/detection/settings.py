"""What `detect` is asked: dataclasses that are its command line and the keywords of Python. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args

import tyro

from duchenne.config import Count, FramesPerSecond, Range, Seconds, Workers
from duchenne.devices import Precision
from duchenne.errors import UsageError, did_you_mean
from duchenne.keywords import check_numbers, field_names
from duchenne.tables.made_with import MIN_FACE, WINDOW

Format = Literal["duchenne", "openface", "fex"]


@dataclass(frozen=True, kw_only=True)
class ComputeArguments:
    """How an encoder computes."""

    device: str = "auto"
    """where an encoder runs: auto, cpu, cuda, cuda:N or mps; faces are found on the CPU"""
    precision: Precision = "float32"
    """precision of an encoder; bf16 is faster where the device supports it"""


@dataclass(frozen=True, kw_only=True)
class FaceSettings:
    """Which faces are read, of what."""

    min_face: Annotated[int, Range(1, 65_536)] = MIN_FACE
    """faces narrower than this many pixels are listed without action units"""
    sequence: Annotated[FramesPerSecond | None, tyro.conf.arg(metavar="FPS")] = None
    """every folder of pictures is one recording at this many frames per second, in the order of their names"""
    mirrored: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """the recordings are mirror images (some front cameras, conferences): flip them first"""

    def __post_init__(self) -> None:
        """Refuses values that make no sense.

        Raises:
            UsageError: naming the setting.
        """
        check_numbers(self)


@dataclass(frozen=True, kw_only=True)
class FrameArguments(FaceSettings, ComputeArguments):
    """What `detect_frames` is asked."""


@dataclass(frozen=True, kw_only=True)
class DetectSettings(FaceSettings):
    """How faces are read and what the rows look like. Tables made with other settings are made anew."""

    format: Format = "duchenne"
    """column names: our own, OpenFace's, or those of py-feat's Fex"""
    sides: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """also give the left and the right side, AUxx_left and AUxx_right (the subject's), where the model has them"""
    all_aus: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """`duchenne`: also fill in action units that have not been judged on real faces; otherwise they are empty"""
    every: Count = 1
    """read only every Nth frame: 0, N, 2N ..."""
    start_s: Seconds = 0.0
    """leave out frames before this time; faces are followed from the beginning, so that they keep their number"""
    end_s: Seconds | None = None
    """leave out frames from this time on"""
    smooth_s: Annotated[float, Range(0, 3600)] = 0.0
    """average every value over this many seconds around its frame; 0 for none"""
    baseline: Annotated[str | None, tyro.conf.arg(metavar="FILE|FROM-TO")] = None
    """subtract the resting face: the median over a recording of it, or over seconds of the input, such as 0-5"""
    anonymous: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """overlay and report show landmarks instead of the picture"""
    chapters: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """files named as chapters (GoPro's, a DVD's, NAME_part1 ...) are joined into one recording"""

    def __post_init__(self) -> None:
        """Refuses values that make no sense.

        Raises:
            UsageError: naming the setting.
        """
        super().__post_init__()
        if self.format not in get_args(Format):
            raise UsageError(f"there is no format `{self.format}`; {did_you_mean(self.format, get_args(Format))}")
        if self.end_s is not None and not self.end_s > self.start_s:
            raise UsageError(f"--end-s is {self.end_s}; it must be after --start-s ({self.start_s}).")
        if self.sequence is not None and self.chapters:
            raise UsageError("--sequence and --chapters exclude each other; a folder of pictures has no chapters.")
        if self.baseline is not None:
            window = self.baseline_window_s
            if window is None and not Path(self.baseline).exists():
                raise UsageError(
                    f"--baseline `{self.baseline}` is neither a file nor seconds; write a path, or FROM-TO as 0-5."
                )
            if window is not None and not window[1] > window[0]:
                raise UsageError(f"--baseline `{self.baseline}` ends before it begins; write FROM-TO as 0-5.")

    @property
    def baseline_window_s(self) -> tuple[float, float] | None:
        """The seconds of the input that show the resting face; None where a file does, or nothing."""
        found = WINDOW.fullmatch(self.baseline or "")
        return (float(found[1]), float(found[2])) if found else None


@dataclass(frozen=True, kw_only=True)
class DetectArguments(DetectSettings, ComputeArguments):
    """All that `detect` is asked: beside the settings, where tables and drawings go, and what computes."""

    output: Annotated[str | Path | None, tyro.conf.arg(aliases=["-o"], metavar="FILE.csv|FILE.parquet|DIR/")] = None
    """one table of all inputs, or a folder for one table per input (those finished by an earlier run are kept)"""
    overlay: Annotated[str | Path | None, tyro.conf.arg(metavar="FILE.mp4|DIR/")] = None
    """a copy of the video with boxes, landmarks and bars of action units"""
    report: Annotated[str | Path | None, tyro.conf.arg(metavar="FILE.html|DIR/")] = None
    """a page that shows the action units over time"""
    workers: Workers = 1
    """processes, over files"""
    scheduler: Annotated[str | None, tyro.conf.arg(metavar="tcp://HOST:PORT")] = None
    """a Dask cluster that processes the files instead"""

    @property
    def settings(self) -> DetectSettings:
        """What decides what the rows look like, by itself."""
        return DetectSettings(**{name: getattr(self, name) for name in field_names(DetectSettings)})
