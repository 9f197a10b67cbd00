"""A made-up prepared folder of any number of rows, for `index.py`: written in blocks, so that memory stays small.

Clips of 180 frames (a mean utterance of VoxCeleb2), 8 a subject, 25 frames a second, a shard for each subject. All
shards are links to one file of real JPEGs of noise, so the pictures take no room and are read from memory: what is
measured is what the table costs.
"""

from __future__ import annotations

import io
import os
import tarfile
import zlib
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from duchenne.config import save_mapping, to_mapping
from duchenne.data.prepared import DatasetInfo
from duchenne.data.shards import encode_jpeg, frames_schema
from duchenne.data.stored.frames import FRAMES_FILE, LANDMARKS_LENGTH

CLIP, CLIPS, GROUP = 180, 8, 1000
"""Frames of a clip, clips of a subject, clips of a row group."""
INFO = DatasetInfo(
    name="made up", aus=(1, 12), label_kind="occurrence", alignment="none", size_px=112, licence="CC0-1.0",
)  # fmt: skip
LINKS = 30_000
"""Names that one file may have; file systems allow some more."""


def make(path: Path, rows: int, *, landmarks: bool) -> None:
    """A folder with `rows` rows, rounded up to whole clips."""
    (path / "shards").mkdir(parents=True)
    schema, total, rng = frames_schema(INFO), -(-rows // CLIP), np.random.default_rng(0)
    offset, size, crc32 = _shard(path / "pictures.tar", rng)
    for subject in range(-(-total // CLIPS)):
        if subject % LINKS == 0:
            first = path / "shards" / f"id{subject:06}.tar"
            first.write_bytes((path / "pictures.tar").read_bytes())
        else:
            os.link(first, path / "shards" / f"id{subject:06}.tar")
    (path / "pictures.tar").unlink()
    with pq.ParquetWriter(path / FRAMES_FILE, schema, compression="zstd", write_page_checksum=True) as file:
        for start in range(0, total, GROUP):
            numbers = np.arange(start, min(total, start + GROUP))
            frame, number = np.tile(np.arange(CLIP), len(numbers)), np.repeat(numbers, CLIP)
            place = number % CLIPS * CLIP + frame
            of = pa.array(number - start)
            names = pa.array([f"id{clip // CLIPS:06}/video{clip % CLIPS}/00001" for clip in numbers])
            subjects = pa.array([f"id{clip // CLIPS:06}" for clip in numbers])
            shards = pa.array([f"id{clip // CLIPS:06}.tar" for clip in numbers])
            values = {
                "subject": subjects.take(of), "clip": names.take(of), "frame": frame, "time_s": frame / 25,
                "shard": shards.take(of), "offset": offset[place], "size": size[place], "crc32": crc32[place],
                "split": pa.array(["train"]).take(pa.array(number * 0)), "source": names.take(of),
                "score": np.ones(len(number), np.float32),
                "AU01": rng.integers(0, 2, len(number), dtype=np.int8), "AU12": number % 2,
            }  # fmt: skip
            if landmarks:
                points = rng.uniform(0, 112, (len(number), LANDMARKS_LENGTH)).astype(np.float32)
                values["landmarks"] = pa.FixedSizeListArray.from_arrays(points.reshape(-1), LANDMARKS_LENGTH)
            columns = [
                pa.array(values[field.name]).cast(field.type)
                if field.name in values
                else pa.nulls(len(number), field.type)
                for field in schema
            ]
            file.write_table(pa.table(columns, schema=schema))
    save_mapping(path / "dataset.yaml", {**to_mapping(INFO), "counts": {"crops": total * CLIP}})


def _shard(path: Path, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Writes a subject's crops; gives offset, size and checksum of each."""
    places = []
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as shard:
        for number in range(CLIP * CLIPS):
            coarse = rng.integers(0, 255, (14, 14, 3), dtype=np.uint8)
            jpeg = encode_jpeg(cv2.resize(coarse, (INFO.size_px, INFO.size_px), interpolation=cv2.INTER_CUBIC))
            entry = tarfile.TarInfo(f"{number:07d}.jpg")
            entry.size = len(jpeg)
            places.append((shard.offset + tarfile.BLOCKSIZE, len(jpeg), zlib.crc32(jpeg)))
            shard.addfile(entry, io.BytesIO(jpeg))
    offset, size, crc32 = np.array(places).T
    return offset, size, crc32
