"""Looks at the style `modelled` and measures it: sheets, speed, what MediaPipe makes of it.

    python benchmarks/faces/modelled_faces.py [--out docs/pictures] [--people 48]

Needs the extra `[faces]` and MakeHuman's assets. Speed is of processor time on one core, rendering, noise and JPEG,
heads and kernels being there already.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr

from duchenne.data.shards import encode_jpeg
from duchenne.detectors.blendshapes import AU_BLENDSHAPES
from duchenne.detectors.packaged.measures import COMBINATIONS
from duchenne.detectors.standard import StandardModel
from duchenne.faces.batch import FaceBatch
from duchenne.faces.find import FaceFinder
from duchenne.faces.landmarks import BLENDSHAPES
from duchenne.facs import LANDMARK_GROUPS
from duchenne.synthetic.anatomy import SYNTH_AUS
from duchenne.synthetic.modelled.draw import Camera, warm_up
from duchenne.synthetic.modelled.person import person
from duchenne.synthetic.people import draw_scene
from duchenne.synthetic.sampling import plan_clip
from duchenne.synthetic.synth import render_clip
from synth_sheets import save, tiled, titled

SEED = 9
LEVELS = (0.0, 1.0, 3.0, 5.0)
SHOWN = (0, 8, 12, 20, 24, 31, 37, 43, 48)
Picture = NDArray[np.uint8]


def camera(subject: int, size_px: int, *, soft: bool = True) -> Camera:
    scene = draw_scene(np.random.default_rng([1, subject]), 0)
    scene.camera = torch.tensor([[0.36, 0.5, 0.41]])
    if soft:
        scene.light = torch.tensor([[-0.45, -0.50, 0.74]])
    return Camera(person(SEED, subject), scene, size_px, np.random.default_rng(subject))


def picture(one: Camera, aus: dict[int, float], pose: NDArray[np.float64] | None = None) -> Picture:
    strengths = np.zeros((2, len(SYNTH_AUS)))
    for au, strength in aus.items():
        strengths[:, SYNTH_AUS.index(au)] = strength
    image, _ = one.frame(strengths, np.zeros(3) if pose is None else pose, np.zeros(2))
    return np.asarray(image * 255 + 0.5, dtype=np.uint8)


def sheets(out: Path) -> None:
    draw = np.random.default_rng(5)
    cells = [picture(camera(number, 128, soft=False), {}, draw.uniform(-12, 12, 3)) for number in range(64)]
    save(out / "modelled_people.jpg", tiled(cells, 8))
    cells = []
    for place, au in enumerate(SYNTH_AUS):
        one = camera(SHOWN[place % len(SHOWN)], 176)
        for level in LEVELS:
            aus = {au: level} | ({25: 0.7 * level} if au == 26 else {})
            title = f"{au}" if not level else "ABCDE"[int(level) - 1]
            cells.append(titled(picture(one, aus), title))
    save(out / "modelled_aus.jpg", tiled(cells, 8))


def speed() -> None:
    for size_px in (128, 256):
        plan = plan_clip(0, 0, 0, 24, style=0)
        rates = []
        for _ in range(7):
            begin = time.process_time()
            for one, _ in render_clip(plan, (0, 0), round(1.25 * size_px), modelled=True):
                encode_jpeg(one)
            rates.append(24 / (time.process_time() - begin))
        low, high = min(rates), max(rates)
        print(f"crops of {size_px} px: {statistics.median(rates):.0f} a second (from {low:.0f} to {high:.0f})")


def tracker(people: int) -> None:
    errors, found, asked = [], 0, 0
    with FaceFinder(threads=1) as finder:
        for subject in range(people):
            plan = plan_clip(11, subject, subject % 4, 48, style=0)
            plan.scene.camera[:, 0] *= 1.3
            for place, (image, landmarks) in enumerate(render_clip(plan, (11, subject), 160, modelled=True)):
                if place % 8:
                    continue
                asked += 1
                faces = [face for face in finder.find(image) if face.landmarks is not None]
                found += bool(faces)
                if faces:
                    eyes = np.linalg.norm(landmarks[36:42].mean(axis=0) - landmarks[42:48].mean(axis=0))
                    errors.append(np.linalg.norm(faces[0].landmarks - landmarks, axis=1) / eyes)
    apart = np.array(errors)
    print(f"found {found} of {asked}; landmarks apart {apart.mean():.3f} of the inter-ocular distance (mean), "
          f"{np.median(apart):.3f} (median)")  # fmt: skip
    print("  " + ", ".join(f"{name} {apart[:, list(rows)].mean():.3f}" for name, rows in LANDMARK_GROUPS.items()))


def signals(people: int) -> None:
    """Rank correlation of an action unit's intensity with its blendshape and with the package's score."""
    model = StandardModel(all_aus=True, decisions=False)
    rows: dict[int, list[tuple[float, float, float]]] = {au: [] for au in COMBINATIONS}
    with FaceFinder(threads=1) as finder:
        for subject in range(people):
            one = camera(100 + subject, 192)
            for au in COMBINATIONS:
                for level in range(6):
                    (face, *_) = [f for f in finder.find(picture(one, {au: level})) if f.mesh is not None] or [None]
                    if face is None:
                        continue
                    batch = FaceBatch(face.landmarks[None], face.blendshapes[None], None, face.mesh[None])
                    score = model.score(batch)[0, model.columns.index(f"AU{au:02d}_s")]
                    names = AU_BLENDSHAPES.get(au, ())
                    shape = np.mean([face.blendshapes[BLENDSHAPES.index(name)] for name in names]) if names else np.nan
                    rows[au].append((level, float(shape), float(score)))
    for au, values in rows.items():
        level, shape, score = np.array(values).T
        first = np.nan if np.isnan(shape).any() else spearmanr(level, shape).statistic
        print(f"  AU{au}: blendshape {first:.2f}, duchenne {spearmanr(level, score).statistic:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"))
    parser.add_argument("--people", type=int, default=48)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    warm_up()
    sheets(given.out)
    speed()
    tracker(given.people)
    signals(max(1, given.people // 4))


if __name__ == "__main__":
    main()
