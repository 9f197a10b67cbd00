"""The commands that `kills.py` ends, and what they are given."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from benchmarks.reliability.kills_processes import Process
from benchmarks.reliability.kills_review import REVIEW

LONGEST_S: Final = 1200.0
"""That an undisturbed command may take."""


@dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
        words: after `duchenne`; OUT stands for the folder or file that it writes.
        out: name of what it writes; several files where it is a folder that is not the command's own.
        working: names of files that grow while it works, and differ until it has finished.
        replaces: whether it may write over an earlier result; else it is begun over nothing.
        again: words that are added the second time where these files are there.
    """

    words: tuple[str, ...]
    out: str
    working: str = r"(?!)"
    replaces: bool = False
    again: tuple[tuple[str, str], ...] = ()


_QUIET: Final = ("--quiet",)
COMMANDS: Final[Mapping[str, Command]] = {
    "synth": Command(
        ("synth", "--out", "OUT", "--subjects", "4", "--clips", "1", "--frames", "8", "--size", "64", "--workers", "2",
         "--stats", "--quiet"), "faces", r"job\.yaml|parts/.*|shards/.*"),
    "prepare": Command(
        ("prepare", "videos", "--root", "IN/films", "--out", "OUT", "--workers", "2", "--size", "64", "--quiet"),
        "found", r"job\.yaml|parts/.*|shards/.*"),
    "prepare-alone": Command(
        ("prepare", "videos", "--root", "IN/films", "--out", "OUT", "--workers", "1", "--size", "64", "--quiet"),
        "found", r"job\.yaml|parts/.*|shards/.*"),
    "pretrain": Command(
        ("pretrain", "temporal_ranking", "--recipe", "smoke/temporal_ranking", "--backbone", "compact", "--data",
         "IN/faces", "--out", "OUT", "--size-px", "64", "--max-steps", "12", "--save-every", "3", "--log-every", "1",
         "--device", "cpu", "--quiet"),
        "run", r"(?!encoder|methods).*", again=(("checkpoint.pt", "--resume"), ("encoder.safetensors", "--resume"))),
    "evaluate": Command(
        ("evaluate", "linear", "--model", "IN/run", "random:IN/run", "--data", "IN/faces", "--out", "OUT", "--folds",
         "2", "--seeds", "2", "--l2", "0.1", "--no-baselines", "--device", "cpu", "--quiet"), "scores",
        r"unfinished/.*", True),
    "evaluate-finetune": Command(
        ("evaluate", "finetune", "--model", "IN/run", "--data", "IN/faces", "--out", "OUT", "--folds", "2", "--epochs",
         "2", "--workers", "2", "--no-baselines", "--device", "cpu", "--quiet"), "scores", r"unfinished/.*", True),
    "fit": Command(
        ("fit", "--model", "IN/run", "--data", "IN/faces", "--out", "OUT", "--device", "cpu", "--quiet"), "detector",
        replaces=True),
    "embed": Command(
        ("embed", "--model", "IN/run", "--data", "IN/faces", "--out", "OUT", "--device", "cpu", "--quiet"),
        "features.parquet", replaces=True),
    "retrieve": Command(
        ("retrieve", "--model", "IN/run", "--data", "IN/faces", "--query", "IN/face.png", "--out", "OUT", "--quiet"),
        "near.html", replaces=True),
    "detect": Command(
        ("detect", "IN/films/a.mp4", "-o", "OUT/a_aus.csv", "--report", "OUT/a.html", "--overlay", "OUT/a.mp4",
         "--quiet"), "detected", replaces=True),
    "detect-folder": Command(
        ("detect", "IN/films", "-o", "OUT/", "--report", "OUT/", "--workers", "2", "--quiet"), "detected",
        replaces=True),
    "export": Command(("export", "--model", "IN/detector", "--out", "OUT"), "detector.onnx", replaces=True),
    "summarize": Command(
        ("summarize", "IN/tables", "--trials", "IN/trials.csv", "-o", "OUT"), "summed", replaces=True),
    "agree": Command(
        ("agree", "IN/tables/a_aus.csv", "IN/tables/a_aus.csv", "--out", "OUT"), "agreed", replaces=True),
    "compare": Command(
        ("compare", "IN/scores", "--out", "OUT"), "compared", replaces=True),
    "review": Command(REVIEW, "pages"),
}  # fmt: skip


def build(root: Path) -> None:
    """What the commands are given, made by themselves."""
    from duchenne.demonstration.job import write_film
    from duchenne.synthetic.synth import synthetic_clip

    given = root / "IN"
    shutil.rmtree(given, ignore_errors=True)
    (given / "films").mkdir(parents=True)
    frames, _ = synthetic_clip(2, frames=10, size_px=360, head="fixed")
    for number, name in enumerate("abc"):
        write_film(given / "films" / f"{name}.mp4", frames[number:][:8])
    import cv2

    cv2.imwrite(str(given / "face.png"), np.ascontiguousarray(frames[0][:, :, ::-1]))
    (given / "trials.csv").write_text(
        "source,trial,onset_s,offset_s\n" + "".join(f"IN/films/{name}.mp4,one,0,0.2\n" for name in "abc")
    )
    steps = [
        ("synth", "--out", "IN/faces", "--subjects", "6", "--clips", "1", "--frames", "16", "--size", "64", "--workers",
         "1", "--quiet"),
        ("pretrain", "temporal_ranking", "--recipe", "smoke/temporal_ranking", "--backbone", "compact", "--data",
         "IN/faces", "--out", "IN/run", "--size-px", "64", "--device", "cpu", "--quiet"),
        ("fit", "--model", "IN/run", "--data", "IN/faces", "--out", "IN/detector", "--device", "cpu", "--quiet"),
        ("evaluate", "linear", "--model", "IN/run", "--data", "IN/faces", "--out", "IN/scores", "--folds", "2", "--l2",
         "0.1", "--no-baselines", "--device", "cpu", "--quiet"),
        ("detect", "IN/films", "-o", "IN/tables/", "--quiet"),
    ]  # fmt: skip
    for words in steps:
        process = Process(words, root, "build", cold=False)
        if process.wait(LONGEST_S) != 0:
            raise RuntimeError(f"{' '.join(words)}: {(root / 'stderr').read_text()}")
