"""The table formats of `--format`: the library's own, and the column names of OpenFace 2 and py-feat.

A name is only filled with what it means there. What the model does not give stays empty, and what the other format
has no name for follows in extra columns at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.detection.results import Rows, plain_table, whole_numbers
from duchenne.detectors.base import AuModel
from duchenne.facs import au_column
from duchenne.tables.foreign_tables import FEX_SAME, OPENFACE_POSE_SIGNS

OPENFACE_INTENSITIES: Final = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45)
OPENFACE_OCCURRENCES: Final = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 28, 45)
FEX_AUS: Final = (1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15, 17, 20, 23, 24, 25, 26, 28, 43)
MEASURES: Final = {"p": "probability", "r": "intensity", "s": "score"}
"""What the endings of our columns mean, the first that a model gives comes first."""
FEX_EMOTIONS: Final = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
_POINTS: Final = range(68)


def openface_table(rows: Rows) -> pd.DataFrame:
    """The column names, units and row rules of OpenFace 2.2's FeatureExtraction.

    Frames count from 1, `success` is 1 where AUs could be read, landmarks are pixels, angles are radians in OpenFace's
    sense: `pose_Rx` grows as the chin goes down, `pose_Ry` as the face turns to the picture's left. A row without
    success has 0 in every measured column, as there. Gaze, 3D landmarks and shape parameters have no column;
    `pose_Tx, pose_Ty, pose_Tz` (millimetres from a calibrated camera) and every `AUxx_r`, `AUxx_c` that the model does
    not give are empty. The model's other columns, `source`, `quality` and the scale of raw scores follow at the end.
    """
    success = np.array([flag is None for flag in rows.flag]) & ~np.isnan(rows.number)
    given = {name: rows.values[:, column] for column, name in enumerate(rows.columns)}
    empty = np.full(len(rows), np.nan)
    names = [f"{au_column(au)}_r" for au in OPENFACE_INTENSITIES] + [
        f"{au_column(au)}_c" for au in OPENFACE_OCCURRENCES
    ]

    def measured(values: NDArray[np.float64], decimals: int) -> NDArray[np.float64]:
        return np.asarray(np.round(np.where(success, values, 0.0), decimals), dtype=np.float64)

    radians = np.deg2rad(rows.pose) * OPENFACE_POSE_SIGNS
    return pd.DataFrame(
        {
            "frame": rows.frame + 1,
            "face_id": np.nan_to_num(rows.number).astype(np.int64),
            "timestamp": np.round(rows.time_s, 6),
            "confidence": np.round(np.nan_to_num(rows.score), 3),
            "success": success.astype(np.int64),
            **{f"pose_T{axis}": empty for axis in "xyz"},
            **{f"pose_R{axis}": measured(radians[:, column], 4) for column, axis in enumerate("xyz")},
            **{f"x_{point}": measured(rows.landmarks[:, point, 0], 2) for point in _POINTS},
            **{f"y_{point}": measured(rows.landmarks[:, point, 1], 2) for point in _POINTS},
            **{name: measured(given[name], 5) if name in given else empty for name in names},
            **{name: np.round(values, 5) for name, values in given.items() if name not in names},
            "source": pd.array(rows.source, dtype="str"),
            "quality": pd.array(rows.quality, dtype="str"),
            **rows.scale_columns(),
        }
    )


def fex_table(rows: Rows) -> pd.DataFrame:
    """The column names of py-feat's Fex tables; a frame without a face is a row of NaN, as there.

    `AUxx` is the model's probability, else its intensity, else its raw score, and `au_measure` says which; `AU43`
    (eyes closed) is the model's AU 45, which frame by frame is the same. AUs that the model does not give and the
    emotions are NaN. `face`, `flag`, `time_s`, `au_measure`, the model's other columns (decisions as `AUxx_c`),
    `quality` and the scale of raw scores follow at the end.
    """
    given = {name: rows.values[:, column] for column, name in enumerate(rows.columns)}
    empty = np.full(len(rows), np.nan)
    ours = _fex_aus(rows.columns)
    kinds = {au: next((k for k in MEASURES if f"{own}_{k}" in given), "") for au, own in ours.items()}
    measures = {au_column(au): MEASURES[kind] for au, kind in kinds.items() if kind}
    said = " ".join(f"{name}={measure}" for name, measure in measures.items())
    if len(set(measures.values())) == 1:
        said = next(iter(measures.values()))

    def best(au: int) -> NDArray[np.float64]:
        return np.round(given.get(f"{ours[au]}_{kinds[au]}", empty), 5)

    theirs = {own: au_column(au) for au, own in ours.items()}
    taken = {f"{ours[au]}_{kind}" for au, kind in kinds.items()}
    others: dict[str, Any] = {}
    for name, values in given.items():
        own, _, kind = name.partition("_")
        if name not in taken:
            others[f"{theirs.get(own, own)}_{kind}"] = whole_numbers(values) if kind == "c" else np.round(values, 5)
    box, pose = np.round(rows.box, 2), np.round(rows.pose, 2)
    minutes = [divmod(int(time_s), 60) for time_s in rows.time_s]
    return pd.DataFrame(
        {
            **{f"FaceRect{name}": box[:, column] for column, name in enumerate(("X", "Y", "Width", "Height"))},
            "FaceScore": np.round(rows.score, 5),
            **{f"x_{point}": np.round(rows.landmarks[:, point, 0], 2) for point in _POINTS},
            **{f"y_{point}": np.round(rows.landmarks[:, point, 1], 2) for point in _POINTS},
            "Pitch": pose[:, 0],
            "Roll": pose[:, 2],
            "Yaw": pose[:, 1],
            **{au_column(au): best(au) for au in FEX_AUS},
            **dict.fromkeys(FEX_EMOTIONS, empty),
            "input": pd.array(rows.source, dtype="str"),
            "frame": rows.frame,
            "approx_time": pd.array([f"{minute:02d}:{second:02d}" for minute, second in minutes], dtype="str"),
            "face": rows.face_numbers(),
            "flag": pd.array(rows.flag, dtype="str"),
            "time_s": np.round(rows.time_s, 6),
            "au_measure": pd.array([None if np.isnan(number) else said for number in rows.number], dtype="str"),
            **others,
            "quality": pd.array(rows.quality, dtype="str"),
            **rows.scale_columns(),
        }
    )


def _fex_aus(columns: Sequence[str]) -> dict[int, str]:
    """Action unit of py-feat -> the start of the model's columns for it."""
    given = {name.partition("_")[0] for name in columns}
    return {au: au_column(au if au_column(au) in given else FEX_SAME.get(au, au)) for au in FEX_AUS}


FORMATS: Final[dict[str, Callable[[Rows], pd.DataFrame]]] = {
    "duchenne": plain_table,
    "openface": openface_table,
    "fex": fex_table,
}
"""Every `--format`, by name."""


def empty_columns(form: str, model: AuModel) -> list[str]:
    """Sentences on the columns of a format that stay empty whatever is read, and why.

    Args:
        form: of `FORMATS`; our own has no column that the model lacks.
        model: that fills the table.
    """
    about, kinds = model.describe(), {name.rpartition("_")[2] for name in model.columns}
    unjudged = set() if about.get("all_aus", True) else set(about.get("without_evidence", ()))
    gives = " and ".join(_PLURALS[kind] for kind in MEASURES if kind in kinds)
    if form == "openface":
        said = ["pose_Tx, pose_Ty, pose_Tz (millimetres need a calibrated camera)"]
        for kind, aus, what in (("r", OPENFACE_INTENSITIES, "intensities"), ("c", OPENFACE_OCCURRENCES, "decisions")):
            lacking = [au for au in aus if f"{au_column(au)}_{kind}" not in model.columns]
            why = f"the model has no {what}" if len(lacking) == len(aus) else f"the model has no {what} of them"
            said += [f"AUxx_{kind} {_of(lacking, aus)} ({why})"] if lacking else []
        said.append(f"what the model gives is {gives}, in the columns at the end")
    elif form == "fex":
        said = []
        same = _fex_aus(model.columns)
        given = {name.rpartition("_")[0] for name in model.columns if name.rpartition("_")[2] in MEASURES}
        lacking = [au for au, name in same.items() if name not in given]
        waiting = [au for au, name in same.items() if name in given and name in unjudged]
        said += [f"AUxx {_of(lacking, FEX_AUS)} (the model does not have them)"] if lacking else []
        said += [f"AUxx {_of(waiting, FEX_AUS)} (not judged on real faces; --all-aus fills them)"] if waiting else []
        said.append("the seven emotions (faces show movements, not feelings)")
    else:
        return []
    return [f"--format {form} leaves empty: {'; '.join(said)}."]


_PLURALS: Final = {"p": "probabilities", "r": "intensities", "s": "scores"}


def _of(lacking: Sequence[int], every: Sequence[int]) -> str:
    return f"of all {len(every)}" if len(lacking) == len(every) else f"of {', '.join(map(str, lacking))}"
