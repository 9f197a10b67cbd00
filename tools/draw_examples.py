"""Draws the examples of `duchenne review`: a synthetic face that shows one action unit strongly, or none.

python tools/draw_examples.py [FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import torch

from duchenne.synthetic.anatomy import SYNTH_AUS
from duchenne.synthetic.people import draw_identity, draw_scene, still_expression
from duchenne.synthetic.render import render

FOLDER = Path(__file__).parents[1] / "src" / "duchenne" / "reviewing" / "page"
SIZE_PX = 176
STRONG = 1.5  # somewhat beyond what people reach, so that it shows in a small picture
PERSON = 7


def draw(au: int | None) -> bytes:
    """One example as JPEG; None for the neutral face."""
    rng = np.random.default_rng(PERSON)
    identity, scene = draw_identity(rng), draw_scene(rng, 0)
    scene.light[:] = torch.tensor([[-0.30, -0.50, 0.81]])
    scene.camera[:] = torch.tensor([[0.40, 0.5, 0.47]])
    scene.background[:] = 0.72
    scene.clutter[:] = 0.0
    expression = still_expression()
    if au is not None:
        expression.aus[0, :, SYNTH_AUS.index(au)] = STRONG
    with torch.inference_mode():
        drawn = render(identity, expression, torch.zeros(1, 3), scene, SIZE_PX).images[0]
    pixels = (drawn.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    _, encoded = cv2.imencode(".jpg", pixels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
    return encoded.tobytes()


def main() -> None:
    """Writes `neutral.jpg` and `au_NN.jpg` of every action unit."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    for au in (None, *SYNTH_AUS):
        (folder / ("neutral.jpg" if au is None else f"au_{au:02d}.jpg")).write_bytes(draw(au))


if __name__ == "__main__":
    main()
