"""A small job that writes prepared data, in a module of its own so that worker processes can import it.

Run as a program (`python prepared_job.py OUT PARTS`) it is a job to kill: slow, and it says when a part begins.
"""

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from duchenne.data.prepared import DatasetInfo, Prepared
from duchenne.data.shards import PartWriter, encode_jpeg
from duchenne.data.writing import write_prepared

SIZE_PX = 12


def dataset(**changes: Any) -> DatasetInfo:
    values: dict[str, Any] = {
        "name": "tiny", "aus": (1, 12), "label_kind": "intensity", "alignment": "none", "size_px": SIZE_PX,
        "licence": "CC0",
    }  # fmt: skip
    return DatasetInfo(**{**values, **changes})


def picture(number: int) -> NDArray[np.uint8]:
    """(12, 12, 3) uint8, different for every number, smooth so that JPEG keeps it."""
    y, x = np.mgrid[:SIZE_PX, :SIZE_PX]
    return np.stack([x * 9 + number % 100, y * 9 + number % 50, np.full_like(x, number % 256)], axis=2).astype(np.uint8)


def row(number: int) -> dict[str, Any]:
    return {
        "subject": f"s{number % 3}" if number % 4 else None,
        "clip": f"c{number // 5}",
        "frame": number,
        "time_s": number / 25,
        "split": "test" if number % 3 == 0 else "train",
        "AU01_i": number % 6,
        "AU12_i": None if number % 2 else 5.0,
        "landmarks": np.arange(136).reshape(68, 2) + number if number % 5 else None,
        "source": f"file{number}.mp4",
    }


def produce(writer: PartWriter, part: tuple[int, int, float]) -> None:
    """Writes `count` crops from number `first` on, after waiting; part = (first, count, wait_s)."""
    first, count, wait_s = part
    time.sleep(wait_s)
    for number in range(first, first + count):
        writer.add(row(number), encode_jpeg(picture(number)))
        writer.count("frames", 2)
        writer.advance()
    if first == 0:
        writer.fail("broken.mp4", "not a video, or: damaged")


def parts(number: int, wait_s: float = 0.0) -> list[tuple[int, int, float]]:
    return [(index * 10, index + 1, wait_s) for index in range(number)]


def write(out: Path, number: int, *, workers: int = 1, wait_s: float = 0.0) -> Prepared:
    opened = write_prepared(out, dataset(), parts(number, wait_s), produce, workers=workers, quiet=True)
    assert opened is not None
    return opened


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]), wait_s=0.15)
