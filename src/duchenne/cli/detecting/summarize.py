"""`duchenne summarize`: a table of action units, summed up per person, episode, combination and trial."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(kw_only=True)
class SummarizeArguments:
    """Sums up a table of action units per person, episode, combination and trial.

    Writes NAME_summary.csv, NAME_episodes.csv, NAME_combinations.csv, NAME_quality.csv and, with --trials,
    NAME_trials.csv.
    """

    table: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="AUS.csv")]
    """a table that `duchenne detect` wrote, CSV or Parquet"""
    trials: Annotated[Path | None, tyro.conf.arg(metavar="TRIALS.csv")] = None
    """trial, onset_s, offset_s; source where there are several; baseline_onset_s, baseline_offset_s to compare with"""
    names: Annotated[Path | None, tyro.conf.arg(metavar="NAMES.csv")] = None
    """source, face, name: who is who; equal names are one person, an empty name leaves the face out"""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="DIR")] = Path()
    """where to write; the working folder by default"""
    threshold: float | None = None
    """from where a raw score (AUxx_s) counts as present; by convention 2 for the model duchenne, 0.3 for others"""
    combinations: tuple[str, ...] = ("6+12", "1+4", "1+2+5", "12+14")
    """action units that are looked at together"""


def main(arguments: list[str]) -> int:
    """Runs `duchenne summarize`; returns its exit status."""
    given = tyro.cli(SummarizeArguments, prog="duchenne summarize", args=arguments)
    from duchenne.files import write_text
    from duchenne.tables.quality import advice
    from duchenne.tables.summarize import summarize

    summary = summarize(
        given.table, trials=given.trials, names=given.names, threshold=given.threshold, combinations=given.combinations
    )
    parts = {
        "summary": summary.faces,
        "episodes": summary.episodes,
        "combinations": summary.combinations,
        "quality": summary.quality,
        "trials": summary.trials,
    }
    for name, part in parts.items():
        if part is not None:
            path = given.output / f"{given.table.stem.removesuffix('_aus')}_{name}.csv"
            write_text(path, part.to_csv(index=False))
            print(f"{path}: {len(part)} rows")
    for sentence in advice(summary.quality):
        print(sentence)
    return 0
