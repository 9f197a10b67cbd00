"""The `prepare` job: from videos or a data set to a folder of aligned face crops."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import pyarrow.parquet as pq

from duchenne.data.prepared import MISSING_FILE, DatasetInfo, read_info
from duchenne.data.writing import write_prepared
from duchenne.errors import InputError
from duchenne.faces.align import ALIGNMENT, ALIGNMENTS, Fit
from duchenne.faces.find import MIN_FACE_PX
from duchenne.facs import au_column
from duchenne.model_files import FACE_FILES, model_path
from duchenne.preparing.arguments import check_arguments, check_media
from duchenne.preparing.cropping import process_finder
from duchenne.preparing.cutting import Cutter
from duchenne.preparing.cutting_videos import SMOOTHING_S
from duchenne.preparing.datasets.registry import DATA_SETS, read_data_set
from duchenne.preparing.datasets.table import plan_table
from duchenne.preparing.datasets.videos import plan_videos
from duchenne.preparing.naming import apply_names, write_sheet
from duchenne.preparing.sources.parts import Plan
from duchenne.preparing.sources.reading import Options
from duchenne.preparing.sources.survey import Survey

CROP_PX: Final = 256
Alignment = Literal["frame", "smooth", "five", "all68", "dataset", "none"]


@dataclass(frozen=True)
class Preparation:
    """What `prepare` has done.

    Attributes:
        out: the prepared folder; None where only a check was asked for.
        counts: crops, failures, left_out and those of `cropping.COUNTS`.
        notes: sentences on what was left out or not understood.
        survey: of a data set: what was found of it.
    """

    out: Path | None
    counts: Mapping[str, int]
    notes: Sequence[str] = ()
    survey: Survey | None = None

    def __str__(self) -> str:
        if self.out is None:
            return "\n".join(self.survey.lines() if self.survey else ())
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
    out: str | Path | None = None,
    check: bool = False,
    labels: str | Path | None = None,
    coder: str | None = None,
    table: str | Path | None = None,
    detect: bool = True,
    names: str | Path | None = None,
    aus: Literal["protocol", "all"] | None = None,
    frames: Literal["coded", "all"] | None = None,
    emotions: Literal[7, 8] | None = None,
    camera: Literal["left", "right"] | None = None,
    parts: str | Path | None = None,
    missing: Literal["drop", "negative"] = "drop",
    workers: int = 0,
    size_px: int = CROP_PX,
    min_face: float = MIN_FACE_PX,
    fps: float | None = None,
    alignment: Alignment = "frame",
    positive_from: float | None = None,
    name: str | None = None,
    licence: str | None = None,
    quiet: bool = False,
) -> Preparation:
    """Finds, follows, aligns and stores every face of a data set; goes on where an earlier run stopped.

    Args:
        dataset: name of a reader, see `arguments.READERS`.
        root: folder of the data.
        out: the prepared folder to write.
        check: (data sets) only say what was found of it and what is missing; no picture is read, nothing written.
        labels: (videos) the codes: a table, a text export of ELAN, BORIS or The Observer, or a folder of them.
        coder: (videos) whose codes to take where several coded the same video.
        table: (table) the CSV.
        detect: (table) find and align a face in every image; False is `alignment="none"`.
        names: (videos) a CSV `source, face, name` that names, merges and leaves out the faces found. It may be given or
            changed at any time, and costs no new search.
        aus: (data sets) action units of the published protocol (default), or all that are coded and known.
        frames: (data sets) those with labels (default), or all.
        emotions: (data sets) 8 (default), or 7 to leave out contempt.
        camera: (disfa) which of the two; left by default.
        parts: (data sets) a CSV `subject, part` that divides the subjects: train, validation and test give the split,
            other names folds for `evaluate --folds parts`.
        missing: labelled inputs of which there is no crop are left out of evaluations, or count as predicted absent.
        workers: processes; 0 for one per core. Any number writes the same bytes.
        size_px: side of the crops.
        min_face: faces narrower than this many pixels are counted and not kept.
        fps: (videos) frames per second to keep; all by default.
        alignment: `frame`: by eye corners and nose; `smooth`: that, smoothed over time (videos); `five`: by eye
            centres, nose tip and mouth corners; `all68`: by all landmarks; `dataset`: by those that the data set
            brings; `none`: the images are aligned crops.
        positive_from: the lowest coded intensity (0 to 5) that counts as present; 2, or the data set's own.
        name: of the data set, which namespaces its subjects; that of the reader, or of the `root` folder.
        licence: of the data; it travels into checkpoints and model cards.
        quiet: show no progress.

    Returns:
        The folder and what was counted. Inputs that failed are in `failures.csv` there, each with its reason, and
        labels without a crop in `missing.parquet`; for videos `faces.html` there shows everyone who was found.

    Raises:
        UsageError: for an unknown reader, a bad or unfitting argument, or an `out` that holds something else.
        InputError: when the inputs cannot be read, nothing could be written, or no face was kept at all.
    """
    check_arguments(locals())
    root, min_face = Path(root), float(min_face)
    known = DATA_SETS.get(dataset)
    detect = detect and alignment != "none"
    alignment = alignment if detect else "none"
    if positive_from is None:
        positive_from = (known and known.positive_from) or (1.0 if known else 2.0)
    positive_from = float(positive_from)  # as it is stored, from whatever caller
    chosen: dict[str, Any] = {}
    survey = None
    if known is not None:
        options = Options(
            aus=aus or "protocol", frames=frames or "coded", emotions=emotions or 8, camera=camera or "left",
            points=alignment == "dataset", positive_from=positive_from,
        )  # fmt: skip
        reading = read_data_set(dataset, root, options)
        chosen = {option: getattr(options, option) for option in sorted(known.options - {"fps", "points"})}
        if parts is not None:
            chosen |= reading.divide(Path(parts))
        survey = reading.survey
        if check:
            return Preparation(None, {}, (), survey)
        check_media(root, reading, alignment=alignment, fps=fps)
        if not reading.images and not reading.videos:
            lacking = survey.missing[0] if survey.missing else "no frame has a label; --frames all takes them without"
            raise InputError(f"{root}: there is nothing to prepare: {lacking}.")
        plan = reading.plan(detect=detect)
    elif dataset == "table":
        plan = plan_table(root, Path(str(table)), detect=detect)
    else:
        plan = plan_videos(root, Path(labels) if labels is not None else None, coder)
    info = DatasetInfo(
        name=name or (known and (known.namespace or known.name)) or root.resolve().name,
        aus=plan.aus,
        label_kind=plan.label_kind,
        alignment=_alignment(alignment),
        size_px=size_px,
        licence=licence or (known and known.licence) or "not stated",
        positive_from=positive_from,
        settings={
            "reader": dataset,
            "min_face_px": min_face,
            **({"fps": float(fps)} if fps is not None else {}),
            **chosen,
            **({"missing": missing} if dataset != "videos" else {}),
            "inputs": _digest(plan),
        },
    )
    folder = Path(str(out))
    if detect and alignment != "dataset":
        for file in FACE_FILES:  # before there are workers, and before anything is written
            model_path(file)
    fit: Fit = alignment if alignment in ("five", "all68") else "rigid"
    try:
        write_prepared(
            folder,
            info,
            plan.parts,
            Cutter(size_px, min_face, fps, alignment == "smooth", fit, alignment == "dataset"),
            workers=workers,
            units=[part.units for part in plan.parts],
            description=f"preparing {info.name}",
            quiet=quiet,
        )
    finally:
        process_finder.cache_clear()
    if dataset == "videos":
        counts = read_info(folder).counts
        if counts["crops"]:
            write_sheet(folder)
        if names is not None and (counts["crops"] or counts.get("left_out")):  # those left out can be taken back
            apply_names(folder, Path(names))
    done = Preparation(folder, read_info(folder).counts, [*plan.notes, *_lost(folder)], survey)
    if not done.counts["crops"]:
        raise InputError(f"{root}: {_why_empty(done)}")
    return done


def _digest(plan: Plan) -> str:
    return hashlib.sha256(json.dumps(plan.inputs, sort_keys=True, default=str).encode()).hexdigest()


def _alignment(alignment: Alignment) -> str:
    if alignment == "smooth":
        return f"{ALIGNMENT.removesuffix(', per frame')}, smoothed over time (Gaussian, {SMOOTHING_S} s)"
    return ALIGNMENTS[alignment]


def _lost(out: Path) -> list[str]:
    """A sentence on the labels of which there is no crop, with the positives per action unit that are lost."""
    if not (out / MISSING_FILE).exists():
        return []
    lost, info = pq.read_table(out / MISSING_FILE).to_pandas(), read_info(out)
    columns = [au_column(au) for au in info.aus]
    kept = pq.read_table(out / "frames.parquet", columns=columns).to_pandas()
    gone, stay = (lost[columns] == 1).sum(), (kept == 1).sum()
    words = [f"{column} {gone[column]} of {gone[column] + stay[column]}" for column in columns if gone[column]]
    reasons = ", ".join(f"{number} {reason}" for reason, number in lost["reason"].value_counts().head(3).items())
    treated = "evaluations count them as predicted absent" if _counts_missing(info) else "evaluations leave them out"
    return [
        f"{len(lost)} labelled frames have no crop ({reasons}); {treated}; {MISSING_FILE} lists them"
        + (f"; positives among them: {', '.join(words)}." if words else ".")
    ]


def _counts_missing(info: DatasetInfo) -> bool:
    return info.settings.get("missing") == "negative"


def _why_empty(done: Preparation) -> str:
    counts = done.counts
    if counts.get("left_out"):
        return f"all {counts['left_out']} crops were left out by name; name at least one face."
    if counts["failures"] == counts["files"]:
        return f"none of its {counts['files']} files could be read; {done.out}/failures.csv says why."
    if not counts["faces"]:
        return f"no face was found in {counts['frames']} frames of {counts['files']} files; choose other recordings."
    return (
        f"none of the {counts['faces']} faces found could be kept ({counts['small_faces']} too small, "
        f"{counts['no_landmarks']} without landmarks); lower --min-face or choose closer recordings."
    )
