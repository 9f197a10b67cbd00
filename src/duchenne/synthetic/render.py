"""Renders faces: paints each on the canvas, lights it there, and looks it up along every pixel's line of sight."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from duchenne.synthetic import paint as brush
from duchenne.synthetic import relief
from duchenne.synthetic.canvas import Canvas
from duchenne.synthetic.curves import edge, smooth_step
from duchenne.synthetic.expression import Shape, landmark_places, shape_of
from duchenne.synthetic.head import Egg, project, rotation_matrix
from duchenne.synthetic.people import Expression, Identity, Scene

_DETAIL = 1.35
"""Columns of the canvas a pixel, where the face is."""


@dataclass
class Rendered:
    """What comes out.

    Attributes:
        images: (B, 3, S, S) RGB float in [0, 1], before blur and sensor noise.
        landmarks: (B, 68, 2) pixels (see `faces.align`).
    """

    images: Tensor
    landmarks: Tensor


def render(identity: Identity, expression: Expression, pose: Tensor, scene: Scene, size_px: int) -> Rendered:
    """Renders a batch of pictures.

    Args:
        identity: one row per picture, or one row for all.
        expression: one row per picture.
        pose: (B, 3) pitch, yaw, roll in degrees (see `head.rotation_matrix`), at most about 25 either way.
        scene: one row per picture, or one row for all.
        size_px: side of the pictures.

    Returns:
        Images and exact landmarks. Everything runs on the device of the tensors.
    """
    rows = len(expression)
    unit = scene.camera[:, 0] * size_px  # pixels a face unit
    canvas = Canvas.make(float(1.0 / (_DETAIL * unit.max())), pose.device)
    shape = shape_of(identity, expression)
    rotation = rotation_matrix(pose)
    ground = relief.build(canvas, identity, shape)
    sheet = _painted(canvas, identity, expression, shape, ground, rotation, scene)
    heights = canvas.sheet(ground.height.unsqueeze(2))

    def lift(u: Tensor, v: Tensor) -> Tensor:
        return canvas.look_up(heights, canvas.place(u, v))[:, 0]

    pixels = torch.arange(size_px, device=pose.device) + 0.5
    origin = scene.camera[:, 1:] * size_px
    y, x = torch.meshgrid(pixels, pixels, indexing="ij")
    x = ((x - origin[:, 0, None, None]) / unit[:, None, None]).expand(rows, -1, -1)
    y = ((y - origin[:, 1, None, None]) / unit[:, None, None]).expand(rows, -1, -1)
    u, v, inside = shape.egg.look(x, y, rotation, lift)
    face = canvas.look_up(sheet, canvas.place(u, v))
    image = _behind(identity, scene, shape.egg, rotation, x, y, size_px)
    cover = edge(inside * unit[:, None, None], 1.5).unsqueeze(1)
    image = image.expand(rows, -1, -1, -1).lerp(face, cover).clamp(0, 1)
    places = landmark_places(shape)
    lifts = lift(places[..., 0].unsqueeze(1), places[..., 1].unsqueeze(1))[:, 0]
    flat = project(shape.egg.surface(places[..., 0], places[..., 1], lifts), rotation)
    return Rendered(image, flat * unit[:, None, None] + origin[:, None])


def _painted(
    canvas: Canvas,
    identity: Identity,
    expression: Expression,
    shape: Shape,
    ground: relief.Ground,
    rotation: Tensor,
    scene: Scene,
) -> Tensor:
    rows = len(expression)
    natural = relief.grid(1.0 - scene.style)
    paint = brush.skin(canvas, identity, natural).expand(rows, -1, -1, -1, -1).contiguous()
    brush.nostrils(canvas, paint, shape)
    opening = brush.lips(canvas, paint, ground, identity, shape)
    brush.beard(canvas, paint, identity, shape, natural)
    paint.mul_(torch.exp(-ground.crease).unsqueeze(2))
    brush.brows(canvas, paint, identity, shape, natural)
    eyes = brush.eyes(canvas, paint, identity, shape, expression.gaze)
    hair = brush.hair(canvas, paint, identity, natural)
    brush.glasses(canvas, paint, identity)
    bare = 1.0 - torch.maximum(eyes, opening)
    lit, shine = _light(canvas, shape.egg, ground.height, bare, rotation, scene, natural)
    sheet = canvas.sheet(paint * lit)
    gloss = shine * bare * (1 - hair) * 0.16 * natural
    return sheet + canvas.sheet(gloss.unsqueeze(2))


def _light(
    canvas: Canvas, egg: Egg, height: Tensor, bare: Tensor, rotation: Tensor, scene: Scene, natural: Tensor
) -> tuple[Tensor, Tensor]:
    """Light on every place (B, 2, 3, H, W) and its highlight (B, 2, H, W)."""
    whole = canvas.whole()
    side = torch.tensor([-1.0, 1.0], device=height.device).view(1, 2, 1, 1)
    across, down = canvas.slopes(height)
    nx, ny, nz = egg.view(3).normals(whole.x.expand(1, 1, len(canvas.y), -1), whole.y)
    ny = ny.expand_as(nx)
    weight = nz.clamp_min(0) * bare
    nx, ny = side * (nx - weight * across), ny - weight * down
    length = torch.rsqrt(nx * nx + ny * ny + nz * nz)
    nx, ny, nz = nx * length, ny * length, nz * length
    direction = torch.einsum("bij,bi->bj", rotation, scene.light.expand(len(rotation), -1))
    lx, ly, lz = (direction[:, i].view(-1, 1, 1, 1) for i in range(3))
    cosine = nx * lx + ny * ly + nz * lz
    soft = ((cosine + 0.25) / 1.25).clamp_min(0)
    bands = 0.30 + 0.42 * smooth_step(soft, 0.22, 0.30) + 0.28 * smooth_step(soft, 0.56, 0.64)
    key = bands + natural * (soft - bands)
    sky = 0.80 - 0.20 * ny
    view = rotation[:, 2]
    vx, vy, vz = (view[:, i].view(-1, 1, 1, 1) for i in range(3))
    hx, hy, hz = lx + vx, ly + vy, lz + vz
    norm = torch.rsqrt(hx * hx + hy * hy + hz * hz)
    shine = ((nx * hx + ny * hy + nz * hz) * norm).clamp_min(0) ** 22
    lit = brush.colour(scene.key) * key.unsqueeze(2) + brush.colour(scene.ambient) * sky.unsqueeze(2)
    return lit, shine


def _behind(identity: Identity, scene: Scene, egg: Egg, rotation: Tensor, x: Tensor, y: Tensor, size_px: int) -> Tensor:
    """Everything behind the face (B, 3, S, S): background, shoulders, neck, hair behind the head, ears."""
    device = x.device
    rows = len(rotation)
    image = functional.interpolate(scene.background, size=(size_px, size_px), mode="bicubic", align_corners=True)
    steps = torch.arange(size_px, device=device) / size_px
    angle = scene.clutter[:, 1].view(-1, 1, 1)
    wave = torch.cos(angle) * steps.view(1, 1, -1) + torch.sin(angle) * steps.view(1, -1, 1)
    pattern = torch.sin(wave * scene.clutter[:, 2].view(-1, 1, 1) * 6.2832) * scene.clutter[:, 0].view(-1, 1, 1)
    image = (image + pattern.unsqueeze(1)).clamp(0, 1).expand(rows, -1, -1, -1)
    soft = 2.2 / (scene.camera[:, 0].view(-1, 1, 1) * size_px)
    light = (scene.key * 0.55 + scene.ambient * 0.8).view(-1, 3, 1, 1)

    def at(*point: float) -> tuple[Tensor, Tensor]:
        flat = project(torch.tensor(point, device=device).view(1, 1, 3).expand(rows, -1, -1), rotation)
        return flat[:, 0, 0].view(-1, 1, 1), flat[:, 0, 1].view(-1, 1, 1)

    def over(base: Tensor, mask: Tensor, colours: Tensor) -> Tensor:
        return base.lerp((colours.view(-1, 3, 1, 1) * light).expand_as(base), mask.unsqueeze(1))

    # Hair behind the head: the skull's outline and, where long, down to an end that curls in.
    hx, hy = at(0.0, -0.10, -0.30)
    volume, length = (identity.hair_shape[:, i].view(-1, 1, 1) for i in (0, 1))
    present = identity.hair_shape[:, 2].view(-1, 1, 1)
    wide, tall = egg.half_width.view(-1, 1, 1) + volume, egg.crown.view(-1, 1, 1) - 0.05 + volume
    across, down = (x - hx) / wide, y - hy
    cap = edge(1 - (across**2 + ((down + 0.10) / tall) ** 2).sqrt(), soft)
    fallen = (down / length.clamp_min(0.1)).clamp(0, 1)
    sides = 1.0 + 0.10 * fallen - 0.22 * fallen**6 - across.abs()
    end = length - down - 0.10 * across**2 + 0.03 * torch.sin(9.0 * across + 40.0 * volume)
    long_hair = edge(torch.minimum(torch.minimum(sides * wide, end), down + 0.10), 0.04) * (length > 0)
    image = over(image, long_hair * present, identity.hair * 0.72)
    # Neck and shoulders.
    sx, _ = at(0.0, 1.9, -0.55)
    shoulders = edge(1 - (((x - 0.4 * sx) / 1.75).abs() ** 2.6 + ((y - 2.75) / 0.95).abs() ** 2.6) ** (1 / 2.6), 0.02)
    shoulders = torch.maximum(shoulders, edge(y - 2.75, 0.03) * edge(1.75 - (x - 0.4 * sx).abs(), 0.03))
    nx, _ = at(0.0, 0.9, -0.3)
    thick = 0.44 + 0.10 * (y - 1.2).clamp_min(0) - (x - nx).abs()
    neck = edge(torch.minimum(thick, torch.minimum(y - 0.6, 2.1 - y)), 0.04)
    shade = 0.62 + 0.2 * smooth_step(y, 1.25, 1.7)
    image = over(image, shoulders, identity.clothes)
    base = identity.skin.view(-1, 3, 1, 1) * light * shade.unsqueeze(1)
    image = image.lerp(base.expand_as(image), neck.unsqueeze(1))
    image = over(image, cap * torch.maximum(smooth_step(y, 0.40, 0.15), long_hair) * present, identity.hair * 0.82)
    for sign in (-1.0, 1.0):
        ex, ey = at(sign * 0.80, 0.14, -0.12)
        lean = x - ex - sign * (0.02 + 0.1 * (ey - y))
        ear = edge(1 - ((lean / 0.10) ** 2 + ((y - ey) / 0.20) ** 2).sqrt(), soft * 2)
        image = over(image, ear * (length == 0), identity.skin * 0.88)
    return image


def finish(images: Tensor, scene: Scene, grain: Tensor) -> Tensor:
    """What the camera adds: blur, then sensor noise.

    Args:
        images: (B, 3, S, S).
        scene: one row (blur is shared by the batch) or one per picture (then the first row's blur is used for all).
        grain: (B, 1 or 3, S, S) standard normal.

    Returns:
        (B, 3, S, S) in [0, 1].
    """
    sigma = float(scene.blur[0]) * images.shape[-1]
    if sigma > 0.2:
        reach = max(1, round(2.5 * sigma))
        kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=images.device) / sigma) ** 2)
        kernel = kernel / kernel.sum()
        padded = functional.pad(images, (reach, reach, reach, reach), mode="replicate")
        padded = functional.conv2d(padded, kernel.view(1, 1, 1, -1).expand(3, -1, -1, -1), groups=3)
        images = functional.conv2d(padded, kernel.view(1, 1, -1, 1).expand(3, -1, -1, -1), groups=3)
    return (images + grain * scene.noise.view(-1, 1, 1, 1)).clamp(0, 1)
