"""Curves, the head's surface and its inverse, the canvas."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import CubicHermiteSpline
from torch import Tensor

from duchenne.synthetic import relief
from duchenne.synthetic.anatomy import SYNTH_AUS
from duchenne.synthetic.canvas import Canvas
from duchenne.synthetic.curves import graph_curve
from duchenne.synthetic.expression import shape_of
from duchenne.synthetic.head import Egg, project, rotation_matrix
from duchenne.synthetic.people import draw_identity, still_expression


@given(st.integers(0, 10_000), st.integers(3, 8))
@settings(max_examples=30, deadline=None)
def test_curves_equal_scipys_hermite_spline(seed: int, knots: int) -> None:
    rng = np.random.default_rng(seed)
    x = np.cumsum(rng.uniform(0.05, 1.0, knots))
    y = rng.normal(size=knots)
    secants = np.diff(y) / np.diff(x)
    slopes = np.concatenate([secants[:1], (y[2:] - y[:-2]) / (x[2:] - x[:-2]), secants[-1:]])
    places = np.linspace(x[0] - 0.5, x[-1] + 0.5, 57)
    expected = CubicHermiteSpline(x, y, slopes)(np.clip(places, x[0], x[-1]))
    found = graph_curve(*(torch.from_numpy(part)[None] for part in (places, x, y)))[0].numpy()
    np.testing.assert_allclose(found, expected, atol=1e-9)


def egg(**changes: float) -> Egg:
    values = {"half_width": 0.8, "depth": 0.98, "crown": 1.3, "chin": 1.32, "jaw": 0.95} | changes
    return Egg(**{name: torch.tensor([value], dtype=torch.float64) for name, value in values.items()})


def bump(u: Tensor, v: Tensor) -> Tensor:
    return 0.2 * torch.exp(-((u / 0.12) ** 2) - ((v - 0.4) / 0.15) ** 2)


@pytest.mark.parametrize("pose", [(0, 0, 0), (10, -15, 8), (-12, 18, -5), (15, 10, 12)])
@pytest.mark.parametrize("jaw", [0.85, 1.0, 1.15])
def test_lines_of_sight_meet_the_surface_where_it_was_projected(pose: tuple[float, ...], jaw: float) -> None:
    head = egg(jaw=jaw)
    rotation = rotation_matrix(torch.tensor([pose], dtype=torch.float64))
    u, v = torch.meshgrid(
        torch.linspace(-0.55, 0.55, 12, dtype=torch.float64),
        torch.linspace(-0.7, 1.0, 12, dtype=torch.float64),
        indexing="ij",
    )
    u, v = u.reshape(1, -1), v.reshape(1, -1)
    flat = project(head.surface(u, v, bump(u, v)), rotation)
    x, y = flat[..., 0].view(1, 12, 12), flat[..., 1].view(1, 12, 12)
    seen_u, seen_v, inside = head.look(x, y, rotation, bump, steps=40)
    back = project(head.surface(seen_u.view(1, -1), seen_v.view(1, -1), bump(seen_u, seen_v).view(1, -1)), rotation)
    np.testing.assert_allclose(back, flat, atol=2e-3)  # wherever it looks, it sees what is drawn at that pixel
    assert torch.all(inside > 0)
    quick_u, quick_v, _ = head.look(x, y, rotation, bump, steps=3)  # what rendering uses
    assert float((quick_u - seen_u).abs().quantile(0.95)) < 0.02
    assert float((quick_v - seen_v).abs().quantile(0.95)) < 0.02


def test_rotations_are_rotations() -> None:
    matrices = rotation_matrix(torch.randn(20, 3, dtype=torch.float64) * 20)
    torch.testing.assert_close(matrices @ matrices.transpose(1, 2), torch.eye(3, dtype=torch.float64).expand(20, 3, 3))
    torch.testing.assert_close(torch.linalg.det(matrices), torch.ones(20, dtype=torch.float64))


def test_looking_up_the_canvas_gives_what_was_painted() -> None:
    canvas = Canvas.make(0.02, "cpu")
    side = torch.tensor([-1.0, 1.0]).view(1, 2, 1, 1)
    u, v = canvas.x.view(1, 1, 1, -1) * side, canvas.y.view(1, 1, -1, 1)
    halves = torch.stack([u.expand(1, 2, len(canvas.y), -1), v.expand(1, 2, -1, len(canvas.x))], dim=2)
    sheet = canvas.sheet(halves)
    places = torch.from_numpy(np.random.default_rng(0).uniform([-1.6, -1.3], [1.6, 1.6], (1, 30, 30, 2))).float()
    seen = canvas.look_up(sheet, canvas.place(places[..., 0], places[..., 1]))
    np.testing.assert_allclose(seen[0, 0], places[0, ..., 0], atol=2e-3)
    np.testing.assert_allclose(seen[0, 1], places[0, ..., 1], atol=2e-3)


def test_slopes_of_a_plane_are_its_gradient() -> None:
    canvas = Canvas.make(0.03, "cpu")
    plane = 0.3 * canvas.x.view(1, 1, 1, -1).abs() - 0.7 * canvas.y.view(1, 1, -1, 1)
    across, down = canvas.slopes(plane.expand(1, 2, -1, -1))
    np.testing.assert_allclose(across[..., 1:-1], 0.3, atol=1e-4)
    np.testing.assert_allclose(down[..., 1:-1, :], -0.7, atol=1e-4)


# Where the fold of an action unit is deepest: outward from and to, downward from and to, in distances of the outer eye
# corners (which lie at 0.5; the brows at -0.2 to -0.3, the mouth at 0.76), and whether each side has its own.
FOLDS = {
    1: (0.0, 0.35, -0.85, -0.35, True), 2: (0.35, 0.75, -0.85, -0.35, True), 4: (0.03, 0.15, -0.40, -0.10, False),
    6: (0.20, 0.80, -0.15, 0.25, True), 7: (0.20, 0.50, 0.05, 0.18, True), 9: (0.0, 0.20, -0.12, 0.25, False),
    10: (0.15, 0.40, 0.40, 0.70, True), 12: (0.25, 0.50, 0.40, 0.90, True), 14: (0.27, 0.45, 0.65, 0.90, True),
    15: (0.20, 0.45, 0.75, 1.00, True), 17: (0.0, 0.30, 0.84, 1.25, False), 20: (0.30, 0.60, 0.65, 0.90, True),
    23: (0.0, 0.25, 0.60, 1.00, False), 24: (0.20, 0.40, 0.68, 0.84, True),
}  # fmt: skip


@pytest.mark.parametrize("au", FOLDS)
def test_folds_lie_where_facs_puts_them(au: int) -> None:
    """Intensity 5 against none, and on the subject's left alone."""
    left, right, top, bottom, sided = FOLDS[au]
    expression = still_expression(3)
    place = SYNTH_AUS.index(au)
    expression.aus[1, :, place] = expression.aus[2, 1, place] = 5.0
    canvas = Canvas.make(0.012, "cpu")
    for number in range(3):
        identity = draw_identity(np.random.default_rng([7, number]))
        crease = relief.build(canvas, identity, shape_of(identity, expression)).crease
        deeper = crease[1:] - crease[:1]
        row, column = divmod(int(deeper[0, 1].argmax()), len(canvas.x))
        assert left <= float(canvas.x[column]) <= right, float(canvas.x[column])
        assert top <= float(canvas.y[row]) <= bottom, float(canvas.y[row])
        assert deeper[0].amax() > 0.1
        if sided:
            away = canvas.x > 0.15  # on the midline both sides meet
            assert deeper[1, 1][:, away].amax() > 0.1
            assert deeper[1, 0][:, away].abs().amax() < 0.5 * deeper[1, 1][:, away].amax()
