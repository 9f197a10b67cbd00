"""What is drawn from the irregular folders, in short: `python -m tests.data.orders FOLDER` prints it.

`orders.json` holds what it printed before the samplers read columns in place of a table of everything, and of epochs of
videos, since all that is drawn of a recording is of one clip; of units of one's own, since the note on clips left out
says more. `test_orders.py` holds them to it.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tests.data import irregular
from tests.data.irregular import digest

from duchenne.data.clip_frames import ClipFrames
from duchenne.data.clip_samplers import SequenceSampler
from duchenne.data.epochs import epoch_units, recording_ids
from duchenne.data.labels import LabelSpec
from duchenne.data.loaders import ClipLoader
from duchenne.data.prepared import Prepared
from duchenne.data.single_frames import FrameSampler
from duchenne.training.held_out import sample_clips, split_clips, split_subjects, training_rows

SAMPLERS: dict[str, Any] = {
    "sequence": lambda: SequenceSampler([0, 1, 3, 5]),
    "fixed": lambda: SequenceSampler([0, 2, 4], fixed_seed=5),
    "own unit": lambda: SequenceSampler([0, 1, 2, 3, 4, 5, 6, 7], unit_s=0.04),
    "two frames": lambda: ClipFrames(2),
    "one frame": lambda: ClipFrames(1),
    "labelled": lambda: FrameSampler(LabelSpec(aus=(1, 12), landmarks=True)),
    "balanced": lambda: FrameSampler(LabelSpec(emotions=("anger", "happiness", "neutral")), "emotion"),
}


def clips_digest(clips: Any) -> str:
    """All that a sampler knows of its clips."""
    return digest(*[
        (clip.number, clip.subject, clip.unit_s, *[
            (run.rows.tolist(), np.asarray(run.times_s, dtype=np.float64).tobytes(), run.starts) for run in clip.runs
        ])
        for clip in clips
    ])  # fmt: skip


def drawn(data: Prepared) -> dict[str, str]:
    """Name of a stage -> its digest."""
    found = {
        "subjects": digest(data.subject_ids()), "clips": digest(data.clip_ids()),
        "recordings": digest(recording_ids(data)),
        "names": digest(*[None if name is pd.NA else str(name) for name in data.subject_names()]),
        "occurrence": digest(data.occurrence()), "landmarks": digest(data.landmarks()),
    }  # fmt: skip
    rows = {"all": training_rows(data), "fold": training_rows(data, "0/3")}
    named = np.flatnonzero(data.subject_ids() >= 0)
    rows["learn"], rows["held"] = split_subjects(data, named, 0.4, 3)
    for of, own in rows.items():
        found[f"rows {of}"] = digest(np.asarray(own))
        for name, make in SAMPLERS.items():
            sampler = make()
            clips, short = sampler.usable_clips(data, own)
            found[f"{of}, {name}"] = digest(clips_digest(clips), short, sampler.notes(clips, short))
            if of not in ("all", "held"):
                continue
            for unit in ("clip", "video", "frame"):
                single = name in ("labelled", "balanced")
                if single != (unit == "frame") and not (name == "one frame" and unit == "frame"):
                    continue
                units = epoch_units(clips, unit, data, sampler.frames)
                learn, rest = split_clips(units, 0.3, 1, partial(recording_ids, data) if unit == "clip" else None)
                kept = sample_clips(rest, 5, 2)
                loader = ClipLoader(
                    data,
                    learn,
                    sampler,
                    batch_size=4,
                    size_px=6,
                    seed=7,
                    labels=LabelSpec(aus=(1, 12), landmarks=True, emotions=("anger", "neutral")),
                )
                batches = [loader.batch(step) for step in (0, 1, len(learn) // 4 + 1)]
                parts = [
                    digest(*(of_batch.numpy() for of_batch in (batch.rows, batch.clips, batch.subjects)), *[
                        (key, digest(value.numpy())) for key, value in sorted(batch.labels.items())
                    ])
                    for batch in batches
                ]  # fmt: skip
                found[f"{of}, {name}, {unit}"] = digest(clips_digest(learn), clips_digest(kept), *parts)
    return found


def folders(root: Path) -> dict[str, Prepared]:
    """One folder, and both as one."""
    irregular.write(root / "one", "one", parts=14, seed=1)
    irregular.write(root / "two", "one", parts=9, seed=2, reader="voxceleb2")
    return {"one": Prepared([root / "one"]), "both": Prepared([root / "two", root / "one"])}


if __name__ == "__main__":
    made = folders(Path(sys.argv[1]))
    print(json.dumps({name: drawn(data) for name, data in made.items()}, indent=1))
