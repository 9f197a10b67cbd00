"""The `prepare` job: from videos or a data set to a folder of aligned face crops."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from duchenne.data.datasets.videos import plan_videos
from duchenne.data.prepared import DatasetInfo, read_info
from duchenne.data.writing import write_prepared
from duchenne.errors import InputError, UsageError
from duchenne.faces.align import ALIGNMENT
from duchenne.faces.cutting import Cutter, process_finder
from duchenne.faces.find import MIN_FACE_PX

CROP_PX: Final = 256
MIN_CROP_PX: Final = 32
READERS: Final = {"videos": plan_videos}
"""Every reader by the name that `prepare` takes."""


@dataclass(frozen=True)
class Preparation:
    """What `prepare` has done.

    Attributes:
        out: the prepared folder.
        counts: crops, files, frames, faceless_frames, faces, small_faces, no_landmarks, failures.
    """

    out: Path
    counts: Mapping[str, int]

    def __str__(self) -> str:
        counts = self.counts
        return (
            f"{counts['files']} files, {counts['frames']} frames, {counts['faceless_frames']} of them without a face; "
            f"{counts['faces']} faces: {counts['crops']} kept, {counts['small_faces']} too small, "
            f"{counts['no_landmarks']} without landmarks; {counts['failures']} failures -> {self.out}"
        )


def prepare(
    dataset: str,
    *,
    root: str | Path,
    out: str | Path,
    workers: int = 0,
    size_px: int = CROP_PX,
    min_face: float = MIN_FACE_PX,
    name: str | None = None,
    licence: str = "not stated",
    quiet: bool = False,
) -> Preparation:
    """Finds, follows, aligns and stores every face of a data set; goes on where an earlier run stopped.

    Args:
        dataset: name of a reader, see `READERS`.
        root: folder of the data.
        out: the prepared folder to write.
        workers: processes; 0 for one per core. Any number writes the same bytes.
        size_px: side of the crops.
        min_face: faces narrower than this many pixels are counted and not kept.
        name: of the data set, which namespaces its subjects; the name of `root` by default.
        licence: of the data; it travels into checkpoints and model cards.
        quiet: show no progress.

    Returns:
        The folder and what was counted. Inputs that failed are in `failures.csv` there, each with its reason.

    Raises:
        UsageError: for an unknown reader, a bad size, or an `out` that holds something else.
        InputError: when the root cannot be read, nothing could be written, or no face was kept at all.
    """
    if dataset not in READERS:
        raise UsageError(f"there is no data set `{dataset}`; the known ones are {', '.join(READERS)}.")
    if size_px < MIN_CROP_PX:
        raise UsageError(f"--size {size_px}: crops need at least {MIN_CROP_PX} pixels; choose a larger size.")
    if min_face < 1:
        raise UsageError(f"--min-face {min_face}: must be at least 1 pixel.")
    if workers < 0:
        raise UsageError(f"--workers {workers}: must be 0 (one per core) or more.")
    root, out = Path(root), Path(out)
    plan = READERS[dataset](root)
    inputs = hashlib.sha256(json.dumps(sorted(plan.inputs)).encode()).hexdigest()
    info = DatasetInfo(
        name=name or root.resolve().name,
        aus=plan.aus,
        label_kind=plan.label_kind,
        alignment=ALIGNMENT,
        size_px=size_px,
        licence=licence,
        settings={"reader": dataset, "min_face_px": min_face, "inputs": inputs},
    )
    process_finder(min_face)  # fetches the models once, before there are workers, and fails before anything is written
    try:
        write_prepared(
            out,
            info,
            plan.parts,
            Cutter(size_px, min_face),
            workers=workers,
            units=[part.frames for part in plan.parts],
            description=f"preparing {info.name}",
            quiet=quiet,
        )
    finally:
        process_finder.cache_clear()
    done = Preparation(out, read_info(out).counts)
    if not done.counts["crops"]:
        raise InputError(f"{root}: {_why_empty(done)}")
    return done


def _why_empty(done: Preparation) -> str:
    counts = done.counts
    if not counts["frames"]:
        return f"none of its {counts['files']} files could be read; {done.out / 'failures.csv'} says why."
    if not counts["faces"]:
        return f"no face was found in {counts['frames']} frames of {counts['files']} files; choose other videos."
    return (
        f"none of the {counts['faces']} faces found could be kept ({counts['small_faces']} too small, "
        f"{counts['no_landmarks']} without landmarks); lower --min-face or choose closer recordings."
    )
