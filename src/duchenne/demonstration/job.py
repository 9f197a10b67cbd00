"""`duchenne demo`: synthetic faces -> two trainings -> linear protocol -> a detector -> detection -> one page.

Everything is on the lowest rung of the ladder of nuisances (`synth --head fixed`): nothing moves but action units,
because in minutes that is what can be learned (docs/learning.md says how far it carries). The control that matters is
the same pretraining on the same clips with every action unit held at zero: what that encoder scores was not learned
from expressions. Whatever comes out, it is shown.
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

from duchenne.config import SEEDS, Range, load_mapping, shortened
from duchenne.demonstration import CLIPS, LABELLED_STEPS, STEPS, SUBJECTS
from duchenne.demonstration.report import write_demo_report
from duchenne.detection.detect import detect
from duchenne.detectors.fit import fit
from duchenne.devices import one_thread
from duchenne.errors import UsageError
from duchenne.evaluation.evaluate import evaluate
from duchenne.files import replacing
from duchenne.model_files import FACE_FILES, model_path
from duchenne.parallel import in_processes
from duchenne.progress import progress_bar
from duchenne.synthetic.anatomy import SYNTH_AUS
from duchenne.synthetic.sampling import RATE, ClipPlan
from duchenne.synthetic.synth import synth, synthetic_clip
from duchenne.training.pretrain import pretrain
from duchenne.training.recipes import load_recipe

METHOD: Final = "emoco"
HURRIED: Final = {"lr": 0.002, "emotion_weight": 20.0, "warmup_steps": 20}
"""What differs from the recipe of `METHOD`, to learn something in a tenth of its steps (docs/learning_trials.md)."""
LABELLED: Final = "supervised"
SIZE_PX: Final = 64
FRAMES: Final = 6
"""Of a clip: with many clips of a person, who it is says little of the emotion."""
FILM_PX: Final = 360


@dataclass
class DemoResult:
    """What the demonstration made.

    Attributes:
        report: the page to open.
        scores: the table of `evaluate`.
        fitted: the table of `fit`: the detector's action units, judged on people left out.
        detected: the table of `detect` on the rendered clip.
        seconds: spent on each part in this call; a part found finished is not in it.
    """

    report: Path
    scores: pd.DataFrame
    fitted: pd.DataFrame
    detected: pd.DataFrame
    seconds: dict[str, float] = field(default_factory=dict)


def demo(
    out: str | Path = "demo",
    *,
    seed: int = 1,
    subjects: int = SUBJECTS,
    clips: int = CLIPS,
    steps: int = STEPS,
    labelled_steps: int = LABELLED_STEPS,
    quiet: bool = False,
) -> DemoResult:
    """Runs the main job on synthetic faces; faces and runs that an earlier call finished are not made again.

    Args:
        out: folder for everything that is made.
        seed: of the faces and the weights. The settings were chosen on the people of 0; those of 1 were new to them.
        subjects: people rendered to learn from, of whom the last quarter is a test split that training leaves out; a
            quarter as many others, at least 6, are tested on.
        clips: of each person.
        steps: of pretraining.
        labelled_steps: of the training with labels.
        quiet: show no progress.

    Returns:
        The page's path and the tables behind it.

    Raises:
        UsageError: when `out` holds something else, or was made with other arguments.
        InputError: when something cannot be written, or the model files of detection cannot be had.
    """
    for name, number, span in (
        ("seed", seed, Range(0, SEEDS.high // 3 - 1)),
        ("steps", steps, Range(1, 10**9)),
        ("labelled-steps", labelled_steps, Range(1, 10**9)),
    ):
        if not span.holds(number):  # now, not when all faces are rendered
            raise UsageError(f"--{name} {shortened(number)}: must be {span}.")
    for name in FACE_FILES:  # detection comes last and needs them: better to hear of it now
        model_path(name)
    out = Path(out)
    spent: dict[str, float] = {}
    faces: dict[str, Any] = {"clips": clips, "size_px": SIZE_PX, "head": "fixed", "style": "natural", "quiet": quiet}
    with timed(spent, "rendering"):
        for name, aus in (("faces", "on"), ("faces_aus_off", "hidden")):
            synth(out / name, subjects=subjects, frames=FRAMES, seed=3 * seed, aus=aus, **faces)  # type: ignore[arg-type]
        synth(out / "others", subjects=max(6, subjects // 4), frames=FRAMES, seed=3 * seed + 1, **faces)
    run, control, labelled = (out / name for name in ("run", "run_aus_off", "run_labelled"))
    calls = [(METHOD, out / "faces_aus_off", control, seed, steps), (METHOD, out / "faces", run, seed, steps)]
    with timed(spent, "training"), in_processes(_train_alone, calls, workers=2, lost=str(out)) as pretrained:
        with one_thread():
            _train_once(LABELLED, out / "faces", labelled, seed, labelled_steps, quiet=quiet)
        with progress_bar(quiet=quiet) as bar:
            for _ in bar.track(pretrained, total=len(calls), description="pretraining"):
                pass
    with timed(spent, "linear protocol"):
        models = [str(labelled), str(run), str(control), f"random:{run}", "pixels", "landmarks"]
        scores = evaluate("linear", model=models, data=out / "others", out=out / "linear", baselines=False, quiet=quiet)
    with timed(spent, "detector"):
        fitted = fit(model=str(labelled), data=out / "others", out=out / "detector", quiet=quiet)
    with timed(spent, "detection"):
        frames, plan = smiling_clip(3 * seed + 2)
        write_film(out / "clip.mp4", frames)
        detected = detect(out / "clip.mp4", model=str(out / "detector"), output=out / "clip_aus.csv")
    summary = json.loads((out / "linear" / "summary.json").read_text(encoding="utf-8"))
    write_demo_report(out, summary, frames, plan, fitted, detected, spent)
    return DemoResult(out / "report.html", scores, fitted, detected, spent)


def smiling_clip(seed: int) -> tuple[NDArray[np.uint8], ClipPlan]:
    """The first clip of a set, as a video of 3 seconds, in which AU12 comes and goes.

    Returns:
        Frames (T, FILM_PX, FILM_PX, 3) RGB uint8, and the plan with the exact action units.
    """
    from duchenne.synthetic.sampling import plan_clip

    length, place = 3 * int(RATE), SYNTH_AUS.index(12)
    for subject in range(100):
        for clip in range(4):
            smile = plan_clip(seed, subject, clip, length, style=0, head="fixed").aus[:, :, place].mean(1)
            if smile.max() > 3 and smile[0] < 1:
                return synthetic_clip(seed, subject=subject, clip=clip, frames=length, size_px=FILM_PX, head="fixed")
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


def _train_once(method: str, data: Path, run: Path, seed: int, steps: int, *, quiet: bool) -> None:
    """Trains a run, goes on with it where it was interrupted, and leaves it alone where it is finished."""
    recipe = f"cpu/{method}"
    fields: dict[str, Any] = {"seed": seed, "max_steps": steps, **(HURRIED if method == METHOD else {})}
    if (run / "encoder.safetensors").exists():
        stored = load_mapping(run / "config.yaml")
        changed = [key for key, value in {**load_recipe(recipe, method), **fields}.items() if stored.get(key) != value]
        if changed:
            raise UsageError(f"{run}: was made with another {', '.join(changed)}; name another --out or delete it.")
        return
    resume = (run / "checkpoint.pt").exists()
    if not pretrain(method, data=data, out=run, recipe=recipe, resume=resume, quiet=quiet, **fields).finished:
        raise KeyboardInterrupt


def _train_alone(*call: Any) -> None:
    """`_train_once` beside others."""
    with one_thread():
        _train_once(*call, quiet=True)


@contextmanager
def timed(spent: dict[str, float], name: str) -> Iterator[None]:
    """Adds the seconds of a block to `spent`."""
    start = time.perf_counter()
    yield
    spent[name] = time.perf_counter() - start
