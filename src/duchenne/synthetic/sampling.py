"""What happens in a clip: action units over time, emotion, head motion, gaze, blinks; drawn, not yet rendered.

Every part of a clip has a random stream of its own, so that switching one off (`aus="off"`, `head="fixed"`) leaves
the others as they were, and nothing tells of the action units but the face. How
this could still mislead: docs/synthetic.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from duchenne.synthetic.anatomy import SYNTH_AUS
from duchenne.synthetic.people import Expression, Identity, Scene, draw_identity, draw_scene

RATE: Final = 25.0
"""Frames a second."""
Head = Literal["natural", "still", "fixed"]
"""What moves beside action units, from much to nothing. `natural`: the head, the crop by the landmarks' jitter, gaze,
blinks. `still`: gaze and blinks. `fixed`: nothing, so that whatever changes from frame to frame but the grain is an
action unit."""

PROTOTYPES: Final[dict[str, tuple[int, ...]]] = {
    "happiness": (6, 12),
    "sadness": (1, 4, 15),
    "surprise": (1, 2, 5, 26),
    "fear": (1, 2, 4, 5, 20, 26),
    "anger": (4, 5, 7, 23),
    "disgust": (9, 15, 17),
    "contempt": (14,),
    "neutral": (),
}
"""Emotions and the AUs that tend to come with them."""

_EXCLUDES: Final = ((24, 25), (24, 26), (24, 23), (12, 15))
"""Pairs that one face hardly shows at once: of two drawn in one clip one is dropped by chance, oftener the second."""
_FREE: Final = tuple(au for au in SYNTH_AUS if au != 45)
_STREAMS: Final = {
    "identity": 0,
    "aus": 1,
    "head": 2,
    "gaze": 3,
    "blink": 4,
    "scene": 5,
    "grain": 6,
    "jitter": 7,
    "deck": 8,
    "modelled": 9,
    "camera": 10,
}


@dataclass(frozen=True)
class ClipPlan:
    """One clip before it is rendered.

    Attributes:
        name: unique over seeds.
        subject: name of the person, unique over seeds.
        aus: (T, 2, 18) intensity 0-5 on the subject's right and left.
        emotion: (T,) emotion or None (free combinations have none).
        pose: (T, 3) pitch, yaw, roll in degrees.
        gaze: (T, 2) right and down in degrees.
        scene: one row.
    """

    name: str
    subject: str
    aus: NDArray[np.float32]
    emotion: list[str | None]
    pose: NDArray[np.float32]
    gaze: NDArray[np.float32]
    scene: Scene

    @property
    def intensity(self) -> NDArray[np.float32]:
        """(T, 18) intensity as FACS scores it: of the stronger side."""
        return np.asarray(self.aus.max(axis=1))

    def expression(self, frames: slice) -> Expression:
        """Some of its frames, to render."""
        return Expression(aus=torch.from_numpy(self.aus[frames]), gaze=torch.from_numpy(self.gaze[frames]))


def stream(seed: int, subject: int, clip: int, name: str) -> np.random.Generator:
    """The random stream of one aspect of one clip."""
    return np.random.default_rng(np.random.SeedSequence([seed, subject, clip, _STREAMS[name]]))


def person(seed: int, subject: int) -> Identity:
    """The identity of a subject, one row."""
    return draw_identity(stream(seed, subject, 0, "identity"))


def subject_name(seed: int, subject: int) -> str:
    """Unique over seeds."""
    return f"s{seed}-{subject:04d}"


def plan_clip(
    seed: int,
    subject: int,
    clip: int,
    frames: int,
    *,
    head: Head = "natural",
    style: int | None = None,
    aus: bool = True,
) -> ClipPlan:
    """Draws one clip.

    Args:
        seed: of the whole set.
        subject: number of the person, from 0.
        clip: number of the clip of this person, from 0; even ones follow emotion prototypes, odd ones are free.
        frames: length.
        head: what moves beside action units. A blink is AU45, so `fixed` holds that at 0.
        style: number of the rendering style (`people.STYLES`); drawn where None.
        aus: False holds every AU at 0 and leaves everything else as it is.

    Returns:
        The plan.
    """
    rng = stream(seed, subject, clip, "aus")
    emotion: list[str | None] = [None] * frames
    emotions, combinations = _deal(stream(seed, subject, 0, "deck"), clip // 2 + 1)
    if clip % 2 == 0:
        strengths, emotion = _emotional(rng, frames, emotions[-1])
    else:
        strengths = _free(rng, frames, combinations[-1])
    if head != "fixed":
        strengths[:, :, SYNTH_AUS.index(45)] = _blinks(stream(seed, subject, clip, "blink"), frames)[:, None]
    if not aus:
        strengths[:] = 0.0
        emotion = ["neutral" if label else None for label in emotion]
    gaze = _wander(stream(seed, subject, clip, "gaze"), frames, 2, moving=5.0, fastest=1.0)
    if head == "fixed":
        gaze[:] = gaze[0]
    name = subject_name(seed, subject)
    return ClipPlan(
        name=f"{name}-{clip:03d}",
        subject=name,
        aus=strengths.astype(np.float32),
        emotion=emotion,
        pose=_pose(stream(seed, subject, clip, "head"), frames, head),
        gaze=gaze.astype(np.float32),
        scene=draw_scene(stream(seed, subject, clip, "scene"), style),
    )


def _deal(rng: np.random.Generator, number: int) -> tuple[list[str], list[list[int]]]:
    """The first emotions and free combinations of a person, dealt from shuffled decks.

    So a person shows every emotion before any comes again, and likewise every AU: without this, a small test split
    can lack an AU altogether.
    """
    emotions: list[str] = []
    while len(emotions) < number:
        emotions += [str(name) for name in rng.permutation(list(PROTOTYPES))]
    deck: list[int] = []
    combinations = []
    for _ in range(number):
        size = int(rng.integers(3, 8))
        if len(deck) < size:
            deck += [int(au) for au in rng.permutation([au for au in _FREE if au not in deck])]
        combinations.append(deck[:size])
        deck = deck[size:]
    return emotions[:number], combinations


def _emotional(rng: np.random.Generator, frames: int, emotion: str) -> tuple[NDArray[np.float64], list[str | None]]:
    onset, apex, offset = _durations(rng, frames)
    envelope = _event(frames, rng.uniform(0, frames), onset, apex, offset)
    chosen: dict[int, float] = {}
    for au in _FREE:
        if rng.uniform() < (0.72 if au in PROTOTYPES[emotion] else 0.10):
            chosen[au] = rng.uniform(1.5, 5.0) if au in PROTOTYPES[emotion] else rng.uniform(0.8, 4.0)
    if 26 in chosen and rng.uniform() < 0.85:
        chosen.setdefault(25, rng.uniform(2.0, 4.5))
    strengths = np.zeros((frames, 2, len(SYNTH_AUS)))
    for au, strength in _compatible(rng, chosen).items():
        if au in PROTOTYPES[emotion]:
            curve = np.roll(envelope, int(rng.integers(-3, 4)))
        else:
            curve = _event(frames, rng.uniform(0, frames), *_durations(rng, frames))
        sides = _sides(rng, one_sided=emotion == "contempt" and au == 14)
        strengths[:, :, SYNTH_AUS.index(au)] = strength * curve[:, None] * sides
    labels: list[str | None] = [emotion if strength >= 0.3 else "neutral" for strength in envelope]
    return strengths, labels


def _free(rng: np.random.Generator, frames: int, combination: list[int]) -> NDArray[np.float64]:
    chosen = {au: float(rng.uniform(1.2, 5.0)) for au in combination}
    if 26 in chosen and rng.uniform() < 0.85:
        chosen.setdefault(25, rng.uniform(2.0, 4.5))
    strengths = np.zeros((frames, 2, len(SYNTH_AUS)))
    for au, strength in _compatible(rng, chosen).items():
        curve = _event(frames, rng.uniform(0, frames), *_durations(rng, frames))
        strengths[:, :, SYNTH_AUS.index(au)] = strength * curve[:, None] * _sides(rng, one_sided=rng.uniform() < 0.08)
    return strengths


def _compatible(rng: np.random.Generator, chosen: dict[int, float]) -> dict[int, float]:
    for first, second in _EXCLUDES:
        if first in chosen and second in chosen:
            del chosen[first if rng.uniform() < 0.35 else second]
    return chosen


def _durations(rng: np.random.Generator, frames: int) -> tuple[float, float, float]:
    """Onset, apex, offset in frames; together at most the clip."""
    spans = np.array([rng.uniform(0.24, 0.8), rng.uniform(0.1, 1.6), rng.uniform(0.3, 1.1)]) * RATE
    onset, apex, offset = spans * min(1.0, frames / spans.sum())
    return float(onset), float(apex), float(offset)


def _event(frames: int, start: float, onset: float, apex: float, offset: float) -> NDArray[np.float64]:
    """Smooth rise, plateau and fall, on a circle of `frames` frames: no frame number is likelier than another."""
    time = (np.arange(frames) - start) % frames
    rise = np.clip(time / onset, 0, 1)
    fall = np.clip((onset + apex + offset - time) / offset, 0, 1)
    smooth = np.minimum(rise, fall)
    return np.asarray(smooth * smooth * (3 - 2 * smooth))


def _sides(rng: np.random.Generator, *, one_sided: bool) -> NDArray[np.float64]:
    """Factors of the right and left side; the stronger one is 1."""
    sides = np.ones(2)
    sides[rng.integers(2)] = 0.0 if one_sided else 1 - abs(rng.normal(0, 0.10))
    return np.clip(sides, 0, 1)


def _blinks(rng: np.random.Generator, frames: int) -> NDArray[np.float64]:
    """Blinks every four seconds or so, a third of a second each."""
    curve = np.zeros(frames)
    for _ in range(rng.poisson(frames / RATE / 4)):
        curve = np.maximum(curve, _event(frames, rng.uniform(0, frames), 2.5, 1.5, 4.0))
    return 5.0 * curve


def _pose(rng: np.random.Generator, frames: int, head: Head) -> NDArray[np.float32]:
    rest = rng.normal(0, 1, 3) * np.array([5.0, 7.0, 3.5])
    moved = _wander(rng, frames, 3, moving=1.0, fastest=0.7) * np.array([4.0, 6.0, 3.0])
    turned = rest + moved if head == "natural" else np.broadcast_to(rest, moved.shape)
    return np.asarray(np.clip(turned, [-18, -20, -15], [18, 20, 15]), dtype=np.float32)


def _wander(
    rng: np.random.Generator, frames: int, channels: int, *, moving: float, fastest: float
) -> NDArray[np.float64]:
    """Smooth random motion (frames, channels): a few slow waves of random phase."""
    time = np.arange(frames)[:, None, None] / RATE
    rates = rng.uniform(0.08, fastest, (1, channels, 4))
    phases = rng.uniform(0, 2 * np.pi, (1, channels, 4))
    sizes = rng.normal(0, 1, (1, channels, 4)) / np.sqrt(2)
    return np.asarray(moving * (sizes * np.sin(2 * np.pi * rates * time + phases)).sum(-1))
