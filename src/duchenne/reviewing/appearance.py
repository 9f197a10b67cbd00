"""What an action unit looks like, in a line each; `tools/draw_examples.py` draws the pictures beside the page."""

from __future__ import annotations

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
"""What one sees, in a line; written for this library after the anatomy of the muscles."""
