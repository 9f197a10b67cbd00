"""A prepared folder in a second: squares that move over a texture, one texture per subject."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from duchenne.data.prepared import DatasetInfo, Prepared
from duchenne.data.shards import PartWriter, encode_jpeg
from duchenne.data.writing import write_prepared

SIZE_PX = 32
FACE = np.random.default_rng(0).uniform(6, 26, 136).astype(np.float32)
"""Landmarks of every picture: inside it, and otherwise of no meaning."""


def moving_squares(out: Path, *, clips: int = 6, frames: int = 30, rate: float = 25.0) -> Prepared:
    """`clips` clips of two per subject; the last third of the subjects is the test split."""
    info = DatasetInfo(
        name="squares", aus=(1, 12), label_kind="intensity", alignment="none", size_px=SIZE_PX, licence="CC0-1.0",
        settings={"clips": clips, "frames": frames, "rate": rate},
    )  # fmt: skip

    def produce(writer: PartWriter, clip: int) -> None:
        subject = clip // 2
        picture = np.random.default_rng(subject).integers(0, 255, (SIZE_PX, SIZE_PX, 3), dtype=np.uint8)
        for frame in range(frames):
            image = picture.copy()
            left = (clip + frame) % (SIZE_PX - 8)
            image[10:22, left : left + 8] = 255
            row = {
                "subject": f"S{subject}", "clip": f"clip {clip}", "frame": frame, "time_s": frame / rate,
                "split": "test" if subject >= 2 * clips // 6 else "train",
                "AU01_i": left / 6, "AU12_i": 3.0 * (frame % 7 > 3),
                "emotion": "happiness" if frame % 7 > 3 else "neutral", "landmarks": FACE,
            }  # fmt: skip
            writer.add(row, encode_jpeg(image))

    prepared = write_prepared(out, info, list(range(clips)), produce, workers=1, quiet=True)
    assert prepared is not None
    return prepared


def changed(folder: Path, out: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Prepared:
    """A copy of a prepared folder in which scalar columns of the table are others."""
    shutil.copytree(folder, out)
    table = pq.read_table(out / "frames.parquet")
    scalar = [name for name in table.column_names if name not in ("landmarks", "blendshapes")]
    frames = change(table.select(scalar).to_pandas())
    for name in scalar:
        place = table.schema.get_field_index(name)
        column = pa.array(frames[name], table.schema.field(name).type, from_pandas=True)
        table = table.set_column(place, table.schema.field(name), column)
    pq.write_table(table, out / "frames.parquet")
    return Prepared([out])
