"""`prepare videos` against decoding and finding faces alone, on a folder of videos, in one process and one run.

    python benchmarks/speed/prepare.py FOLDER [--runs 3]

Wall and processor seconds, medians with the fastest and slowest run: decoding; decoding and finding (YuNet, landmarks,
blendshapes); the whole job (also following, cropping, encoding, writing). A round of all is repeated.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2

import duchenne
from duchenne.faces.decode import read_pictures
from duchenne.faces.find import FaceFinder
from duchenne.faces.recordings.listing import list_media
from measuring import machine, spread


def decode(paths: list[Path]) -> int:
    return sum(1 for path in paths for _ in read_pictures(path))


def find(paths: list[Path]) -> int:
    with FaceFinder() as finder:
        return sum(len(finder.find(picture.image)) for path in paths for picture in read_pictures(path))


def prepare(folder: Path) -> int:
    with tempfile.TemporaryDirectory() as out:
        duchenne.prepare("videos", root=folder, out=Path(out) / "faces", workers=1, quiet=True)
    return 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    paths = list_media([arguments.folder])
    frames, faces = decode(paths), find(paths)
    calls: dict[str, Callable[[], int]] = {
        "decoding": lambda: decode(paths), "decoding and finding": lambda: find(paths),
        "whole job": lambda: prepare(arguments.folder),
    }  # fmt: skip
    wall: dict[str, list[float]] = {name: [] for name in calls}
    spent: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(arguments.runs):
        for name, call in calls.items():
            start, busy = time.perf_counter(), time.process_time()
            call()
            wall[name].append(time.perf_counter() - start)
            spent[name].append(time.process_time() - busy)
    base = statistics.median(spent["decoding and finding"])
    for name in calls:
        w, s = wall[name], spent[name]
        share = statistics.median(s) / base
        print(
            f"{name:22} {spread(w, 2)} s; processor {spread(s, 2)} s, {share:.2f} of finding; "
            f"{frames / statistics.median(w):.1f} frames/s"
        )
    print(f"{len(paths)} videos, {frames} frames, {faces} faces; OpenCV {cv2.__version__}; {machine()}")  # fmt: skip


if __name__ == "__main__":
    main()
