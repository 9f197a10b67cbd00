"""Colours of the face: skin, brows, eyes, lips and mouth, hair, beard and glasses, painted on the canvas."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from duchenne.synthetic.canvas import Canvas, Window
from duchenne.synthetic.curves import bell, edge, graph_curve, smooth_step
from duchenne.synthetic.expression import Shape
from duchenne.synthetic.people import Identity
from duchenne.synthetic.relief import Ground, grid

SCLERA = (0.92, 0.90, 0.88)
TEETH = (0.93, 0.91, 0.85)
MOUTH = (0.20, 0.06, 0.06)
TONGUE = (0.62, 0.28, 0.28)


def colour(values: Tensor) -> Tensor:
    """(B, 3) colours with the axes of a canvas: (B, 1, 3, 1, 1)."""
    return values.view(len(values), 1, 3, 1, 1)


def fixed(values: tuple[float, float, float], like: Tensor) -> Tensor:
    """A constant colour with the axes of a canvas."""
    return torch.tensor(values, device=like.device).view(1, 1, 3, 1, 1)


def lay(paint: Tensor, window: Window, mask: Tensor, colours: Tensor) -> None:
    """Paints `colours` over `paint` (B, 2, 3, H, W) where `mask` (B, 2, H', W') is 1, in place."""
    part = window.of(paint)
    part.lerp_(colours.expand_as(part), mask.unsqueeze(2).expand_as(part))


def texture(canvas: Canvas, noise: Tensor, scale_x: float, scale_y: float) -> Tensor:
    """(B, K, H, W) smooth noise over both halves' columns, as (B, K, 2, H, W), from (B, K, n, n) random numbers.

    One cell of the noise spans `scale_x` by `scale_y` face units; the pattern repeats by reflection.
    """
    side = noise.shape[-1]
    x = torch.stack([-canvas.x, canvas.x]).view(2, 1, -1).expand(-1, len(canvas.y), -1)
    y = canvas.y.view(1, -1, 1).expand(2, -1, len(canvas.x))
    place = torch.stack([x / scale_x / side * 2, y / scale_y / side * 2], dim=-1)
    place = place.reshape(1, -1, place.shape[2], 2).expand(len(noise), -1, -1, -1)
    seen = functional.grid_sample(noise, place, mode="bilinear", padding_mode="reflection", align_corners=False)
    return seen.view(*noise.shape[:2], 2, len(canvas.y), len(canvas.x))


def skin(canvas: Canvas, identity: Identity, natural: Tensor) -> Tensor:
    """(B, 2, 3, H, W) skin without features; `natural` (B, 1, 1, 1) is 0 where it is drawn flat."""
    window = canvas.whole()
    x, y = window.x, window.y
    coarse = texture(canvas, identity.noise[:, :2], 0.11, 0.11)
    fine = texture(canvas, identity.noise[:, 1:], 0.030, 0.030)
    tone = (0.025 * coarse[:, 0] + 0.020 * fine[:, 0]) * natural
    spots = (fine[:, 1] - 1.15).clamp(0, 1) * grid(identity.marks[:, 0]) * bell(y - 0.28, 0.34) * bell(x, 0.62)
    moles = ((coarse[:, 1] - 2.05) * 2.2).clamp(0, 1) * grid(identity.marks[:, 1])
    flush = (bell(x - 0.43, 0.20) * bell(y - 0.40, 0.20) + 0.8 * bell(x, 0.16) * bell(y - 0.42, 0.12)) * 0.09
    shadow = (bell(x - 0.30, 0.15) * bell(y - 0.10, 0.06)) * 0.05
    dark = 1 + tone - 0.38 * spots - 0.6 * moles - shadow
    paint = colour(identity.skin) * dark.unsqueeze(2)
    red = torch.tensor([0.25, -1.0, -0.9], device=x.device).view(1, 1, 3, 1, 1)
    return paint * (1 + red * flush.unsqueeze(2))


def brows(canvas: Canvas, paint: Tensor, identity: Identity, shape: Shape, natural: Tensor) -> None:
    """Eyebrows; their five control points lie near the upper edge, as landmarks on faces do."""
    window = canvas.window(0.02, 0.80, -0.60, 0.10)
    points = shape.points[:, :, :5].flip(2)  # inner to outer: x ascending
    knots_x, knots_y = points[..., 0], points[..., 1]
    x = window.x.view(1, 1, -1)
    thickness = identity.brow[:, 0].view(-1, 1, 1)
    line = graph_curve(x, knots_x, knots_y) + 0.012 + 0.45 * thickness
    inner, outer = knots_x[..., :1] - 0.02, knots_x[..., -1:] - 0.02
    along = ((x - inner) / (outer - inner)).clamp(0, 1)
    slope = (line[..., 1:] - line[..., :-1]) / (x[..., 1:] - x[..., :-1]).clamp_min(1e-6)
    slope = torch.cat([slope, slope[..., -1:]], dim=-1)
    thick = thickness * (0.75 + 0.35 * along) * smooth_step(along, 1.02, 0.55).clamp_min(0.12)
    beyond = torch.minimum(x - inner, outer - x)
    distance = (window.y - line.unsqueeze(2)).abs() * torch.rsqrt(1 + slope**2).unsqueeze(2)
    soft = canvas.texel + 0.012
    mask = edge(torch.minimum(thick.unsqueeze(2) * 0.5 - distance, beyond.unsqueeze(2)), soft)
    hairs = window.of(texture(canvas, identity.noise[:, :1], 0.014, 0.050)[:, 0])
    fade = 1 - (0.18 + 0.16 * hairs).clamp(0, 0.7) * natural
    mask = mask * fade * grid(identity.brow[:, 1])
    tone = identity.hair * (1 - 0.55 * identity.brow[:, 2:3])
    lay(paint, window, mask, colour(tone))


def lips(canvas: Canvas, paint: Tensor, ground: Ground, identity: Identity, shape: Shape) -> Tensor:
    """Lips, teeth and the inside of the mouth; gives the mask (B, 2, H, W) of the opening, which takes no shading."""
    window = canvas.window(0.0, 0.62, 0.50, 1.30)
    x, y = window.x.view(1, 1, -1), window.y
    corner = shape.point("mouth_corner")
    zero = torch.zeros_like(corner[..., 0])

    def curve(middle: str, *names: str, end: str = "mouth_corner") -> Tensor:
        inner = [shape.point(name) for name in names]
        last = shape.point(end)
        centre = shape.mid(middle)[:, None].expand_as(zero)
        mirrored = -inner[0][..., 0]  # a knot of the other half keeps the curve smooth across the midline
        knots_x = torch.stack([mirrored, zero, *(p[..., 0] for p in inner), last[..., 0]], dim=-1)
        knots_y = torch.stack([inner[0][..., 1], centre, *(p[..., 1] for p in inner), last[..., 1]], dim=-1)
        return graph_curve(x, knots_x, knots_y).unsqueeze(2)

    top = curve("lip_upper", "lip_upper_peak", "lip_upper_outer")
    bottom = curve("lip_lower", "lip_lower_peak", "lip_lower_outer")
    inner_top = curve("inner_top", "inner_upper", end="inner_corner")
    inner_bottom = curve("inner_bottom", "inner_lower", end="inner_corner")
    within = grid(corner[..., 0]) - window.x
    soft = canvas.texel + 0.006
    mask = edge(torch.minimum(torch.minimum(y - top, bottom - y), within), soft)
    upper = smooth_step(y - 0.5 * (inner_top + inner_bottom), 0.01, -0.01)
    red = colour(identity.lips) * (1 - 0.13 * upper.unsqueeze(2))
    pressed = grid(shape.au_both(24))
    lay(paint, window, mask * (0.92 - 0.25 * grid(shape.au_both(23)) - 0.25 * pressed), red)
    # The line between closed lips, then the opening.
    line = bell(y - 0.5 * (inner_top + inner_bottom), 0.010 + 0.5 * canvas.texel)
    line = line * edge(within + 0.01, soft)
    closed = smooth_step(grid(shape.gap), 0.03, 0.0)
    lay(paint, window, 0.62 * line * closed, colour(identity.lips * 0.30))
    inside_x = grid(shape.point("inner_corner")[..., 0]) - window.x
    opening = edge(torch.minimum(torch.minimum(y - inner_top, inner_bottom - y), inside_x) - 0.004, soft)
    opening = opening * smooth_step(grid(shape.gap), 0.0, 0.02)
    tall = (inner_bottom - inner_top).clamp_min(0)
    cavity = fixed(MOUTH, paint) * (0.5 + 0.5 * smooth_step(tall, 0.25, 0.05).unsqueeze(2))
    lay(paint, window, opening, cavity)
    tongue = edge(y - inner_bottom + 0.35 * tall, 0.03) * bell(window.x, 0.15) * smooth_step(tall, 0.08, 0.16)
    lay(paint, window, opening * tongue * 0.8, fixed(TONGUE, paint))
    upper_edge = torch.minimum(inner_top + 0.085, inner_top * 0 + grid(shape.mid("inner_top")) + 0.075)
    teeth = edge(upper_edge - y, soft) * smooth_step(window.x, 0.27, 0.18)
    gaps = 1 - 0.18 * bell(torch.sin(window.x * 3.14159 / 0.062), 0.18)
    ivory = fixed(TEETH, paint) * (gaps * (0.95 - 0.5 * smooth_step(window.x, 0.1, 0.26))).unsqueeze(2)
    lay(paint, window, opening * teeth * 0.95, ivory)
    lower_teeth = edge(y - inner_bottom + 0.035, soft) * smooth_step(window.x, 0.2, 0.1) * smooth_step(tall, 0.13, 0.2)
    lay(paint, window, opening * lower_teeth * 0.75, fixed(TEETH, paint) * 0.85)
    # Lips are smooth and full: their own relief, and none inside the mouth.
    flat = torch.zeros_like(ground.crease)
    window.of(flat).add_(opening)
    window.of(ground.crease).mul_(1 - mask)
    return flat


def nostrils(canvas: Canvas, paint: Tensor, shape: Shape) -> None:
    """Nostrils and the line around the wings."""
    window = canvas.window(0.0, 0.32, 0.30, 0.72)
    base, wing = shape.point("nose_base"), shape.point("nose_wing")
    bx, by = grid(base[..., 0]), grid(base[..., 1]) - 0.012
    hole = 1 - (((window.x - bx) / 0.042) ** 2 + ((window.y - by - 0.15 * (window.x - bx)) / 0.019) ** 2).sqrt()
    lay(paint, window, 0.85 * edge(hole * 0.025, canvas.texel + 0.01), fixed((0.16, 0.07, 0.06), paint))
    wx, wy = grid(wing[..., 0]), grid(wing[..., 1]) - 0.047
    arc = ((window.x - wx + 0.055) ** 2 + (window.y - wy + 0.030) ** 2).sqrt()
    line = bell(arc - 0.062, 0.014 + 0.4 * canvas.texel) * smooth_step(window.x - wx, -0.03, 0.0)
    part = window.of(paint)
    part.mul_(1 - 0.30 * line.unsqueeze(2))


def eyes(canvas: Canvas, paint: Tensor, identity: Identity, shape: Shape, gaze: Tensor) -> Tensor:
    """Eyeballs, lids and lashes; gives the mask (B, 2, H, W) of the open eye, which is lit on its own."""
    window = canvas.window(0.06, 0.66, -0.22, 0.20)
    x, y = window.x, window.y
    corner_in, corner_out = shape.point("eye_inner"), shape.point("eye_outer")
    upper = [shape.point("eye_upper_inner"), shape.point("eye_upper_outer")]
    lower = [shape.point("eye_lower_inner"), shape.point("eye_lower_outer")]
    flat_x = x.view(1, 1, -1)

    def curve(points: list[Tensor]) -> Tensor:
        inner, first, last, outer = corner_in, points[0], points[1], corner_out
        # Extra knots near the corners make the opening an almond instead of a spindle.
        near = inner + 0.35 * (first - inner) + torch.stack([0 * inner[..., 0], 0.24 * (first - inner)[..., 1]], -1)
        away = outer + 0.38 * (last - outer) + torch.stack([0 * inner[..., 0], 0.20 * (last - outer)[..., 1]], -1)
        knots = torch.stack([inner, near, first, last, away, outer], dim=2)
        return graph_curve(flat_x, knots[..., 0], knots[..., 1]).unsqueeze(2)

    top, bottom = curve(upper), curve(lower)
    left, right = grid(corner_in[..., 0]), grid(corner_out[..., 0])
    soft = canvas.texel + 0.004
    within = torch.minimum(x - left, right - x)
    mask = edge(torch.minimum(torch.minimum(y - top, bottom - y), within), soft)
    # The lid's shadow and crease come first: the eye covers them.
    rest_top = grid(0.5 * (shape.lids[..., 0] + shape.lids[..., 1]))
    lid_now = 0.5 * (shape.lids[..., 2] + shape.lids[..., 3])
    crease_line = top - 0.042 + 0.55 * (rest_top - grid(lid_now)) - 0.02 * bell(x - 0.5 * (left + right), 0.12)
    crease_line = crease_line + 0.25 * (grid(shape.point("brow_3")[..., 1]) + 0.265)
    crease_line = crease_line + 0.036 * grid(shape.au(5))  # a raised lid slides under its fold
    crease_line = torch.minimum(crease_line, top - 0.006)
    crease = bell(y - crease_line, 0.010 + 0.45 * canvas.texel) * smooth_step(within, -0.02, 0.06)
    part = window.of(paint)
    part.mul_(1 - 0.34 * crease.unsqueeze(2))
    # Eyeball.
    side = torch.tensor([-1.0, 1.0], device=x.device).view(1, 2, 1, 1)
    centre_x = 0.5 * (left + right) - 0.004 + side * 0.0042 * grid(gaze[:, :1])
    rest_eye = 0.5 * (grid(corner_in[..., 1]) + grid(corner_out[..., 1])) - 0.012
    centre_y = rest_eye + 0.0036 * grid(gaze[:, 1:])
    radius = ((x - centre_x) ** 2 + (y - centre_y) ** 2).sqrt()
    white = fixed(SCLERA, paint) * (1 - 0.22 * smooth_step((x - 0.5 * (left + right)).abs(), 0.06, 0.17)).unsqueeze(2)
    white = white * (1 - 0.30 * smooth_step(y - top, 0.045, 0.0)).unsqueeze(2)
    lay(paint, window, mask, white)
    iris = edge(0.073 - radius, soft)
    shade = 1.15 - 0.55 * smooth_step(radius, 0.048, 0.073) - 0.35 * smooth_step(y - top, 0.05, 0.0)
    lay(paint, window, mask * iris, colour(identity.iris) * shade.unsqueeze(2))
    lay(paint, window, mask * edge(0.028 - radius, soft), fixed((0.03, 0.03, 0.03), paint))
    glint = ((x - centre_x + side * 0.020) ** 2 + (y - centre_y + 0.022) ** 2).sqrt()
    lay(paint, window, 0.85 * mask * edge(0.013 - glint, soft), fixed((1.0, 1.0, 1.0), paint))
    pink = edge(0.020 - ((x - left - 0.012) ** 2 + (y - grid(corner_in[..., 1])) ** 2).sqrt(), soft)
    lay(paint, window, 0.5 * mask * pink, fixed((0.80, 0.55, 0.52), paint))
    # Lashes.
    wide = edge(within + 0.012, soft)
    dark = colour(identity.hair * 0.25)
    lash = bell(y - top + 0.004, 0.012 + 0.4 * canvas.texel) * wide
    lay(paint, window, 0.82 * lash, dark)
    lay(paint, window, 0.30 * bell(y - bottom, 0.008 + 0.4 * canvas.texel) * wide, dark)
    flat = torch.zeros(mask.shape[0], 2, len(canvas.y), len(canvas.x), device=x.device)
    window.of(flat).add_(mask)
    return flat


def beard(canvas: Canvas, paint: Tensor, identity: Identity, shape: Shape, natural: Tensor) -> None:
    """Stubble, beard and moustache, following the jaw and the lips."""
    if not bool((identity.beard[:, :2] > 0).any()):
        return
    window = canvas.window(0.0, 1.3, 0.1, 1.7)
    x, y = window.x, window.y
    corner = shape.point("mouth_corner")
    cx, cy = grid(corner[..., 0]), grid(corner[..., 1])
    wing = grid(shape.point("nose_base")[..., 1])
    line = cy - 0.06 - 0.9 * (x - cx - 0.10) + 0.02
    cheek = smooth_step(y - torch.maximum(line, 0.25 + 0 * line), -0.05, 0.10) * smooth_step(x - cx, 0.03, 0.12)
    below = smooth_step(y - grid(shape.mid("lip_lower")) - 0.06, -0.02, 0.05)
    chin = below * smooth_step(x - cx, 0.14, 0.06)
    strands = texture(canvas, identity.noise[:, 2:], 0.012, 0.035)[:, 0]
    rough = 1 + 0.25 * window.of(strands) * natural
    mask = torch.maximum(cheek, chin) * grid(identity.beard[:, 0]) * (0.35 + 0.6 * grid(identity.beard[:, 2]))
    top = grid(shape.mid("lip_upper")) - 0.012
    moustache = smooth_step(y - wing - 0.015, 0.0, 0.03) * smooth_step(y - top - 0.3 * x**2, 0.015, -0.02)
    moustache = moustache * smooth_step(x - cx, 0.08, 0.0) * grid(identity.beard[:, 1])
    moustache = moustache * (0.4 + 0.5 * grid(identity.beard[:, 2]))
    lay(paint, window, (torch.maximum(mask, moustache) * rough).clamp(0, 0.95), colour(identity.hair * 0.8))


def hair(canvas: Canvas, paint: Tensor, identity: Identity, natural: Tensor) -> Tensor:
    """Hair on the head; gives its mask (B, 2, H, W)."""
    window = canvas.whole()
    line, present = identity.hairline, identity.hair_shape[:, 2]
    x = window.x.view(1, 1, -1)
    ones = torch.ones_like(line[:, 0])
    knots_x = torch.stack([0 * ones, 0.30 * ones, 0.56 * ones, 0.80 * ones, 1.02 * ones, 1.20 * ones, 1.45 * ones], -1)
    side = line[:, 2]
    recession = line[:, 3]
    knots_y = torch.stack(
        [
            line[:, 0],
            line[:, 0] - 0.12 * recession,
            line[:, 1] - 0.15 * recession,
            side - 0.22,
            side + 0.10,
            side + 0.5,
            1.2 * ones,
        ],
        dim=-1,
    )
    edge_y = graph_curve(x, knots_x[:, None], knots_y[:, None]).unsqueeze(2)
    strands = texture(canvas, identity.noise[:, 1:], 0.020, 0.16)
    mask = edge(edge_y - window.y + 0.018 * strands[:, 0] * natural, 0.07 + canvas.texel) * grid(present)
    tone = 1 + (0.16 * strands[:, 1] + 0.10 * strands[:, 0]) * natural
    lay(paint, window, mask, colour(identity.hair) * tone.unsqueeze(2))
    return mask.expand(-1, 2, -1, -1)


def glasses(canvas: Canvas, paint: Tensor, identity: Identity) -> None:
    """Rims, bridge and temples."""
    if not bool((identity.glasses[:, 0] > 0).any()):
        return
    window = canvas.window(0.0, 1.3, -0.32, 0.36)
    x, y = window.x, window.y
    rim = grid(identity.glasses[:, 1]) + 0.4 * canvas.texel
    box = (((x - 0.345) / 0.235).abs() ** 3 + ((y - 0.025) / 0.175).abs() ** 3).clamp_min(1e-6) ** (1 / 3)
    ring = edge(rim - (box - 1).abs() * 0.19, canvas.texel)
    bridge = edge(rim - (y + 0.03 - 0.8 * x**2).abs(), canvas.texel) * edge(0.115 - x, canvas.texel)
    temple = edge(rim - (y + 0.02).abs(), canvas.texel) * edge(x - 0.575, canvas.texel)
    mask = torch.maximum(torch.maximum(ring, bridge), temple) * grid(identity.glasses[:, 0])
    dark = (1 - identity.glasses[:, 2:3]) * torch.tensor([[0.75, 0.62, 0.45]], device=x.device) + 0.06
    lay(paint, window, mask.expand(-1, 2, -1, -1), colour(dark))
