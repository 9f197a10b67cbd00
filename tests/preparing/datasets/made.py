"""Miniature copies of the data sets, in the formats and with the traps of the real ones; the people are synthetic."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


def write(path: Path, text: str) -> Path:
    """A text file, with the folders it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def picture(path: Path, image: Image | None = None) -> Path:
    """A picture file; a grey one that nobody is to decode where none is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((8, 8, 3), 90, dtype=np.uint8) if image is None else image
    cv2.imwrite(str(path), image[:, :, ::-1])
    return path


def zipped(folder: Path, archive: Path) -> Path:
    """Moves a folder into a zip archive whose entries begin with the folder's name."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive, "w") as out:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                out.write(path, f"{folder.name}/{path.relative_to(folder).as_posix()}")
    shutil.rmtree(folder)
    return archive


def bp4d_codes(path: Path, frames: Iterable[int], present: dict[int, set[int]], aus: Iterable[int]) -> Path:
    """A table of occurrences as BP4D has it: frame column `0`, other columns by AU number, an occlusion flag last.

    `present` is AU -> frames. A frame below 0 there marks it as not codable (9).
    """
    aus = list(aus)
    rows = [",".join(["0", *map(str, aus), "occlusion"])]
    for frame in frames:
        values = ["9" if -frame in present.get(au, ()) else str(int(frame in present.get(au, ()))) for au in aus]
        rows.append(",".join([str(frame), *values, "1"]))
    return write(path, "\n".join(rows) + "\n")


def disfa_codes(root: Path, subject: str, frames: Iterable[int], strengths: dict[int, dict[int, int]]) -> None:
    """The twelve files of a subject; `strengths` is AU -> frame (from 1) -> intensity."""
    frames = list(frames)
    for au in (1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26):
        lines = "".join(f"{frame},{strengths.get(au, {}).get(frame, 0)}\n" for frame in frames)
        write(root / "ActionUnit_Labels" / subject / f"{subject}_au{au}.txt", lines)
