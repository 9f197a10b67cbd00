"""The `prepare` job: from videos or a data set to a folder of aligned face crops."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from duchenne.config import load_mapping
from duchenne.data.cells import read_rows
from duchenne.data.prepared import MISSING_FILE, RECORDINGS_FILE, DatasetInfo, read_info
from duchenne.data.stored.parquet import read_parquet
from duchenne.data.writing import write_prepared
from duchenne.errors import InputError, UsageError
from duchenne.faces.align import ALIGNMENT, ALIGNMENTS, Fit
from duchenne.faces.recordings.listing import Assembly
from duchenne.facs import au_column
from duchenne.keywords import field_names
from duchenne.model_files import FACE_FILES, model_path
from duchenne.preparing.arguments import check_media, read_settings
from duchenne.preparing.cropping import process_finder
from duchenne.preparing.cutting import Cutter
from duchenne.preparing.cutting_videos import SMOOTHING_S
from duchenne.preparing.datasets.registry import data_set_of, read_data_set
from duchenne.preparing.datasets.table import plan_table
from duchenne.preparing.datasets.videos import plan_videos
from duchenne.preparing.naming import apply_names, write_sheet
from duchenne.preparing.settings import (
    Alignment,
    DataSetSettings,
    PrepareSettings,
    RateSettings,
    TableSettings,
    VideosSettings,
)
from duchenne.preparing.sources.parts import Plan, VideoPart
from duchenne.preparing.sources.reading import Options, Reading
from duchenne.preparing.sources.survey import Survey

_SHOWN: Final = 20  # notes on recordings


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


@dataclass(frozen=True)
class _Task:
    """What a reader wants prepared.

    Attributes:
        plan: the parts.
        alignment: of the crops.
        positive_from: the lowest intensity that counts as present.
        chosen: settings of this reader alone, as they are stored with the data.
        survey: of a data set.
    """

    plan: Plan
    alignment: Alignment
    positive_from: float
    chosen: Mapping[str, Any]
    survey: Survey | None = None


def prepare(dataset: str, *, root: str | Path, out: str | Path | None = None, **fields: Any) -> Preparation:
    """Finds, tracks, aligns and stores every face of a data set; continues where an earlier run stopped.

    Args:
        dataset: name of a reader, see `arguments.READERS`; of a data set of another package, or `package.module:NAME`.
        root: folder of the data.
        out: the prepared folder to write; None where only a `check` of a data set is wanted.
        **fields: any setting of the reader, as `duchenne prepare DATASET --help` lists them, with underscores:
            `labels="codes.csv"`, `min_face=48`, `alignment="smooth"` ...; the side of the crops is `size_px`. See
            `duchenne.preparing.settings`.

    Returns:
        The folder and what was counted. Inputs that failed are in `failures.csv` there, each with its reason, and
        labels without a crop in `missing.parquet`; for videos `faces.html` there shows everyone who was found.

    Raises:
        UsageError: for an unknown reader, a setting that it does not have or that does not fit, or an `out` that holds
            something else.
        InputError: when the inputs cannot be read, nothing could be written, or no face was kept at all.
    """
    settings = read_settings(dataset, fields)
    root = Path(root)
    if isinstance(settings, DataSetSettings) and settings.check:
        return Preparation(None, {}, (), _read_data_set(dataset, root, settings)[0].survey)
    if out is None:
        raise UsageError("--out: name the folder to write, or ask for --check only.")
    if isinstance(settings, DataSetSettings):
        task = _of_data_set(dataset, root, settings)
    elif isinstance(settings, TableSettings):
        task = _of_table(root, settings)
    else:
        assert isinstance(settings, VideosSettings)
        task = _of_videos(root, settings)
    info = _describe(dataset, root, settings, task)
    _check_inputs(Path(out), info)
    _write(Path(out), info, settings, task)
    named = _name_faces(Path(out), settings.names, task.plan) if isinstance(settings, VideosSettings) else []
    notes = [*task.plan.notes, *named, *_of_recordings(Path(out)), *_lost(Path(out))]
    done = Preparation(Path(out), read_info(out).counts, notes, task.survey)
    if not done.counts["crops"]:
        raise InputError(f"{root}: {_why_empty(done)}")
    return done


def _of_data_set(dataset: str, root: Path, settings: DataSetSettings) -> _Task:
    reading, chosen = _read_data_set(dataset, root, settings)
    survey = reading.survey
    check_media(root, reading, alignment=settings.alignment, fps=_rate(settings))
    if not reading.images and not reading.videos:
        lacking = survey.missing[0] if survey.missing else "no frame has a label; --frames all takes them without"
        raise InputError(f"{root}: there is nothing to prepare: {lacking}.")
    plan = reading.plan(detect=settings.alignment != "none")
    return _Task(plan, settings.alignment, _level(dataset, settings), {**chosen, "missing": settings.missing}, survey)


def _read_data_set(dataset: str, root: Path, settings: DataSetSettings) -> tuple[Reading, dict[str, Any]]:
    """What is found of a data set, and what was chosen of it."""
    options = Options(
        **{name: getattr(settings, name) for name in field_names(Options) & field_names(type(settings))}
        | {"positive_from": _level(dataset, settings), "points": settings.alignment == "dataset"}
    )
    reading = read_data_set(dataset, root, options)
    known = data_set_of(dataset)
    stored = sorted((known.options if known else frozenset()) - {"fps", "points", "per_subject"})
    chosen = {option: getattr(options, option) for option in stored}
    if options.per_subject is not None:
        chosen |= {"per_subject": options.per_subject, "seed": options.seed}
    if settings.parts is not None:
        chosen |= reading.divide(settings.parts)
    return reading, chosen


def _of_table(root: Path, settings: TableSettings) -> _Task:
    alignment = settings.alignment if settings.detect else "none"
    plan = plan_table(root, settings.table, detect=alignment != "none")
    return _Task(plan, alignment, _level("table", settings), {"missing": settings.missing})


def _of_videos(root: Path, settings: VideosSettings) -> _Task:
    assembly = Assembly(settings.sequence, (), settings.mirrored)
    said = (("sequence", assembly.sequence_fps), ("mirrored", settings.mirrored))
    plan = plan_videos(
        root, settings.labels, settings.coder, settings.names, assembly=assembly, chapters=settings.chapters
    )
    chosen = {name: value for name, value in said if value}
    return _Task(plan, settings.alignment, _level("videos", settings), chosen)


def _level(dataset: str, settings: PrepareSettings) -> float:
    """The lowest intensity that counts as present."""
    if settings.positive_from is not None:
        return settings.positive_from
    known = data_set_of(dataset)
    return (known and known.positive_from) or (1.0 if known else 2.0)


def _rate(settings: PrepareSettings) -> float | None:
    """Frames per second to keep; None: all, or there are no videos."""
    return settings.fps if isinstance(settings, RateSettings) else None


def _describe(dataset: str, root: Path, settings: PrepareSettings, task: _Task) -> DatasetInfo:
    """What `dataset.yaml` says."""
    known, fps = data_set_of(dataset), _rate(settings)
    return DatasetInfo(
        name=settings.name or (known and (known.namespace or known.name)) or root.resolve().name,
        aus=task.plan.aus,
        label_kind=task.plan.label_kind,
        alignment=_alignment(task.alignment),
        size_px=settings.size_px,
        licence=settings.licence or (known and known.licence) or "not stated",
        positive_from=task.positive_from,
        settings={
            "reader": dataset,
            "min_face_px": settings.min_face,
            **({"fps": fps} if fps is not None else {}),
            **task.chosen,
            "inputs": _digest(task.plan),
        },
    )


def _check_inputs(out: Path, info: DatasetInfo) -> None:
    """Refuses to go on in a folder that was made of other inputs; other differences are refused where it is written."""
    if not (out / "job.yaml").is_file():
        return
    before, now = load_mapping(out / "job.yaml").get("settings"), json.loads(json.dumps(info.settings))
    if isinstance(before, dict) and before != now and {**before, "inputs": now["inputs"]} == now:
        raise UsageError(
            f"{out}: holds the data of another job: files or labels have changed since (or it was begun by a version "
            "of Duchenne that did not look at the sizes of pictures); delete this folder, or name another --out."
        )


def _write(out: Path, info: DatasetInfo, settings: PrepareSettings, task: _Task) -> None:
    """Cuts and stores every part that is not there yet."""
    alignment, parts = task.alignment, task.plan.parts
    if alignment not in ("none", "dataset"):
        for file in FACE_FILES:  # before there are workers, and before anything is written
            model_path(file)
    fit: Fit = alignment if alignment in ("five", "all68") else "rigid"
    try:
        write_prepared(
            out,
            info,
            parts,
            Cutter(
                settings.size_px, settings.min_face, _rate(settings), alignment == "smooth", fit, alignment == "dataset"
            ),
            workers=settings.workers,
            units=[part.units for part in parts],
            description=f"preparing {info.name}",
            what="recording" if all(isinstance(part, VideoPart) for part in parts) else "part",
            quiet=settings.quiet,
            scheduler=settings.scheduler,
        )
    finally:
        process_finder.cache_clear()


def _name_faces(out: Path, names: Path | None, plan: Plan) -> list[str]:
    """Shows everyone who was found, and applies the names that were given to them; tells what is odd in these."""
    coded = {part.source: part.codes for part in plan.parts if isinstance(part, VideoPart) and part.codes is not None}
    of_main = {source: codes.faces.keys() - {None} for source, codes in coded.items() if None in codes.faces}
    counts = read_info(out).counts
    if counts["crops"]:
        write_sheet(out)
    if names is not None and (counts["crops"] or counts.get("left_out")):  # those left out can be taken back
        return apply_names(out, names, of_main)
    return []


def _digest(plan: Plan) -> str:
    return hashlib.sha256(json.dumps(plan.inputs, sort_keys=True, default=str).encode()).hexdigest()


def _alignment(alignment: Alignment) -> str:
    if alignment == "smooth":
        return f"{ALIGNMENT.removesuffix(', per frame')}, smoothed over time (Gaussian, {SMOOTHING_S} s)"
    return ALIGNMENTS[alignment]


def _of_recordings(out: Path) -> list[str]:
    """What `recordings.csv` says that a user should know."""
    if not (out / RECORDINGS_FILE).exists():
        return []
    _, rows = read_rows(out / RECORDINGS_FILE, ("source", "notes"))
    notes = [f"{row.get('source')}: {row.get('notes')}." for row in rows if row.get("notes")]
    more = [f"{len(notes) - _SHOWN} more recordings have notes in {out / RECORDINGS_FILE}."]
    return notes[:_SHOWN] + (more if len(notes) > _SHOWN else [])


def _lost(out: Path) -> list[str]:
    """A sentence on the labels of which there is no crop, with the positives per action unit that are lost."""
    if not (out / MISSING_FILE).exists():
        return []
    lost, info = read_parquet(out / MISSING_FILE).to_pandas(), read_info(out)
    columns = [au_column(au) for au in info.aus]
    kept = read_parquet(out / "frames.parquet", lambda name: name in columns).to_pandas()
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
