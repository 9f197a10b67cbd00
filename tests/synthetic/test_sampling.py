"""What is drawn: independent streams, exact labels, no telling frame numbers."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch

from duchenne.synthetic.anatomy import SYNTH_AUS
from duchenne.synthetic.people import TensorRows
from duchenne.synthetic.sampling import PROTOTYPES, ClipPlan, person, plan_clip

FRAMES = 64


def fields_equal(first: TensorRows, second: TensorRows) -> bool:
    """Whether two of the same kind hold the same numbers."""
    return all(torch.equal(getattr(first, f.name), getattr(second, f.name)) for f in fields(first))


@pytest.fixture(scope="module")
def plans() -> list[ClipPlan]:
    return [plan_clip(0, subject, clip, FRAMES) for subject in range(60) for clip in range(8)]


def test_every_action_unit_is_there_and_none_is_everywhere(plans: list[ClipPlan]) -> None:
    share = np.concatenate([plan.intensity for plan in plans])[:, : len(SYNTH_AUS)] >= 2
    assert np.all(share.mean(0) > 0.02)
    assert np.all(share.mean(0) < 0.30)


def test_intensities_are_in_range_and_smooth(plans: list[ClipPlan]) -> None:
    curves = np.stack([plan.aus for plan in plans])
    assert curves.min() >= 0
    assert curves.max() <= 5
    others = curves[..., [au != 45 for au in SYNTH_AUS]]
    assert np.abs(np.diff(others, axis=1)).max() < 1.7  # an onset takes six frames or more
    assert curves.max(axis=(0, 1, 2)).min() > 3.5  # every unit reaches high intensities


def test_no_frame_number_is_likelier_to_show_an_action_unit(plans: list[ClipPlan]) -> None:
    shown = np.stack([plan.intensity for plan in plans]).mean(axis=(0, 2))
    assert np.ptp(shown.reshape(8, -1).mean(1)) < 0.2 * shown.mean()


def test_half_the_clips_follow_emotions(plans: list[ClipPlan]) -> None:
    emotional = [plan for plan in plans if plan.emotion[0] is not None]
    assert len(emotional) == len(plans) / 2
    assert all(all(label is None for label in plan.emotion) for plan in plans if plan.emotion[0] is None)
    assert {label for plan in emotional for label in plan.emotion} == set(PROTOTYPES)
    labels = np.array([label for plan in emotional for label in plan.emotion])
    intensity = np.concatenate([plan.intensity for plan in emotional])
    for emotion, units in PROTOTYPES.items():
        for au in units:
            column = intensity[:, SYNTH_AUS.index(au)]
            assert column[labels == emotion].mean() > column[labels == "neutral"].mean() + 0.5


def test_a_person_shows_every_emotion_and_every_action_unit_before_any_comes_again() -> None:
    for subject in range(10):
        shown = [plan_clip(1, subject, clip, 32) for clip in range(16)]
        emotional = [set(plan.emotion) - {"neutral"} for plan in shown if plan.emotion[0] is not None]
        assert sorted(emotion for labels in emotional for emotion in labels) == sorted(set(PROTOTYPES) - {"neutral"})
        free = np.stack([plan.intensity.max(axis=0) for plan in shown[1::2]])[:, :-1]
        assert (free.max(axis=0) > 0).sum() >= 15  # all of the 17 but what excludes each other


def test_contempt_is_one_sided(plans: list[ClipPlan]) -> None:
    dimples = [
        plan.aus[np.array([label == "contempt" for label in plan.emotion])][..., SYNTH_AUS.index(14)]
        for plan in plans
        if "contempt" in plan.emotion
    ]
    assert sum(float(sides.max()) > 1 for sides in dimples) > 3
    assert all(float(sides.min(axis=1).max()) == 0 for sides in dimples)


def test_action_units_off_leaves_everything_else_as_it_was() -> None:
    for clip in range(4):
        shown, off = plan_clip(3, 2, clip, FRAMES), plan_clip(3, 2, clip, FRAMES, aus=False)
        assert shown.aus.max() > 1
        assert off.aus.max() == 0
        np.testing.assert_array_equal(shown.pose, off.pose)
        np.testing.assert_array_equal(shown.gaze, off.gaze)
        assert fields_equal(shown.scene, off.scene)
        assert (shown.name, shown.subject) == (off.name, off.subject)


def test_a_ladder_of_what_moves() -> None:
    natural, still, fixed = (plan_clip(3, 2, 1, FRAMES, head=head) for head in ("natural", "still", "fixed"))
    assert np.ptp(natural.pose, axis=0).min() > 1
    for plan in (still, fixed):
        assert np.ptp(plan.pose, axis=0).max() == 0
        assert fields_equal(natural.scene, plan.scene)
    np.testing.assert_array_equal(natural.aus, still.aus)
    np.testing.assert_array_equal(natural.gaze, still.gaze)
    assert np.ptp(fixed.gaze, axis=0).max() == 0
    others = [au != 45 for au in SYNTH_AUS]
    np.testing.assert_array_equal(natural.aus[..., others], fixed.aus[..., others])
    blinked = [plan_clip(3, subject, 1, FRAMES, head="fixed").aus[..., SYNTH_AUS.index(45)] for subject in range(8)]
    assert np.max(blinked) == 0


def test_seeds_share_nobody() -> None:
    assert plan_clip(0, 1, 0, 4).subject != plan_clip(1, 1, 0, 4).subject
    assert plan_clip(0, 1, 0, 4).name != plan_clip(1, 1, 0, 4).name
    assert not fields_equal(person(0, 1), person(1, 1))
    assert fields_equal(person(0, 1), person(0, 1))


def test_nuisances_know_nothing_of_action_units(plans: list[ClipPlan]) -> None:
    pose = np.concatenate([plan.pose for plan in plans])[::8]
    light = np.concatenate([np.repeat(plan.scene.light.numpy(), FRAMES, 0) for plan in plans])[::8]
    intensity = np.concatenate([plan.intensity for plan in plans])[::8]
    both = np.corrcoef(np.concatenate([pose, light, intensity], axis=1).T)[:6, 6:]
    assert np.abs(both).max() < 0.17  # 480 clips: chance alone stays within three standard errors
