"""Files of codes for the tests, and what is read of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from duchenne.preparing.codes.exports import read_events
from duchenne.preparing.codes.video_codes import Codes, read_codes

SOURCES = ["a.mp4", "b.mp4", "p01.mp4"]


def write(folder: Path, text: str, name: str = "a.txt") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def said(path: Path) -> list[tuple[int | None, float, float, float | None]]:
    return [(e.au, round(e.onset_s, 6), round(e.offset_s, 6), e.intensity) for e in read_events(path)]


def at(codes: Codes, source: str, times: list[float], column: str, face: int | None = None) -> list[Any]:
    return [row.get(column, "none") for row in codes.videos[source].labels(face, range(len(times)), times)]


def read_codes_events(path: Path) -> list[Any]:
    videos = read_codes(path, SOURCES).videos
    return [event for video in videos.values() for face in video.faces.values() for event in face.events]
