"""How a set of synthetic faces could mislead: what besides action units orders frames or predicts action units.

Everything is measured on what was written: crops, labels, and the
renderer's notes in `synthetic.parquet`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from duchenne.data.clip_samplers import SequenceSampler
from duchenne.data.prepared import Prepared
from duchenne.data.stored.parquet import read_parquet
from duchenne.errors import InputError
from duchenne.facs import au_column
from duchenne.metrics import f1_score, roc_auc

NOTES: Final = "synthetic.parquet"
"""File of a synthetic folder with what only a renderer knows of each crop."""
_INTERVALS: Final = (1, 2, 4)
_HOG_PX: Final = 64
_EVERY: Final = 4  # frames that the probes skip: neighbours are near-duplicates
_NEUTRAL_BELOW: Final = 0.5  # summed intensity

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SynthStats:
    """What `synth_stats` finds.

    Attributes:
        order: share of temporal triplets that each quantity orders rightly (columns k1, k2, k4; chance .5, a quantity
            that never changes in a clip .0 because ties are not right).
        labels: per AU: positives, share, and the AUC and F1 on unseen subjects of logistic regression from the emotion
            label, the frame number, the renderer's nuisances, HOG features, landmarks, and landmarks less the person's
            neutral face.
    """

    order: pd.DataFrame
    labels: pd.DataFrame

    @classmethod
    def from_table(cls, table: pd.DataFrame) -> SynthStats:
        """The inverse of `table`."""
        parts = [
            part.pivot(index="item", columns="measure", values="value").loc[
                part["item"].unique(), part["measure"].unique()
            ]
            for about in ("order", "labels")
            for part in [table[table["about"] == about]]
        ]
        return cls(*(part.rename_axis(index=None, columns=None) for part in parts))

    def table(self) -> pd.DataFrame:
        """Everything in long form: `about, item, measure, value`."""
        parts = [
            part.rename_axis("item").reset_index().melt("item", var_name="measure").assign(about=about)
            for about, part in (("order", self.order), ("labels", self.labels))
        ]
        return pd.concat(parts, ignore_index=True)[["about", "item", "measure", "value"]]

    def text(self) -> str:
        """The tables, those of the labels with a row of means, to read."""
        labels = pd.concat([self.labels, self.labels.mean().to_frame("mean").T])
        parts = [
            "Share of temporal triplets ordered rightly (anchor t, sibling t+1, then t+1+kn, n = 1..10):",
            self.order.to_string(float_format="%.2f"),
        ]
        for measure in ("AUC", "F1"):
            named = labels.filter(regex=f" {measure}$").rename(columns=lambda name: name.rsplit(" ", 1)[0])
            parts += [
                f"\n{measure} on unseen subjects of logistic regression from ...",
                pd.concat([labels[["positives", "share"]], named], axis=1).to_string(float_format="%.2f"),
            ]
        return "\n".join(parts)


def read_stats(folder: str | Path) -> SynthStats:
    """Reads the `stats.csv` that `synth --stats` wrote into a folder.

    Raises:
        InputError: when it is missing.
    """
    path = Path(folder) / "stats.csv"
    if not path.is_file():
        raise InputError(f"{path}: is missing; make it with `duchenne synth --stats`.")
    return SynthStats.from_table(pd.read_csv(path))


def synth_stats(data: Prepared) -> SynthStats:
    """Measures a folder that `synth` made.

    Args:
        data: the folder, with subjects in both splits.

    Returns:
        The tables.

    Raises:
        InputError: when the folder was not made by `synth`, or one of its splits is empty.
    """
    path = Path(data.paths[0]) / NOTES
    if not path.is_file():
        raise InputError(f"{path}: is missing; --stats needs a folder made by `duchenne synth`.")
    test = (data.column("split") == "test").to_numpy()
    if test.all() or not test.any():
        raise InputError(f"{data.paths[0]}: has no train or no test subjects; use at least 4 subjects.")
    notes = read_parquet(path).to_pandas()
    return SynthStats(_order(data, notes), _labels(data, notes, test))


def _quantities(data: Prepared, notes: pd.DataFrame) -> dict[str, Floats]:
    intensities = data.intensity(data.aus).astype(np.float64)
    groups = {
        "head pose": ("pitch", "yaw", "roll"),
        "gaze": ("gaze_x", "gaze_y"),
        "light": ("light_x", "light_y", "light_z", "key", "ambient"),
        "background": ("background_r", "background_g", "background_b"),
        "frame number": ("frame",),
    }
    return {"action units": intensities} | {
        name: notes[list(columns)].to_numpy(dtype=np.float64) for name, columns in groups.items()
    }


def _order(data: Prepared, notes: pd.DataFrame) -> pd.DataFrame:
    quantities = _quantities(data, notes)
    result = pd.DataFrame(index=pd.Index(list(quantities)), columns=[f"k{k}" for k in _INTERVALS], dtype=float)
    rng = np.random.default_rng(0)
    for k in _INTERVALS:
        sampler = SequenceSampler([0, 1, *(1 + k * n for n in range(1, 11))])
        try:
            clips, _ = sampler.usable_clips(data, np.arange(len(data)))
        except InputError:
            continue  # clips shorter than the sequence: the column stays empty
        rows = np.array([sampler.draw(clip, rng) for clip in clips for _ in range(4)])
        for name, values in quantities.items():
            away = np.linalg.norm(values[rows[:, 1:]] - values[rows[:, :1]], axis=2)
            result.loc[name, f"k{k}"] = float((away[:, 1:] > away[:, :-1] + 1e-9).mean())
    return result


def _labels(data: Prepared, notes: pd.DataFrame, test: NDArray[np.bool_]) -> pd.DataFrame:
    frame, truth = data.column("frame").to_numpy(), data.occurrence()
    kept = frame % _EVERY == 0
    learn, judge = np.flatnonzero(kept & ~test), np.flatnonzero(kept & test)
    emotions = pd.get_dummies(data.column("emotion").fillna("none")).to_numpy(dtype=np.float64)
    features: dict[str, Callable[[NDArray[np.int64]], Floats]] = {
        "emotion": lambda rows: emotions[rows],
        "frame number": lambda rows: _bins(frame[rows]),
        "nuisances": lambda rows: np.concatenate(
            [v[rows] for name, v in _quantities(data, notes).items() if name != "action units"], axis=1
        ),
        "hog": lambda rows: _hog(data, rows),
    }
    landmarks = data.landmarks().reshape(len(data), -1).astype(np.float64)
    own = landmarks - _neutral(data, landmarks)
    features["landmarks"] = lambda rows: landmarks[rows]
    features["landmarks less neutral"] = lambda rows: own[rows]
    result = pd.DataFrame({"positives": truth.sum(0), "share": truth.mean(0)}, index=[au_column(au) for au in data.aus])
    for name, of in features.items():
        scaled = make_pipeline(StandardScaler(), PCA(0.99, svd_solver="full")) if name == "hog" else StandardScaler()
        inputs = scaled.fit_transform(of(learn))
        outputs = scaled.transform(of(judge))
        for place, au in enumerate(data.aus):
            auc, f1 = _probe(inputs, truth[learn, place], outputs, truth[judge, place])
            result.loc[au_column(au), [f"{name} AUC", f"{name} F1"]] = auc, f1
    return result


def _probe(
    inputs: Floats, known: NDArray[np.float32], outputs: Floats, truth: NDArray[np.float32]
) -> tuple[float, float]:
    """AUC and F1 of balanced logistic regression; NaN where a class is missing."""
    if known.min() == known.max() or truth.min() == truth.max():
        return float("nan"), float("nan")
    model = LogisticRegression(C=0.01, class_weight="balanced", max_iter=200).fit(inputs, known)
    score = model.decision_function(outputs)
    column = truth[:, None]
    return float(roc_auc(column, score[:, None])[0]), float(f1_score(column, score[:, None] > 0)[0])


def _neutral(data: Prepared, landmarks: Floats) -> Floats:
    """(N, 136) mean landmarks of each row's subject over frames (nearly) without action units."""
    total = data.intensity(data.aus).astype(np.float64).sum(1)
    result = np.zeros_like(landmarks)
    subjects = data.subject_ids()
    for subject in np.unique(subjects):
        rows = subjects == subject
        calm = rows & (total <= max(_NEUTRAL_BELOW, float(np.quantile(total[rows], 0.05))))
        result[rows] = landmarks[calm].mean(0)
    return result


def _bins(numbers: NDArray[np.int64]) -> Floats:
    """(N, 8) which eighth of the clip a frame lies in."""
    places = np.minimum(numbers * 8 // (numbers.max() + 1), 7)
    return np.asarray(np.eye(8)[places])


def _hog(data: Prepared, rows: NDArray[np.int64]) -> Floats:
    descriptor = cv2.HOGDescriptor((_HOG_PX, _HOG_PX), (16, 16), (8, 8), (8, 8), 9)
    pictures = data.images(rows, _HOG_PX)
    greys = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in pictures)
    return np.stack([np.asarray(descriptor.compute(grey), dtype=np.float64).reshape(-1) for grey in greys])
