"""`duchenne embed`: the features of every prepared face as a table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from duchenne.data.prepared import Prepared
from duchenne.devices import resolve_device
from duchenne.errors import UsageError
from duchenne.features.resolve import resolve
from duchenne.features.source import Context, FeatureKind
from duchenne.files import replacing
from duchenne.progress import progress_bar

ROWS_AT_ONCE: Final = 65536


def embed(
    *,
    model: str,
    data: str | Path,
    out: str | Path,
    feature: FeatureKind = "embedding",
    seed: int = 0,
    device: str = "auto",
    quiet: bool = False,
) -> int:
    """Writes one feature vector per prepared face.

    Args:
        model: what to embed with, see `duchenne.features.resolve`.
        data: a prepared folder.
        out: `FILE.parquet`: subject, clip, frame, feature (a fixed-size list of float32), in the order of the data.
        feature: `embedding` for what the encoder gives, `pooled` for its averaged last map.
        seed: of untrained weights.
        device: auto, cpu, cuda, cuda:N or mps.
        quiet: show no progress.

    Returns:
        The number of faces.

    Raises:
        UsageError: when `model` means nothing or `out` does not end in .parquet.
        InputError: when something cannot be read or written.
    """
    out = Path(out)
    if out.suffix != ".parquet":
        raise UsageError(f"--out {out}: the table is written as Parquet; give a name that ends in .parquet.")
    source, prepared = resolve(model), Prepared([data])
    chosen = resolve_device(device)

    def tables() -> Iterator[pa.Table]:
        with progress_bar(quiet=quiet) as bar:
            task = bar.add_task("embedding", total=len(prepared), note="")
            context = Context(device=chosen, feature=feature, seed=seed, advance=lambda faces: bar.advance(task, faces))
            for start in range(0, len(prepared), ROWS_AT_ONCE):
                rows = np.arange(start, min(start + ROWS_AT_ONCE, len(prepared)))
                values = source.features(prepared, rows, context)
                frames = prepared.frames.iloc[rows]
                flat = pa.array(values.reshape(-1), type=pa.float32())
                yield pa.table(
                    {
                        "subject": pa.array(frames["subject"], type=pa.string(), from_pandas=True),
                        "clip": pa.array(frames["clip"], type=pa.string(), from_pandas=True),
                        "frame": pa.array(frames["frame"], type=pa.int64(), from_pandas=True),
                        "feature": pa.FixedSizeListArray.from_arrays(flat, values.shape[1]),
                    }
                )

    parts = tables()
    first = next(parts)
    with replacing(out) as temporary, pq.ParquetWriter(temporary, first.schema) as writer:
        writer.write_table(first)
        for table in parts:
            writer.write_table(table)
    return len(prepared)
