"""`duchenne demo`: synthetic faces -> pretraining -> linear protocol -> detection -> one page to look at.

The heads to learn from are held nearly still, because head motion orders frames better than expressions do; the people
to be tested on move theirs (docs/learning.md). The control that matters is the same method on the same clips with every
action unit held at zero: what that encoder scores was not learned from expressions. Whatever comes out, it is shown.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.config import load_mapping
from duchenne.demonstration import STEPS
from duchenne.demonstration.report import write_demo_report
from duchenne.detection.detect import detect
from duchenne.errors import UsageError
from duchenne.evaluation.evaluate import evaluate
from duchenne.files import replacing
from duchenne.model_files import FACE_FILES, model_path
from duchenne.synthetic.anatomy import SYNTH_AUS
from duchenne.synthetic.sampling import RATE, ClipPlan
from duchenne.synthetic.synth import synth, synthetic_clip
from duchenne.training.pretrain import pretrain
from duchenne.training.recipes import load_recipe

METHOD: Final = "temporal_ranking"
RECIPE: Final = "cpu/temporal_ranking"
SIZE_PX: Final = 64
FILM_PX: Final = 360


@dataclass
class DemoResult:
    """What the demonstration made.

    Attributes:
        report: the page to open.
        scores: the table of `evaluate`.
        detected: the table of `detect` on the rendered clip.
        seconds: spent on each part in this call; a part found finished is not in it.
    """

    report: Path
    scores: pd.DataFrame
    detected: pd.DataFrame
    seconds: dict[str, float] = field(default_factory=dict)


def demo(
    out: str | Path = "demo",
    *,
    seed: int = 0,
    subjects: int = 48,
    clips: int = 4,
    steps: int = STEPS,
    quiet: bool = False,
) -> DemoResult:
    """Runs the main job on synthetic faces; a part that an earlier call finished is not made again.

    Args:
        out: folder for everything that is made.
        seed: of the faces and the weights.
        subjects: people rendered to learn from, of whom the last quarter is a test split that training leaves out;
            half as many others, at least 6, are tested on.
        clips: of each person.
        steps: of pretraining.
        quiet: show no progress.

    Returns:
        The page's path and the two tables behind it.

    Raises:
        UsageError: when `out` holds something else, or was made with other arguments.
        InputError: when something cannot be written, or the model files of detection cannot be had.
    """
    for name in FACE_FILES:  # detection comes last and needs them: better to hear of it now
        model_path(name)
    out = Path(out)
    spent: dict[str, float] = {}
    faces: dict[str, Any] = {"clips": clips, "frames": 48, "size_px": SIZE_PX, "quiet": quiet}
    with timed(spent, "rendering"):
        for name, aus in (("unlabelled", "on"), ("unlabelled_aus_off", "off")):
            synth(out / name, subjects=subjects, seed=2 * seed, head="still", aus=aus, **faces)  # type: ignore[arg-type]
        synth(out / "labelled", subjects=max(6, subjects // 2), seed=2 * seed + 1, **faces)
    with timed(spent, "pretraining"):
        for name in ("unlabelled", "unlabelled_aus_off"):
            _pretrain_once(out / name, out / name.replace("unlabelled", "run"), seed, steps, quiet=quiet)
    with timed(spent, "linear protocol"):
        run, control = str(out / "run"), str(out / "run_aus_off")
        models = [run, control, f"random:{run}", "pixels"]
        folder = out / "linear"
        scores = evaluate("linear", model=models, data=out / "labelled", out=folder, baselines=False, quiet=quiet)
    with timed(spent, "detection"):
        frames, plan = smiling_clip(2 * seed + 1)
        write_film(out / "clip.mp4", frames)
        detected = detect(out / "clip.mp4", model="blendshapes", output=out / "clip_aus.csv")
    summary = json.loads((out / "linear" / "summary.json").read_text(encoding="utf-8"))
    write_demo_report(out, summary, frames, plan, detected, spent)
    return DemoResult(out / "report.html", scores, detected, spent)


def smiling_clip(seed: int) -> tuple[NDArray[np.uint8], ClipPlan]:
    """The first clip of a set, as a video of 3 seconds, in which AU12 comes and goes.

    Returns:
        Frames (T, FILM_PX, FILM_PX, 3) RGB uint8, and the plan with the exact action units.
    """
    from duchenne.synthetic.sampling import plan_clip

    length, place = 3 * int(RATE), SYNTH_AUS.index(12)
    for subject in range(100):
        for clip in range(4):
            smile = plan_clip(seed, subject, clip, length, style=0).aus[:, :, place].mean(1)
            if smile.max() > 3 and smile[0] < 1:
                return synthetic_clip(seed, subject=subject, clip=clip, frames=length, size_px=FILM_PX)
    raise AssertionError("no clip of 400 holds a smile")


def write_film(path: Path, frames: NDArray[np.uint8]) -> None:
    """Writes frames (T, H, W, 3) RGB uint8 as a video at 25 frames/s (VP9, a codec without the GPL)."""
    import av

    with replacing(path) as temporary, av.open(str(temporary), "w") as container:
        settings = {"crf": "20", "b": "0", "cpu-used": "6"}
        stream = container.add_stream("libvpx-vp9", rate=Fraction(int(RATE)), options=settings)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))


def _pretrain_once(data: Path, run: Path, seed: int, steps: int, *, quiet: bool) -> None:
    """Trains a run, goes on with it where it was interrupted, and leaves it alone where it is finished."""
    fields: dict[str, Any] = {"seed": seed, "max_steps": steps}
    if (run / "encoder.safetensors").exists():
        stored = load_mapping(run / "config.yaml")
        changed = [key for key, value in {**load_recipe(RECIPE, METHOD), **fields}.items() if stored.get(key) != value]
        if changed:
            raise UsageError(f"{run}: was made with another {', '.join(changed)}; name another --out or delete it.")
        return
    resume = (run / "checkpoint.pt").exists()
    if not pretrain(METHOD, data=data, out=run, recipe=RECIPE, resume=resume, quiet=quiet, **fields).finished:
        raise KeyboardInterrupt


@contextmanager
def timed(spent: dict[str, float], name: str) -> Iterator[None]:
    """Adds the seconds of a block to `spent`."""
    start = time.perf_counter()
    yield
    spent[name] = time.perf_counter() - start
