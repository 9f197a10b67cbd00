"""What may be asked of `prepare`: which arguments fit which reader, refused before anything is read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from duchenne.errors import UsageError
from duchenne.faces.align import ALIGNMENTS
from duchenne.faces.recordings.formats import MOST_FPS
from duchenne.preparing.datasets.registry import DATA_SETS
from duchenne.preparing.sources.reading import Reading

MIN_CROP_PX: Final = 32
READERS: Final[dict[str, str]] = {
    "videos": "a folder of videos; with --labels, coded ones",
    "table": "images named by a CSV (--table), with their labels",
    **{name: f"{data_set.title}: {data_set.about}" for name, data_set in DATA_SETS.items()},
}
"""Every reader by the name that `prepare` takes, and what it reads."""
_OF_VIDEOS: Final = ("labels", "coder", "names", "sequence")
_OF_DATA_SETS: Final = ("aus", "frames", "emotions", "camera", "parts", "per_subject", "seed")


def check_arguments(given: Mapping[str, Any]) -> None:
    """Refuses arguments of `prepare` that make no sense.

    Raises:
        UsageError: in one sentence.
    """
    dataset = given["dataset"]
    if dataset not in READERS:
        raise UsageError(f"there is no data set `{dataset}`; the known ones are {', '.join(READERS)}.")
    if given["check"] and dataset not in DATA_SETS:
        raise UsageError(f"--check: is for data sets, not for `prepare {dataset}`; leave it out.")
    if given["out"] is None and not given["check"]:
        raise UsageError("--out: name the folder to write, or ask for --check only.")
    _check_reader(dataset, given)
    _check_alignment(dataset, given)
    _check_values(given)


def check_media(root: Path, reading: Reading, *, alignment: str, fps: float | None) -> None:
    """Refuses what only videos or only pictures can have, where a data set comes as the other.

    Raises:
        UsageError: in one sentence.
    """
    if reading.images and (alignment == "smooth" or fps is not None):
        flag = "--alignment smooth" if alignment == "smooth" else "--fps"
        raise UsageError(f"{flag}: needs videos, and {root} holds pictures; leave it out.")
    if reading.videos and alignment == "none":
        raise UsageError(f"--alignment none: is for aligned crops, and {root} holds videos; leave it out.")


def _check_reader(dataset: str, given: Mapping[str, Any]) -> None:
    fits = {"videos": {*_OF_VIDEOS, "fps"}, "table": {"table"}}.get(dataset)
    if fits is None:
        fits = options_of(dataset)
    for option in (*_OF_VIDEOS, "table", "fps", *_OF_DATA_SETS):
        if given[option] is not None and option not in fits:
            others = [name for name in DATA_SETS if option in options_of(name)]
            others += ["videos"] if option in {*_OF_VIDEOS, "fps"} else ["table"] if option == "table" else []
            fitting = "`, `prepare ".join(others)
            flag = option.replace("_", "-")
            raise UsageError(f"--{flag}: is for `prepare {fitting}`, not for `prepare {dataset}`; leave it out.")
    for option in ("chapters", "mirrored"):
        if given[option] and dataset != "videos":
            raise UsageError(f"--{option}: is for `prepare videos`, not for `prepare {dataset}`; leave it out.")
    if dataset == "table" and given["table"] is None:
        raise UsageError("prepare table: needs --table FILE.csv, the list of images; name it.")
    if dataset != "table" and not given["detect"]:
        raise UsageError(f"--no-detect: is for `prepare table`; for `prepare {dataset}` say --alignment none.")
    if dataset == "videos" and given["missing"] != "drop":
        raise UsageError("--missing: is for data sets and `prepare table`, not for `prepare videos`; leave it out.")
    if dataset in DATA_SETS and given["positive_from"] is not None and DATA_SETS[dataset].positive_from is None:
        raise UsageError(f"--positive-from: {DATA_SETS[dataset].title} says itself what is present; leave it out.")


def options_of(dataset: str) -> set[str]:
    """The options that a data set's reader takes."""
    own = DATA_SETS[dataset].options
    return {"parts", *own, *({"seed"} if "per_subject" in own else ())}


def _check_alignment(dataset: str, given: Mapping[str, Any]) -> None:
    alignment, options = given["alignment"], DATA_SETS[dataset].options if dataset in DATA_SETS else frozenset()
    if alignment not in (*ALIGNMENTS, "smooth"):
        raise UsageError(f"--alignment {alignment}: must be one of smooth, {', '.join(ALIGNMENTS)}.")
    videos = dataset == "videos" or "fps" in options
    if alignment == "smooth" and not videos:
        raise UsageError("--alignment smooth: needs videos; leave it out.")
    if alignment == "none" and dataset == "videos":
        raise UsageError("--alignment none: is for images that are aligned crops already; leave it out.")
    if alignment == "dataset" and "points" not in options:
        known = [name for name in DATA_SETS if "points" in DATA_SETS[name].options]
        raise UsageError(
            f"--alignment dataset: landmarks are read of {', '.join(known)}, not of {dataset}; choose another."
        )
    if not given["detect"] and alignment not in ("frame", "none"):
        raise UsageError(f"--no-detect: takes images as they are, so --alignment {alignment} cannot hold; drop one.")


def _check_values(given: Mapping[str, Any]) -> None:
    if given["size_px"] < MIN_CROP_PX:
        raise UsageError(f"--size {given['size_px']}: crops need at least {MIN_CROP_PX} pixels; choose a larger size.")
    if given["min_face"] < 1:
        raise UsageError(f"--min-face {given['min_face']:g}: must be at least 1 pixel.")
    if given["per_subject"] is not None and given["per_subject"] < 1:
        raise UsageError(f"--per-subject {given['per_subject']}: must be at least 1.")
    if given["seed"] is not None and (given["per_subject"] is None or given["seed"] < 0):
        raise UsageError(f"--seed {given['seed']}: is that of --per-subject, and at least 0.")
    if given["workers"] < 0:
        raise UsageError(f"--workers {given['workers']}: must be 0 (one per core) or more.")
    if given["fps"] is not None and given["fps"] <= 0:
        raise UsageError(f"--fps {given['fps']:g}: must be more than 0.")
    if given["sequence"] is not None and not 0 < given["sequence"] < MOST_FPS:
        raise UsageError(f"--sequence {given['sequence']:g}: must be over 0 and under {MOST_FPS:g} frames a second.")
    if given["sequence"] is not None and given["chapters"]:
        raise UsageError("--sequence and --chapters exclude each other; a folder of pictures has no chapters.")
    if given["positive_from"] is not None and not 0 < given["positive_from"] <= 5:
        raise UsageError(f"--positive-from {given['positive_from']:g}: must lie between 0 and 5.")
    for option, allowed in {
        "aus": ("protocol", "all"), "frames": ("coded", "all"), "emotions": (7, 8), "camera": ("left", "right"),
        "missing": ("drop", "negative"),
    }.items():  # fmt: skip
        if given[option] is not None and given[option] not in allowed:
            raise UsageError(f"--{option} {given[option]}: must be {' or '.join(map(str, allowed))}.")
