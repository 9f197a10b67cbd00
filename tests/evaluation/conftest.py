"""A tiny prepared folder of drawn faces whose brows, mouth corners and lips follow three coded AUs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from duchenne.data.prepared import DatasetInfo, Prepared
from duchenne.data.shards import PartWriter, encode_jpeg
from duchenne.data.writing import write_prepared

AUS = (1, 12, 25)
SIDE = 48


def draw(rng: np.random.Generator, skin: tuple[int, ...], active: np.ndarray) -> np.ndarray:
    face = np.full((SIDE, SIDE, 3), 60, np.uint8)
    cv2.ellipse(face, (24, 25), (18, 22), 0, 0, 360, skin, -1)
    shift = int(rng.integers(-1, 2))
    for x in (16, 32):
        cv2.circle(face, (x + shift, 20), 2, (30, 30, 60), -1)
        cv2.line(face, (x - 4 + shift, 14 - 4 * active[0]), (x + 4 + shift, 14 - 3 * active[0]), (40, 20, 20), 2)
    corner = 36 - 4 * active[1]
    cv2.polylines(face, [np.array([[15, corner], [24, 36], [33, corner]])], False, (150, 40, 40), 2)
    if active[2]:
        cv2.ellipse(face, (24, 39), (6, 3), 0, 0, 360, (40, 0, 0), -1)
    return np.clip(face + rng.normal(0, 8, face.shape), 0, 255).astype(np.uint8)


def write_subject(writer: PartWriter, subject: int) -> None:
    rng = np.random.default_rng(subject)
    skin = tuple(int(v) for v in rng.integers(120, 230, 3))
    for clip in range(2):
        for frame in range(14):
            active = (rng.random(3) < (0.5, 0.4, 0.2)).astype(int)
            shown = np.where(rng.random(3) < 0.15, 1 - active, active)  # so that no encoder is perfect
            row = {
                "subject": f"S{subject}", "clip": f"S{subject}_{clip}", "frame": frame, "time_s": frame / 25,
                "split": "test" if subject >= 4 else "train", "score": 0.9, "source": f"{subject}.mp4",
                "emotion": "happiness" if active[1] else "neutral",
                "landmarks": np.repeat(shown, 46)[:136] + rng.normal(0, 1, 136),
                "blendshapes": rng.random(52) if subject else None,
                **{f"AU{au:02d}": int(on) for au, on in zip(AUS, active, strict=True)},
            }  # fmt: skip
            if frame == 3:
                row["AU25"] = None
            writer.add(row, encode_jpeg(draw(rng, skin, shown)))


def make(out: Path, subjects: int = 6, aus: tuple[int, ...] = AUS, name: str = "drawn") -> Path:
    info = DatasetInfo(
        name=name,
        aus=aus,
        label_kind="occurrence" if aus else "none",
        alignment="drawn",
        size_px=SIDE,
        licence="CC0-1.0",
    )
    assert isinstance(write_prepared(out, info, list(range(subjects)), write_subject, workers=1, quiet=True), Prepared)
    return out


@pytest.fixture(scope="session")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six subjects, two clips of 14 frames each, AUs 1, 12 and 25; subjects 4 and 5 are the test split."""
    return make(tmp_path_factory.mktemp("prepared") / "faces")


@pytest.fixture(scope="session")
def make_faces() -> Callable[..., Path]:
    """A function (folder, subjects=6, aus=(1, 12, 25), name="drawn") that writes such data."""
    return make
