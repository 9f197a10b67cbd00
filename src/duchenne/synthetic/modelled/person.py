"""One person: head, what is on it, skin, wrinkles; as arrays that `draw` renders."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from duchenne.synthetic.modelled import skin as painting
from duchenne.synthetic.modelled.assets import asset, known
from duchenne.synthetic.modelled.bake import Heads, heads
from duchenne.synthetic.modelled.landmarks import landmark_rows
from duchenne.synthetic.modelled.mesh import Floats, Ints
from duchenne.synthetic.modelled.raster import EYE, HAIR, OTHER, SKIN
from duchenne.synthetic.modelled.units import action_units, sided
from duchenne.synthetic.modelled.wrinkles import relief_maps
from duchenne.synthetic.sampling import stream

ATLAS: Final = 1024
_PLACES: Final = {
    "eyes": (0, 0, 512), "teeth": (512, 0, 512), "hair": (0, 512, 512), "tongue": (512, 512, 128),
    "eyebrows": (640, 512, 256), "eyelashes": (512, 768, 256),
}  # fmt: skip
"""Where a texture lies in the atlas: column, row, side."""
HAIRS: Final = ("short01", "short02", "short04", "long01", "ponytail01", "afro01")
"""Those that leave the face free."""
_FIRST_EYE: Final = (14_598, 14_670)  # of the base mesh's own eyes
RESTS: Final = (
    "eyeBlink{s}",
    "eyeWide{s}",
    "cheekPuff",
    "eyeSquint{s}",
    "browInnerUp",
    "mouthSmile{s}",
    "mouthFrown{s}",
)
"""Units that differ from clip to clip whatever the action units do, so that lid height, eye opening and cheek fullness
tell nothing by themselves."""
SEAL: Final = "mouthClose"
"""Lips close over teeth that are apart."""
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Person:
    """What `draw` needs; points in distances of the outer eye corners, (0, 0, 0) between the eyes, y down.

    Attributes:
        points: (V, 3) of the neutral face. moves: (2, 18, V, 3) by action units at 5, right and left.
        rests: (R + 1, V, 3) by `RESTS`, then `SEAL`. faces, uv, kinds: see `raster.fill`.
        sheer: faces from here on are transparent (brows, lashes).
        eyeballs: for the right and the left eye the numbers of its points and its centre.
        skin, atlas: textures. relief, steepest: of `wrinkles.relief_maps`.
        age, depth: of wrinkles. glasses: colour, None for none.
        cheek: mean colour, linear.
    """

    points: Floats
    moves: NDArray[np.float32]
    rests: NDArray[np.float32]
    faces: Ints
    uv: Floats
    kinds: Ints
    sheer: int
    eyeballs: tuple[tuple[Ints, Floats], tuple[Ints, Floats]]
    skin: Bytes
    atlas: Bytes
    relief: NDArray[np.int8]
    steepest: Floats
    age: float
    depth: float
    glasses: Floats | None
    cheek: Floats


@cache
def _baked() -> tuple[Heads, painting.Front, Floats, Floats]:
    """The heads; the front view of the texture; places and texels of the vertices of the face."""
    own = heads()
    frame = _frame(own.mean)
    places = _to_face(own.mean, frame)
    used = ~own.eyes
    texel = np.zeros((len(own.mean), 2))
    texel[own.faces[used].ravel()] = own.uv[used].reshape(-1, 2) * painting.SIDE
    low, high = painting.CORNER, (painting.CORNER[0] + painting.SHAPE[1], painting.CORNER[1] + painting.SHAPE[0])
    facing = (texel > low).all(axis=1) & (texel < high).all(axis=1) & (places[:, 2] > -0.75)
    return own, painting.front_view(places[facing, :2], texel[facing]), places[facing, :2], texel[facing]


def _frame(points: Floats) -> tuple[Floats, float]:
    """Middle between the eyes and the distance of their outer corners."""
    corners = points[list(eye_corners())]
    return corners.mean(axis=0), float(np.linalg.norm(corners[0] - corners[3]))


@cache
def eye_corners() -> tuple[int, int, int, int]:
    """Kept vertices: outer and inner corner of the subject's right eye, inner and outer of the left."""
    outer_right, inner_right, inner_left, outer_left = (int(landmark_rows()[point]) for point in (36, 39, 42, 45))
    return outer_right, inner_right, inner_left, outer_left


def _to_face(points: Floats, frame: tuple[Floats, float]) -> Floats:
    return np.asarray((points - frame[0]) / frame[1] * [1, -1, 1])


@lru_cache(maxsize=2)
def person(seed: int, subject: int) -> Person:
    """Draws and builds one person; the same for the same numbers.

    Args:
        seed: of the set.
        subject: number in it.
    """
    own, front, places, texels = _baked()
    rng = stream(seed, subject, 0, "modelled")
    first, second = rng.choice(len(own.people), 2, replace=False)
    share = rng.uniform(0.3, 0.7)
    mixed = share * own.people[first].astype(np.float64) + (1 - share) * own.people[second].astype(np.float64)
    base = own.mean + 1.3 * mixed
    age, gender, african = share * own.traits[first] + (1 - share) * own.traits[second]
    gender = float(rng.uniform() < gender)
    traits = np.array([age, gender, african])

    moves = action_units(own, rng.uniform(0, 1, 18) ** 0.7, np.clip(rng.normal(1, 0.16, 18), 0.6, 1.4))
    rests = np.stack([sum(sided(own, {name: 1.0}, side) for side in (0, 1)) for name in (*RESTS, SEAL)])
    frame = _frame(base)
    scale = np.array([1, -1, 1]) / frame[1]
    points, all_moves, all_rests = [_to_face(base, frame)], [moves * scale], [rests * scale]
    faces, uv = [own.faces[~own.eyes]], [own.uv[~own.eyes] * painting.SIDE]
    kinds = [np.full(len(faces[0]), SKIN)]
    atlas = np.zeros((ATLAS, ATLAS, 4), np.uint8)
    hair_colour = _hair_colour(rng, age, african)
    names = _worn(rng, own, gender) if own.parts else []
    count, sheer = len(base), 0
    eye_points: Ints = np.empty(0, dtype=np.int64)
    if not own.parts:
        _plain_eyes(own, faces, uv, kinds, atlas, rng)
        eye_points = np.flatnonzero(own.vertices >= _FIRST_EYE[0])
        eye_points = eye_points[np.isin(eye_points, own.faces[own.eyes])]
        sheer = sum(map(len, faces))
    for name in names:
        part, group = own.parts[name], name.split("/")[0]
        if group == "eyebrows":
            sheer = sum(map(len, faces))
        placed = part.binding.place(base)
        corners, weights = part.binding.vertices, part.binding.weights[:, :, None]
        points.append(_to_face(placed, frame))
        all_moves.append((moves[:, :, corners] * weights).sum(axis=3) * scale)
        all_rests.append((rests[:, corners] * weights).sum(axis=2) * scale)
        column, row, side = _PLACES[group]
        _paint(atlas, group, name, rng, hair_colour, african > 0.3)
        texel = np.clip(part.uv, 0.002, 0.998) * side + [column, row]
        own_faces = part.faces + count
        if group == "eyes":  # the cornea is a clear shell of its own, whose texels are transparent
            middle = texel.mean(axis=1).astype(np.int64)
            solid = atlas[middle[:, 1], middle[:, 0], 3] > 128
            own_faces, texel = own_faces[solid], texel[solid]
        faces.append(own_faces)
        uv.append(texel)
        kinds.append(np.full(len(own_faces), {"eyes": EYE, "hair": HAIR}.get(group, OTHER)))
        if group == "eyes":
            eye_points = np.arange(count, count + len(placed))
        count += len(placed)
    together = np.concatenate(points)
    eyeballs = []
    for sign in (-1, 1):
        side_points = eye_points[together[eye_points, 0] * sign > 0]
        eyeballs.append((side_points, 0.5 * (together[side_points].min(axis=0) + together[side_points].max(axis=0))))
    brow = hair_colour * 0.8 if not own.parts else None
    mouth_y = float(places[np.argmin(np.abs(places[:, 0]) + np.abs(places[:, 1] - 0.77)), 1])
    texture, cheek = painting.draw_skin(rng, own, front, traits, mouth_y=mouth_y, brow=brow)
    relief, steepest = relief_maps(places, texels, painting.CORNER, painting.SHAPE, _texels(places, texels), rng)
    return Person(
        together, np.concatenate(all_moves, axis=2).astype(np.float32),
        np.concatenate(all_rests, axis=1).astype(np.float32),
        np.concatenate(faces), np.concatenate(uv), np.concatenate(kinds), sheer, (eyeballs[0], eyeballs[1]), texture,
        atlas, relief, steepest, float(age), float(rng.uniform(0.5, 1.3)),
        rng.uniform(0.0, 0.25, 3) if rng.uniform() < 0.15 else None, cheek,
    )  # fmt: skip


def _texels(places: Floats, texels: Floats) -> float:
    """Texels in one distance of the outer eye corners, near the middle of the face."""
    near = np.abs(places).max(axis=1) < 0.7
    spread = np.linalg.norm(texels[near] - texels[near].mean(axis=0), axis=1).mean()
    return float(spread / np.linalg.norm(places[near] - places[near].mean(axis=0), axis=1).mean())


def _worn(rng: np.random.Generator, own: Heads, gender: float) -> list[str]:
    """Names of the parts: opaque ones first, then brows and lashes."""
    names = ["eyes/high-poly", "teeth/teeth_base", "tongue/tongue01"]
    if rng.uniform() < (0.97 if gender < 0.5 else 0.75):
        chances = np.array([1.0, 1.0, 1.0, 4.0, 4.0, 1.0] if gender < 0.5 else [4.0, 3.0, 3.0, 0.3, 0.3, 0.5])
        names.append(f"hair/{rng.choice(HAIRS, p=chances / chances.sum())}")
    brows = sorted(name for name in own.parts if name.startswith("eyebrows"))
    lashes = sorted(name for name in own.parts if name.startswith("eyelashes"))
    return [*names, str(rng.choice(brows)), str(rng.choice(lashes))]


def _hair_colour(rng: np.random.Generator, age: float, african: float) -> Floats:
    """Linear."""
    shades = np.array(
        [(0.008, 0.007, 0.007), (0.03, 0.017, 0.01), (0.09, 0.05, 0.025), (0.3, 0.2, 0.1), (0.2, 0.06, 0.02)]
    )
    dark = rng.uniform() < 0.3 + 0.7 * african
    colour = shades[rng.integers(0, 2) if dark else rng.integers(1, 5)] * np.exp(rng.normal(0, 0.2))
    grey = np.clip((age - 0.55) / 0.4, 0, 1) * rng.uniform(0.0, 1.1)
    return np.asarray(colour + min(grey, 1) * (np.array([0.45, 0.45, 0.45]) - colour))


def _paint(atlas: Bytes, group: str, name: str, rng: np.random.Generator, hair: Floats, is_dark: bool) -> None:
    column, row, side = _PLACES[group]
    place = atlas[row : row + side, column : column + side]
    dyed = (np.sqrt(np.clip(hair, 0, 1)) * 255).astype(np.float32)
    if group == "hair":
        strands = rng.normal(0, 1, (1, side)).astype(np.float32) + 0.5 * rng.normal(0, 1, (side, side)).astype(
            np.float32
        )
        strands = cv2.GaussianBlur(strands, (0, 0), sigmaX=0.8, sigmaY=14)
        place[..., :3] = np.clip(dyed * (1 + 0.55 * strands / strands.std() * 0.5)[..., None], 0, 255)
        place[..., 3] = 255
        texture = f"textures/{name.split('/')[1]}_diffuse.png"
        if texture in known():
            given = _image(texture, side)
            grey = given[..., :3].astype(np.float32).mean(axis=2)
            seen = given[..., 3] > 100
            grey = grey / max(float(grey[seen].mean()), 1.0)
            place[..., :3] = np.clip(dyed * grey[..., None], 0, 255)
            place[..., 3] = given[..., 3]
        return
    if group == "eyes":
        names = sorted(one for one in known() if one.startswith("textures/") and one.endswith("_eye.png"))
        brown = rng.uniform() < 0.45 + 0.5 * is_dark
        given = _image("textures/brownlight_eye.png" if brown else str(rng.choice(names)), side)
        place[:] = given
        colour = place[..., :3].astype(np.float32)
        iris = (colour.max(axis=2) - colour.min(axis=2) > 25)[..., None]
        darker = rng.uniform(0.35, 0.9) if brown else rng.uniform(0.7, 1.1)
        place[..., :3] = np.clip(np.where(iris, colour * darker, colour * rng.uniform(0.88, 1.0)), 0, 255)
        return
    picture = {"teeth": "teeth.png", "tongue": "tongue01_diffuse.png"}.get(group, f"{name.split('/')[1]}.png")
    given = _image(f"textures/{picture}", side)
    place[:] = given
    if group == "eyebrows":
        place[..., :3] = np.clip(dyed * 0.85, 0, 255).astype(np.uint8)
        place[..., 3] = np.clip(given[..., 3].astype(np.float32) * rng.uniform(0.55, 1.4), 0, 255)
    elif group == "eyelashes":
        place[..., 3] = np.clip(given[..., 3].astype(np.float32) * rng.uniform(0.35, 1.0), 0, 255)
    elif group == "teeth":
        place[..., :3] = np.clip(
            place[..., :3].astype(np.float32) * [1.0, rng.uniform(0.93, 1), rng.uniform(0.82, 1)], 0, 255
        )


@lru_cache(maxsize=64)
def _image(name: str, side: int) -> Bytes:
    picture = np.asarray(cv2.imread(str(asset(name)), cv2.IMREAD_UNCHANGED))
    if picture.shape[2] == 3:
        picture = np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)])
    picture = np.asarray(cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA))
    return np.asarray(picture[..., [2, 1, 0, 3]], dtype=np.uint8)


def _plain_eyes(
    own: Heads, faces: list[Ints], uv: list[Floats], kinds: list[Ints], atlas: Bytes, rng: np.random.Generator
) -> None:
    """The base mesh's own eyeballs, with an iris painted on by the direction of each point."""
    chosen = own.faces[own.eyes]
    numbers = own.vertices[chosen]
    is_eye = (numbers >= _FIRST_EYE[0]).all(axis=1)
    chosen, numbers = chosen[is_eye], numbers[is_eye]
    column, row, side = _PLACES["eyes"]
    across = np.zeros((len(chosen), 3, 2))
    for sign in (-1, 1):
        mine = own.mean[chosen][:, :, 0].mean(axis=1) * sign > 0
        corners = own.mean[chosen[mine]]
        centre = 0.5 * (corners.reshape(-1, 3).min(axis=0) + corners.reshape(-1, 3).max(axis=0))
        radius = 0.5 * np.ptp(corners.reshape(-1, 3), axis=0).max()
        across[mine] = np.where(
            corners[..., 2:] > centre[2], (corners[..., :2] - centre[:2]) / radius * [1, -1] * 0.45, 0.49
        )  # fmt: skip
    faces.append(chosen)
    uv.append((across + 0.5) * side + [column, row])
    kinds.append(np.full(len(chosen), EYE))
    y, x = np.mgrid[0:side, 0:side]
    far = np.hypot(x - side / 2, y - side / 2) / (0.45 * side)
    iris = np.array([[90, 60, 40], [70, 90, 110], [80, 95, 60]])[rng.integers(3)]
    place = atlas[row : row + side, column : column + side]
    place[:] = 255
    place[..., :3] = np.where((far < 0.2)[..., None], 12, np.where((far < 0.47)[..., None], iris, 215))
