"""The head in space: an egg with relief, its surface, its rotation, and the way back from pixels to the face.

Head space: x to the picture's right, y down, z towards the viewer, in units of the distance between the outer eye
corners. A place on the face is (u, v): v = y, and u is the arc from the midline around the head at that height, so
that u = x near the midline. Rotations turn about a point in the neck.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from duchenne.synthetic.curves import smooth_step

PIVOT = (0.0, 0.55, -0.35)


@dataclass
class Egg:
    """The smooth head under the relief; every field (B,).

    Attributes:
        half_width: of the head at eye height.
        depth: from the head's middle to the face, without relief.
        crown: height of the crown above the eyes.
        chin: height of the chin below the eyes (moves with the jaw).
        jaw: width of the jaw against that of an ellipsoid; 1 is average.
    """

    half_width: Tensor
    depth: Tensor
    crown: Tensor
    chin: Tensor
    jaw: Tensor

    def view(self, dimensions: int) -> Egg:
        """The same egg with `dimensions` trailing axes of size 1, to broadcast."""
        shape = (-1, *[1] * dimensions)
        return Egg(*(getattr(self, name).view(shape) for name in self.__dataclass_fields__))

    def taper(self, v: Tensor) -> Tensor:
        """Width at height v against that of an ellipsoid."""
        return 1.0 + (self.jaw - 1.0) * smooth_step(v, 0.1, 0.8)

    def height(self, v: Tensor) -> Tensor:
        """Half height of the half (upper, lower) that v is in."""
        return torch.where(v > 0, self.chin, self.crown)

    def width(self, v: Tensor) -> Tensor:
        """Half width at height v."""
        latitude = (1.0 - (v / self.height(v)) ** 2).clamp_min(1e-4).sqrt()
        return self.half_width * self.taper(v) * latitude

    def surface(self, u: Tensor, v: Tensor, relief: Tensor) -> Tensor:
        """Head-space points of places on the face.

        Args:
            u: (B, N).
            v: (B, N).
            relief: (B, N) displacement towards the viewer.

        Returns:
            (B, N, 3).
        """
        egg = self.view(1)
        width = egg.width(v)
        angle = u / width
        z = width * (egg.depth / egg.half_width) * torch.cos(angle) + relief
        return torch.stack([width * torch.sin(angle), v.expand_as(z), z], dim=-1)

    def normals(self, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Unit normals (x, y, z) of the smooth head at (B, ...) places; the egg must be `view`ed to match."""
        width = self.width(v)
        angle = u / width
        cosine = (width / (self.half_width * self.taper(v))).clamp_max(1.0)
        x = torch.sin(angle) * cosine / self.half_width
        y = v / self.height(v) ** 2
        z = torch.cos(angle) * cosine / self.depth
        length = torch.rsqrt(x * x + y * y + z * z)
        return x * length, y * length, z * length

    def look(
        self, x: Tensor, y: Tensor, rotation: Tensor, relief: Callable[[Tensor, Tensor], Tensor], steps: int = 3
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Where the lines of sight meet the head.

        The ellipsoid is met in closed form; taper and relief, which vary gently, by fixed-point steps.

        Args:
            x: (B, H, W) of the camera plane, in head units.
            y: (B, H, W).
            rotation: (B, 3, 3) head to camera.
            relief: (u, v) -> displacement towards the face's front.
            steps: number of fixed-point steps.

        Returns:
            u, v, and the signed distance inside the outline in head units (negative outside), each (B, H, W).
            Outside the outline u, v are those of the nearest outline point, roughly.
        """
        egg = self.view(2)
        px, py, pz = PIVOT
        r = rotation.view(-1, 3, 3, 1, 1)
        ox = r[:, 0, 0] * (x - px) + r[:, 1, 0] * (y - py) - r[:, 2, 0] * pz + px
        oy = r[:, 0, 1] * (x - px) + r[:, 1, 1] * (y - py) - r[:, 2, 1] * pz + py
        oz = r[:, 0, 2] * (x - px) + r[:, 1, 2] * (y - py) - r[:, 2, 2] * pz + pz
        dx, dy, dz = r[:, 2, 0], r[:, 2, 1], r[:, 2, 2]
        v = oy + dy * (egg.depth * 0.8)
        lift = torch.zeros_like(v)
        for step in range(steps):
            taper = egg.taper(v.clamp(-1.4, 1.7))
            a, b = 1.0 / (egg.half_width * taper), 1.0 / (egg.depth * taper)
            c = 1.0 / egg.height(v)
            sx, sy, sz = ox * a, oy * c, (oz - lift) * b
            ex, ey, ez = dx * a, dy * c, dz * b
            ee = ex * ex + ey * ey + ez * ez
            half = sx * ex + sy * ey + sz * ez
            least = sx * sx + sy * sy + sz * sz - half * half / ee
            far = (-half + ((1.0 - least).clamp_min(1e-6) * ee).sqrt()) / ee
            v = oy + far * dy
            qx, qz = sx + far * ex, sz + far * ez
            limit = egg.height(v) * 0.999
            v = torch.minimum(torch.maximum(v, -limit), limit)
            u = egg.width(v) * torch.atan2(qx, qz)
            if step < steps - 1:
                lift = relief(u, v)
        inside = (1.0 - least.clamp_min(1e-6).sqrt()) * egg.half_width
        return u, v, inside


def rotation_matrix(pose: Tensor) -> Tensor:
    """Head to camera.

    Args:
        pose: (B, 3) pitch, yaw, roll in degrees. Pitch: the nose goes down. Yaw: the nose goes to the picture's
            right. Roll: the head turns clockwise in the picture.

    Returns:
        (B, 3, 3) roll after pitch after yaw.
    """
    cos, sin = torch.cos(torch.deg2rad(pose)), torch.sin(torch.deg2rad(pose))
    one, zero = torch.ones_like(cos[:, 0]), torch.zeros_like(cos[:, 0])
    (cp, cy, cr), (sp, sy, sr) = cos.unbind(1), sin.unbind(1)

    def rows(*values: Tensor) -> Tensor:
        return torch.stack(values, dim=1).view(-1, 3, 3)

    pitch = rows(one, zero, zero, zero, cp, sp, zero, -sp, cp)
    yaw = rows(cy, zero, sy, zero, one, zero, -sy, zero, cy)
    roll = rows(cr, -sr, zero, sr, cr, zero, zero, zero, one)
    return roll @ pitch @ yaw


def project(points: Tensor, rotation: Tensor) -> Tensor:
    """Camera-plane positions (B, N, 2) of head-space points (B, N, 3), in head units."""
    pivot = torch.tensor(PIVOT, dtype=points.dtype, device=points.device)
    return (((points - pivot) @ rotation.transpose(1, 2)) + pivot)[..., :2]
