"""An outside witness of the synthetic faces: what YuNet and MediaPipe, made for real faces, see on them.

    python benchmarks/faces/synth_witness.py [--size 256] [--people 40] [--style natural]

Prints the share of frames with a found face, MediaPipe's landmark error against the exact ones, and the rank
correlation of its blendshapes with the action units that they stand for, at a fixed pose.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from scipy.stats import spearmanr

from duchenne.faces.find import FaceFinder
from duchenne.faces.landmarks import BLENDSHAPES
from duchenne.facs import LANDMARK_GROUPS
from duchenne.synthetic.anatomy import SYNTH_AUS
from duchenne.synthetic.people import STYLES, draw_identity, draw_scene, still_expression
from duchenne.synthetic.render import render
from duchenne.synthetic.sampling import plan_clip
from duchenne.synthetic.synth import render_clip

STANDS_FOR = {
    1: ("browInnerUp",),
    2: ("browOuterUpLeft", "browOuterUpRight"),
    4: ("browDownLeft", "browDownRight"),
    5: ("eyeWideLeft", "eyeWideRight"),
    7: ("eyeSquintLeft", "eyeSquintRight"),
    10: ("mouthUpperUpLeft", "mouthUpperUpRight"),
    12: ("mouthSmileLeft", "mouthSmileRight"),
    14: ("mouthDimpleLeft", "mouthDimpleRight"),
    15: ("mouthFrownLeft", "mouthFrownRight"),
    17: ("mouthShrugLower",),
    20: ("mouthStretchLeft", "mouthStretchRight"),
    24: ("mouthPressLeft", "mouthPressRight"),
    25: ("mouthLowerDownLeft", "mouthLowerDownRight"),
    26: ("jawOpen",),
    45: ("eyeBlinkLeft", "eyeBlinkRight"),
}
STRENGTHS = (0.0, 1.25, 2.5, 3.75, 5.0)


def clips(size_px: int, people: int, style: str, finder: FaceFinder) -> None:
    found, frames, errors, by_group, poses = 0, 0, [], {name: [] for name in LANDMARK_GROUPS}, []

    for subject in range(people):
        plan = plan_clip(11, subject, subject % 4, 48, style=STYLES.index(style))
        for frame, (picture, exact) in enumerate(render_clip(plan, (11, subject), size_px)):
            if frame % 8:
                continue
            frames += 1
            faces = [face for face in finder.find(picture) if face.landmarks is not None]
            if len(faces) != 1:
                continue
            found += 1
            unit = np.linalg.norm(exact[45] - exact[36])
            off = np.linalg.norm(faces[0].landmarks - exact, axis=1) / unit
            errors.append(off)
            poses.append((*faces[0].pose, *plan.pose[frame]))
            for name, group in LANDMARK_GROUPS.items():
                by_group[name].append(off[list(group)].mean())
    print(f"{style}: found {found}/{frames} = {found / frames:.3f}")
    print(f"landmark error, median over points and frames: {np.median(errors):.4f} of the outer-eye distance")
    print("  by group (median):", {name: round(float(np.median(values)), 3) for name, values in by_group.items()})
    table = np.array(poses)
    print(
        "  pose r (pitch, yaw, roll):",
        [round(float(np.corrcoef(table[:, i], table[:, 3 + i])[0, 1]), 3) for i in range(3)],
    )


def blendshapes(size_px: int, people: int, style: str, finder: FaceFinder) -> None:
    names = list(BLENDSHAPES)
    print("AU  rho   mean blendshape at", STRENGTHS)
    identities = [draw_identity(np.random.default_rng([21, number])) for number in range(people)]
    scenes = [draw_scene(np.random.default_rng([22, number]), STYLES.index(style)) for number in range(people)]
    for au, shapes in STANDS_FOR.items():
        columns = [names.index(shape) for shape in shapes]
        seen, truth = [], []
        for identity, scene in zip(identities, scenes):
            expression = still_expression(len(STRENGTHS))
            expression.aus[:, :, SYNTH_AUS.index(au)] = torch.tensor(STRENGTHS)[:, None]
            if au == 26:
                expression.aus[:, :, SYNTH_AUS.index(25)] = torch.tensor(STRENGTHS)[:, None] * 0.6
            images = render(identity, expression, torch.zeros(len(STRENGTHS), 3), scene, size_px).images
            for image, strength in zip(images, STRENGTHS):
                picture = (image * 255 + 0.5).byte().permute(1, 2, 0).numpy()
                faces = [face for face in finder.find(picture) if face.blendshapes is not None]
                if len(faces) == 1:
                    seen.append(float(faces[0].blendshapes[columns].mean()))
                    truth.append(strength)
        means = [np.mean([s for s, t in zip(seen, truth) if t == strength]) for strength in STRENGTHS]
        print(f"{au:2d}  {spearmanr(seen, truth).statistic:+.2f}  ", " ".join(f"{m:.3f}" for m in means))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--people", type=int, default=40)
    parser.add_argument("--style", default="natural", choices=STYLES)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with FaceFinder() as the_finder:
        clips(options.size, options.people, options.style, the_finder)
        blendshapes(options.size, options.people // 2, options.style, the_finder)
