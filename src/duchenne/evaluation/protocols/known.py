"""What prepared data know of each face besides action units: how the head is turned, and the light."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.data.prepared import Prepared
from duchenne.data.stored.parquet import read_parquet
from duchenne.features.encoder import picture_batches
from duchenne.metrics import Floats
from duchenne.synthetic.stats import NOTES

POSE: Final = ("pitch", "yaw", "roll")
LIGHT: Final = ("light_x", "light_y", "light_z", "key", "ambient")
_SIDE_PX: Final = 32


def pose(data: Prepared) -> dict[str, Floats]:
    """Name -> (N,) angles in degrees as rendered, else two measures of landmarks; empty where there are neither.

    Of landmarks: `turn` (the nose tip's place between the outer corners of the eyes, in eye distances to the
    picture's right) and `nod` (the nose tip's place between eyes and chin, 0 to 1). Roll is taken out by alignment.
    """
    notes = _notes(data)
    if notes is not None:
        return {name: notes[name].to_numpy(dtype=np.float64) for name in POSE}
    points = data.landmarks().astype(np.float64)
    if np.isnan(points).any():
        return {}
    right, left, tip, chin = points[:, 36], points[:, 45], points[:, 30], points[:, 8]
    middle, across = (right + left) / 2, np.linalg.norm(left - right, axis=1)
    return {
        "turn": (tip[:, 0] - middle[:, 0]) / np.maximum(across, 1e-6),
        "nod": (tip[:, 1] - middle[:, 1]) / np.maximum(chin[:, 1] - middle[:, 1], 1e-6),
    }


def light(data: Prepared) -> dict[str, Floats]:
    """Name -> (N,) the renderer's light, else measured on the crops.

    Measured: `brightness` (mean grey, 0 to 1), `from_left` and `from_above` (how much brighter that half is than the
    other, as a share of their sum).
    """
    notes = _notes(data)
    if notes is not None:
        return {name: notes[name].to_numpy(dtype=np.float64) for name in LIGHT}
    half = _SIDE_PX // 2
    out = np.empty((3, len(data)))
    for start, pictures in picture_batches(data, np.arange(len(data)), _SIDE_PX):
        for place, picture in enumerate(pictures, start):
            grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float64) / 255
            total = max(grey.sum(), 1e-6)
            sides = (grey[:, :half].sum(), grey[:, half:].sum()), (grey[:half].sum(), grey[half:].sum())
            out[:, place] = grey.mean(), *((one - other) / total for one, other in sides)
    return dict(zip(("brightness", "from_left", "from_above"), out))


def rendered(data: Prepared) -> bool:
    """Whether every folder was made by `duchenne synth`, which knows pose and light exactly."""
    return all((Path(path) / NOTES).is_file() for path in data.paths)


def _notes(data: Prepared) -> pd.DataFrame | None:
    if not rendered(data):
        return None
    tables: list[pd.DataFrame] = [read_parquet(Path(path) / NOTES).to_pandas() for path in data.paths]
    return pd.concat(tables, ignore_index=True)


def intensities(data: Prepared) -> NDArray[np.float64] | None:
    """(N, A) what orders frames by action units: intensities where every AU has them everywhere; None else."""
    columns = [f"AU{au:02d}_i" for au in data.aus]
    if not columns or any(column not in data.columns for column in columns):
        return None
    values = data.intensity(data.aus).astype(np.float64)
    return None if np.isnan(values).any() else values
