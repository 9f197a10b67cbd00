"""Whether a network trained on rendered people scores action units better than the package. Slow; collecting resumes.

    python benchmarks/detector/train_detector.py collect --work DIR --style modelled --people 3200
    python benchmarks/detector/train_detector.py collect --work DIR --style turned --people 800
    python benchmarks/detector/train_detector.py collect --work DIR --style natural --people 100 --pictures 20
    python benchmarks/detector/train_detector.py train --work DIR --real ../shared/data [--write]
    python benchmarks/detector/standard_detector.py --faces ../shared/data/london --write    # after train --write
    python benchmarks/detector/train_detector.py appearance --work DIR --real ../shared/data

`collect` renders people with random action units (`modelled` and `turned`, whose heads turn further, need the extra
`[faces]`) and lets MediaPipe read every picture. `train` learns from four fifths of these people and compares, per
action unit, the mean of the network's score and the combination's (`packaged/measures.py`) with the combination
alone: on the other fifth, on people of the style `natural`, whose artist is another, and on real faces. An action unit
passes when it is coded on real faces, not worse there, better on `natural` beyond the 95 % interval over people, and
tells real faces that show it from people at rest in recordings no worse: by AUC, and by those found at a threshold from
which as few at rest are called present. `--write` puts the networks of those into the package: weights/model_card.md.
`appearance` is the cheapest test of pixels: HOG, AU 6. Nothing is trained on real faces.
"""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from detector_network import SEEDS, fit, points_of, reduced, stacked, write
from duchenne.detectors.packaged.learned import inputs_of, outputs_of
from duchenne.detectors.packaged.measures import measured
from duchenne.detectors.standard import PRESENT_FROM, scale
from duchenne.faces.decode import read_pictures
from duchenne.faces.find import FaceFinder
from duchenne.synthetic.anatomy import SYNTH_AUS
from rendered_pictures import CROP_PX, STYLES, collect, stored
from standard_detector import area, labels_of, read_crops

PRESENT = 2.0
"""From B on an action unit counts as present in a rendered face; A alone counts as neither."""
PEOPLE = {"modelled": 3200, "turned": 800, "natural": 100}
"""How many of each style the figures in the model card rest on."""
TRAINED = ("modelled", "turned")
RESAMPLES = 300
QUIET = {
    "head-pose-face-detection-female.mp4": (6, 12, 25),
    "head-pose-face-detection-female-and-male.mp4": (6, 12),
    "face-demographics-walking-and-pause.mp4": (6, 12, 25),
}
"""Recordings, and action units that nobody in them shows: heads turn and tilt, three people walk up."""
Floats = NDArray[np.float64]
Faces = tuple[Floats, NDArray[np.float32], NDArray[Any], NDArray[Any]]
"""Labels (N, 18), aligned points, blendshapes, people."""
Scores = tuple[Floats, Floats, Floats]
"""(N, 18) of both, of the combinations, of the network."""


def combined(points: NDArray[np.float32], shapes: NDArray[Any]) -> Floats:
    """(N, 18) of the combinations of `duchenne.detectors.packaged.measures`."""
    own = scale()
    sides = (measured(points.astype(np.float64), shapes.astype(np.float64), np) - own.mean) @ own.weights
    return np.asarray(sides.mean(axis=1))


def present(aus: Floats) -> Floats:
    return np.where(aus >= PRESENT, 1.0, np.where(aus == 0, 0.0, np.nan))


def compared(truth: Floats, scores: Scores, subject: NDArray[Any]) -> dict[str, float]:
    """AUC of each score of one action unit, and the 95 % interval over people of what the network brings."""
    new, old, alone = scores
    rows_of = [np.flatnonzero(subject == one) for one in np.unique(subject)]
    draw, gains = np.random.default_rng(0), []
    for _ in range(RESAMPLES):
        rows = np.concatenate([rows_of[one] for one in draw.integers(len(rows_of), size=len(rows_of))])
        gains.append(area(truth[rows], new[rows]) - area(truth[rows], old[rows]))
    low, high = np.nanpercentile(gains, [2.5, 97.5])
    found = {"both": area(truth, new), "combination": area(truth, old), "network": area(truth, alone)}
    found |= {"gain_low": low, "gain_high": high}
    return {name: round(float(value), 3) for name, value in found.items()}


def decided(quiet: list[Floats], shown: list[Floats], absent: list[Floats]) -> dict[str, float]:
    """Of `both` and `combination`: called present in recordings of people at rest, and of real faces that show it.

    `from` is where `both` decides: at least where the combination does, and no sooner than it calls as few present, of
    people at rest in recordings and of portraits that do not show it.
    """
    alarms = float((quiet[1] >= PRESENT_FROM).mean())
    as_few = [np.sort(new)[-1 - (old >= PRESENT_FROM).sum()] for new, old, _ in (quiet, absent)]  # the next one's score
    start = max(PRESENT_FROM, float(np.ceil(10 * max(as_few) + 1e-9) / 10))
    apart = [area(np.r_[np.ones(len(own)), np.zeros(len(rest))], np.r_[own, rest]) for own, rest in zip(shown, quiet)]
    found = {
        "both": (quiet[0] >= PRESENT_FROM).mean(), "combination": alarms, "from": start,
        "alarms": (quiet[0] >= start).mean(), "found": (shown[0] >= start).mean(),
        "found by combination": (shown[1] >= PRESENT_FROM).mean(), "apart": apart[0], "combination apart": apart[1],
    }  # fmt: skip
    return {name: round(float(value), 3) for name, value in found.items()}


def table_of(sets: dict[str, Faces], scores: dict[str, Scores], smiling: NDArray[np.bool_]) -> Any:
    """`compared` per action unit and set of faces, of real ones also among smiles."""
    table: dict[int, dict[str, dict[str, float]]] = {}
    for place, au in enumerate(SYNTH_AUS):
        table[au] = {}
        for name, (labels, _, _, subject) in sets.items():
            truth, own = labels[:, place], [one[:, place] for one in scores[name]]
            known = ~np.isnan(truth)
            chosen = {name: known, "real smiles": known & smiling} if name == "real" else {name: known}
            for words, rows in chosen.items():
                if name == "quiet" and rows.any():
                    portraits = [
                        [one[sets["real"][0][:, place] == value, place] for one in scores["real"]] for value in (1, 0)
                    ]
                    table[au][words] = decided([one[rows] for one in own], *portraits)
                if {0.0, 1.0} <= set(truth[rows]):
                    table[au][words] = compared(truth[rows], tuple(one[rows] for one in own), subject[rows])
        print(f"  AU{au}: " + "; ".join(
            f"{name} {one['both']:.3f} / {one['combination']:.3f} [{one['gain_low']:+.3f}, {one['gain_high']:+.3f}], "
            f"network {one['network']:.3f}"
            for name, one in table[au].items() if name != "quiet"
        ) + f"; called present where absent {table[au].get('quiet', 'unknown')}", flush=True)  # fmt: skip
    return table


def quiet_faces(folder: Path) -> Faces:
    """Every face of `QUIET`: 0 for what it does not show, else NaN."""
    labels, mesh, shapes, names = [], [], [], []
    with FaceFinder(threads=1) as finder:
        for name, absent in QUIET.items():
            for _, faces in finder.follow(read_pictures(folder / name)):
                for face in faces:
                    if face.mesh is not None:
                        labels.append([0.0 if au in absent else np.nan for au in SYNTH_AUS])
                        mesh.append(face.mesh)
                        shapes.append(face.blendshapes)
                        names.append(name)
    return np.array(labels), points_of(np.stack(mesh)), np.stack(shapes), np.array(names)


def train(work: Path, people: dict[str, int], real_faces: Path, keep: bool) -> None:
    """Trains, compares, says what passes, and puts that into the package if asked to."""
    parts_of = [stored(work, style, people[style], "mesh", "shapes") for style in TRAINED]
    data = {name: np.concatenate([part[name] for part in parts_of]) for name in parts_of[0]}
    other = stored(work, "natural", people["natural"], "mesh", "shapes")
    tested = left_out(data["subject"])
    points, shapes = points_of(data["mesh"]), data["shapes"]
    arrays = reduced(points[~tested], shapes[~tested])
    x = inputs_of(points, shapes, arrays, np).astype(np.float32)
    models = [fit(x[~tested], data["aus"][~tested], data["subject"][~tested], seed) for seed in SEEDS]
    codes, real = read_crops(real_faces / "london", CROP_PX)
    sets: dict[str, Faces] = {
        "other modelled": (present(data["aus"][tested]), points[tested], shapes[tested], data["subject"][tested]),
        "natural": (present(other["aus"]), points_of(other["mesh"]), other["shapes"], other["subject"]),
        "real": (labels_of(codes), points_of(real["mesh"]), real["shapes"], codes["subject"].to_numpy()),
        "quiet": quiet_faces(real_faces / "intel-sample-videos"),
    }
    smiling = (codes["expression"] != "neutral").to_numpy()
    layers = stacked(models)
    alone = {
        name: outputs_of(inputs_of(own, shape.astype(np.float32), arrays, np), layers, np).astype(np.float64)
        for name, (_, own, shape, _) in sets.items()
    }
    parts = {name: combined(own, shape) for name, (_, own, shape, _) in sets.items()}
    neutral = alone["real"][~smiling]
    alone = {name: (one - neutral.mean(axis=0)) / neutral.std(axis=0, ddof=1) for name, one in alone.items()}
    spread = (alone["real"] + parts["real"])[~smiling].std(axis=0, ddof=1)
    scores = {name: ((alone[name] + parts[name]) / spread, parts[name], alone[name]) for name in sets}
    print(f"{len(x)} pictures of {people} people, {int((~tested).sum())} of them to train on; "
          f"{len(other['aus'])} of the style natural.\n"
          "AUC, both / combination alone [gain, 95 %], network alone:")  # fmt: skip
    table = table_of(sets, scores, smiling)
    passed = [
        au for au, row in table.items()
        if "real" in row and row["natural"]["gain_low"] > 0 and row["real"]["both"] >= row["real"]["combination"]
        and row["quiet"]["found"] >= row["quiet"]["found by combination"]
        and row["quiet"]["apart"] >= row["quiet"]["combination apart"]
    ]  # fmt: skip
    print(f"pass: {passed or 'none'}")
    if keep and passed:
        write(arrays, models, passed, {
            "stretch": {au: table[au]["quiet"]["from"] / PRESENT_FROM for au in passed}, "pictures": len(x),
            "people": {style: people[style] for style in TRAINED}, "seeds": SEEDS,
            "made_by": "benchmarks/detector/train_detector.py train --write", "commit": commit(),
        })  # fmt: skip


def commit() -> str:
    """Of the checkout."""
    return subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()


def left_out(subject: NDArray[Any]) -> NDArray[np.bool_]:
    """A fifth of the people, never trained on."""
    people = np.random.default_rng(0).permutation(np.unique(subject))
    return np.isin(subject, people[: len(people) // 5])


def hog(crops: NDArray[np.uint8]) -> Floats:
    """Histograms of oriented gradients, 8 by 8 cells of 12 pixels."""
    found = cv2.HOGDescriptor((CROP_PX, CROP_PX), (24, 24), (12, 12), (12, 12), 9)
    return np.stack([found.compute(np.ascontiguousarray(crop)).ravel() for crop in crops]).astype(np.float64)


def ridge(x: Floats, y: Floats, strength: float = 300.0) -> Any:
    """Ridge regression on standardised columns."""
    mean, spread = x.mean(axis=0), x.std(axis=0) + 1e-6
    rows = (x - mean) / spread
    weights = np.linalg.solve(rows.T @ rows + strength * np.eye(rows.shape[1]), rows.T @ (y - y.mean()))
    return lambda new: ((new - mean) / spread) @ weights


def appearance(work: Path, people: dict[str, int], real_faces: Path) -> None:
    """AU 6 among smiles from HOG of crops: whether a network of pixels is worth training."""
    data = stored(work, "modelled", people["modelled"], "crop")
    tested, au6 = left_out(data["subject"]), present(data["aus"])[:, SYNTH_AUS.index(6)]
    smiles = (data["aus"][:, SYNTH_AUS.index(12)] > 0) & ~np.isnan(au6)
    unit = ridge(hog(data["crop"][smiles & ~tested]), au6[smiles & ~tested])
    mine = smiles & tested
    print(f"trained on {int((smiles & ~tested).sum())} smiles; among smiles of other modelled people "
          f"{area(au6[mine], unit(hog(data['crop'][mine]))):.3f}")  # fmt: skip
    codes, real = read_crops(real_faces / "london", CROP_PX)
    truth, smiling = labels_of(codes)[:, SYNTH_AUS.index(6)], (codes["expression"] != "neutral").to_numpy()
    guess, known = unit(hog(real["crop"])), ~np.isnan(truth)
    among, against = known & smiling, known & (~smiling | (truth == 1))
    print(f"real faces: among smiles {area(truth[among], guess[among]):.3f}, "
          f"against neutral {area(truth[against], guess[against]):.3f}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("collect", "train", "appearance"))
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--style", choices=STYLES, default="modelled")
    parser.add_argument("--people", type=int, default=100, help="to collect of the style")
    parser.add_argument("--pictures", type=int, default=25, help="of each person")
    parser.add_argument("--real", type=Path, help="folder with london/ and intel-sample-videos/, to choose by")
    parser.add_argument("--write", action="store_true", help="put what passes into the package")
    given = parser.parse_args()
    if given.step == "collect":
        collect(given.work, given.style, given.people, given.pictures)
    elif given.real is None:
        parser.error(f"{given.step} needs --real")
    elif given.step == "train":
        train(given.work, PEOPLE, given.real, given.write)
    else:
        appearance(given.work, PEOPLE, given.real)


if __name__ == "__main__":
    main()
