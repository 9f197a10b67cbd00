"""`duchenne summarize`: a table of action units, summed up per person, episode, combination and trial."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from duchenne._version import __version__
from duchenne.cli.parsing import parse
from duchenne.errors import UsageError
from duchenne.plain import tell as print


@dataclass(kw_only=True)
class SummarizeArguments:
    """Summarises a table of action units per person, episode, combination and trial.

    Writes NAME_summary.csv, NAME_episodes.csv, NAME_combinations.csv, NAME_quality.csv and, with --trials,
    NAME_trials.csv; NAME_summary.json says what they were made with. NAME is that of the table, or of the folder where
    there are several.
    """

    tables: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="AUS.csv|DIR ...")]
    """tables that `duchenne detect` wrote in any format, or the folder of `-o DIR/`; OpenFace's and py-feat's too"""
    trials: Annotated[Path | None, tyro.conf.arg(metavar="TRIALS.csv")] = None
    """trial, onset_s, offset_s; source where there are several; baseline_onset_s, baseline_offset_s to compare with"""
    names: Annotated[Path | None, tyro.conf.arg(metavar="NAMES.csv")] = None
    """source, face, name: who is who; equal names are one person, an empty name leaves the face out"""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="DIR")] = Path()
    """where to write; the working folder by default"""
    threshold: float | None = None
    """raw scores (AUxx_s) from this value on count as present; by convention 2 for the model duchenne, else 0.3"""
    combinations: tuple[str, ...] = ("6+12", "1+4", "1+2+5", "12+14")
    """action units to report in combination"""
    fps: float | None = None
    """frames per second, for tables that have no times (py-feat's)"""
    report: Annotated[Path | None, tyro.conf.arg(metavar="FILE.html")] = None
    """a page that shows every person in every trial, action unit by action unit"""


def main(arguments: list[str]) -> int:
    """Runs `duchenne summarize`; returns its exit status."""
    given = parse(SummarizeArguments, prog="duchenne summarize", args=arguments)
    if given.report is not None and given.report.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"--report {given.report}: is a page; give a name that ends in .html.")
    from duchenne.data.spreadsheets import csv_text
    from duchenne.files import shown_name, write_text
    from duchenne.tables.quality import advice
    from duchenne.tables.study_tables import study_name, table_files
    from duchenne.tables.summarize import summarize
    from duchenne.tables.writing import check_record, write_record

    summary = summarize(
        given.tables, trials=given.trials, names=given.names, threshold=given.threshold,
        combinations=given.combinations, fps=given.fps, report=given.report,
    )  # fmt: skip
    files = table_files(given.tables)
    name = study_name(files)
    check_record(given.output / f"{name}_summary.csv")
    parts = {
        "summary": summary.faces,
        "episodes": summary.episodes,
        "combinations": summary.combinations,
        "quality": summary.quality,
        "trials": summary.trials,
    }
    for ending, part in parts.items():
        if part is not None:
            path = given.output / f"{name}_{ending}.csv"
            write_text(path, csv_text(part))
            print(f"{path}: {len(part)} rows")
    record = {
        "duchenne": __version__, "tables": [shown_name(file) for file in files], "made_with": summary.made_with,
        "notes": summary.notes, "threshold": given.threshold, "combinations": given.combinations,
    }  # fmt: skip
    write_record(given.output / f"{name}_summary.csv", record)
    if given.report is not None:
        print(given.report)
    for sentence in summary.made_with:
        print(sentence)
    for sentence in summary.notes:
        print(f"duchenne summarize: {sentence}", file=sys.stderr)
    for sentence in advice(summary.quality):
        print(sentence)
    return 0
