"""Reader `voxceleb2`: face tracks of celebrities, for pretraining; no codes.

An utterance is a short video `SPEAKER/VIDEO/NUMBER.mp4`, or a folder of its frames. It is a clip, its speaker the
subject. Utterances of one speaker become one shard.
"""

from __future__ import annotations

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
    for (part, *utterance), name in (videos or pictures).items():
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
        survey.count(f"{split} utterances", len(utterances), UTTERANCES[split])
    survey.missing += tree.problems
    if packed:
        survey.missing.append(f"videos that lie in an archive, where they cannot be read: {listed(packed)}")
    if pictures:
        survey.notes.append(f"pictures are taken to follow each other at {RATE:g} per second.")
    if unplaced:
        survey.notes.append(f"{unplaced:,} files lie neither in `dev` nor in `test`: they get the split train.")
    return reading


VOXCELEB2: Final[DataSet] = DataSet(
    name="voxceleb2",
    title="VoxCeleb2",
    about="face tracks of 6,112 speakers, for pretraining",
    read=_read,
    layout=("dev/mp4/id00012/21Uxsk56VDQ/00001.mp4",),
    licence="annotations CC-BY 4.0; the copyright of the videos remains with their owners",
    options=frozenset({"fps"}),
)
