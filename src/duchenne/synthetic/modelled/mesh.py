"""Reads what MakeHuman's files hold: OBJ meshes, their bindings to the base mesh (.mhclo), and morph targets."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Mesh:
    """Triangles with texture coordinates.

    Attributes:
        points: (V, 3). uv: (T, 2), v upward. faces, corners: (F, 3) numbers of points and of texture coordinates.
    """

    points: Floats
    uv: Floats
    faces: Ints
    corners: Ints


@dataclass(frozen=True)
class Binding:
    """Where the points of a proxy lie on the base mesh.

    Attributes:
        vertices: (V, 3) of the base mesh. weights: (V, 3). offsets: (V, 3) in decimetres of the unscaled base mesh.
        scales: per axis x, y, z two vertices and the distance that they have there.
    """

    vertices: Ints
    weights: Floats
    offsets: Floats
    scales: tuple[tuple[int, int, float], ...]

    def place(self, base: Floats) -> Floats:
        """(..., V, 3) points for a base mesh (..., N, 3) with axes x to the subject's left, y up, z to the front."""
        spans = [
            np.abs(base[..., first, axis] - base[..., second, axis]) / width
            for axis, (first, second, width) in enumerate(self.scales)
        ]
        corners = base[..., self.vertices, :]
        placed = (corners * self.weights[:, :, None]).sum(axis=-2)
        return np.asarray(placed + self.offsets * np.stack(spans, axis=-1)[..., None, :])


def read_obj(path: Path) -> Mesh:
    """Reads a mesh; polygons become fans of triangles."""
    points, uv, faces, corners = [], [], [], []
    for line in path.read_text("utf-8").splitlines():
        parts = line.split()
        if not parts:
            continue
        if parts[0] == "v":
            points.append([float(one) for one in parts[1:4]])
        elif parts[0] == "vt":
            uv.append([float(one) for one in parts[1:3]])
        elif parts[0] == "f":
            ends = [[int(one) - 1 for one in part.split("/")[:2]] for part in parts[1:]]
            for place in range(1, len(ends) - 1):
                fan = ends[0], ends[place], ends[place + 1]
                faces.append([end[0] for end in fan])
                corners.append([end[1] for end in fan])
    return Mesh(np.array(points), np.array(uv), np.array(faces), np.array(corners))


def read_binding(path: Path) -> Binding:
    """Reads a .mhclo; a line of one number binds a point to a vertex itself."""
    scales: dict[str, tuple[int, int, float]] = {}
    vertices, weights, offsets = [], [], []
    inside = False
    for line in path.read_text("utf-8").splitlines():
        parts = line.split()
        if not parts or parts[0].startswith("#"):
            continue
        if parts[0][1:] == "_scale":
            scales[parts[0][0]] = int(parts[1]), int(parts[2]), float(parts[3])
        elif parts[0] == "verts":
            inside = True
        elif inside and parts[0].lstrip("-").isdigit():
            if len(parts) == 1:
                vertices.append([int(parts[0])] * 3)
                weights.append([1.0, 0.0, 0.0])
                offsets.append([0.0, 0.0, 0.0])
            else:
                vertices.append([int(one) for one in parts[:3]])
                weights.append([float(one) for one in parts[3:6]])
                offsets.append([float(one) for one in parts[6:9]])
        elif parts[0] == "delete_verts":
            break
    return Binding(
        np.array(vertices, dtype=np.int64).reshape(-1, 3),
        np.array(weights),
        np.array(offsets),
        (scales["x"], scales["y"], scales["z"]),
    )


def read_target(path: Path, vertices: int) -> Floats:
    """(vertices, 3) offsets of a morph target, plain or compressed."""
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text("utf-8")
    moved = np.zeros((vertices, 3))
    for line in text.splitlines():
        parts = line.split()
        if len(parts) == 4 and not parts[0].startswith("#"):
            moved[int(parts[0])] = [float(one) for one in parts[1:]]
    return moved
