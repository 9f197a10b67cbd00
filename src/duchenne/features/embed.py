"""`duchenne embed`: the features of every prepared face as a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final, overload

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from duchenne.data.prepared import Data, Prepared, open_prepared
from duchenne.devices import resolve_device
from duchenne.errors import UsageError
from duchenne.features.resolve import Model, source_of
from duchenne.features.source import Context, FeatureKind, FeatureSource
from duchenne.files import replacing
from duchenne.progress import progress_bar

ROWS_AT_ONCE: Final = 65536


@overload
def embed(
    model: Model, *, data: Data, out: None = None, feature: FeatureKind = ..., seed: int = ..., device: str = ...,
    quiet: bool = ...,
) -> pd.DataFrame: ...  # fmt: skip
@overload
def embed(
    model: Model, *, data: Data, out: str | Path, feature: FeatureKind = ..., seed: int = ..., device: str = ...,
    quiet: bool = ...,
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

    Returns:
        The table with these columns, `feature` holding arrays (D,); or the path of the file.

    Raises:
        UsageError: when `model` means nothing or `out` does not end in .parquet.
        InputError: when something cannot be read or written.
    """
    if out is not None and Path(out).suffix != ".parquet":
        raise UsageError(f"--out {out}: the table is written as Parquet; give a name that ends in .parquet.")
    source, prepared = source_of(model), open_prepared(data)
    context = Context(device=resolve_device(device), feature=feature, seed=seed)
    parts = _tables(source, prepared, context, quiet)
    if out is None:
        table: pd.DataFrame = pa.concat_tables(parts).to_pandas()
        return table
    first = next(parts)
    with replacing(out) as temporary, pq.ParquetWriter(temporary, first.schema) as writer:
        writer.write_table(first)
        for part in parts:
            writer.write_table(part)
    return Path(out)


def _tables(source: FeatureSource, prepared: Prepared, context: Context, quiet: bool) -> Iterator[pa.Table]:
    """Pieces of the table, each as large as is held in memory at a time."""
    with progress_bar(quiet=quiet) as bar:
        task = bar.add_task("embedding", total=len(prepared), note="")
        context = replace(context, advance=lambda faces: bar.advance(task, faces))
        for start in range(0, len(prepared), ROWS_AT_ONCE):
            rows = np.arange(start, min(start + ROWS_AT_ONCE, len(prepared)))
            values = source.features(prepared, rows, context)
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
