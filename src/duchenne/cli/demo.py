"""`duchenne demo [--out DIR]`: the main job on synthetic faces, in minutes, with a page to look at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from duchenne.cli.parsing import parse
from duchenne.demonstration import CLIPS, LABELLED_STEPS, STEPS, SUBJECTS
from duchenne.plain import tell as print


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Synthetic data -> training -> linear protocol -> a detector -> detect -> report.html, in minutes on a CPU."""

    out: Path = Path("demo")
    """Folder for everything that is made; parts that an earlier call finished are kept."""
    seed: int = 1
    """Seed of the faces and the weights; the settings were chosen on the people of 0, those of 1 are new to them."""
    subjects: int = SUBJECTS
    """People to train on (a quarter is a test split that is left out); testing uses a quarter as many others."""
    clips: int = CLIPS
    """Training clips of each person."""
    steps: int = STEPS
    """Steps of pretraining."""
    labelled_steps: int = LABELLED_STEPS
    """Steps of the training with labels."""
    quiet: tyro.conf.FlagCreatePairsOff[bool] = False
    """Show no progress."""


def main(arguments: list[str]) -> int:
    """Runs the demonstration and prints what it found."""
    chosen = parse(Arguments, args=arguments, prog="duchenne demo")

    from duchenne.demonstration.job import demo
    from duchenne.evaluation.scoring import model_means

    result = demo(
        chosen.out,
        seed=chosen.seed,
        subjects=chosen.subjects,
        clips=chosen.clips,
        steps=chosen.steps,
        labelled_steps=chosen.labelled_steps,
        quiet=chosen.quiet,
    )
    print("linear protocol on people that no encoder has seen, mean of folds, then of action units:")
    print(model_means(result.scores).round(3).to_string())
    parts = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in result.seconds.items())
    print(f"{parts}; {sum(result.seconds.values()):.0f} s in all")
    print(f"-> {result.report}")
    return 0
