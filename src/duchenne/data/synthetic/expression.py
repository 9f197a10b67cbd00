"""From action units to the face's shape: control points, landmarks in head space, and how strongly each fold shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from duchenne.data.synthetic.anatomy import CHIN_RAISE, JAW, JAW_DROP, MIDDLE, MOVES, PAIRED, SYNTH_AUS
from duchenne.data.synthetic.head import Egg
from duchenne.data.synthetic.people import Expression, Identity

_PAIRED_NAMES: Final = tuple(PAIRED)
_MIDDLE_NAMES: Final = tuple(MIDDLE)
_PLACE: Final = {name: index for index, name in enumerate(_PAIRED_NAMES)}
_MIDDLE_PLACE: Final = {name: index for index, name in enumerate(_MIDDLE_NAMES)}
_AU_PLACE: Final = {au: index for index, au in enumerate(SYNTH_AUS)}


def _tables() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    rest = np.array([PAIRED[name][2:] for name in _PAIRED_NAMES])
    middle_rest = np.array([MIDDLE[name][1] for name in _MIDDLE_NAMES])
    moves = np.zeros((len(SYNTH_AUS), len(_PAIRED_NAMES), 2))
    middle_moves = np.zeros((len(SYNTH_AUS), len(_MIDDLE_NAMES)))
    for au, points in MOVES.items():
        for name, (outward, down) in points.items():
            if name in _PLACE:
                moves[_AU_PLACE[au], _PLACE[name]] = outward, down
            else:
                middle_moves[_AU_PLACE[au], _MIDDLE_PLACE[name]] = down
    return tuple(torch.from_numpy(table).float() for table in (rest, middle_rest, moves, middle_moves))  # type: ignore[return-value]


_REST, _MIDDLE_REST, _MOVES, _MIDDLE_MOVES = _tables()


@dataclass
class Shape:
    """The face of one moment, in face coordinates (see `anatomy`).

    Attributes:
        egg: the smooth head.
        points: (B, 2, 21, 2) paired control points on the subject's right and left, x outward.
        middle: (B, 9) heights of the midline control points.
        strength: (B, 2, 18) AU strength 0-1 on each side.
        both: (B, 18) mean of the two sides.
        lids: (B, 2, 4) open upper-lid height at the outer and inner lid point as if not blinking; crease heights.
        gap: (B,) how far the lips are apart at the midline.
    """

    egg: Egg
    points: Tensor
    middle: Tensor
    strength: Tensor
    both: Tensor
    lids: Tensor
    gap: Tensor

    def point(self, name: str) -> Tensor:
        """(B, 2, 2) one paired control point: right and left, (x outward, y)."""
        return self.points[:, :, _PLACE[name]]

    def mid(self, name: str) -> Tensor:
        """(B,) height of one midline control point."""
        return self.middle[:, _MIDDLE_PLACE[name]]

    def au(self, number: int) -> Tensor:
        """(B, 2) strength 0-1 of an AU on each side."""
        return self.strength[:, :, _AU_PLACE[number]]

    def au_both(self, number: int) -> Tensor:
        """(B,) strength 0-1 of an AU, mean of both sides."""
        return self.both[:, _AU_PLACE[number]]


def shape_of(identity: Identity, expression: Expression) -> Shape:
    """Moves the control points of a person by the action units of a moment."""
    device = expression.aus.device
    rest, middle_rest, moves, middle_moves = (t.to(device) for t in (_REST, _MIDDLE_REST, _MOVES, _MIDDLE_MOVES))
    strength = (expression.aus / 5.0).clamp(0.0, 1.2)
    both = strength.mean(dim=1)
    side = torch.tensor([-1.0, 1.0], device=device).view(1, 2, 1, 1)
    points = (rest + identity.points).unsqueeze(1) + side * identity.skew.unsqueeze(1)
    points = points + torch.einsum("bsa,apd->bspd", strength, moves)
    middle = middle_rest + identity.middle + both @ middle_moves
    points, middle = points.clone(), middle.clone()

    def column(name: str) -> int:
        return _PLACE[name]

    def au(number: int) -> Tensor:
        return strength[:, :, _AU_PLACE[number]]

    # Lids: a blink brings the upper lid down to the lower one, which rises a little.
    up_out, up_in = column("eye_upper_outer"), column("eye_upper_inner")
    low_in, low_out = column("eye_lower_inner"), column("eye_lower_outer")
    open_out, open_in = points[:, :, up_out, 1].clone(), points[:, :, up_in, 1].clone()
    blink = au(45).clamp(0, 1)
    for upper, lower in ((up_out, low_out), (up_in, low_in)):
        low = points[:, :, lower, 1] - 0.012 * blink
        high = torch.minimum(points[:, :, upper, 1], low - 0.022)
        points[:, :, lower, 1] = low
        points[:, :, upper, 1] = high + blink * (low - 0.002 - high)
    lids = torch.stack([open_out, open_in, points[:, :, up_out, 1], points[:, :, up_in, 1]], dim=-1)

    # Lips: jaw drop opens the mouth only as far as the lips part; tightening and pressing roll the red of the lips in.
    part, jaw = both[:, _AU_PLACE[25]].clamp_min(0) ** 0.75, both[:, _AU_PLACE[26]]
    free = (part * 3.0).clamp(0, 1)
    lower_drop = free * jaw * 0.170 + part * 0.052
    upper_lift = part * 0.020
    gap = lower_drop + upper_lift
    top, bottom, upper, lower = (_MIDDLE_PLACE[n] for n in ("inner_top", "inner_bottom", "lip_upper", "lip_lower"))
    # An upper lip pulled up (AU9, AU10) takes its inner edge along where the lips part.
    lift = free * 0.8 * (both[:, _AU_PLACE[10]] * 0.055 + both[:, _AU_PLACE[9]] * 0.03)
    middle[:, top] -= upper_lift + lift
    middle[:, bottom] += lower_drop
    gap = gap + lift
    middle[:, lower] += free * jaw * 0.115
    roll = (0.58 * both[:, _AU_PLACE[23]] + 0.72 * both[:, _AU_PLACE[24]] + 0.12 * both[:, _AU_PLACE[12]]).clamp(
        0, 0.82
    )
    line_top, line_bottom = middle[:, top].clone(), middle[:, bottom].clone()
    middle[:, upper] += roll * (line_top - middle[:, upper])
    middle[:, lower] += roll * (line_bottom - middle[:, lower])
    inner_up, inner_low = column("inner_upper"), column("inner_lower")
    points[:, :, inner_up, 1] -= (0.86 * (upper_lift + lift)).unsqueeze(1)
    points[:, :, inner_low, 1] += (0.86 * lower_drop).unsqueeze(1)
    for name, share, drop, inner in (
        ("lip_upper_peak", 1.0, 0.0, inner_up), ("lip_upper_outer", 0.85, 0.0, inner_up),
        ("lip_lower_peak", 1.0, 0.112, inner_low), ("lip_lower_outer", 0.85, 0.075, inner_low),
    ):  # fmt: skip
        index = column(name)
        points[:, :, index, 1] += (free * jaw * drop).unsqueeze(1)
        corner_y = points[:, :, column("mouth_corner"), 1]
        reach = 0.0 if name.endswith("peak") else 0.45
        line = points[:, :, inner, 1] * (1 - reach) + corner_y * reach
        points[:, :, index, 1] += share * roll.unsqueeze(1) * (line - points[:, :, index, 1])
    egg = Egg(*identity.head.unbind(1))
    egg.chin = egg.chin + JAW_DROP * jaw - CHIN_RAISE * both[:, _AU_PLACE[17]]
    return Shape(egg=egg, points=points, middle=middle, strength=strength, both=both, lids=lids, gap=gap)


def landmark_places(shape: Shape) -> Tensor:
    """The 68 landmarks as places (u, v) on the face, (B, 68, 2); u is positive to the picture's right."""
    rows = len(shape.points)
    device = shape.points.device
    places = torch.zeros(rows, 68, 2, device=device)
    for index, name in enumerate(_PAIRED_NAMES):
        right, left = PAIRED[name][:2]
        places[:, right, 0] = -shape.points[:, 0, index, 0]
        places[:, right, 1] = shape.points[:, 0, index, 1]
        places[:, left] = shape.points[:, 1, index]
    for index, name in enumerate(_MIDDLE_NAMES):
        places[:, MIDDLE[name][0], 1] = shape.middle[:, index]
    egg = shape.egg.view(1)
    share = torch.tensor([row[0] for row in JAW], device=device)
    angle = torch.deg2rad(torch.tensor([row[1] for row in JAW], device=device))
    v = (share * egg.chin).expand(rows, -1)
    u = angle * egg.width(v)
    places[:, :9, 0], places[:, :9, 1] = -u, v
    places[:, 8:17, 0], places[:, 8:17, 1] = u.flip(1), v.flip(1)
    return places
