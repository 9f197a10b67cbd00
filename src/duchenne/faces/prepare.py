"""The `prepare` job: from videos or a data set to a folder of aligned face crops."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from duchenne.data.datasets.parts import Plan
from duchenne.data.datasets.table import plan_table
from duchenne.data.datasets.videos import plan_videos
from duchenne.data.prepared import DatasetInfo, read_info
from duchenne.data.writing import write_prepared
from duchenne.errors import InputError, UsageError
from duchenne.faces.align import ALIGNMENT
from duchenne.faces.cutting import Cutter, process_finder
from duchenne.faces.cutting_videos import SMOOTHING_S
from duchenne.faces.find import MIN_FACE_PX
from duchenne.faces.naming import apply_names, write_sheet
from duchenne.model_files import FACE_FILES, model_path

CROP_PX: Final = 256
MIN_CROP_PX: Final = 32
READERS: Final[dict[str, str]] = {
    "videos": "a folder of videos; with --labels, coded ones",
    "table": "images named by a CSV (--table), with their labels",
}
"""Every reader by the name that `prepare` takes, and what it reads."""


@dataclass(frozen=True)
class Preparation:
    """What `prepare` has done.

    Attributes:
        out: the prepared folder.
        counts: crops, failures, left_out and those of `cutting.COUNTS`.
        notes: sentences on what was left out or not understood.
    """

    out: Path
    counts: Mapping[str, int]
    notes: Sequence[str] = ()

    def __str__(self) -> str:
        counts = self.counts
        dropped = {
            "too small": counts["small_faces"],
            "without landmarks": counts["no_landmarks"],
            "beside a larger one": counts["other_faces"],
            "left out by name": counts.get("left_out", 0),
        }
        not_kept = "".join(f", {number} {why}" for why, number in dropped.items() if number)
        skipped = f" and {counts['skipped_frames']} passed over" if counts["skipped_frames"] else ""
        coded = f" ({counts['coded']} with labels)" if counts["coded"] else ""
        return (
            f"{counts['files']} files, {counts['frames']} frames{skipped}, {counts['faceless_frames']} without a face; "
            f"{counts['faces']} faces: {counts['crops']} kept{coded}{not_kept}; {counts['failures']} failures "
            f"-> {self.out}"
        )


def prepare(
    dataset: str,
    *,
    root: str | Path,
    out: str | Path,
    labels: str | Path | None = None,
    coder: str | None = None,
    table: str | Path | None = None,
    detect: bool = True,
    names: str | Path | None = None,
    workers: int = 0,
    size_px: int = CROP_PX,
    min_face: float = MIN_FACE_PX,
    fps: float | None = None,
    alignment: Literal["frame", "smooth"] = "frame",
    positive_from: float = 2.0,
    name: str | None = None,
    licence: str = "not stated",
    quiet: bool = False,
) -> Preparation:
    """Finds, follows, aligns and stores every face of a data set; goes on where an earlier run stopped.

    Args:
        dataset: name of a reader, see `READERS`.
        root: folder of the data.
        out: the prepared folder to write.
        labels: (videos) the codes: a table, a text export of ELAN, BORIS or The Observer, or a folder of them.
        coder: (videos) whose codes to take where several coded the same video.
        table: (table) the CSV.
        detect: (table) find and align a face in every image; False for images that are aligned crops already.
        names: (videos) a CSV `source, face, name` that names, merges and leaves out the faces found. It may be given or
            changed at any time, and costs no new search.
        workers: processes; 0 for one per core. Any number writes the same bytes.
        size_px: side of the crops.
        min_face: faces narrower than this many pixels are counted and not kept.
        fps: (videos) frames per second to keep; all by default.
        alignment: per frame, or (videos) smoothed over time.
        positive_from: the lowest coded intensity (0 to 5) that counts as present.
        name: of the data set, which namespaces its subjects; the name of `root` by default.
        licence: of the data; it travels into checkpoints and model cards.
        quiet: show no progress.

    Returns:
        The folder and what was counted. Inputs that failed are in `failures.csv` there, each with its reason; for
        videos `faces.html` there shows everyone who was found.

    Raises:
        UsageError: for an unknown reader, a bad or unfitting argument, or an `out` that holds something else.
        InputError: when the inputs cannot be read, nothing could be written, or no face was kept at all.
    """
    _check(locals())
    root, out = Path(root), Path(out)
    min_face, positive_from = float(min_face), float(positive_from)  # as they are stored, from whatever caller
    if dataset == "table":
        assert table is not None
        plan = plan_table(root, Path(table), detect=detect)
    else:
        plan = plan_videos(root, Path(labels) if labels is not None else None, coder)
    info = DatasetInfo(
        name=name or root.resolve().name,
        aus=plan.aus,
        label_kind=plan.label_kind,
        alignment=_alignment(alignment, detect),
        size_px=size_px,
        licence=licence,
        positive_from=positive_from,
        settings={
            "reader": dataset,
            "min_face_px": min_face,
            **({"fps": float(fps)} if fps is not None else {}),
            "inputs": _digest(plan),
        },
    )
    if detect:
        for file in FACE_FILES:  # before there are workers, and before anything is written
            model_path(file)
    try:
        write_prepared(
            out,
            info,
            plan.parts,
            Cutter(size_px, min_face, fps, alignment == "smooth"),
            workers=workers,
            units=[part.units for part in plan.parts],
            description=f"preparing {info.name}",
            quiet=quiet,
        )
    finally:
        process_finder.cache_clear()
    if dataset == "videos":
        counts = read_info(out).counts
        if counts["crops"]:
            write_sheet(out)
        if names is not None and (counts["crops"] or counts.get("left_out")):  # those left out can be taken back
            apply_names(out, Path(names))
    done = Preparation(out, read_info(out).counts, plan.notes)
    if not done.counts["crops"]:
        raise InputError(f"{root}: {_why_empty(done)}")
    return done


def _check(given: Mapping[str, Any]) -> None:
    """Refuses arguments that make no sense, before anything is read."""
    dataset = given["dataset"]
    if dataset not in READERS:
        raise UsageError(f"there is no data set `{dataset}`; the known ones are {', '.join(READERS)}.")
    fits = {
        "videos": ("labels", "coder", "names", "fps"),
        "table": ("table",),
    }
    for reader, names in fits.items():
        for name in names:
            if reader != dataset and given[name] is not None:
                raise UsageError(f"--{name}: is for `prepare {reader}`, not for `prepare {dataset}`; leave it out.")
    if dataset == "table" and given["table"] is None:
        raise UsageError("prepare table: needs --table FILE.csv, the list of images; name it.")
    if dataset != "table" and not given["detect"]:
        raise UsageError(f"--no-detect: is for `prepare table`, not for `prepare {dataset}`; leave it out.")
    if dataset == "table" and given["alignment"] != "frame":
        raise UsageError("--alignment smooth: needs videos; leave it out.")
    if given["alignment"] not in ("frame", "smooth"):
        raise UsageError(f"--alignment {given['alignment']}: must be frame or smooth.")
    if given["size_px"] < MIN_CROP_PX:
        raise UsageError(f"--size {given['size_px']}: crops need at least {MIN_CROP_PX} pixels; choose a larger size.")
    if given["min_face"] < 1:
        raise UsageError(f"--min-face {given['min_face']:g}: must be at least 1 pixel.")
    if given["workers"] < 0:
        raise UsageError(f"--workers {given['workers']}: must be 0 (one per core) or more.")
    if given["fps"] is not None and given["fps"] <= 0:
        raise UsageError(f"--fps {given['fps']:g}: must be more than 0.")
    if not 0 < given["positive_from"] <= 5:
        raise UsageError(f"--positive-from {given['positive_from']:g}: must lie between 0 and 5.")


def _digest(plan: Plan) -> str:
    return hashlib.sha256(json.dumps(plan.inputs, sort_keys=True, default=str).encode()).hexdigest()


def _alignment(alignment: str, detect: bool) -> str:
    if not detect:
        return "as given"
    if alignment == "smooth":
        return f"{ALIGNMENT.removesuffix(', per frame')}, smoothed over time (Gaussian, {SMOOTHING_S} s)"
    return ALIGNMENT


def _why_empty(done: Preparation) -> str:
    counts = done.counts
    if counts.get("left_out"):
        return f"all {counts['left_out']} crops were left out by name; name at least one face."
    if counts["failures"] == counts["files"]:
        return f"none of its {counts['files']} files could be read; {done.out / 'failures.csv'} says why."
    if not counts["faces"]:
        return f"no face was found in {counts['frames']} frames of {counts['files']} files; choose other recordings."
    return (
        f"none of the {counts['faces']} faces found could be kept ({counts['small_faces']} too small, "
        f"{counts['no_landmarks']} without landmarks); lower --min-face or choose closer recordings."
    )
