"""What `reproduce` is asked besides the table: its command line and its keywords in Python. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from duchenne.config import Count, Workers
from duchenne.keywords import check_numbers


@dataclass(frozen=True, kw_only=True)
class Options:
    """How the steps are run, see `reproduce`."""

    miniature: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """On synthetic faces, with trainings of a few steps, to see that everything runs."""
    seeds: Count = 1
    """Repetitions of the evaluations."""
    baselines: bool = True
    """Evaluate an untrained encoder, blendshapes and landmarks with the models."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""
    devices: Workers = 1
    """Processes of each `pretrain`; what an evaluation trains in every fold takes one."""
    max_steps: Count | None = None
    """Steps of each training (of CL-ILE: of each stage), in place of the paper's length."""
    quiet: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Show no progress."""

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
            UsageError: in one sentence.
        """
        check_numbers(self)
