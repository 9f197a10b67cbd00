"""What an action unit looks like: one line each, and a drawn example made by the package's own synthetic faces."""

from __future__ import annotations

from functools import cache
from typing import Final

SEEN: Final = {
    1: "The inner ends of the brows rise; the brows slant, and wrinkles may cross the middle of the forehead.",
    2: "The outer ends of the brows rise; they arch, and wrinkles may cross the sides of the forehead.",
    4: "The brows go down and together; upright wrinkles or a bulge appear between them.",
    5: "The upper lids rise; more of the eye, often white above the iris, is seen.",
    6: "The cheeks rise and narrow the eyes from below and outside; crow's feet and bags may appear.",
    7: "The lids tighten; the eyes narrow without the cheeks going up.",
    9: "Wrinkles appear along the sides and root of the nose; the brows may come down with it.",
    10: "The upper lip rises, most in its middle; the furrow beside the nose deepens.",
    12: "The corners of the mouth go up and outwards, towards the cheekbones: the pull of a smile.",
    14: "The corners of the mouth are pulled in and tighten; a dimple-like wrinkle appears beside them.",
    15: "The corners of the mouth go down.",
    17: "The chin boss rises and pushes the lower lip up; the skin of the chin wrinkles.",
    20: "The corners of the mouth are stretched sideways and the lips flatten.",
    23: "The lips tighten and narrow; their red part becomes smaller.",
    24: "The lips are pressed together, without the chin pushing up.",
    25: "The lips part, the jaw need not open.",
    26: "The jaw drops as by relaxing; the teeth come apart.",
    45: "The eyes close and open again quickly.",
}
"""What one sees, in a line; written for this library after the muscles' anatomy."""
_SIZE_PX: Final = 176
_STRONG: Final = 1.5  # somewhat beyond what people reach, so that it shows in a small picture
_PERSON: Final = 7


@cache
def example(au: int | None) -> bytes:
    """A drawn face that shows one action unit strongly, or none (None), as JPEG.

    Raises:
        KeyError: for an action unit that the synthetic faces do not have.
    """
    import cv2
    import numpy as np
    import torch

    from duchenne.synthetic.anatomy import SYNTH_AUS
    from duchenne.synthetic.people import draw_identity, draw_scene, still_expression
    from duchenne.synthetic.render import render

    threads = torch.get_num_threads()
    if au is not None and au not in SYNTH_AUS:
        raise KeyError(au)
    rng = np.random.default_rng(_PERSON)
    identity, scene = draw_identity(rng), draw_scene(rng, 0)
    scene.light[:] = torch.tensor([[-0.30, -0.50, 0.81]])
    scene.camera[:] = torch.tensor([[0.40, 0.5, 0.47]])
    scene.background[:] = 0.72
    scene.clutter[:] = 0.0
    expression = still_expression()
    if au is not None:
        expression.aus[0, :, SYNTH_AUS.index(au)] = _STRONG
    with torch.inference_mode():
        drawn = render(identity, expression, torch.zeros(1, 3), scene, _SIZE_PX).images[0]
    torch.set_num_threads(threads)
    pixels = (drawn.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    _, encoded = cv2.imencode(".jpg", pixels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
    return encoded.tobytes()
