"""Branch A of the package's detector: an MLP on what MediaPipe says of rendered people. Slow; resumes where it stopped.

    python benchmarks/train_detector.py collect --work DIR --people 4000 --pictures 25
    python benchmarks/train_detector.py train --work DIR --faces ../shared/data/london

`collect` renders people of the style `modelled` (extra `[faces]`) with random action units and lets MediaPipe read
every picture; `train` leaves people out, compares each output with the package's own score on them, on people of the
style `natural`, whose artist is another, and on real faces, and says which action units pass the gate. Nothing is
trained on real faces.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from duchenne.detection.measures import aligned
from duchenne.detection.standard import scale, scores_of
from duchenne.faces.align import crop_face, crop_matrix
from duchenne.faces.find import FaceFinder
from duchenne.metrics import roc_auc
from duchenne.synthetic.anatomy import SYNTH_AUS
from duchenne.synthetic.people import draw_scene, still_expression
from duchenne.synthetic.sampling import person as drawn_person

SEED = 1
SIZE_PX = 192
CROP_PX = 96
STYLES = ("modelled", "natural")
Floats = NDArray[np.float64]


def draw_aus(rng: np.random.Generator) -> Floats:
    """(2, 18) a neutral face, a smile with or without AU 6, or any few action units, independent of everything else."""
    aus = np.zeros((2, len(SYNTH_AUS)))
    kind = rng.uniform()
    chosen: dict[int, float] = {}
    if kind > 0.15:
        if kind < 0.45:
            chosen[12] = rng.uniform(0.5, 5)
            if rng.uniform() < 0.5:
                chosen[6] = rng.uniform(0.5, 5)
            if rng.uniform() < 0.5:
                chosen[25] = rng.uniform(1, 5)
        else:
            for au in rng.choice(SYNTH_AUS, rng.integers(1, 6), replace=False):
                chosen[int(au)] = rng.uniform(0.5, 5)
            if 24 in chosen:
                chosen.pop(25, None)
                chosen.pop(26, None)
    for au, strength in chosen.items():
        sides = np.ones(2)
        sides[rng.integers(2)] = max(0.0, 1 - abs(rng.normal(0, 0.12)))
        aus[:, SYNTH_AUS.index(au)] = strength * sides
    return aus


def pictures(style: str, subject: int, count: int) -> Any:
    """Pictures (S, S, 3) uint8 of one person and their action units (18,), of the stronger side."""
    rng = np.random.default_rng([SEED, STYLES.index(style), subject])
    for _ in range(count):
        scene = draw_scene(rng, 0)
        scene.camera[:, 0] *= rng.uniform(1.1, 1.45)
        aus = draw_aus(rng)
        pose = np.clip(rng.normal(0, 1, 3) * [7, 11, 5], [-20, -28, -15], [20, 28, 15])
        gaze = rng.normal(0, 6, 2)
        if style == "modelled":
            from duchenne.synthetic.modelled.draw import Camera
            from duchenne.synthetic.modelled.person import person

            image, _ = Camera(person(SEED, subject), scene, SIZE_PX, rng).frame(aus, pose, gaze)
        else:
            from duchenne.synthetic.render import render

            expression = still_expression()
            expression.aus[0], expression.gaze[0] = torch.from_numpy(aus), torch.from_numpy(gaze)
            turned = torch.from_numpy(pose[None].astype(np.float32))
            rendered = render(drawn_person(SEED, subject), expression, turned, scene, SIZE_PX)
            image = rendered.images[0].permute(1, 2, 0).numpy().astype(np.float64)
        if rng.uniform() < 0.5:
            image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.3))
        if rng.uniform() < 0.1:
            image = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2)
        image = image + rng.uniform(0, 0.02) * rng.standard_normal((SIZE_PX, SIZE_PX, 1))
        seen = (np.clip(image, 0, 1) * 255).astype(np.uint8)
        _, jpeg = cv2.imencode(".jpg", seen[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(60, 97))])
        yield np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR_RGB), dtype=np.uint8), aus.max(axis=0)


def collect(work: Path, style: str, people: int, count: int) -> None:
    """Writes one file per 20 people; those that are there are left as they are."""
    work.mkdir(parents=True, exist_ok=True)
    started, done = time.monotonic(), 0
    with FaceFinder(threads=1) as finder:
        for start in range(0, people, 20):
            path = work / f"{style}-{start:05d}.npz"
            if path.exists():
                continue
            rows: dict[str, list[Any]] = {name: [] for name in ("mesh", "shapes", "aus", "subject", "crop")}
            missed = 0
            for subject in range(start, min(start + 20, people)):
                for image, aus in pictures(style, subject, count):
                    done += 1
                    found = [face for face in finder.find(image) if face.mesh is not None]
                    if not found:
                        missed += 1
                        continue
                    face = max(found, key=lambda one: one.box[2])
                    crop = crop_face(image, crop_matrix(face.landmarks, CROP_PX), CROP_PX)
                    values = (face.mesh, face.blendshapes, aus, subject, cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY))
                    for name, value in zip(rows, values, strict=True):
                        rows[name].append(value)
            part = path.with_suffix(".part.npz")
            np.savez_compressed(part, missed=missed, **{name: np.array(values) for name, values in rows.items()})
            part.rename(path)
            rate = done / (time.monotonic() - started)
            print(f"{style}: {start + 20} of {people} people, {missed} faces missed, {rate:.1f} pictures/s", flush=True)


def stored(work: Path, style: str) -> dict[str, NDArray[Any]]:
    """Everything that was collected of a style."""
    files = sorted(path for path in work.glob(f"{style}-*.npz") if ".part." not in path.name)
    if not files:
        raise SystemExit(f"{work}: holds nothing of the style {style}; run `collect --style {style}` first.")
    parts = [np.load(path) for path in files]
    return {
        name: np.concatenate([part[name] for part in parts]) for name in ("mesh", "shapes", "aus", "subject", "crop")
    }


class Ordinal(nn.Module):
    """One number per action unit, and rising thresholds for A to E: occurrence and intensity agree by construction."""

    def __init__(self, inputs: int, hidden: int = 192) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(inputs, hidden), nn.GELU(), nn.Dropout(0.3), nn.Linear(hidden, hidden), nn.GELU(),
            nn.Dropout(0.3), nn.Linear(hidden, len(SYNTH_AUS)),
        )  # fmt: skip
        self.first = nn.Parameter(torch.zeros(len(SYNTH_AUS)))
        self.steps = nn.Parameter(torch.zeros(len(SYNTH_AUS), 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 18)."""
        return self.body(x)

    def log_odds(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 18, 5) of at least A ... at least E."""
        rising = torch.cat([self.first[:, None], functional.softplus(self.steps)], dim=1).cumsum(dim=1)
        return self(x)[..., None] - rising


def features(data: dict[str, NDArray[Any]]) -> Floats:
    """(N, 1434 + 52) aligned points and log odds of blendshapes."""
    points = aligned(data["mesh"].astype(np.float64), scale().template).reshape(len(data["mesh"]), -1)
    shapes = data["shapes"].astype(np.float64)
    return np.concatenate([points, np.log((shapes + 1e-7) / (1 - shapes + 1e-3))], axis=1)


def own_scores(data: dict[str, NDArray[Any]]) -> Floats:
    """(N, 18) of the package's own combinations."""
    own = scale()
    sides = scores_of(
        data["mesh"].astype(np.float64), data["shapes"].astype(np.float64), own.template, own.mean, own.weights, np
    )
    return np.asarray(sides.mean(axis=1))


def fit(x: Floats, aus: Floats, subject: NDArray[Any], seed: int) -> Any:
    """Trains on nine tenths of the people, stops by the others; returns what scores new features."""
    torch.manual_seed(seed)
    people = np.random.default_rng(seed).permutation(np.unique(subject))
    kept = np.isin(subject, people[: len(people) // 10])
    points = x[:, :1434]
    middle = points[~kept].mean(axis=0)
    _, sizes, directions = np.linalg.svd(points[~kept][:: max(1, len(points) // 4000)] - middle, full_matrices=False)
    del sizes
    basis = directions[:60].T

    def reduced(rows: Floats) -> Floats:
        return np.concatenate([(rows[:, :1434] - middle) @ basis, rows[:, 1434:]], axis=1)

    own = reduced(x)
    mean, spread = own[~kept].mean(axis=0), own[~kept].std(axis=0) + 1e-6
    rows = torch.from_numpy(np.clip((own - mean) / spread, -4, 4).astype(np.float32))
    levels = torch.from_numpy((aus[:, :, None] >= np.array([0.5, 1.5, 2.5, 3.5, 4.5])).astype(np.float32))
    model = Ordinal(rows.shape[1])
    optimiser = torch.optim.AdamW(model.parameters(), 2e-3, weight_decay=1e-2)
    train, held = torch.from_numpy(np.flatnonzero(~kept)), torch.from_numpy(np.flatnonzero(kept))
    best, state, since = np.inf, None, 0
    for _ in range(60):
        model.train()
        for part in train[torch.randperm(len(train))].split(256):
            noisy = rows[part] + 0.1 * torch.randn(len(part), rows.shape[1])
            loss = functional.binary_cross_entropy_with_logits(model.log_odds(noisy), levels[part])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        model.eval()
        with torch.no_grad():
            now = float(functional.binary_cross_entropy_with_logits(model.log_odds(rows[held]), levels[held]))
        if now < best - 1e-4:
            best, since, state = now, 0, {name: value.clone() for name, value in model.state_dict().items()}
        else:
            since += 1
        if since == 8:
            break
    assert state is not None
    model.load_state_dict(state)

    def score(new: Floats) -> Floats:
        with torch.no_grad():
            given = torch.from_numpy(np.clip((reduced(new) - mean) / spread, -4, 4).astype(np.float32))
            return model(given).numpy().astype(np.float64)

    return score


def areas(aus: Floats, score: Floats) -> Floats:
    """(18,) AUC of B or more against nothing."""
    truth = np.where(aus >= 2, 1.0, np.where(aus == 0, 0.0, np.nan))
    return np.asarray(roc_auc(truth, score))


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


def train(work: Path, faces: Path) -> None:
    """Trains, compares, says what passes; writes nothing into the package."""
    from standard_detector import area, labels_of, read_crops

    data, other = stored(work, "modelled"), stored(work, "natural")
    people = np.random.default_rng(0).permutation(np.unique(data["subject"]))
    tested = np.isin(data["subject"], people[: len(people) // 5])
    x, aus = features(data), data["aus"]
    print(f"{len(x)} pictures of {len(people)} modelled people, {len(other['mesh'])} of the other style")
    models = [fit(x[~tested], aus[~tested], data["subject"][~tested], seed) for seed in range(3)]

    def score(rows: Floats) -> Floats:
        return np.mean([model(rows) for model in models], axis=0)

    codes, real = read_crops(faces, CROP_PX)
    truth = labels_of(codes)
    smiling = (codes["expression"] != "neutral").to_numpy()
    new, old = score(features(real)), own_scores(real)
    columns = {
        "modelled": (areas(aus[tested], score(x[tested])), areas(aus[tested], own_scores(data)[tested])),
        "natural": (areas(other["aus"], score(features(other))), areas(other["aus"], own_scores(other))),
    }
    print("AUC, branch A / the package's score: other modelled people; people of the style natural; real faces")
    passed = []
    for place, au in enumerate(SYNTH_AUS):
        cells = [
            f"{columns[style][0][place]:.3f} / {columns[style][1][place]:.3f}" for style in ("modelled", "natural")
        ]
        known = ~np.isnan(truth[:, place])
        is_coded = (truth[:, place] == 1).any()
        better = columns["natural"][0][place] > columns["natural"][1][place]
        if is_coded:
            two = area(truth[known, place], new[known, place]), area(truth[known, place], old[known, place])
            cells.append(f"{two[0]:.3f} / {two[1]:.3f}")
            among = known & smiling
            if au == 6:
                cells.append(f"among smiles {area(truth[among, place], new[among, place]):.3f} / "
                             f"{area(truth[among, place], old[among, place]):.3f}")  # fmt: skip
            if better and two[0] >= two[1]:
                passed.append(au)
        print(f"  AU{au}: " + "; ".join(cells))
    print(f"passed on both: {passed or 'none'}")

    print("HOG of the crop, AU 6 (stage C's first test), trained on modelled people:")
    rows, place = hog(data["crop"]), SYNTH_AUS.index(6)
    smiles = aus[:, SYNTH_AUS.index(12)] > 0
    unit = ridge(rows[~tested & smiles], (aus[~tested & smiles, place] >= 2).astype(np.float64))
    mine = tested & smiles
    guessed = np.repeat(unit(rows[mine])[:, None], len(SYNTH_AUS), 1)
    print(f"  among smiles of other modelled people {areas(aus[mine], guessed)[place]:.3f}")
    guess, known = unit(hog(real["crop"])), ~np.isnan(truth[:, place])
    among = known & smiling
    against = known & (~smiling | (truth[:, place] == 1))
    print(f"  real faces: among smiles {area(truth[among, place], guess[among]):.3f}, "
          f"against neutral {area(truth[against, place], guess[against]):.3f}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("collect", "train"))
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--style", choices=STYLES, default="modelled")
    parser.add_argument("--people", type=int, default=4000)
    parser.add_argument("--pictures", type=int, default=25)
    parser.add_argument("--faces", type=Path, help="coded real faces, to choose by")
    given = parser.parse_args()
    if given.step == "collect":
        collect(given.work, given.style, given.people, given.pictures)
    elif given.faces is None:
        parser.error("train needs --faces")
    else:
        train(given.work, given.faces)


if __name__ == "__main__":
    main()
