"""Renders a person frame by frame: pose, action units, gaze, light, camera."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from duchenne.synthetic.anatomy import SYNTH_AUS
from duchenne.synthetic.head import PIVOT, rotation_matrix
from duchenne.synthetic.modelled import skin as painting
from duchenne.synthetic.modelled.landmarks import landmark_rows
from duchenne.synthetic.modelled.mesh import Floats
from duchenne.synthetic.modelled.person import RESTS, Person, person
from duchenne.synthetic.modelled.raster import fill, fill_depth, half_size, lay_over, normals, shade
from duchenne.synthetic.modelled.wrinkles import strengths
from duchenne.synthetic.people import Scene, draw_scene
from duchenne.synthetic.sampling import ClipPlan, stream

_SHADOW_PX: Final = 160
_PART: Final = SYNTH_AUS.index(25)
_LEAST_PART: Final = 0.10  # distances of the outer eye corners that AU 25 at its strongest opens at least


class Camera:
    """One person in one scene, ready to be rendered."""

    def __init__(self, who: Person, scene: Scene, size_px: int, rng: np.random.Generator) -> None:
        """Prepares what does not change from frame to frame.

        Args:
            who: the person.
            scene: one row, see `people.Scene`.
            size_px: side of the square pictures.
            rng: of the clip: perspective, gloss, how eyes and cheeks rest.
        """
        self._who, self._size = who, size_px
        self._unit = float(scene.camera[0, 0]) * size_px * 2
        self._origin = scene.camera[0, 1:].numpy().astype(np.float64) * size_px * 2
        self._far = rng.uniform(7.0, 22.0)
        self._light = scene.light[0].numpy().astype(np.float64)
        self._key = (scene.key[0].numpy().astype(np.float64) * rng.uniform(1.05, 1.45)) ** 2
        self._ambient = (scene.ambient[0].numpy().astype(np.float64) * rng.uniform(0.75, 1.05)) ** 2
        gloss = rng.uniform(0.01, 0.11)
        self._gloss = np.array([gloss, rng.uniform(0.4, 1.2), 0.05, rng.uniform(0.02, 0.12)])
        rest = np.zeros(len(RESTS), np.float32)
        rest[0], rest[1] = rng.uniform(0, 0.22), rng.uniform(0, 0.25)
        rest[2], rest[3] = rng.uniform(-0.15, 0.3), rng.uniform(0, 0.2)
        rest[4], rest[5], rest[6] = rng.uniform(0, 0.6), rng.uniform(0, 0.13), rng.uniform(0, 0.2)
        self._rest = who.points + np.tensordot(rest, who.rests[:-1], 1)
        self._seal, self._lips = who.rests[-1], landmark_rows()[[61, 62, 63, 65, 66, 67]]
        self._gap = _gap(self._rest[self._lips])
        colours = scene.background[0].permute(1, 2, 0).numpy()
        background = cv2.resize(colours, (size_px, size_px), interpolation=cv2.INTER_CUBIC)
        self._background = np.clip(background.astype(np.float64), 0, 1)
        self._clothes = rng.uniform(0.02, 0.6, 3)

    def frame(self, aus: Floats, pose: Floats, gaze: Floats) -> tuple[Floats, NDArray[np.float32]]:
        """One picture.

        Args:
            aus: (2, 18) intensities 0 to 5, the subject's right and left.
            pose: (3,) pitch, yaw, roll in degrees. gaze: (2,) right and down in degrees, of the picture.

        Returns:
            (S, S, 3) in display light, 0 to 1, before blur and noise; (68, 2) landmarks in pixels.
        """
        who, size = self._who, self._size * 2
        points = self._posed(aus, gaze)
        rotation = rotation_matrix(torch.from_numpy(pose[None].astype(np.float32)))[0].numpy().astype(np.float64)
        turned = (points - PIVOT) @ rotation.T + PIVOT
        near = self._far / (self._far - turned[:, 2])
        screen = np.empty_like(turned)
        screen[:, :2] = turned[:, :2] * near[:, None] * self._unit + self._origin
        screen[:, 2] = turned[:, 2] * self._unit
        solid = slice(0, who.sheer)
        faces, uv, kinds = who.faces[solid], who.uv[solid], who.kinds[solid]
        normal = normals(screen, faces)
        depth = np.full((size, size), -1e9)
        seen, weights = np.full((size, size), -1, np.int32), np.zeros((size, size, 2))
        fill(screen, faces, uv, kinds, who.atlas, depth, seen, weights)
        lit, lit_depth = self._shadow(turned, faces)
        image = np.zeros((size, size, 3))
        deep = strengths(aus, SYNTH_AUS, who.age, who.depth) * who.steepest * self._unit / 127
        shade(
            screen, normal, faces, uv, kinds, seen, weights, who.skin, who.atlas, who.relief,
            np.array(painting.CORNER, dtype=np.float64), deep, lit, lit_depth, self._light, self._key, self._ambient,
            self._gloss, image,
        )  # fmt: skip
        thin = slice(who.sheer, None)
        glow = 0.6 * self._ambient + 0.5 * self._key
        if who.sheer < len(who.faces):
            lay_over(screen, who.faces[thin], who.uv[thin], who.atlas, depth, 0.03 * self._unit, glow, image)
        out = np.empty((self._size, self._size, 3))
        half_size(image, self._behind(turned), seen, out)
        landmarks = screen[landmark_rows(), :2] / 2
        if who.glasses is not None:
            self._spectacles(out, turned, near, who.glasses)
        return np.clip(out, 0, 1), landmarks.astype(np.float32)

    def _posed(self, aus: Floats, gaze: Floats) -> Floats:
        who = self._who
        share = (aus / 5.0).astype(np.float32)
        moved = np.tensordot(share.reshape(-1), who.moves.reshape(-1, *who.moves.shape[2:]), 1)
        points = self._rest + moved
        # Whatever moves, the lips are apart only where AU 25 says so, and then they are: else its label would be wrong.
        part = float(share[:, _PART].mean()) ** 0.75
        gap = _gap(points[self._lips])
        least = max(self._gap, 0.0) + _LEAST_PART * part
        most = self._gap + 1.2 * min(1.0, 2.5 * part) * max(gap - self._gap, 0.0)
        wanted = max(least, min(gap, most)) if part else min(gap, most)
        closes = max(gap - _gap((points + self._seal)[self._lips]), 1e-3)
        points += np.clip((gap - wanted) / closes, -1.3, 1.3) * self._seal
        across, down = np.deg2rad(gaze)
        turn = _turn(across, down)
        for numbers, centre in who.eyeballs:
            points[numbers] = (points[numbers] - centre) @ turn.T + centre
        return np.asarray(points, dtype=np.float64)

    def _shadow(self, turned: Floats, faces: NDArray[np.int64]) -> tuple[Floats, Floats]:
        forward = self._light
        side = np.cross([0.0, 1.0, 0.0], forward)
        side /= np.linalg.norm(side)
        up = np.cross(forward, side)
        scale = _SHADOW_PX / 3.4
        lit = turned @ np.stack([side, up, forward]).T * scale
        lit[:, :2] += _SHADOW_PX / 2 - np.array([0, 0.35]) @ np.array([[0, 0], [0, 1]]) * scale
        depth = np.full((_SHADOW_PX, _SHADOW_PX), -1e9)
        fill_depth(lit, faces, depth)
        return lit, depth

    def _behind(self, turned: Floats) -> Floats:
        """(S, S, 3) background in linear light, with shoulders."""
        picture = self._background.copy()
        unit, (x, y) = self._unit / 2, self._origin / 2
        centre = (round(x), round(y + 3.1 * unit))
        cv2.ellipse(
            picture, centre, (round(2.0 * unit), round(1.25 * unit)), 0, 0, 360, self._clothes.tolist(), -1, cv2.LINE_AA
        )
        return np.asarray(picture**2)

    def _spectacles(self, out: Floats, turned: Floats, near: Floats, colour: Floats) -> None:
        rows = landmark_rows()
        thick = max(1, round(self._unit * 0.011))
        angle = np.linspace(0, 2 * np.pi, 24)
        rims = []
        for corners in ((36, 39), (42, 45)):
            middle = turned[rows[list(corners)]].mean(axis=0)
            along = turned[rows[45]] - turned[rows[36]]
            along /= np.linalg.norm(along)
            down = turned[rows[33]] - turned[rows[27]]
            down -= (down @ along) * along
            down /= np.linalg.norm(down)
            front = np.cross(along, down)
            front *= np.sign(front[2])
            ring = (
                middle + 0.10 * front + 0.04 * down + np.cos(angle)[:, None] * 0.235 * along
                + np.sin(angle)[:, None] * 0.17 * down
            )  # fmt: skip
            rims.append(ring)
        bridge = np.stack([rims[0][0], rims[1][12]])
        for line, closed in ((rims[0], True), (rims[1], True), (bridge, False)):
            scale = self._far / (self._far - line[:, 2:])
            flat = (line[:, :2] * scale * self._unit + self._origin) / 2
            cv2.polylines(out, [np.round(flat * 16).astype(np.int32)], closed, colour.tolist(), thick, cv2.LINE_AA, 4)


def _gap(lips: Floats) -> float:
    """How far the inner lips are apart, of three upper and three lower points."""
    return float((lips[[5, 4, 3], 1] - lips[:3, 1]).mean())


def _turn(across: float, down: float) -> Floats:
    """Rotation of an eyeball: looks to the picture's right, then down."""
    ca, sa, cd, sd = np.cos(across), np.sin(across), np.cos(down), np.sin(down)
    yaw = np.array([[ca, 0, sa], [0, 1, 0], [-sa, 0, ca]])
    pitch = np.array([[1, 0, 0], [0, cd, sd], [0, -sd, cd]])
    return np.asarray(yaw @ pitch)


def warm_up() -> None:
    """Bakes and compiles what is not there yet, by rendering one small picture."""
    camera = Camera(person(0, 0), draw_scene(np.random.default_rng(0)), 32, np.random.default_rng(0))
    camera.frame(np.zeros((2, len(SYNTH_AUS))), np.zeros(3), np.zeros(2))


def render_modelled(
    plan: ClipPlan, identity_of: tuple[int, int], size_px: int
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
    """Renders a clip as `synth.render_clip` does.

    Args:
        plan: the clip.
        identity_of: seed and number of the subject.
        size_px: side of the frames.

    Yields:
        Frames (size_px, size_px, 3) RGB uint8 and their landmarks (68, 2) in pixels.
    """
    clip = int(plan.name.rsplit("-", 1)[1])
    rng = stream(*identity_of, clip, "camera")
    camera = Camera(person(*identity_of), plan.scene, size_px, rng)
    grain = stream(*identity_of, clip, "grain")
    blur, noise = float(plan.scene.blur[0]) * size_px, float(plan.scene.noise[0])
    grey = rng.uniform() < 0.06
    for aus, pose, gaze in zip(plan.aus, plan.pose, plan.gaze, strict=True):
        image, landmarks = camera.frame(aus.astype(np.float64), pose.astype(np.float64), gaze.astype(np.float64))
        if blur > 0.2:
            image = np.asarray(cv2.GaussianBlur(image, (0, 0), blur), dtype=np.float64)
        if grey:
            image = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2)
        image = image + noise * grain.standard_normal((size_px, size_px, 1), dtype=np.float32)
        yield (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8), landmarks
