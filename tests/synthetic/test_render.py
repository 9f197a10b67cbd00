"""Rendering: exactness of landmarks, visible action units, determinism."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from duchenne.data.synthetic.anatomy import SYNTH_AUS
from duchenne.data.synthetic.people import Expression, Identity, draw_identity, draw_scene, still_expression
from duchenne.data.synthetic.render import render

SIZE_PX = 128


@pytest.fixture(scope="module")
def people() -> Identity:
    return Identity.join([draw_identity(np.random.default_rng([7, number])) for number in range(6)])


def with_au(au: int, values: list[float]) -> Expression:
    expression = still_expression(len(values))
    expression.aus[:, :, SYNTH_AUS.index(au)] = torch.tensor(values)[:, None]
    return expression


@pytest.mark.parametrize("au", SYNTH_AUS)
def test_an_action_unit_changes_the_face_more_the_stronger_it_is(people: Identity, au: int) -> None:
    scene = draw_scene(np.random.default_rng(3), style=0)
    for number in range(2):
        images = render(
            people[number : number + 1], with_au(au, [0, 1, 3, 5]), torch.zeros(4, 3), scene, SIZE_PX
        ).images
        change = (images[1:] - images[:1]).abs().amax(dim=1).flatten(1)
        strongest = change.topk(150, dim=1).values.mean(dim=1)
        assert strongest[0] > 0.004
        assert torch.all(strongest.diff() > 0.004), f"AU{au}: {strongest}"


def test_one_side_of_the_face_moves_alone(people: Identity) -> None:
    scene = draw_scene(np.random.default_rng(3), style=0)
    expression = still_expression(2)
    expression.aus[1, 1, SYNTH_AUS.index(12)] = 5.0  # the subject's left: the picture's right
    rendered = render(people[:1], expression, torch.zeros(2, 3), scene, SIZE_PX)
    moved = (rendered.landmarks[1] - rendered.landmarks[0]).norm(dim=-1)
    assert moved[54] > 3.0
    assert moved[48] < 0.5
