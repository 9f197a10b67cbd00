"""Contact sheets of the synthetic faces, for the documentation and for one's own eyes.

    python benchmarks/faces/synth_sheets.py [--out docs/pictures]

Writes `synthetic_upper.jpg` and `synthetic_lower.jpg` (every action unit at 0, 1, 3, 5), `synthetic_people.jpg`
(64 identities), `synthetic_clips.jpg` (clips over time) and `synthetic_emotions.jpg` (prototypes), each under 300 kB.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from duchenne.facs import ACTION_UNITS
from duchenne.synthetic.anatomy import SYNTH_AUS
from duchenne.synthetic.people import Identity, Scene, draw_identity, draw_scene, still_expression
from duchenne.synthetic.render import finish, render
from duchenne.synthetic.sampling import PROTOTYPES, plan_clip
from duchenne.synthetic.synth import render_clip

LEVELS = (0.0, 1.0, 3.0, 5.0)
UPPER = (1, 2, 4, 5, 6, 7, 9, 45)
SHOWN_BY = (11, 13, 17, 20, 22, 1, 2, 5, 8, 10, 19, 29, 11, 5, 17, 20, 22, 1)  # one person for each action unit
Picture = NDArray[np.uint8]


def near_scene(number: int, style: int = 0) -> Scene:
    """A face that fills the frame, in a soft light from one side."""
    scene = draw_scene(np.random.default_rng([1, number]), style=style)
    scene.camera = torch.tensor([[0.40, 0.5, 0.40]])
    scene.light = torch.tensor([[-0.45, -0.50, 0.74]])
    scene.key, scene.ambient = torch.full((1, 3), 0.68), torch.full((1, 3), 0.42)
    return scene


def pictures(images: torch.Tensor) -> list[Picture]:
    return list((images * 255 + 0.5).to(torch.uint8).permute(0, 2, 3, 1).numpy())


def titled(picture: Picture, text: str) -> Picture:
    picture = picture.copy()
    around = [(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1) if (x, y) != (0, 0)]  # bold letters would be wider
    for (x, y), colour in [*((shift, (0, 0, 0)) for shift in around), ((0, 0), (255, 255, 255))]:
        cv2.putText(picture, text, (4 + x, 14 + y), cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, 1, cv2.LINE_AA)
    return picture


def tiled(cells: list[Picture], columns: int) -> Picture:
    rows = [np.concatenate(cells[i : i + columns], axis=1) for i in range(0, len(cells), columns)]
    return np.concatenate(rows, axis=0)


def save(path: Path, picture: Picture) -> None:
    for quality in (88, 80, 72, 64, 56):
        cv2.imwrite(str(path), picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        if path.stat().st_size < 290_000:
            break
    print(f"{path}: {picture.shape[1]} x {picture.shape[0]}, {path.stat().st_size // 1024} kB")


def action_units(aus: tuple[int, ...], size_px: int = 200) -> Picture:
    cells = []
    for au in aus:
        place = SYNTH_AUS.index(au)
        number = SHOWN_BY[place]
        expression = still_expression(len(LEVELS))
        expression.aus[:, :, place] = torch.tensor(LEVELS)[:, None]
        if au == 26:  # as it is mostly seen: with parted lips
            expression.aus[:, :, SYNTH_AUS.index(25)] = torch.tensor(LEVELS)[:, None] * 0.7
        identity = draw_identity(np.random.default_rng([0, number]))
        identity.glasses[:] = 0
        images = render(identity, expression, torch.zeros(len(LEVELS), 3), near_scene(number), size_px).images
        name = f"{au} {ACTION_UNITS[au].name}" if au != 26 else "26 jaw drop (with 25)"
        cells += [
            titled(cell, name if i == 0 else "ABCDE"[int(LEVELS[i]) - 1]) for i, cell in enumerate(pictures(images))
        ]
    return tiled(cells, 8)


def people(size_px: int = 128) -> Picture:
    everyone = Identity.join([draw_identity(np.random.default_rng([0, i])) for i in range(64)])
    scenes = Scene.join([draw_scene(np.random.default_rng([1, i])) for i in range(64)])
    poses = torch.from_numpy(np.random.default_rng(5).uniform(-12, 12, (64, 3)).astype(np.float32))
    return tiled(pictures(render(everyone, still_expression(64), poses, scenes, size_px).images), 8)


def emotions(size_px: int = 150) -> Picture:
    cells = []
    for style in (0, 1):
        for place, (emotion, units) in enumerate(PROTOTYPES.items()):
            expression = still_expression(1)
            for au in units:
                expression.aus[0, :, SYNTH_AUS.index(au)] = 4.0
            if 26 in units:
                expression.aus[0, :, SYNTH_AUS.index(25)] = 3.0
            if emotion == "contempt":
                expression.aus[0, 0, SYNTH_AUS.index(14)] = 0.0
            identity = draw_identity(np.random.default_rng([0, 24 + place]))
            scene = near_scene(place, style)
            images = render(identity, expression, torch.tensor([[4.0, 10.0, 3.0]]), scene, size_px).images
            cells += [titled(cell, emotion) for cell in pictures(finish(images, scene, torch.zeros_like(images)))]
    return tiled(cells, 8)


def clips(size_px: int = 128) -> Picture:
    cells = []
    for subject, clip in ((0, 0), (3, 2), (5, 1), (8, 4), (12, 3), (21, 6)):
        plan = plan_clip(0, subject, clip, 60, style=int(subject % 3 == 0))
        plan.scene.camera[:, 0] = 0.36
        frames = [picture for picture, _ in render_clip(plan, (0, subject), size_px)]
        cells += frames[::6]
    return tiled(cells, 10)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"))
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    save(out / "synthetic_upper.jpg", action_units(UPPER))
    save(out / "synthetic_lower.jpg", action_units(tuple(au for au in SYNTH_AUS if au not in UPPER)))
    for name, make in (("people", people), ("emotions", emotions), ("clips", clips)):
        save(out / f"synthetic_{name}.jpg", make())
