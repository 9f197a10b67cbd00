"""How the 68-point scheme is read off MediaPipe's 478 points, and the names of its 52 blendshapes.

The table follows the contours of the canonical face mesh; both halves are exact mirror images of each other in the
mesh. Where the 68-point scheme has fewer points on a contour than the mesh, the mesh point nearest to equal spacing is
taken, as annotators of the scheme do. `docs/prepared_data.md` shows the points on a face.
"""

from __future__ import annotations

from typing import Final

MESH_TO_68: Final[tuple[int, ...]] = (
    127, 234, 93, 132, 58, 136, 149, 148, 152, 377, 378, 365, 288, 361, 323, 454, 356,  # jaw
    70, 63, 105, 66, 107,  # right brow, outer to inner
    336, 296, 334, 293, 300,  # left brow, inner to outer
    168, 197, 5, 4,  # nose bridge, root to tip
    98, 97, 2, 326, 327,  # nose base
    33, 160, 158, 133, 153, 144,  # right eye: outer corner, upper lid, inner corner, lower lid
    362, 385, 387, 263, 373, 380,  # left eye: inner corner, upper lid, outer corner, lower lid
    61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91,  # outer lip, from the right corner over the top
    78, 81, 13, 311, 308, 402, 14, 178,  # inner lip
)  # fmt: skip
"""Mesh point of each of the 68 points (0-based, see `duchenne.facs.LANDMARK_GROUPS`)."""

BLENDSHAPES: Final[tuple[str, ...]] = (
    "_neutral", "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff",
    "cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight",
    "eyeLookInLeft", "eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight",
    "eyeSquintLeft", "eyeSquintRight", "eyeWideLeft", "eyeWideRight", "jawForward", "jawLeft", "jawOpen", "jawRight",
    "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight", "mouthFunnel",
    "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight", "mouthPucker",
    "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft",
    "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight",
    "noseSneerLeft", "noseSneerRight",
)  # fmt: skip
"""Names of the stored blendshapes, in order; `_neutral`, `cheekSquint*` and `noseSneer*` are always 0 in this model."""
