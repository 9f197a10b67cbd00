"""What an epoch passes over once: clips, recordings or frames; and which recording a clip was cut from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.data.clip_samplers import Clip
from duchenne.data.prepared import Prepared
from duchenne.data.single_frames import FrameClips
from duchenne.errors import UsageError

_UTTERANCE: Final = r"(id\d{5}/[\w-]+)/\d+(?:\.\w+)?(?:#\d+\.\d+)?$"
"""End of the name of a VoxCeleb2 clip: the speaker and the video come before the utterance."""
_FACE_RUN: Final = r"#\d+\.\d+$"
"""What `prepare` adds to the name of a file: face and run."""


def recording_ids(data: Prepared) -> NDArray[np.int64]:
    """(N,) a number per recording, unique over folders: what was filmed at one go, whatever it was cut into later.

    The clips of one video file are one recording, whoever is seen in them. VoxCeleb2 cuts a video into utterances,
    files of their own: the video is the recording. Where the source gives clips, as `synth` and data sets of pictures
    do, each clip of a subject is one.
    """
    subjects, clips = (data.frames[column].astype("string").fillna("") for column in ("subject", "clip"))
    from_file = clips.str.contains(_FACE_RUN, regex=True)
    names = clips.str.replace(_FACE_RUN, "", regex=True).where(from_file, subjects + "/" + clips)
    for number, info in enumerate(data.infos):
        if info.settings.get("reader") == "voxceleb2":
            here = data.frames["dataset"] == number
            video = clips.str.extract(_UTTERANCE, expand=False)
            names = video.where(here & video.notna(), names)
    codes, _ = pd.factorize(pd.MultiIndex.from_arrays([data.frames["dataset"], names]))
    return codes.astype(np.int64)


def epoch_units(
    clips: Sequence[Clip], of: Literal["clip", "video", "frame"], data: Prepared, frames: int
) -> Sequence[Clip]:
    """What an epoch draws from once each.

    Args:
        clips: the usable ones.
        of: `clip`: as they are; `video`: the clips of one recording as one, all their sequences equally likely;
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
        rows = np.concatenate([run.rows for clip in clips for run in clip.runs])
        return FrameClips(rows, data.subject_ids()[rows], np.zeros(len(rows), dtype=np.int64))
    if of == "clip":
        return clips
    recordings, merged = recording_ids(data), dict[tuple[int, float], Clip]()
    for clip in clips:
        key = int(recordings[clip.runs[0].rows[0]]), clip.unit_s
        first = merged.get(key)
        merged[key] = clip if first is None else replace(first, runs=first.runs + clip.runs)
    return list(merged.values())
