"""What an epoch passes over once: clips, recordings or frames; and which recording a clip was cut from."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any, Final, Literal, overload

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from duchenne.data.clip_samplers import Clip, ClipTable
from duchenne.data.prepared import Prepared
from duchenne.data.single_frames import FrameClips
from duchenne.data.stored.rows import Rows
from duchenne.data.stored.spilled import spilled
from duchenne.errors import InputError, UsageError

_UTTERANCE: Final = r"(?P<video>id\d{5}/[\w-]+)/\d+(?:\.\w+)?(?:#\d+\.\d+)?$"
"""End of the name of a VoxCeleb2 clip: the speaker and the video come before the utterance."""
_SLASH: Final = pa.scalar("/", pa.large_string())
_FACE_RUN: Final = r"#\d+\.\d+$"
"""What `prepare` adds to the name of a file: face and run."""


def recording_ids(data: Prepared, rows: Rows = None) -> NDArray[np.int64]:
    """(n,) a number per recording: what was filmed at one go, whatever it was cut into later.

    The clips of one video file are one recording, whoever is seen in them. VoxCeleb2 cuts a video into utterances,
    files of their own: the video is the recording. Where the source gives clips, as `synth` and data sets of pictures
    do, each clip of a subject is one. A recording of one data set is the same in every folder that `prepare` made of
    it: at another rate, or with others left out.
    """
    return np.asarray(_recordings(data)[0][data.clip_ids(rows)], dtype=np.int64)


def copied_recordings(data: Prepared) -> tuple[str, ...]:
    """Names of recordings that lie in several folders, in order of appearance."""
    sets = _data_sets(data)
    if len(set(sets)) == len(sets):
        return ()
    codes, names, folders = _recordings(data)
    places = pd.DataFrame({"recording": codes, "folder": folders}).drop_duplicates()
    again = places["recording"].duplicated(keep=False) & ~places["recording"].duplicated()
    return tuple(names.take(pa.array(places.index[again])).to_pylist())


def is_unnamed(subject: str) -> bool:
    """Whether a subject is only a recording and the number of a face, as `prepare` calls whom nobody has named."""
    return re.search(r"#\d+$", subject) is not None


def check_people(data: Prepared, why: str) -> None:
    """Refuses a recording that lies in several folders with names of its people in one and numbers in another.

    They would count as different people.

    Args:
        data: of one or several folders.
        why: what cannot be done then, the end of the sentence.

    Raises:
        InputError: for the first of these.
    """
    sets, people = _data_sets(data), defaultdict[tuple[int, str], list[set[str]]](list)
    if len(set(sets)) == len(sets):
        return
    for own, (subjects, clips) in zip(sets, data.clip_texts()):
        files = pd.DataFrame({"file": pc.replace_substring_regex(clips, _FACE_RUN, ""), "subject": subjects})
        for file, found in files[files["subject"] != ""].groupby("file", sort=False)["subject"]:
            people[own, str(file)].append(set(found))
    for (_, file), seen in people.items():
        for one, other in permutations(seen, 2):
            numbers = sorted(name for name in one - other if is_unnamed(name))
            names = sorted(name for name in other - one if not is_unnamed(name))
            if numbers and names:
                raise InputError(
                    f"{data.paths[0]}: {file} lies in several of the folders, and there is `{names[0]}` in one and "
                    f"`{numbers[0]}` in another, who may be the same, so {why}; prepare all with the same --names."
                )


def _recordings(data: Prepared) -> tuple[NDArray[np.int64], pa.Array, NDArray[np.int64]]:
    """(C,) of every clip the number of its recording, its name, and the folder."""
    names, numbers, lengths = [], [], []
    for number, info, (subjects, clips) in zip(_data_sets(data), data.infos, data.clip_texts()):
        cut = pc.replace_substring_regex(clips, _FACE_RUN, "")
        own = pc.if_else(
            pc.match_substring_regex(clips, _FACE_RUN), cut, pc.binary_join_element_wise(subjects, clips, _SLASH)
        )
        if info.settings.get("reader") == "voxceleb2":
            found = pc.struct_field(pc.extract_regex(clips, _UTTERANCE), "video")
            own = pc.coalesce(found, own)
        names += own.chunks
        numbers.append(np.full(len(own), number))
        lengths.append(len(own))
    named = pa.chunked_array(names).combine_chunks()
    coded = named.dictionary_encode()
    keys = np.concatenate(numbers) * len(coded.dictionary) + coded.indices.to_numpy(zero_copy_only=False)
    return pd.factorize(keys)[0], named, np.repeat(np.arange(len(lengths)), lengths)


def _data_sets(data: Prepared) -> list[int]:
    """Of every folder the first that was prepared from the same data set; those that `prepare` did not make are alone.

    It is told by the reader, or where that reads any videos or tables, by the name.
    """
    first: dict[tuple[Any, ...], int] = {}
    found = []
    for number, info in enumerate(data.infos):
        reader = info.settings.get("reader")
        own = number if reader is None else info.name if reader in ("videos", "table") else ""
        found.append(first.setdefault((reader, own), number))
    return found


class Recordings(Sequence[Clip]):
    """The recordings of clips, in order of appearance, made when asked for; one with a single clip is that clip.

    Args:
        clips: the usable ones.
        recordings: (C,) the number of the recording of each.
    """

    def __init__(self, clips: Sequence[Clip], recordings: NDArray[np.int64]) -> None:
        codes, _ = pd.factorize(recordings)
        self._clips, self._places = clips, np.argsort(codes, kind="stable")
        self._end = np.cumsum(np.bincount(codes))

    def __len__(self) -> int:
        return len(self._end)

    @overload
    def __getitem__(self, place: int) -> Clip: ...
    @overload
    def __getitem__(self, place: slice) -> list[Clip]: ...
    def __getitem__(self, place: int | slice) -> Clip | list[Clip]:
        """The recording at a place, or some of them."""
        places = range(len(self))[place]
        if isinstance(places, range):
            return [self[own] for own in places]
        begin = int(self._end[places - 1]) if places else 0
        own = tuple(self._clips[int(clip)] for clip in self._places[begin : self._end[places]])
        if len(own) == 1:
            return own[0]
        return replace(own[0], runs=tuple(run for clip in own for run in clip.runs), parts=own)


def epoch_units(
    clips: Sequence[Clip], of: Literal["clip", "video", "frame"], data: Prepared, frames: int
) -> Sequence[Clip]:
    """What an epoch draws from once each.

    Args:
        clips: the usable ones.
        of: `clip`: as they are; `video`: recordings, one of whose clips is drawn, all their sequences equally likely;
            `frame`: every frame of every clip on its own.
        data: the frames.
        frames: that the method draws together.

    Raises:
        UsageError: when the method looks at single frames and an epoch of clips or videos was asked for, or at several
            and one of frames.
    """
    if isinstance(clips, FrameClips):
        if of != "frame":
            raise UsageError(f"--epoch-of {of}: the method looks at single labelled frames; use --epoch-of frame.")
        return clips
    if of == "frame":
        if frames != 1:
            raise UsageError(f"--epoch-of frame: the method looks at {frames} frames of a clip together; use clip.")
        rows = clips.pieces() if isinstance(clips, ClipTable) else (run.rows for clip in clips for run in clip.runs)
        return FrameClips(data, spilled(rows))
    if of == "clip":
        return clips
    return Recordings(clips, recording_ids(data, first_rows(clips)))


def first_rows(clips: Sequence[Clip]) -> NDArray[np.int64]:
    """(C,) the first row of every clip."""
    if isinstance(clips, FrameClips):
        return clips.rows
    if isinstance(clips, ClipTable):
        return clips.first_rows()
    return np.array([clip.runs[0].rows[0] for clip in clips], dtype=np.int64)
