"""`duchenne detect`: action units of images and videos, as tables."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from duchenne.detection.detector import Detector
from duchenne.detection.formats import FORMATS, Format
from duchenne.detection.job import Options, Outcome, read_input
from duchenne.detection.model import AuModel, load_model
from duchenne.detection.results import FrameResult
from duchenne.detection.writing import (
    TableWriter,
    is_folder,
    read_record,
    read_table,
    source_stamp,
    table_paths,
    table_writer,
    write_record,
)
from duchenne.errors import InputError, UsageError
from duchenne.faces.decode import list_media, probe
from duchenne.progress import progress_bar

Inputs = str | Path | Sequence[str | Path]


@dataclass
class Detection:
    """What a run of `detect_files` did.

    Attributes:
        tables: the files written, or found finished, in the order of the inputs.
        outcomes: one per input that is in a table or failed.
        finished: how many inputs were found finished by an earlier run.
    """

    tables: list[Path] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    finished: int = 0

    @property
    def failures(self) -> dict[str, str]:
        """Input -> one sentence: what could not be read, or not to its end."""
        return {outcome.source: outcome.failure for outcome in self.outcomes if outcome.failure}


def detect(
    inputs: Inputs,
    *,
    model: str | AuModel = "blendshapes",
    output: str | Path | None = None,
    format: Format = "duchenne",
    min_face: int = 32,
) -> pd.DataFrame:
    """Action units of everyone in images and videos: one row per face per frame, one empty row where nobody is.

    Example:
        >>> table = duchenne.detect("interview.mp4")
        >>> table.groupby("face").AU12_s.max()

    Args:
        inputs: a file, folder or pattern, or several.
        model: `blendshapes`, or an open model.
        output: where to write it as well: `FILE.csv` or `FILE.parquet` for one table of all inputs, `DIR/` for one
            table per input (those finished by an earlier call are not made again).
        format: `duchenne`, or the column names of `openface` or `fex` (py-feat); see docs/tables.md.
        min_face: faces narrower than this many pixels get no AUs (flag `small`).

    Returns:
        The table of all inputs. An input that cannot be read, or only in part, is left out, or there in part, with a
        `UserWarning`; `table.attrs["failures"]` holds input -> reason.

    Raises:
        UsageError: when the model, format or output is not known.
        InputError: when nothing can be read, or the output cannot be written.
    """
    pieces: list[pd.DataFrame] = []
    if output is not None:
        done = detect_files(inputs, model=model, output=output, format=format, min_face=min_face)
        pieces = [read_table(path) for path in done.tables]
    else:
        options, opened = _options(format, min_face), _opened(model)
        paths, missing = _find(inputs)
        done = Detection(outcomes=missing)
        if paths:
            with Detector(opened, min_face=min_face) as detector:
                done.outcomes += [read_input(path, detector, options, pieces.append) for path in paths]
    if not pieces:
        raise InputError(next(iter(done.failures.values())))
    table = pieces[0] if len(pieces) == 1 else pd.concat(pieces, ignore_index=True)
    table.attrs["failures"] = done.failures
    for sentence in done.failures.values():
        warnings.warn(sentence, stacklevel=2)
    return table


def detect_frames(
    path: str | Path, *, model: str | AuModel = "blendshapes", min_face: int = 32
) -> Iterator[FrameResult]:
    """The same for one input, frame by frame, with pictures, boxes and landmarks.

    Raises:
        UsageError: when the model is unknown.
        InputError: when nothing can be read; after the last frame that could be, when the file is damaged.
    """
    with Detector(model, min_face=min_face) as detector:
        yield from detector.frames(path)


def detect_files(
    inputs: Inputs,
    *,
    model: str | AuModel = "blendshapes",
    output: str | Path | None = None,
    format: Format = "duchenne",
    min_face: int = 32,
    quiet: bool = True,
) -> Detection:
    """Writes the tables of images and videos, piece by piece, and says what was done. One bad input stops nothing.

    Args:
        inputs: as in `detect`.
        model: as in `detect`.
        output: as in `detect`; None writes `NAME_aus.csv` per input into the working folder, always anew.
        format: as in `detect`.
        min_face: as in `detect`.
        quiet: show no progress.

    Returns:
        What was done. Nothing is raised for an input that cannot be read.

    Raises:
        UsageError: when the model, format or output is not known.
        InputError: when an output cannot be written.
    """
    options, opened = _options(format, min_face), _opened(model)
    folder = Path() if output is None else Path(output) if is_folder(output) else None
    paths, missing = _find(inputs)
    done = Detection(outcomes=missing)
    if not paths:
        return done
    targets = {} if folder is None else table_paths(paths, folder)
    record = options.record(opened)
    with Detector(opened, min_face=min_face) as detector, progress_bar(quiet=quiet) as progress:
        lengths = {path: _length(path) for path in paths}
        task = progress.add_task("detect", total=sum(lengths.values()), note="")

        def read(path: Path, writer: TableWriter) -> Outcome:
            progress.update(task, note=path.name)
            return read_input(path, detector, options, writer.write, lambda: progress.advance(task))

        if folder is None:
            table = Path(str(output))
            with table_writer(table) as writer:
                done.outcomes += [read(path, writer) for path in paths]
            if writer.rows:
                done.tables.append(table)
                if table.suffix.lower() == ".parquet":
                    write_record(table, {**record, "inputs": [asdict(outcome) for outcome in done.outcomes]})
        for path, table in targets.items():
            made_by = {**record, "input": source_stamp(path)}
            outcome = None if output is None else _finished(table, made_by)
            if outcome is not None:
                done.finished += 1
                progress.advance(task, lengths[path])
            else:
                with table_writer(table) as writer:
                    outcome = read(path, writer)
                if writer.rows and output is not None:
                    write_record(table, {**made_by, "outcome": asdict(outcome)})
            done.outcomes.append(outcome)
            if outcome.frames:
                done.tables.append(table)
    return done


def _options(format: str, min_face: int) -> Options:
    if format not in FORMATS:
        near = difflib.get_close_matches(format, FORMATS, n=1, cutoff=0.0)
        raise UsageError(f"there is no format `{format}`; did you mean `{near[0]}`?")
    if min_face < 1:
        raise UsageError(f"min_face is {min_face}; it must be 1 pixel or more.")
    return Options(format=format, min_face=min_face)  # type: ignore[arg-type]


def _opened(model: str | AuModel) -> AuModel:
    return load_model(model) if isinstance(model, str) else model


def _find(inputs: Inputs) -> tuple[list[Path], list[Outcome]]:
    """The files meant by the inputs, each once, and an outcome for every input that means none."""
    items = [inputs] if isinstance(inputs, str | Path) else list(inputs)
    if not items:
        raise UsageError("no input was given; name images, videos or folders.")
    paths: dict[Path, None] = {}
    missing = []
    for item in items:
        try:
            paths.update(dict.fromkeys(list_media([item])))
        except InputError as error:
            missing.append(Outcome(str(item), failure=str(error)))
    return list(paths), missing


def _length(path: Path) -> int:
    """Frames by the header, for the estimate of the time left; a file that cannot be read is reported in its turn."""
    try:
        return probe(path).frames or 0
    except InputError:
        return 0


def _finished(table: Path, made_by: dict[str, Any]) -> Outcome | None:
    """What an earlier run read into `table`, when it is whole and was made so from the same file."""
    record = read_record(table)
    if record is None or any(record.get(key) != value for key, value in made_by.items()):
        return None
    return Outcome(**record["outcome"])
