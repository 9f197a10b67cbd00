"""Two folders with all that a table may hold: interleaved, cut and repeated clips, gaps, unknown people and times."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from tests.data import prepared_job as job

from duchenne.data.prepared import DatasetInfo
from duchenne.data.shards import PartWriter, encode_jpeg
from duchenne.data.writing import write_prepared


def rows_of(number: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    """The rows of a part: three faces beside each other, each a clip of its own, and some pictures."""
    rows = []
    rates = rng.choice([12.5, 25.0, 29.97, 50.0], 3)
    lengths = rng.integers(1, 90, 3)
    order = rng.permutation(np.repeat(np.arange(3), lengths))
    counts = [0, 0, 0]
    for face in order.tolist():
        frame = counts[face]
        counts[face] += 1
        if rng.random() < 0.03:
            counts[face] += int(rng.integers(1, 30))  # a gap
        subject = (None, "", "A", "B", "C")[(number + face) % 5]
        coded = subject is not None and frame % 5 > 0
        rows.append({
            "subject": subject, "clip": f"id{number % 4:05}/v{number % 3}/7.mp4#{face}.1",
            "frame": frame, "time_s": None if number % 9 == 8 else float(frame / rates[face]),
            "split": (None, "train", "validation", "test")[(number + (frame > 20)) % 4],
            "emotion": ("happiness", None, "anger", "neutral")[(frame // 7 + face) % 4], "source": f"{number}.mp4",
            "AU01": frame % 2 if coded else None, "AU12": int(frame % 4 == 0) if coded and frame % 3 else None,
            "landmarks": np.full(136, frame % 12, np.float32) if frame % 6 else None,
        })  # fmt: skip
    if number % 2:  # a clip goes on backwards later: times do not ascend with the rows
        rows += [
            {**row, "frame": 500 - row["frame"], "time_s": row["time_s"] and 99.0 - row["time_s"]} for row in rows[:40]
        ]
    rows += [{"subject": None, "clip": f"p{number}-{place}.jpg", "frame": 0} for place in range(3)]
    return rows


def write(out: Path, name: str, *, parts: int, seed: int, reader: str = "") -> None:
    """Writes a folder."""
    info = DatasetInfo(
        name=name, aus=(1, 12), label_kind="occurrence", alignment="none", size_px=job.SIZE_PX, licence="CC0",
        settings={"reader": reader} if reader else {},
    )  # fmt: skip

    def produce(writer: PartWriter, number: int) -> None:
        for place, row in enumerate(rows_of(number, np.random.default_rng([seed, number]))):
            writer.add(row, encode_jpeg(job.picture(place)))

    write_prepared(out, info, list(range(parts)), produce, workers=1, quiet=True)


def digest(*values: Any) -> str:
    """A short name of arrays and plain values."""
    found = hashlib.sha256()
    for value in values:
        array = isinstance(value, np.ndarray)
        found.update(
            (str(value.dtype).encode() + np.ascontiguousarray(value).tobytes()) if array else repr(value).encode()
        )
    return found.hexdigest()[:12]
