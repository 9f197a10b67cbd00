"""Reader `voxceleb2`: face tracks of celebrities, for pretraining; no codes.

An utterance is a short video `SPEAKER/VIDEO/NUMBER.mp4`, or a folder of its frames. It is a clip, its speaker the
subject. Utterances of one speaker become one shard. With `per_subject` N, N utterances of every speaker are drawn, of
as many of their videos as there are: CLP (Li & Shan, 2023) has 8 videos of each, of 180 frames on average, which is the
length of an utterance.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from duchenne.preparing.sources.parts import VideoPart
from duchenne.preparing.sources.reading import IMAGES, VIDEOS, DataSet, Options, Reading, lone
from duchenne.preparing.sources.survey import Survey, listed
from duchenne.preparing.sources.tree import Tree

RATE: Final = 25.0
SPEAKERS: Final = {"train": 5_994, "test": 118}
UTTERANCES: Final = {"train": 1_092_009, "test": 36_237}
_UTTERANCE: Final = r"(?:(dev|test)/(?:mp4/|aac/)?)?(id\d{5})/([\w-]+)/(\d+)"


def _read(tree: Tree, options: Options) -> Reading:
    survey = Survey()
    reading = Reading(survey, grouped=True)
    found: dict[str, set[tuple[str, ...]]] = {"train": set(), "test": set()}
    packed, unplaced = [], 0
    videos = tree.index(_UTTERANCE + VIDEOS, lambda match: match.groups(""))
    pictures = {} if videos else tree.index(rf"{_UTTERANCE}/(\d+){IMAGES}", lambda match: match.groups(""))
    kept = None
    if options.per_subject is not None:
        there = {tuple(key[1:4]) for key in (videos or pictures)}
        kept = draw_utterances(there, options.per_subject, options.seed)
        survey.notes.append(
            f"{len(kept):,} of {len(there):,} utterances were drawn: {options.per_subject} of every speaker who has so "
            f"many (seed {options.seed})."
        )
    for (part, *utterance), name in (videos or pictures).items():
        if kept is not None and tuple(utterance[:3]) not in kept:
            continue
        if videos and tree.stored(name).member:
            packed.append(name)
            continue
        speaker, split = utterance[0], "test" if part.lower() == "test" else "train"
        found[split].add(tuple(utterance[:3]))
        unplaced += not part
        if videos:
            reading.videos.append(VideoPart(tree.stored(name).path, name, 1, None, speaker, split))
        else:
            number, clip = int(utterance[3]), "/".join(utterance[:3])
            values = {"subject": speaker, "clip": clip, "split": split, "time_s": number / RATE}
            reading.images.append(lone(tree, name, values, frame=number))
    if not videos and not pictures:
        raise VOXCELEB2.nothing(tree)
    for split, utterances in found.items():
        survey.count(f"{split} speakers", len({speaker for speaker, *_ in utterances}), SPEAKERS[split])
        survey.count(f"{split} utterances", len(utterances), None if kept is not None else UTTERANCES[split])
    survey.missing += tree.problems
    if packed:
        survey.missing.append(f"videos that lie in an archive, where they cannot be read: {listed(packed)}")
    if pictures:
        survey.notes.append(f"pictures are taken to follow each other at {RATE:g} per second.")
    if unplaced:
        survey.notes.append(f"{unplaced:,} files are in neither `dev` nor `test`: they get the split train.")
    return reading


def draw_utterances(there: Iterable[tuple[str, ...]], number: int, seed: int) -> set[tuple[str, ...]]:
    """Draws utterances of every speaker: one of each video in random order, then a second one, until there are enough.

    Args:
        there: (speaker, video, utterance).
        number: of every speaker; all of those who have fewer.
        seed: of the draw; that of one speaker does not depend on the others.
    """
    import numpy as np  # not needed for --help

    by_speaker: dict[str, dict[str, list[tuple[str, ...]]]] = defaultdict(lambda: defaultdict(list))
    for utterance in sorted(there):
        by_speaker[utterance[0]][utterance[1]].append(utterance)
    drawn = set[tuple[str, ...]]()
    for speaker, videos in by_speaker.items():
        rng = np.random.default_rng([seed, *speaker.encode()])
        shuffled = [[video[place] for place in rng.permutation(len(video))] for video in videos.values()]
        shuffled = [shuffled[place] for place in rng.permutation(len(shuffled))]
        rounds = max(map(len, shuffled))
        turns = [video[turn] for turn in range(rounds) for video in shuffled if turn < len(video)]
        drawn.update(turns[:number])
    return drawn


VOXCELEB2: Final[DataSet] = DataSet(
    name="voxceleb2",
    title="VoxCeleb2",
    about="face tracks of 6,112 speakers, for pretraining",
    read=_read,
    layout=("dev/mp4/id00012/21Uxsk56VDQ/00001.mp4",),
    licence="annotations CC-BY 4.0; the copyright of the videos remains with their owners",
    options=frozenset({"fps", "per_subject"}),
)
