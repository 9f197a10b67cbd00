"""What MediaPipe says of rendered people with random action units: collected once, read by `train_detector.py`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from duchenne.faces.align import crop_face, crop_matrix
from duchenne.faces.find import FaceFinder
from duchenne.synthetic.anatomy import SYNTH_AUS
from duchenne.synthetic.people import draw_scene, still_expression
from duchenne.synthetic.sampling import person as drawn_person

SEED = 1
SIZE_PX = 192
CROP_PX = 96
PART = 20
"""People in one file."""
STYLES = ("modelled", "natural", "turned")
"""`turned`: other modelled people, whose heads turn further."""
TURNS = {"turned": ((12, 24, 8), (28, 50, 25))}
"""Standard deviations and limits of pitch, yaw and roll in degrees, where they are not those of `NEARLY_FRONTAL`."""
NEARLY_FRONTAL = ((7, 11, 5), (20, 28, 15))
FIRST_TURNED = 100_000
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
        spread, most = (np.array(own) for own in TURNS.get(style, NEARLY_FRONTAL))
        pose = np.clip(rng.normal(0, 1, 3) * spread, -most, most)
        gaze = rng.normal(0, 6, 2)
        if style != "natural":
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
    """Writes one file per `PART` people; those that are there are left as they are."""
    work.mkdir(parents=True, exist_ok=True)
    started, done = time.monotonic(), 0
    with FaceFinder(threads=1) as finder:
        for start in range(0, people, PART):
            path = work / f"{style}-{start:05d}.npz"
            if path.exists():
                continue
            rows: dict[str, list[Any]] = {name: [] for name in ("mesh", "shapes", "aus", "subject", "crop")}
            missed = 0
            for number in range(start, min(start + PART, people)):
                subject = number + (FIRST_TURNED if style == "turned" else 0)
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
            print(
                f"{style}: {start + PART} of {people} people, {missed} faces missed, {rate:.1f} pictures/s", flush=True
            )


def stored(work: Path, style: str, people: int, *names: str) -> dict[str, NDArray[Any]]:
    """Of the first people of a style: `aus`, `subject`, and those of `mesh`, `shapes`, `crop` that are asked for."""
    paths = [work / f"{style}-{start:05d}.npz" for start in range(0, people, PART)]
    for path in paths:
        if not path.is_file():
            raise SystemExit(f"{path}: is not there; run `collect --style {style} --people {people}` first.")
    out: dict[str, list[NDArray[Any]]] = {name: [] for name in (*names, "aus", "subject")}
    for path in paths:
        with np.load(path) as part:
            for name, kept in out.items():
                kept.append(part[name])
    return {name: np.concatenate(kept) for name, kept in out.items()}
