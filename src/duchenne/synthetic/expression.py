"""From action units to the face's shape: control points, landmarks in head space, and how strongly each fold shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from duchenne.synthetic.anatomy import CHIN_RAISE, JAW, JAW_DROP, MIDDLE, MOVES, PAIRED, SYNTH_AUS
from duchenne.synthetic.head import Egg
from duchenne.synthetic.people import Expression, Identity

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
        lids: (B, 2, 4) heights of the outer and inner upper-lid points as if not blinking, then as they are.
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
    egg = Egg(*identity.head.unbind(1))
    shape = Shape(egg, points, middle, strength, both, lids=points[:, :, :2, 1], gap=middle[:, 0])
    egg.chin = egg.chin + JAW_DROP * shape.au_both(26) - CHIN_RAISE * shape.au_both(17)
    _blink(shape)
    _keep_order(shape)
    _open_lips(shape)
    _roll_lips(shape)
    return shape


def _blink(shape: Shape) -> None:
    """A blink brings the upper lid down to the lower one, which rises a little; open lids never cross."""
    blink = shape.au(45).clamp(0, 1)
    upper = [shape.point(f"eye_upper_{place}")[..., 1] for place in ("outer", "inner")]  # views: changed in place
    lower = [shape.point(f"eye_lower_{place}")[..., 1] for place in ("outer", "inner")]
    unblinking = [part.clone() for part in upper]
    for high, low in zip(upper, lower):
        low -= 0.012 * blink
        start = torch.minimum(high, low - 0.022)
        high.copy_(start + blink * (low - 0.002 - start))
    shape.lids = torch.stack([*unblinking, *upper], dim=-1)


def _keep_order(shape: Shape) -> None:
    """However narrow a mouth gets, its corners stay outside everything between them: contours run outward."""
    for inside, outside, gap in (
        ("lip_upper_peak", "lip_upper_outer", 0.03), ("lip_lower_peak", "lip_lower_outer", 0.03),
        ("lip_upper_outer", "mouth_corner", 0.02), ("lip_lower_outer", "mouth_corner", 0.02),
        ("inner_upper", "inner_corner", 0.02), ("inner_lower", "inner_corner", 0.02),
    ):  # fmt: skip
        across = shape.point(outside)[..., 0]
        across.copy_(torch.maximum(across, shape.point(inside)[..., 0] + gap))


def _open_lips(shape: Shape) -> None:
    """Parts the lips (AU25). Jaw drop opens the mouth, and a raised upper lip bares teeth, only as far as they part."""
    part, jaw = shape.au_both(25) ** 0.75, shape.au_both(26)
    free = (part * 3.0).clamp(0, 1)
    lowered = free * jaw * 0.170 + part * 0.052
    raised = part * 0.020 + free * 0.8 * (shape.au_both(10) * 0.055 + shape.au_both(9) * 0.03)
    shape.gap = lowered + raised
    shape.mid("inner_top").sub_(raised)
    shape.mid("inner_bottom").add_(lowered)
    shape.mid("lip_lower").add_(free * jaw * 0.115)
    shape.point("inner_upper")[..., 1].sub_((0.86 * raised).unsqueeze(1))
    shape.point("inner_lower")[..., 1].add_((0.86 * lowered).unsqueeze(1))
    shape.point("lip_lower_peak")[..., 1].add_((free * jaw * 0.112).unsqueeze(1))
    shape.point("lip_lower_outer")[..., 1].add_((free * jaw * 0.075).unsqueeze(1))


def _roll_lips(shape: Shape) -> None:
    """Tightening (AU23) and pressing (AU24) roll the red of the lips in, towards the line where they meet."""
    roll = (0.58 * shape.au_both(23) + 0.72 * shape.au_both(24) + 0.12 * shape.au_both(12)).clamp(0, 0.82)
    for outline, line in (("lip_upper", "inner_top"), ("lip_lower", "inner_bottom")):
        shape.mid(outline).add_(roll * (shape.mid(line) - shape.mid(outline)))
    corner = shape.point("mouth_corner")[..., 1]
    for half in ("upper", "lower"):
        inner = shape.point(f"inner_{half}")[..., 1]
        for place, share, reach in (("peak", 1.0, 0.0), ("outer", 0.85, 0.45)):
            height = shape.point(f"lip_{half}_{place}")[..., 1]
            line_here = inner + reach * (corner - inner)
            height.add_(share * roll.unsqueeze(1) * (line_here - height))


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
