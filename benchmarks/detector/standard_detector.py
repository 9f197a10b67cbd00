"""The scale of `--model duchenne` and what it is worth: makes src/duchenne/weights/neutral.json.

    python benchmarks/detector/standard_detector.py --faces ../shared/data/london --write

`--faces` holds pictures and codes.csv (`path, subject, sex, ethnicity, expression, au_present, au_absent,
au12_strength`). Neutral pictures give means and standard deviations, and nothing else of any picture is kept. The other
pictures have no part in the scale; figures are those of all coded ones. No weight is fitted: combinations are set by
hand (`COMBINATIONS`). Also printed: the figures with a scale from half of the people, on
the other half.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.detectors.packaged.learned import inputs_of, learned, outputs_of
from duchenne.detectors.packaged.measures import COMBINATIONS, MEASURES, RIGID, aligned, measured
from duchenne.detectors.standard import PRESENT_FROM, parts_of, scale_from, scores_of
from duchenne.faces.align import crop_face, crop_matrix
from duchenne.faces.decode import read_pictures
from duchenne.faces.find import FaceFinder
from duchenne.faces.landmarks import MESH_TO_68
from duchenne.facs import au_column
from duchenne.metrics import cohen_kappa, confusion, roc_auc

WEIGHTS = Path(__file__).parents[2] / "src" / "duchenne" / "weights"
RESAMPLES = 1000
KAPPA_BAR, LOWER_BAR = 0.40, 0.20
FEWEST_SHOWING = 6
POPULATION = (
    "51 adults (18 to 54 years) with neutral faces, one front view each: half of the Face Research Lab London Set, "
    "Lisa DeBruine and Benedict Jones (2017), doi 10.6084/m9.figshare.5047666, CC BY 4.0"
)
Floats = NDArray[np.float64]


def read(folder: Path) -> tuple[pd.DataFrame, Floats, Floats]:
    """The codes, meshes (N, 478, 3) and blendshapes (N, 52) of all pictures, one face each."""
    codes = pd.read_csv(folder / "codes.csv")
    meshes, shapes = [], []
    with FaceFinder(threads=1) as finder:
        for path in codes["path"]:
            ((_, (face,)),) = finder.follow(read_pictures(folder / path))  # as `detect` does
            assert face.mesh is not None
            assert face.blendshapes is not None
            meshes.append(face.mesh)
            shapes.append(face.blendshapes)
    return codes, np.stack(meshes).astype(np.float64), np.stack(shapes).astype(np.float64)


def read_crops(folder: Path, size_px: int) -> tuple[pd.DataFrame, dict[str, NDArray[Any]]]:
    """The same with aligned grey crops (N, size, size): `mesh`, `shapes`, `crop`."""
    codes, mesh, shapes = read(folder)
    crops = []
    for path, points in zip(codes["path"], mesh, strict=True):
        (picture,) = read_pictures(folder / path)
        landmarks = points[list(MESH_TO_68), :2].astype(np.float32)
        crops.append(crop_face(picture.image, crop_matrix(landmarks, size_px), size_px).mean(axis=2).astype(np.uint8))
    return codes, {"mesh": mesh, "shapes": shapes, "crop": np.stack(crops)}


def template_of(mesh: Floats) -> Floats:
    """The rigid points of the mean of faces, of mean 0 and inter-ocular distance 1."""
    mean = mesh[0]
    for _ in range(6):
        eyes = mean[[33, 133]].mean(axis=0), mean[[263, 362]].mean(axis=0)
        mean = mean / np.linalg.norm(eyes[0] - eyes[1])
        template = mean[list(RIGID)] - mean[list(RIGID)].mean(axis=0)
        mean = aligned(mesh, template).mean(axis=0)
    return np.asarray(template)


def scale_of(mesh: Floats, shapes: Floats) -> dict[str, Any]:
    """Template, mean and standard deviation of every measure, standard deviation of every combination."""
    template = template_of(mesh).round(6)
    values = measured(aligned(mesh, template), shapes, np)
    mean, spread = values.mean(axis=0), values.mean(axis=1).std(axis=0, ddof=1)
    standard = (values.mean(axis=1) - mean.mean(axis=0)) / spread
    names = list(MEASURES)
    scores = {
        au_column(au): {"sd": float(sum(w * standard[:, names.index(n)] for n, w in own.items()).std(ddof=1))}
        for au, own in COMBINATIONS.items()
    }
    return {
        "template": template.tolist(),
        "measures": {
            name: {"mean": mean[:, place].round(6).tolist(), "sd": round(float(spread[place]), 6)}
            for place, name in enumerate(names)
        },
        "scores": {name: {"sd": round(own["sd"], 6)} for name, own in scores.items()},
    }


def whole_scale(mesh: Floats, shapes: Floats) -> dict[str, Any]:
    """`scale_of` and `joined` of neutral faces."""
    kept = scale_of(mesh, shapes)
    return {**kept, "learned": joined(kept, mesh, shapes)}


def networks(kept: dict[str, Any], mesh: Floats, shapes: Floats) -> Floats:
    """(N, L) outputs of the package's networks."""
    arrays = learned()[0]
    points = aligned(mesh, np.array(kept["template"]))
    return np.asarray(outputs_of(inputs_of(points, shapes, arrays, np), arrays, np))


def joined(kept: dict[str, Any], mesh: Floats, shapes: Floats) -> dict[str, Any]:
    """Of each action unit that a network enters: mean and spread of its output, and the unit of the sum's score.

    The unit is the standard deviation of the sum over neutral faces, stretched where people at rest in recordings would
    otherwise be called present more often than by the combination alone (`train_detector.py`).
    """
    outputs, combined, made = networks(kept, mesh, shapes), combinations(kept, mesh, shapes), learned()[1]
    found = {}
    for row, au in enumerate(made["aus"]):
        mean, spread = outputs[:, row].mean(), outputs[:, row].std(ddof=1)
        total = (outputs[:, row] - mean) / spread + combined[:, list(COMBINATIONS).index(au)]
        unit = total.std(ddof=1) * made["stretch"][str(au)]
        found[au_column(au)] = {"mean": round(mean, 6), "sd": round(spread, 6), "unit": round(unit, 6)}
    return found


def scores_on(kept: dict[str, Any], mesh: Floats, shapes: Floats) -> Floats:
    """(N, A) scores on a scale of `whole_scale`."""
    return np.asarray(scores_of(mesh, shapes, parts_of(scale_from(kept)), np).mean(axis=1))


def combinations(kept: dict[str, Any], mesh: Floats, shapes: Floats) -> Floats:
    """(N, A) combinations of measures on a scale of `scale_of`."""
    own = scale_from(kept)
    sides = (measured(aligned(mesh, own.template), shapes, np) - own.mean) @ own.weights
    return np.asarray(sides.mean(axis=1))


def labels_of(codes: pd.DataFrame) -> Floats:
    """(N, A) 1, 0 or NaN."""
    labels = np.full((len(codes), len(COMBINATIONS)), np.nan)
    for column, au in enumerate(COMBINATIONS):
        for value, name in ((1.0, "au_present"), (0.0, "au_absent")):
            labels[codes[name].fillna("").astype(str).str.split().map(lambda own, au=au: str(au) in own), column] = (
                value
            )
    return labels


def area(present: Floats, score: Floats) -> float:
    """AUC of one action unit; NaN unless it is both present and absent."""
    return float(roc_auc(present[:, None], score[:, None])[0])


def figures(codes: pd.DataFrame, labels: Floats, scores: Floats) -> dict[str, Any]:
    """AUC and kappa per action unit with intervals over people."""
    people = codes["subject"].to_numpy()
    rows_of = {person: np.flatnonzero(people == person) for person in np.unique(people)}
    draw = np.random.default_rng(0)
    draws = [
        np.concatenate([rows_of[one] for one in draw.choice(list(rows_of), len(rows_of))]) for _ in range(RESAMPLES)
    ]
    smiling = (codes["expression"] != "neutral").to_numpy()
    out: dict[str, Any] = {}
    for column, au in enumerate(COMBINATIONS):
        truth, score = labels[:, column], scores[:, column]
        known = ~np.isnan(truth)
        if not (truth == 1).any() or not (truth == 0).any():
            continue
        areas, kappas = [], []
        for rows in draws:
            rows = rows[known[rows]]
            areas.append(area(truth[rows], score[rows]))
            kappas.append(float(cohen_kappa(*confusion(truth[rows, None], score[rows, None] >= PRESENT_FROM))[0]))
        auc, kappa = area(truth[known], score[known]), kappas_of(truth[known], score[known])
        low, high = np.nanpercentile(areas, [2.5, 97.5])
        kappa_low, kappa_high = np.nanpercentile(kappas, [2.5, 97.5])
        among, neutral = known & smiling, known & (~smiling | (truth == 1))
        showing = len(np.unique(people[truth == 1]))
        out[au_column(au)] = {
            "present": int((truth == 1).sum()), "absent": int((truth == 0).sum()), "showing": showing,
            "auc": round(auc, 3), "auc_low": round(low, 3), "auc_high": round(high, 3),
            "auc_among_smiles": _rounded(area(truth[among], score[among])),
            "auc_against_neutral": _rounded(area(truth[neutral], score[neutral])),
            "kappa": round(kappa, 3), "kappa_low": round(kappa_low, 3), "kappa_high": round(kappa_high, 3),
            "sensitivity": round(float((score[truth == 1] >= PRESENT_FROM).mean()), 3),
            "false_alarms_neutral": round(float((score[~smiling & (truth == 0)] >= PRESENT_FROM).mean()), 3),
            "shown": bool(low > 0.5 and showing >= FEWEST_SHOWING),
            "decided": bool(kappa >= KAPPA_BAR and kappa_low > LOWER_BAR and showing >= FEWEST_SHOWING),
        }  # fmt: skip
    return out


def kappas_of(truth: Floats, score: Floats) -> float:
    """Cohen's kappa of decisions at the threshold."""
    return float(cohen_kappa(*confusion(truth[:, None], score[:, None] >= PRESENT_FROM))[0])


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 3)


def by_group(codes: pd.DataFrame, labels: Floats, scores: Floats) -> None:
    """Prints AUC and false alarms by sex and by stated ethnicity."""
    for name in ("sex", "ethnicity"):
        for group, rows in codes.groupby(name).indices.items():
            cells = []
            for au in (6, 12, 25):
                column = list(COMBINATIONS).index(au)
                truth, score = labels[rows, column], scores[rows, column]
                known = ~np.isnan(truth)
                alarms = float((score[truth == 0] >= PRESENT_FROM).mean())
                cells.append(f"AU{au}: AUC {area(truth[known], score[known]):.2f}, false alarms {alarms:.2f}")
            print(f"  {name} {group} ({codes['subject'].iloc[rows].nunique()} people): " + "; ".join(cells))


def halves(codes: pd.DataFrame, labels: Floats, mesh: Floats, shapes: Floats) -> None:
    """Prints the mean AUC on people whose neutral faces had no part in the scale, over 20 splits."""
    people = np.unique(codes["subject"])
    neutral = (codes["expression"] == "neutral").to_numpy()
    found: dict[int, list[float]] = {6: [], 12: [], 25: []}
    for seed in range(20):
        half = set(np.random.default_rng(seed).permutation(people)[: len(people) // 2])
        inside = codes["subject"].isin(half).to_numpy()
        scores = scores_on(whole_scale(mesh[inside & neutral], shapes[inside & neutral]), mesh, shapes)
        for au, areas in found.items():
            column = list(COMBINATIONS).index(au)
            rows = ~inside & ~np.isnan(labels[:, column])
            areas.append(area(labels[rows, column], scores[rows, column]))
    for au, areas in found.items():
        print(f"  AU{au}: scale from half of the people, AUC on the others {np.nanmean(areas):.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--write", action="store_true", help="replace the file in the package")
    given = parser.parse_args()
    codes, mesh, shapes = read(given.faces)
    labels = labels_of(codes)
    neutral = (codes["expression"] == "neutral").to_numpy()
    kept = whole_scale(mesh[neutral], shapes[neutral])
    scores = scores_on(kept, mesh, shapes)
    evidence = figures(codes, labels, scores)
    for name, row in evidence.items():
        print(name, json.dumps(row))
    slight = (codes["au12_strength"] == "slight").to_numpy()
    column = list(COMBINATIONS).index(12)
    chosen = slight | neutral
    print(f"  AU12: slight smiles against neutral {area(slight[chosen].astype(float), scores[chosen, column]):.3f}")
    halves(codes, labels, mesh, shapes)
    by_group(codes, labels, scores)
    if given.write:
        record = {
            "population": POPULATION, "made_by": "benchmarks/detector/standard_detector.py --write", **kept,
            "judged_on": "the same 51 people, each neutral and smiling; coded by eye, once, without FACS certification",
            "evidence": evidence,
        }  # fmt: skip
        (WEIGHTS / "neutral.json").write_text(json.dumps(record, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
