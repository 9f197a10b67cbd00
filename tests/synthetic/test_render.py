"""Rendering: exact landmarks, visible action units, the head in space."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from duchenne.synthetic import paint
from duchenne.synthetic.anatomy import SYNTH_AUS
from duchenne.synthetic.expression import shape_of
from duchenne.synthetic.people import (
    Expression,
    Identity,
    Scene,
    draw_identity,
    draw_scene,
    still_expression,
)
from duchenne.synthetic.render import finish, render

SIZE_PX = 128
FINE_PX = 256


def person(number: int) -> Identity:
    identity = draw_identity(np.random.default_rng([7, number]))
    identity.beard[:] = 0
    identity.glasses[:] = 0
    return identity


def lit_from_the_front() -> Scene:
    scene = draw_scene(np.random.default_rng(3), style=0)
    scene.light = torch.tensor([[-0.45, -0.50, 0.74]])
    scene.key, scene.ambient = torch.full((1, 3), 0.65), torch.full((1, 3), 0.40)
    return scene


def with_au(au: int, values: list[float]) -> Expression:
    expression = still_expression(len(values))
    expression.aus[:, :, SYNTH_AUS.index(au)] = torch.tensor(values)[:, None]
    return expression


@pytest.mark.parametrize("au", SYNTH_AUS)
def test_an_action_unit_changes_the_face_more_the_stronger_it_is(au: int) -> None:
    for number in range(2):
        images = render(
            person(number), with_au(au, [0, 1, 3, 5]), torch.zeros(4, 3), lit_from_the_front(), SIZE_PX
        ).images
        change = (images[1:] - images[:1]).abs().amax(dim=1).flatten(1)
        strongest = change.topk(150, dim=1).values.mean(dim=1)
        assert strongest[0] > 0.005
        assert strongest[2] > 0.03
        assert torch.all(strongest.diff() > 0.006), f"AU{au}: {strongest}"


# The landmark that moves most plainly, and where to (in the picture: right, down), at intensity 5.
PLAIN_MOVES = {
    1: (21, (0, -1)), 2: (18, (0, -1)), 4: (21, (0.5, 0.8)), 5: (37, (0, -1)), 7: (41, (0, -1)), 9: (31, (0, -1)),
    10: (50, (0, -1)), 12: (48, (-0.7, -0.7)), 15: (48, (0, 1)), 17: (57, (0, -1)), 20: (48, (-1, 0)),
    23: (57, (0, -1)), 24: (57, (0, -1)), 25: (66, (0, 1)), 26: (8, (0, 1)), 45: (37, (0, 1)),
}  # fmt: skip


@pytest.mark.parametrize("au", PLAIN_MOVES)
def test_landmarks_move_where_the_facs_says(au: int) -> None:
    point, direction = PLAIN_MOVES[au]
    landmarks = render(person(0), with_au(au, [0, 1, 3, 5]), torch.zeros(4, 3), lit_from_the_front(), SIZE_PX).landmarks
    unit = (landmarks[0, 45] - landmarks[0, 36]).norm()
    moved = (landmarks[1:, point] - landmarks[0, point]) @ torch.tensor(direction, dtype=torch.float32) / unit
    assert torch.all(moved.diff(prepend=torch.zeros(1)) > 0)
    assert moved[2] > 0.02


def test_one_side_of_the_face_moves_alone() -> None:
    expression = still_expression(2)
    expression.aus[1, 1, SYNTH_AUS.index(12)] = 5.0  # the subject's left: the picture's right
    rendered = render(person(0), expression, torch.zeros(2, 3), lit_from_the_front(), SIZE_PX)
    moved = (rendered.landmarks[1] - rendered.landmarks[0]).norm(dim=-1)
    assert moved[54] > 3.0
    assert moved[48] < 0.5


POSES = torch.tensor([[0.0, 0.0, 0.0], [8.0, -16.0, 5.0], [-10.0, 12.0, -8.0], [4.0, 18.0, 10.0]])


def expressions() -> Expression:
    expression = still_expression(4)
    for row, units in enumerate(((), (12, 6), (1, 2, 25), (15, 4))):
        for au in units:
            expression.aus[row, :, SYNTH_AUS.index(au)] = 4.0
    return expression


def on_the_edge(mask: Tensor, point: Tensor, within_px: float) -> bool:
    """Whether a mask (S, S) has both an inside and an outside pixel near a point (x, y)."""
    rows, columns = torch.meshgrid(torch.arange(FINE_PX) + 0.5, torch.arange(FINE_PX) + 0.5, indexing="ij")
    near = ((rows - point[1]) ** 2 + (columns - point[0]) ** 2) < within_px**2
    return bool((mask & near).any() and (~mask & near).any())


def near_scene() -> Scene:
    scene = lit_from_the_front()
    scene.camera = torch.tensor([[0.40, 0.5, 0.42]])  # the outer eye corners are 102 pixels apart
    return scene


@pytest.mark.parametrize("number", [0, 2])
def test_lip_landmarks_lie_on_the_outline_of_the_painted_lips(number: int) -> None:
    one, other = person(number), person(number)
    other.lips = 1.0 - one.lips
    first, second = (render(who, expressions(), POSES, near_scene(), FINE_PX) for who in (one, other))
    for row in range(4):
        mask = (first.images[row] - second.images[row]).abs().sum(0) > 0.12
        for point in range(48, 60):
            corner = point in (48, 54)  # the red thins out there
            assert on_the_edge(mask, first.landmarks[row, point], 5.0 if corner else 2.0), (row, point)


@pytest.mark.parametrize("number", [0, 2])
def test_eye_landmarks_lie_on_the_outline_of_the_painted_eyes(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = person(number), person(number)
    other.iris = 1.0 - one.iris
    first = render(one, expressions(), POSES, near_scene(), FINE_PX)
    monkeypatch.setattr(paint, "SCLERA", (0.0, 0.0, 0.0))
    second = render(other, expressions(), POSES, near_scene(), FINE_PX)
    for row in range(4):
        eyes = (first.images[row] - second.images[row]).abs().sum(0) > 0.15
        for point in range(36, 48):
            corner = point in (36, 39, 42, 45)
            assert on_the_edge(eyes, first.landmarks[row, point], 4.0 if corner else 3.0), (row, point)


def test_positive_angles_turn_the_head_as_said() -> None:
    turned = torch.tensor([[0.0, 0.0, 0.0], [12.0, 0.0, 0.0], [0.0, 12.0, 0.0], [0.0, 0.0, 12.0]])
    points = render(person(0), still_expression(4), turned, lit_from_the_front(), SIZE_PX).landmarks
    nose = points[:, 30] - 0.5 * (points[:, 36] + points[:, 45])
    assert nose[1, 1] > nose[0, 1] + 1  # pitch: the nose goes down
    assert nose[2, 0] > nose[0, 0] + 1.5  # yaw: to the picture's right
    assert points[3, 36, 1] < points[3, 45, 1] - 3  # roll: clockwise, so the picture's left eye rises


def test_pictures_do_not_depend_on_what_is_rendered_beside_them() -> None:
    scene = lit_from_the_front()
    together = render(person(0), expressions(), POSES, scene, SIZE_PX)
    alone = render(person(0), expressions()[2:3], POSES[2:3], scene, SIZE_PX)
    torch.testing.assert_close(together.images[2:3], alone.images, atol=2e-3, rtol=0)
    torch.testing.assert_close(together.landmarks[2:3], alone.landmarks, atol=1e-3, rtol=0)


def test_a_batch_of_people_equals_each_alone() -> None:
    people, scenes = [person(n) for n in range(3)], [draw_scene(np.random.default_rng(n)) for n in range(3)]
    for scene in scenes:
        scene.camera[:, 0] = 0.25  # one fineness of the canvas
    together = render(Identity.join(people), still_expression(3), POSES[:3], Scene.join(scenes), SIZE_PX)
    for row in range(3):
        alone = render(people[row], still_expression(1), POSES[row : row + 1], scenes[row], SIZE_PX)
        torch.testing.assert_close(together.images[row : row + 1], alone.images, atol=2e-3, rtol=0)


def test_values_and_landmarks_are_in_range_at_any_size() -> None:
    for size_px in (48, 64, 200):
        rendered = render(person(1), expressions(), POSES, lit_from_the_front(), size_px)
        assert rendered.images.shape == (4, 3, size_px, size_px)
        assert torch.isfinite(rendered.images).all()
        assert rendered.images.min() >= 0
        assert rendered.images.max() <= 1
        assert torch.all((rendered.landmarks > 0) & (rendered.landmarks < size_px))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=12)
def test_any_face_with_any_action_units_is_whole(seed: int) -> None:
    rng = np.random.default_rng(seed)
    expression = still_expression(2)
    expression.aus[:] = torch.from_numpy(5.0 * (rng.uniform(size=expression.aus.shape) < 0.5))
    shape = shape_of(draw_identity(rng), expression)
    rising = ("brow_4", "brow_3", "brow_2", "brow_1", "brow_0")
    lips = ("lip_upper_peak", "lip_upper_outer", "mouth_corner")
    for names in (rising, lips, ("eye_inner", "eye_upper_inner", "eye_upper_outer", "eye_outer")):
        across = torch.stack([shape.point(name)[..., 0] for name in names])
        assert torch.all(across[0] > 0)
        assert torch.all(across.diff(dim=0) > 0)
    for upper, lower in (("eye_upper_inner", "eye_lower_inner"), ("lip_upper_peak", "lip_lower_peak")):
        assert torch.all(shape.point(upper)[..., 1] <= shape.point(lower)[..., 1])
    pose = torch.from_numpy(rng.uniform(-20, 20, (2, 3)).astype(np.float32))
    rendered = render(draw_identity(rng), expression, pose, draw_scene(rng), 48)
    assert torch.isfinite(rendered.images).all()
    assert torch.isfinite(rendered.landmarks).all()


def test_the_camera_blurs_and_adds_noise() -> None:
    scene = lit_from_the_front()
    images = torch.zeros(2, 3, 64, 64)
    images[:, :, 32, 32] = 1.0
    scene.blur[:], scene.noise[:] = 0.02, 0.0
    blurred = finish(images, scene, torch.zeros(2, 1, 64, 64))
    assert blurred.max() < 0.3
    torch.testing.assert_close(blurred.sum(), images.sum(), atol=1e-3, rtol=0)
    scene.blur[:], scene.noise[:] = 0.0, 0.1
    noisy = finish(torch.full_like(images, 0.5), scene, torch.randn(2, 1, 64, 64))
    assert 0.08 < noisy.std() < 0.12


@pytest.mark.shared
def test_detectors_made_for_real_faces_find_them_where_they_are(shared: object) -> None:
    from duchenne.faces.find import FaceFinder
    from duchenne.synthetic.sampling import person as drawn
    from duchenne.synthetic.sampling import plan_clip
    from duchenne.synthetic.synth import render_clip

    found, errors = 0, []
    with FaceFinder() as finder:
        for subject in range(20):
            plan = plan_clip(5, subject, subject, 2)
            assert len(drawn(5, subject)) == 1
            picture, exact = next(iter(render_clip(plan, (5, subject), 256)))
            faces = [face for face in finder.find(picture) if face.landmarks is not None]
            if len(faces) == 1 and faces[0].landmarks is not None:
                found += 1
                unit = np.linalg.norm(exact[45] - exact[36])
                errors.append(np.linalg.norm(faces[0].landmarks - exact, axis=1) / unit)
    assert found >= 19
    assert np.median(errors) < 0.05


STANDS_FOR = {
    1: ("browInnerUp",), 2: ("browOuterUpLeft", "browOuterUpRight"), 4: ("browDownLeft", "browDownRight"),
    5: ("eyeWideLeft", "eyeWideRight"), 7: ("eyeSquintLeft", "eyeSquintRight"),
    12: ("mouthSmileLeft", "mouthSmileRight"), 15: ("mouthFrownLeft", "mouthFrownRight"), 26: ("jawOpen",),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.shared
def test_blendshapes_of_a_model_of_real_faces_follow_the_action_units_they_stand_for(shared: object) -> None:
    """An outside witness, at a fixed pose and in both styles; `benchmarks/faces/synth_witness.py` asks more."""
    from scipy.stats import spearmanr

    from duchenne.faces.find import FaceFinder
    from duchenne.faces.landmarks import BLENDSHAPES

    strengths = (2.5, 5.0)
    seen: dict[int, list[Tensor]] = {au: [] for au in STANDS_FOR}
    expression = still_expression(1 + len(strengths) * len(STANDS_FOR))
    for place, au in enumerate(STANDS_FOR):
        rows = slice(1 + 2 * place, 3 + 2 * place)
        expression.aus[rows, :, SYNTH_AUS.index(au)] = torch.tensor(strengths)[:, None]
        if au == 26:
            expression.aus[rows, :, SYNTH_AUS.index(25)] = 0.6 * torch.tensor(strengths)[:, None]
    with FaceFinder() as finder:
        for number in range(6):
            who = draw_identity(np.random.default_rng([21, number]))
            scene = draw_scene(np.random.default_rng([22, number]), style=number % 2)
            each = [expression[row : row + 1] for row in range(len(expression))]
            images = [render(who, moment, torch.zeros(1, 3), scene, FINE_PX).images[0] for moment in each]
            faces = [finder.find((image * 255 + 0.5).byte().permute(1, 2, 0).numpy()) for image in images]
            values = torch.from_numpy(np.stack([found[0].blendshapes for found in faces]))
            for place, (au, names) in enumerate(STANDS_FOR.items()):
                columns = [list(BLENDSHAPES).index(name) for name in names]
                seen[au].append(values[[0, 1 + 2 * place, 2 + 2 * place]][:, columns].mean(1))
    for au, shown in seen.items():
        rho = spearmanr(torch.cat(shown).numpy(), np.tile((0.0, *strengths), len(shown))).statistic
        assert rho >= 0.5, f"AU{au}: {rho:.2f}"
