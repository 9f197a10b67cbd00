"""`--model duchenne`: the detector that comes with the package.

Each action unit is a documented combination of MediaPipe's blendshapes and of the geometry of its 478 points
(`packaged/measures.py`), on a scale that neutral faces give: 0 is their mean and 1 their standard deviation.
Those for which networks that learned from rendered people passed the gate (`packaged/learned.py`) have the sum
of both. What it was judged on, and what was left out: `duchenne/weights/model_card.md`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from duchenne.detectors.base import DUCHENNE, Shown, Z
from duchenne.detectors.packaged.learned import inputs_of, learned, outputs_of
from duchenne.detectors.packaged.measures import COMBINATIONS, MEASURES, MESH_POINTS, aligned, measured
from duchenne.faces.batch import FaceBatch
from duchenne.facs import au_column

PRESENT_FROM: Final = 2.0
"""Standard deviations over neutral faces from which an action unit is called present; set beforehand, not fitted."""


@dataclass(frozen=True)
class Scale:
    """Statistics of neutral faces, and what is known of each action unit.

    Attributes:
        template: (R, 3) the rigid points of the mean face.
        mean: (2, M) of each measure, right and left side.
        weights: (M, A) from measures less their means to combinations in standard deviations.
        judged: action units that were measured on real faces and did better there than chance, ascending.
        decided: those of them whose agreement there passed the bar for decisions.
        record: all that weights/neutral.json says.
    """

    template: NDArray[np.float64]
    mean: NDArray[np.float64]
    weights: NDArray[np.float64]
    judged: tuple[int, ...]
    decided: tuple[int, ...]
    record: dict[str, Any]


@cache
def scale() -> Scale:
    """The scale that comes with the package."""
    return scale_from(json.loads(files("duchenne.weights").joinpath("neutral.json").read_text("utf-8")))


def scale_from(record: dict[str, Any]) -> Scale:
    """The scale that a record says (`template`, `measures`, `scores`); without `evidence` nothing counts as judged."""
    kept, spread = record["measures"], record["scores"]
    weights = np.array(
        [
            [
                wanted.get(name, 0.0) / kept[name]["sd"] / spread[au_column(au)]["sd"]
                for au, wanted in COMBINATIONS.items()
            ]
            for name in MEASURES
        ]
    )
    evidence = record.get("evidence", {})
    judged = tuple(au for au in COMBINATIONS if evidence.get(au_column(au), {}).get("shown"))
    decided = tuple(au for au in judged if evidence[au_column(au)]["decided"])
    mean = np.array([kept[name]["mean"] for name in MEASURES]).T
    return Scale(np.array(record["template"]), mean, weights, judged, decided, record)


@cache
def parts() -> dict[str, NDArray[Any]]:
    """`parts_of` the scale that comes with the package."""
    return parts_of(scale())


def parts_of(own: Scale) -> dict[str, NDArray[Any]]:
    """All arrays that `scores_of` computes with, by name: of `Scale`, of the networks, and what joins them.

    `middle` (L,) is the mean output of the networks on neutral faces, `lift` (L, A) takes what lies above it to scores,
    `keep` (A,) is what combinations are multiplied with: where no network enters, 1.
    """
    arrays, made = learned()
    known = [own.record["learned"][au_column(au)] for au in made["aus"]]
    lift, keep = np.zeros((len(known), len(COMBINATIONS))), np.ones(len(COMBINATIONS))
    for row, au in enumerate(made["aus"]):
        place = list(COMBINATIONS).index(au)
        keep[place] = 1 / known[row]["unit"]
        lift[row, place] = keep[place] / known[row]["sd"]
    middle = np.array([one["mean"] for one in known])
    joined = {"middle": middle, "lift": lift, "keep": keep}
    return {"template": own.template, "mean": own.mean, "weights": own.weights} | joined | arrays


def scores_of(mesh: Any, blendshapes: Any, parts: Any, xp: Any) -> Any:
    """(N, 2, A) scores of the right and left side, in arrays of numpy or torch; a face's score is their mean.

    Args:
        mesh: (N, 478, 3) as MediaPipe gives it, all coordinates in one unit.
        blendshapes: (N, 52).
        parts: see `parts`.
        xp: `numpy` or `torch`.
    """
    points = aligned(mesh, parts["template"])
    sides = ((measured(points, blendshapes, xp) - parts["mean"]) @ parts["weights"]) * parts["keep"]
    outputs = outputs_of(inputs_of(points, blendshapes, parts, xp), parts, xp)
    return sides + ((outputs - parts["middle"]) @ parts["lift"])[:, None]


class StandardModel(Shown):
    """The detector of the package as an `AuModel`."""

    name = DUCHENNE
    crop_px = None
    scale = Z

    def __init__(self, *, sides: bool = False, all_aus: bool = False, decisions: bool = True) -> None:
        """Reads the scale.

        Args:
            sides: also give each side's score, as `AUxx_left` and `AUxx_right`.
            all_aus: also give action units that nobody judged on real faces; else they are null.
            decisions: also give `AUxx_c` for action units that passed the bar.
        """
        own = scale()
        self._scale, self._parts, self._all = own, parts(), all_aus
        self._aus = tuple(COMBINATIONS)
        given = self._aus if all_aus else own.judged
        self._null = [place for place, au in enumerate(self._aus) if au not in given]
        self._decided = [self._aus.index(au) for au in own.decided] if decisions else []
        self._sides = sides
        names = [f"{au_column(au)}_s" for au in self._aus]
        names += [f"{au_column(self._aus[place])}_c" for place in self._decided]
        if sides:
            names += [f"{au_column(au)}_{side}" for side in ("right", "left") for au in self._aus]
        self.columns = tuple(names)

    def score(self, batch: FaceBatch) -> NDArray[np.float32]:
        """Scores of a batch of faces in standard deviations over neutral faces.

        Args:
            batch: its `mesh` and `blendshapes` are used; a face that lacks either has NaN.

        Returns:
            (N, len(columns)); NaN also for action units without evidence unless `all_aus`.

        Raises:
            ValueError: when the batch has no mesh.
        """
        if batch.mesh is None:
            raise ValueError(f"the model {DUCHENNE} reads the {MESH_POINTS} points, and the batch has none")
        with np.errstate(invalid="ignore", divide="ignore"):
            sides = scores_of(batch.mesh.astype(np.float64), batch.blendshapes.astype(np.float64), self._parts, np)
        sides[:, :, self._null] = np.nan
        score = sides.mean(axis=1)
        decided = score[:, self._decided]
        present = np.where(np.isnan(decided), np.nan, decided >= PRESENT_FROM)
        parts = [score, present, *(sides[:, side] for side in (0, 1) if self._sides)]
        return np.concatenate(parts, axis=1).astype(np.float32)

    def describe(self) -> dict[str, Any]:
        """Scale, combinations and evidence, for the record beside the output."""
        record = self._scale.record
        return {
            "kind": "scores in standard deviations over neutral faces; neither probabilities nor intensities",
            "present_from": PRESENT_FROM,
            "population": record["population"],
            "combinations": {au_column(au): dict(own) for au, own in COMBINATIONS.items()},
            "learned": {"networks": learned()[1], "scale": record["learned"]},
            "evidence": record["evidence"],
            "without_evidence": [au_column(au) for au in self._aus if au not in self._scale.judged],
            "all_aus": self._all,
        }
