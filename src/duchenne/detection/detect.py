"""`duchenne detect`: action units of images and videos, as tables."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import pandas as pd

from duchenne.detection.detector import Detector
from duchenne.detection.formats import empty_columns
from duchenne.detection.job import OVERLAY_ENDING, Job, Outcome, settings_record
from duchenne.detection.results import FrameResult
from duchenne.detection.runner import Run, run_jobs
from duchenne.detection.settings import ComputeArguments, DetectArguments, DetectSettings, FrameArguments
from duchenne.detection.sinks import STILL_SUFFIXES
from duchenne.detection.temporal import Baseline, check_baseline_columns, resting_faces
from duchenne.detectors.base import DUCHENNE, AuModel
from duchenne.detectors.opening import open_model
from duchenne.errors import InputError, UsageError
from duchenne.faces.decode import Picture, probe
from duchenne.faces.find import MOST_THREADS, usable_cores
from duchenne.faces.recordings.listing import Assembly, join_chapters, list_media, list_sequences
from duchenne.files import locked, locked_beside, shown_name
from duchenne.keywords import from_keywords, takes
from duchenne.progress import how_many, progress_bar, which
from duchenne.tables.writing import (
    REPORT_ENDING,
    check_record,
    is_folder,
    output_names,
    read_table,
    source_stamp,
    table_writer,
    write_record,
)

Inputs = str | Path | Sequence[str | Path]
Model = str | Path | AuModel | Detector
OVERLAY_SUFFIXES: Final = (".mp4", ".mkv", ".webm")
REPORT_SUFFIXES: Final = (".html", ".htm")


@dataclass
class Detection:
    """What a run of `detect_files` did.

    Attributes:
        tables: the files written, or found finished, in the order of the inputs.
        drawings: the overlays and reports that go with them.
        outcomes: one per input that is in a table or failed.
        finished: how many inputs were found finished by an earlier run.
        passed_over: overlays of other inputs that lie in the folders of these.
        left_out: sentences on pages in the folder of reports that its index could not read.
        empty: sentences on columns of the format that this model leaves empty.
    """

    tables: list[Path] = field(default_factory=list)
    drawings: list[Path] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    finished: int = 0
    passed_over: list[Path] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)

    @property
    def failures(self) -> dict[str, str]:
        """Input -> one sentence: what could not be read, or not to its end."""
        return {outcome.source: outcome.failure for outcome in self.outcomes if outcome.failure}


@takes(DetectArguments)
def detect(inputs: Inputs, *, model: Model = DUCHENNE, **fields: Any) -> pd.DataFrame:
    """Action units of everyone in images and videos: one row per face per frame, an empty one without a face.

    Example:
        >>> table = duchenne.detect("interview.mp4")
        >>> table.groupby("face").AU12_s.max()

    Args:
        inputs: a file, folder or pattern, or several.
        model: `duchenne`, `blendshapes`, the folder of a detector, an ONNX file made of one, or one that is open:
            what `load_model` returns, or a `Detector`, whose `min_face` holds unless another one is given.
        **fields: those of `DetectArguments`, as `duchenne detect --help` lists them, with underscores. `output` is
            where to write the table as well: `FILE.csv` or `FILE.parquet` for one table of all inputs, `DIR/` for one
            table per input (those finished by an earlier call are not made again); `overlay` and `report` likewise.
            `baseline` is a recording of the resting face, or seconds of the input as `"0-5"`.

    Returns:
        The table of all inputs. An input that cannot be read, or only in part, is left out, or there in part, with a
        `UserWarning`; `table.attrs["failures"]` holds input -> reason, `table.attrs["notes"]` input -> what else a user
        should know of it, `table.attrs["empty"]` sentences on columns of `format` that stay empty with this model.

    Raises:
        UsageError: when the model, format, output or another setting makes no sense.
        InputError: when nothing can be read, or an output cannot be written.
    """
    arguments = from_keywords(DetectArguments, _with_own(model, fields), where="detect")
    _check_open(model, fields)
    pieces: list[pd.DataFrame] = []
    collect = pieces.append if arguments.output is None else None
    done = detect_files(inputs, arguments, model=model, collect=collect)
    pieces += [read_table(path) for path in done.tables]
    if not pieces:
        raise InputError(next(iter(done.failures.values())))
    table = pieces[0] if len(pieces) == 1 else pd.concat(pieces, ignore_index=True)
    table.attrs["failures"] = done.failures
    table.attrs["empty"] = done.empty
    table.attrs["notes"] = {outcome.source: outcome.notes for outcome in done.outcomes if outcome.notes}
    for sentence in [*done.failures.values(), *done.left_out]:
        warnings.warn(sentence, stacklevel=2)
    return table


@takes(FrameArguments)
def detect_frames(
    source: str | Path | Iterable[Picture], *, model: Model = DUCHENNE, **fields: Any
) -> Iterator[FrameResult]:
    """The same for one input, frame by frame, with pictures, boxes and landmarks.

    Args:
        source: an image or video; or pictures as they come, from a camera for example.
        model: as in `detect`.
        **fields: those of `FrameArguments`, as in `detect`; `sequence` and `mirrored` are for a file or folder.

    Raises:
        UsageError: when the model is unknown, or cannot compute so.
        InputError: when nothing can be read; after the last frame that could be, when the file is damaged.
    """
    arguments = from_keywords(FrameArguments, _with_own(model, fields), where="detect_frames")
    _check_open(model, fields)
    unread = [name for name in ("sequence", "mirrored") if name in fields]
    if unread and not isinstance(source, str | Path):
        raise UsageError(f"{', '.join(unread)}: for a file or folder; give the pictures as they shall be.")
    opened = model_for(model, DetectSettings(), arguments)
    with Detector(opened, min_face=arguments.min_face) as detector:
        yield from detector.frames(source, assembly=Assembly(arguments.sequence, (), arguments.mirrored))


def detect_files(
    inputs: Inputs,
    arguments: DetectArguments | None = None,
    *,
    model: Model = DUCHENNE,
    quiet: bool = True,
    collect: Callable[[pd.DataFrame], None] | None = None,
) -> Detection:
    """Writes the tables of images and videos, piece by piece, and says what was done. One bad input stops nothing.

    Args:
        inputs: as in `detect`.
        arguments: as in `detect`; without an output `NAME_aus.csv` is written per input into the working folder, always
            anew. Tables of other recordings of that name are not replaced.
        model: as in `detect`.
        quiet: show no progress.
        collect: takes the pieces of the tables in place of files.

    Returns:
        What was done. Nothing is raised for an input that cannot be read.

    Raises:
        UsageError: when the model, output or a setting makes no sense, another process writes the output, or a table
            is that of another recording.
        InputError: when an output cannot be written, or the baseline cannot be read.
    """
    arguments = arguments or DetectArguments()
    settings, workers, scheduler = arguments.settings, arguments.workers, arguments.scheduler
    output, overlay, report = arguments.output, arguments.overlay, arguments.report
    opened = model_for(model, settings, arguments)
    if settings.anonymous and overlay is None and report is None:
        raise UsageError("--anonymous: changes --overlay and --report only; ask for one of them.")
    if settings.baseline is not None:
        check_baseline_columns(opened.columns)
    folder = Path() if output is None else Path(output) if is_folder(output) else None
    assemblies, overlays, missing = _find(inputs, settings)
    done = Detection(outcomes=missing, passed_over=overlays, empty=empty_columns(settings.format, opened))
    names = output_names(list(assemblies))
    jobs = _jobs(names, assemblies, overlay, report, settings)
    if not jobs:
        return done
    record = _record(opened, settings) if collect is None else None
    threads = 1 if scheduler else max(1, usable_cores() // min(workers, len(jobs)))
    run = Run(opened, settings, _common_baseline(opened, settings), record, min(threads, MOST_THREADS))
    tables = {} if folder is None or collect else {job: folder / f"{names[job.path]}_aus.csv" for job in jobs}
    asked = tables if output is not None else {}  # in the working folder tables are always made anew
    for job, table in tables.items():
        run.check_owner(job, table)
    earlier = {job: outcome for job in asked if (outcome := run.finished(job, tables[job])) is not None}
    todo = [job for job in jobs if job not in earlier]
    merged = Path(output) if output is not None and folder is None else None
    for target in [*tables.values(), *([merged] if merged is not None else [])]:
        check_record(target)
    outcomes = dict(earlier)
    with ExitStack() as stack:
        if output is not None and collect is None:
            stack.enter_context(locked_beside(output) if folder is None else locked(folder))
        writer = stack.enter_context(table_writer(merged)) if merged is not None else None
        write = writer.write if writer is not None else collect or _nowhere
        advance = stack.enter_context(_progress(todo, quiet))
        for job, outcome in run_jobs(run, todo, tables, write, workers, scheduler, advance):
            outcomes[job] = outcome
    done.finished = len(earlier)
    done.outcomes += [outcomes[job] for job in jobs]
    read = [job for job in jobs if outcomes[job].frames]
    done.tables = [tables[job] for job in read if job in tables]
    done.drawings = [path for job in read for path in (job.overlay, job.report) if path is not None]
    if merged is not None and writer is not None and writer.rows:
        done.tables = [merged]
        write_record(merged, {**(record or {}), "inputs": [asdict(outcome) for outcome in done.outcomes]})
    if report is not None and is_folder(report, "--report", REPORT_SUFFIXES) and done.drawings:
        from duchenne.detection.index import write_index

        page, done.left_out = write_index(report)
        done.drawings.insert(0, page)
    return done


def model_for(model: Model, settings: DetectSettings, compute: ComputeArguments) -> AuModel:
    """The model of a word, as settings want it; one that is open is as it was opened.

    Raises:
        UsageError, InputError: see `duchenne.detectors.opening.open_model`.
    """
    return open_model(
        model.model if isinstance(model, Detector) else model, sides=settings.sides, device=compute.device,
        precision=compute.precision, all_aus=settings.all_aus, decisions=settings.baseline is None,
    )  # fmt: skip


def _with_own(model: Model, fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """What was asked, and which faces a `Detector` reads, unless that was asked too."""
    return {"min_face": model.min_face, **fields} if isinstance(model, Detector) else fields


def _check_open(model: Model, given: Collection[str]) -> None:
    wrong = [name for name in ("sides", "all_aus", "device", "precision") if name in given]
    if wrong and not isinstance(model, str | Path):
        raise UsageError(f"{', '.join(wrong)}: for models given by name; an open model is as it was opened.")


def _nowhere(piece: pd.DataFrame) -> None:
    raise AssertionError("every input has a table of its own")


def _find(inputs: Inputs, settings: DetectSettings) -> tuple[dict[Path, Assembly], list[Path], list[Outcome]]:
    """The recordings meant by the inputs, each once; overlays among them; an outcome for every input that means none.

    A folder may hold the overlays that an earlier run made of its recordings. They are no recordings of their own,
    unless they are named outright.
    """
    items = list(inputs) if isinstance(inputs, Iterable) and not isinstance(inputs, str) else [inputs]
    others = [type(item).__name__ for item in items if not isinstance(item, str | Path)]
    if others:
        raise UsageError(f"inputs {others[0]}: names no file; give paths, and pictures in memory to a Detector.")
    if not items:
        raise UsageError("no input was given; name images, videos or folders.")
    found: dict[Path, None] = {}
    missing = []
    for item in items:
        try:
            listed = list_media([item]) if settings.sequence is None else list_sequences([item])
            found.update(dict.fromkeys(listed))
        except InputError as error:
            missing.append(Outcome(shown_name(item), failure=str(error)))
    outright = {Path(item) for item in items}
    drawn = {path for path in found if path.stem.endswith(OVERLAY_ENDING) and path not in outright}
    named = output_names([path for path in found if path not in drawn]).values()
    names = {path.stem for path in found} | set(named)
    overlays = {path for path in drawn if path.stem.removesuffix(OVERLAY_ENDING) in names}
    chosen = [path for path in found if path not in overlays]
    joined = join_chapters(chosen) if settings.chapters else dict.fromkeys(chosen, ())
    assemblies = {
        path: Assembly(settings.sequence, joined[path], settings.mirrored) for path in chosen if path in joined
    }
    return assemblies, sorted(overlays), missing


def _jobs(
    names: Mapping[Path, str],
    assemblies: Mapping[Path, Assembly],
    overlay: str | Path | None,
    report: str | Path | None,
    settings: DetectSettings,
) -> list[Job]:
    """Inputs with where their drawings go.

    Raises:
        UsageError: when that is no place for them, or would replace a recording that is read.
    """
    read = [*names, *(chapter for assembly in assemblies.values() for chapter in assembly.chapters)]
    if settings.baseline is not None and settings.baseline_window_s is None:
        read.append(Path(settings.baseline))
    kept = {path.resolve() for path in read}

    def is_still(path: Path) -> bool:
        try:
            return probe(path, assemblies[path]).is_image
        except InputError:  # reported when it is read
            return False

    def target(given: str | Path | None, flag: str, suffixes: Sequence[str], ending: str, name: str) -> Path | None:
        if given is None:
            return None
        if is_folder(given, flag, suffixes):
            place = Path(given) / f"{name}{ending}"
        elif len(names) > 1:
            raise UsageError(f"{flag} {given}: there are {len(names)} inputs; name a folder, with a slash at its end.")
        else:
            place = Path(given)
        if place.resolve() in kept:
            raise UsageError(f"{flag} {place}: is a recording that is read, and would be lost; name another place.")
        return place

    jobs = []
    for path, name in names.items():
        still = overlay is not None and is_still(path)
        suffixes = STILL_SUFFIXES if still else OVERLAY_SUFFIXES
        drawing = target(overlay, "--overlay", suffixes, f"{OVERLAY_ENDING}{suffixes[0]}", name)
        page = target(report, "--report", REPORT_SUFFIXES, REPORT_ENDING, name)
        jobs.append(Job(path, drawing, page, assemblies[path]))
    return jobs


def _record(model: AuModel, settings: DetectSettings) -> dict[str, Any]:
    record = settings_record(settings, model)
    if settings.baseline is not None and settings.baseline_window_s is None:
        record["baseline_file"] = source_stamp(Path(settings.baseline))
    return record


def _common_baseline(model: AuModel, settings: DetectSettings) -> Baseline | None:
    """The resting face from a recording of its own; None where there is none."""
    if settings.baseline is None or settings.baseline_window_s is not None:
        return None
    with Detector(model, min_face=settings.min_face) as detector:
        people = resting_faces(detector.frames(settings.baseline, assembly=Assembly(mirrored=settings.mirrored)))
    if len(people) != 1:
        found = "no face that can be read" if not people else f"{len(people)} people"
        raise InputError(f"{settings.baseline}: shows {found}; the baseline must show one person.")
    return Baseline({None: next(iter(people.values()))})


@contextmanager
def _progress(jobs: Sequence[Job], quiet: bool) -> Iterator[Callable[[Job, bool], None]]:
    """A bar over the frames of all inputs, as their headers count them; an input that ends early is filled up."""
    with progress_bar(quiet=quiet) as bar:
        lengths = {} if quiet else {job: _length(job) for job in jobs}
        task = bar.add_task("detect", total=sum(lengths.values()), note="")
        before = done = 0

        def advance(job: Job, is_frame: bool) -> None:
            nonlocal before, done
            if is_frame:
                bar.update(task, advance=1, note=which(done + 1, len(jobs), name=job.path.name))
            elif not quiet:
                before += lengths[job]
                done += 1
                bar.update(task, completed=before, note=how_many(done, len(jobs)) or job.path.name)

        yield advance


def _length(job: Job) -> int:
    """Frames by the header, for the estimate of the time left; a file that cannot be read is reported in its turn."""
    try:
        return probe(job.path, job.assembly).frames or 0
    except InputError:
        return 0
