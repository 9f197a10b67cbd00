"""Reader `voxceleb2`: face tracks of celebrities, for pretraining; no codes.

An utterance is a short video `SPEAKER/VIDEO/NUMBER.mp4`, or a folder of its frames. It is a clip, its speaker the
subject. Utterances of one speaker become one shard.
"""

from __future__ import annotations

from typing import Final

from duchenne.data.datasets.parts import VideoPart
from duchenne.data.datasets.reading import IMAGES, VIDEOS, DataSet, Options, Reading, lone
from duchenne.data.datasets.survey import Survey, listed
from duchenne.data.datasets.tree import Tree

RATE: Final = 25.0
SPEAKERS: Final = {"train": 5_994, "test": 118}
UTTERANCES: Final = {"train": 1_092_009, "test": 36_237}
_UTTERANCE: Final = r"(?:(dev|test)/(?:mp4/|aac/)?)?(id\d{5})/([\w-]+)/(\d+)"


def _read(tree: Tree, options: Options) -> Reading:
    survey, reading = Survey(), Reading(Survey(), grouped=True)
    speakers: dict[str, set[str]] = {"train": set(), "test": set()}
    utterances = {"train": set[tuple[str, ...]](), "test": set[tuple[str, ...]]()}
    packed = []
    for found, name in tree.match(_UTTERANCE + VIDEOS):
        split = "test" if (found[1] or "").lower() == "test" else "train"
        if tree.stored(name).member:
            packed.append(name)
            continue
        speakers[split].add(found[2])
        utterances[split].add(found.group(2, 3, 4))
        reading.videos.append(VideoPart(tree.stored(name).path, name, 1, None, found[2], split))
    if not reading.videos:
        for found, name in tree.match(rf"{_UTTERANCE}/(\d+){IMAGES}"):
            split = "test" if (found[1] or "").lower() == "test" else "train"
            speakers[split].add(found[2])
            utterances[split].add(found.group(2, 3, 4))
            number = int(found[5])
            clip = "/".join(found.group(2, 3, 4))
            values = {"subject": found[2], "clip": clip, "split": split, "time_s": number / RATE}
            reading.images.append(lone(tree, name, values, frame=number))
        if reading.images:
            survey.notes.append(f"pictures are taken to follow each other at {RATE:g} per second.")
    if not reading.videos and not reading.images and not packed:
        raise VOXCELEB2.nothing(tree)
    for split in ("train", "test"):
        survey.count(f"{split} speakers", len(speakers[split]), SPEAKERS[split])
        survey.count(f"{split} utterances", len(utterances[split]), UTTERANCES[split])
    survey.missing += tree.problems
    if packed:
        survey.missing.append(f"videos that lie in an archive, where they cannot be read: {listed(packed)}")
    reading.survey = survey
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
