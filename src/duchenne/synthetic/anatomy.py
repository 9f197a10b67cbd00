"""The half face that everything is built from: control points, and how each action unit moves them.

A face is two half faces. In each, x runs outward from the midline and y downward, in units of the distance between
the outer eye corners (about 92 mm), with (0, 0) between them. The 68 landmarks are control points themselves, so that
they are exact by construction: every painted contour passes through them.

Movements are those of FACS (Ekman, Friesen & Hager, 2002), sized for intensity 5 (E, "maximum").
"""

from __future__ import annotations

from typing import Final

SYNTH_AUS: Final[tuple[int, ...]] = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 24, 25, 26, 45)
"""The action units that the faces show, ascending; 45 is the blink."""

PAIRED: Final[dict[str, tuple[int, int, float, float]]] = {
    # name: landmark on the subject's right, on the left, x, y of an average face
    "brow_0": (17, 26, 0.665, -0.190),
    "brow_1": (18, 25, 0.578, -0.270),
    "brow_2": (19, 24, 0.460, -0.302),
    "brow_3": (20, 23, 0.322, -0.290),
    "brow_4": (21, 22, 0.168, -0.255),
    "eye_outer": (36, 45, 0.500, -0.006),
    "eye_upper_outer": (37, 44, 0.400, -0.062),
    "eye_upper_inner": (38, 43, 0.292, -0.064),
    "eye_inner": (39, 42, 0.194, 0.016),
    "eye_lower_inner": (40, 47, 0.292, 0.052),
    "eye_lower_outer": (41, 46, 0.400, 0.048),
    "nose_wing": (31, 35, 0.168, 0.505),
    "nose_base": (32, 34, 0.087, 0.512),
    "mouth_corner": (48, 54, 0.266, 0.760),
    "lip_upper_outer": (49, 53, 0.198, 0.718),
    "lip_upper_peak": (50, 52, 0.072, 0.678),
    "lip_lower_peak": (58, 56, 0.082, 0.868),
    "lip_lower_outer": (59, 55, 0.200, 0.822),
    "inner_corner": (60, 64, 0.236, 0.760),
    "inner_upper": (61, 63, 0.118, 0.758),
    "inner_lower": (67, 65, 0.118, 0.758),
}
"""Control points of one half face."""

MIDDLE: Final[dict[str, tuple[int, float]]] = {
    # name: landmark, y of an average face
    "bridge_0": (27, -0.040),
    "bridge_1": (28, 0.138),
    "bridge_2": (29, 0.287),
    "nose_tip": (30, 0.377),
    "nose_foot": (33, 0.515),
    "lip_upper": (51, 0.695),
    "lip_lower": (57, 0.876),
    "inner_top": (62, 0.762),
    "inner_bottom": (66, 0.762),
}
"""Control points on the midline."""

JAW: Final[tuple[tuple[float, float], ...]] = (
    (-0.010, 74.0), (0.115, 76.0), (0.240, 80.0), (0.372, 82.0), (0.525, 82.0), (0.738, 77.0), (0.857, 60.0),
    (0.925, 30.0), (0.942, 0.0),
)  # fmt: skip
"""Landmarks 0 to 8 (mirrored: 16 to 8): height as a share of the chin's, and angle around the head in degrees."""

# AU -> control point -> (outward, downward) at intensity 5. Lips and lids that meet are handled in `expression.py`.
MOVES: Final[dict[int, dict[str, tuple[float, float]]]] = {
    1: {
        "brow_4": (0.005, -0.125), "brow_3": (0.0, -0.095), "brow_2": (0.0, -0.035),
        "eye_upper_inner": (0.0, -0.008),
    },
    2: {
        "brow_0": (0.0, -0.105), "brow_1": (0.0, -0.130), "brow_2": (0.0, -0.105), "brow_3": (0.0, -0.030),
        "eye_upper_outer": (0.0, -0.008),
    },
    4: {
        "brow_4": (-0.064, 0.098), "brow_3": (-0.052, 0.096), "brow_2": (-0.032, 0.078), "brow_1": (-0.012, 0.044),
        "eye_upper_inner": (0.0, 0.010), "eye_upper_outer": (0.0, 0.006),
    },
    5: {"eye_upper_outer": (0.0, -0.072), "eye_upper_inner": (0.0, -0.072)},
    6: {
        "eye_lower_outer": (0.0, -0.034), "eye_lower_inner": (0.0, -0.022), "eye_outer": (-0.006, 0.006),
        "eye_upper_outer": (0.0, 0.018), "brow_0": (-0.006, 0.020), "brow_1": (0.0, 0.012),
    },
    7: {
        "eye_lower_outer": (0.0, -0.040), "eye_lower_inner": (0.0, -0.044), "eye_upper_outer": (0.0, 0.026),
        "eye_upper_inner": (0.0, 0.024),
    },
    9: {
        "nose_wing": (0.015, -0.055), "nose_base": (0.0, -0.030), "nose_tip": (0.0, -0.018),
        "nose_foot": (0.0, -0.015),
        "lip_upper_peak": (0.0, -0.045), "lip_upper": (0.0, -0.040), "lip_upper_outer": (0.0, -0.020),
        "brow_4": (-0.020, 0.045), "brow_3": (-0.010, 0.030), "eye_lower_inner": (0.0, -0.014),
        "eye_upper_inner": (0.0, 0.012),
    },
    10: {
        "lip_upper_peak": (0.005, -0.070), "lip_upper_outer": (0.010, -0.072), "lip_upper": (0.0, -0.050),
        "nose_wing": (0.012, -0.022), "mouth_corner": (0.004, -0.012), "inner_corner": (0.004, -0.010),
    },
    12: {
        "mouth_corner": (0.100, -0.105), "inner_corner": (0.092, -0.092), "lip_upper_outer": (0.058, -0.040),
        "lip_lower_outer": (0.056, -0.042), "lip_upper_peak": (0.012, 0.006), "lip_upper": (0.0, 0.014),
        "lip_lower_peak": (0.014, -0.010), "lip_lower": (0.0, -0.004), "inner_upper": (0.028, -0.008),
        "inner_lower": (0.028, -0.008), "nose_wing": (0.014, -0.006), "eye_lower_outer": (0.0, -0.006),
    },
    14: {
        "mouth_corner": (0.042, -0.014), "inner_corner": (0.032, -0.012), "lip_upper_outer": (0.010, 0.010),
        "lip_lower_outer": (0.010, -0.012),
    },
    15: {
        "mouth_corner": (0.010, 0.095), "inner_corner": (0.004, 0.084), "lip_upper_outer": (0.004, 0.036),
        "lip_lower_outer": (0.006, 0.050), "lip_lower_peak": (0.0, 0.006), "inner_upper": (0.0, 0.010),
        "inner_lower": (0.0, 0.010),
    },
    17: {
        "lip_lower": (0.0, -0.064), "lip_lower_peak": (0.0, -0.060), "lip_lower_outer": (0.0, -0.024),
        "lip_upper": (0.0, -0.034), "lip_upper_peak": (0.0, -0.032), "inner_top": (0.0, -0.046),
        "inner_bottom": (0.0, -0.046), "inner_upper": (0.0, -0.036), "inner_lower": (0.0, -0.036),
        "mouth_corner": (0.0, 0.018), "inner_corner": (0.0, 0.014),
    },
    20: {
        "mouth_corner": (0.115, 0.018), "inner_corner": (0.108, 0.016), "lip_upper_outer": (0.066, 0.012),
        "lip_lower_outer": (0.066, -0.006), "lip_upper_peak": (0.020, 0.010), "lip_lower_peak": (0.024, -0.014),
        "lip_upper": (0.0, 0.010), "lip_lower": (0.0, -0.014), "inner_upper": (0.035, 0.002),
        "inner_lower": (0.035, 0.002),
    },
    23: {"mouth_corner": (-0.034, 0.0), "inner_corner": (-0.030, 0.0), "lip_upper_outer": (-0.014, 0.0),
         "lip_lower_outer": (-0.014, 0.0)},
    24: {"mouth_corner": (-0.016, 0.006), "inner_corner": (-0.016, 0.006)},
    25: {
        "lip_upper": (0.0, -0.016), "lip_upper_peak": (0.0, -0.016), "lip_lower": (0.0, 0.044),
        "lip_lower_peak": (0.0, 0.042), "lip_lower_outer": (0.0, 0.020), "lip_upper_outer": (0.0, -0.006),
    },
    26: {
        "lip_lower": (0.0, 0.060), "lip_lower_peak": (0.0, 0.058), "lip_lower_outer": (-0.004, 0.042),
        "mouth_corner": (-0.022, 0.030), "inner_corner": (-0.022, 0.028), "lip_upper": (0.0, 0.008),
        "inner_top": (0.0, 0.018), "inner_bottom": (0.0, 0.018), "inner_upper": (0.0, 0.016),
        "inner_lower": (0.0, 0.016),
    },
    45: {},
}  # fmt: skip
"""How far each action unit moves each control point at intensity 5."""

CHIN: Final = 1.26
"""Height of the chin below the eyes."""
CROWN: Final = 1.30
"""Height of the crown above the eyes."""
JAW_DROP: Final = 0.185
"""How far AU26 lowers the chin at intensity 5."""
CHIN_RAISE: Final = 0.035
"""How far AU17 raises the chin at intensity 5."""
