"""`duchenne embed`: the features of every prepared face as a table."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final, overload

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from duchenne.config import SEEDS
from duchenne.data.prepared import Data, Prepared, open_prepared
from duchenne.devices import resolve_device
from duchenne.errors import UsageError
from duchenne.features.resolve import Model, source_of
from duchenne.features.source import Context, FeatureKind, Features, FeatureSource, Rows
from duchenne.files import locked_beside, replacing
from duchenne.keywords import check_choice, check_number
from duchenne.parallel import in_processes
from duchenne.progress import progress_bar, which

ROWS_AT_ONCE: Final = 65536
ROWS_IN_A_CALL = 1024
"""For a worker of a cluster; a whole number of an encoder's batches, so that none changes."""


@overload
def embed(
    model: Model, *, data: Data, out: None = None, feature: FeatureKind = ..., seed: int = ..., device: str = ...,
    quiet: bool = ..., scheduler: str | None = ...,
) -> pd.DataFrame: ...  # fmt: skip
@overload
def embed(
    model: Model, *, data: Data, out: str | Path, feature: FeatureKind = ..., seed: int = ..., device: str = ...,
    quiet: bool = ..., scheduler: str | None = ...,
) -> Path: ...  # fmt: skip
def embed(
    model: Model,
    *,
    data: Data,
    out: str | Path | None = None,
    feature: FeatureKind = "embedding",
    seed: int = 0,
    device: str = "auto",
    quiet: bool = False,
    scheduler: str | None = None,
) -> pd.DataFrame | Path:
    """One feature vector per prepared face, as a table or in a file.

    Example:
        >>> table = duchenne.embed("run", data="faces")
        >>> features = np.stack(table["feature"])

    Args:
        model: what to embed with: a word, a torch module, an encoder or a source of features, see
            `duchenne.features.resolve`.
        data: prepared folders, or prepared data that is open; one or several.
        out: `FILE.parquet` to write: subject, clip, frame, feature (a fixed-size list of float32), in the order of the
            data; None for the table itself.
        feature: `embedding` for what the encoder gives, `pooled` for its averaged last map.
        seed: of untrained weights.
        device: auto, cpu, cuda, cuda:N or mps.
        quiet: show no progress.
        scheduler: address of a Dask cluster that computes the features, with the device of each of its workers; None
            for this machine.

    Returns:
        The table with these columns, `feature` holding arrays (D,); or the path of the file.

    Raises:
        UsageError: when `model` means nothing, `out` does not end in .parquet, or another process writes it.
        InputError: when something cannot be read or written.
    """
    if out is not None and Path(out).suffix != ".parquet":
        raise UsageError(f"--out {out}: the table is written as Parquet; give a name that ends in .parquet.")
    check_number("seed", seed, SEEDS)
    check_choice("feature", feature, FeatureKind)
    source, prepared = source_of(model), open_prepared(data)
    if scheduler is None:
        context = Context(device=resolve_device(device), feature=feature, seed=seed)
        parts = _tables(prepared, partial(_features, source, prepared, context), quiet)
    else:
        word = str(model) if isinstance(model, str | Path) else source
        given = uuid.uuid4().hex, word, prepared.paths, device, feature, seed
        parts = _tables(prepared, partial(_features_elsewhere, scheduler, given, len(prepared)), quiet)
    if out is None:
        table: pd.DataFrame = pa.concat_tables(parts).to_pandas()
        return table
    with locked_beside(out):
        groups = _row_groups(parts)
        first = next(groups)
        with replacing(out) as temporary, pq.ParquetWriter(temporary, first.schema) as writer:
            writer.write_table(first)
            for group in groups:
                writer.write_table(group)
    return Path(out)


Advance = Callable[[int], None]


def _tables(
    prepared: Prepared, features: Callable[[Advance], Iterator[tuple[int, Features]]], quiet: bool
) -> Iterator[pa.Table]:
    """Pieces of the table, in the order of the data.

    Args:
        prepared: the data.
        features: called with what moves the progress bar; gives the first row of each piece, and its features.
        quiet: show no progress.
    """
    with progress_bar(quiet=quiet) as bar:
        task = bar.add_task("embedding", total=len(prepared), note="")
        number, done = len(prepared.clip_column("first")), 0

        def advance(faces: int) -> None:
            nonlocal done
            done = min(done + faces, len(prepared))
            clip = int(prepared.clip_ids(np.array([done - 1]))[0]) + 1
            bar.update(task, advance=faces, note=which(clip, number, "clip"))

        for start, values in features(advance):
            rows = np.arange(start, start + len(values))
            frames = {name: prepared.column(name, rows) for name in ("subject", "clip", "frame")}
            flat = pa.array(values.reshape(-1), type=pa.float32())
            yield pa.table(
                {
                    "subject": pa.array(frames["subject"], type=pa.string(), from_pandas=True),
                    "clip": pa.array(frames["clip"], type=pa.string(), from_pandas=True),
                    "frame": pa.array(frames["frame"], type=pa.int64(), from_pandas=True),
                    "feature": pa.FixedSizeListArray.from_arrays(flat, values.shape[1]),
                }
            )


def _row_groups(parts: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The table in pieces of `ROWS_AT_ONCE`, so that the file does not depend on who computed how many rows."""
    waiting: list[pa.Table] = []
    for part in parts:
        waiting.append(part)
        if sum(len(one) for one in waiting) >= ROWS_AT_ONCE:
            yield pa.concat_tables(waiting).combine_chunks()
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting).combine_chunks()


def _pieces(rows: int, at_once: int) -> list[Rows]:
    return [np.arange(start, min(start + at_once, rows)) for start in range(0, rows, at_once)]


def _features(
    source: FeatureSource, prepared: Prepared, context: Context, advance: Advance
) -> Iterator[tuple[int, Features]]:
    """Computed here, as many as are held in memory at a time."""
    for rows in _pieces(len(prepared), ROWS_AT_ONCE):
        yield int(rows[0]), source.features(prepared, rows, replace(context, advance=advance))


def _features_elsewhere(
    scheduler: str, given: tuple[Any, ...], number: int, advance: Advance
) -> Iterator[tuple[int, Features]]:
    """Computed by the workers of a cluster."""
    pieces = _pieces(number, ROWS_IN_A_CALL)
    calls = ((*given, rows) for rows in pieces)
    with in_processes(
        _in_worker, calls, workers=1, lost="embed", resumes=False, scheduler=scheduler, alone=True
    ) as results:
        for rows, values in zip(pieces, results, strict=True):
            yield int(rows[0]), values
            advance(len(rows))


_opened: Final[dict[str, tuple[FeatureSource, Prepared]]] = {}
"""In a worker: what it opened last, by the run of `embed` that asked for it."""


def _in_worker(
    run: str, model: Model, paths: Sequence[Path], device: str, feature: FeatureKind, seed: int, rows: Rows
) -> Features:
    """The features of some rows, in a worker of a cluster, which opens model and data once."""
    if run not in _opened:
        _opened.clear()
        _opened[run] = source_of(model), open_prepared(paths)
    source, prepared = _opened[run]
    return source.features(prepared, rows, Context(device=resolve_device(device), feature=feature, seed=seed))
