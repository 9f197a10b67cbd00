"""Label efficiency: the same evaluation with a share of the labels to train on, the tested faces unchanged.

Frames of a clip are near-duplicates: half the frames are nearly all the information. So subjects or clips can be left
out as well, and shares go down to a hundredth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.data.folds import Fold
from duchenne.data.prepared import Prepared
from duchenne.errors import UsageError
from duchenne.evaluation.arguments import LabelUnit, Threshold
from duchenne.evaluation.job import Job, Outcome
from duchenne.evaluation.scoring import Predictions, Summariser, cells, spread
from duchenne.evaluation.tasks import Task, one_split
from duchenne.evaluation.thresholds import decisions

COLUMNS: Final = ("model", "share", "unit", "training_units", "training_frames", "item", "fold", "seed", "f1", "auc")
CHOSEN: Final = ("l2", "prior_strength", "unlabelled_rows")
"""What a protocol says of each fold of a share."""
FEWEST_SUBJECTS: Final = 2
"""One to train on and one to hold out for the L2 strength; stored thresholds hold out one more before that."""


def units_of(data: Prepared, task: Task, unit: LabelUnit) -> NDArray[np.int64]:
    """(N,) the number of the subject, clip or frame of each row of the task.

    Raises:
        UsageError: when subjects are unknown.
    """
    if unit == "frames":
        return np.arange(len(task.rows))
    if unit == "clips":
        return data.clip_ids()[task.rows]
    if not task.knows_subjects:
        raise UsageError("--label-unit subjects: some faces have no subject; use clips or frames.")
    return task.group


def reduced(
    plan: Sequence[Fold],
    units: NDArray[np.int64],
    group: NDArray[np.int64],
    share: float,
    seed: int,
    fewest: int = FEWEST_SUBJECTS,
) -> list[Fold]:
    """The folds with a share of the units to train on; what a smaller share keeps, a larger one keeps too.

    Rows that are left out are the fold's unlabelled ones, for protocols that learn from those too.

    Args:
        plan: the folds.
        units: (N,) see `units_of`.
        group: (N,) the person of each row, see `Task.people`.
        share: of the units of each fold's training rows.
        seed: of the draw.
        fewest: people of whom rows are kept at least.
    """
    out = []
    for fold in plan:
        present = np.random.default_rng(seed).permutation(np.unique(units[fold.train]))
        first = np.full(int(units.max()) + 1, -1)
        first[units[fold.train]] = group[fold.train]  # frames and clips are of one subject
        apart = np.unique(first[present], return_index=True)[1]
        needed = np.sort(apart)[min(fewest, len(apart)) - 1] + 1
        kept = present[: max(round(share * len(present)), int(needed))]
        chosen = fold.train & np.isin(units, kept)
        out.append(Fold(train=chosen, test=fold.test, unlabelled=fold.train & ~chosen))
    return out


class Efficiency:
    """Evaluates with shares of the labels and keeps every cell.

    Args:
        job: the whole evaluation.
        shares: below 1, ascending; none: there is nothing to do.
        unit: what is left out.
        threshold: from which score an item is called present.

    Raises:
        UsageError: when subjects are to be left out but unknown.
    """

    def __init__(self, job: Job, shares: Sequence[float], unit: LabelUnit, threshold: Threshold) -> None:
        self._unit, self._threshold, self._rows = unit, threshold, list[dict[str, Any]]()
        fewest = FEWEST_SUBJECTS + (threshold == "stored")
        units = units_of(job.data, job.task, unit) if shares else np.arange(0)
        self._units, people = units, job.task.people
        parts = {
            share: {seed: reduced(plan, units, people, share, seed, fewest) for seed, plan in job.plans.items()}
            for share in shares
        }
        self._jobs = {share: replace(job, plans=plans, maps="none", quiet=True) for share, plans in parts.items()}
        self._whole = replace(job, maps="none", quiet=True)

    @property
    def table(self) -> pd.DataFrame:
        """One row per model, share, item, fold and seed."""
        return pd.DataFrame(self._rows, columns=list(COLUMNS))

    def add(
        self,
        model: str,
        whole: Mapping[int, Predictions],
        run: Callable[[Job], Outcome],
        summariser: Summariser,
    ) -> list[dict[str, Any]]:
        """Evaluates one model with every share.

        Args:
            model: its name.
            whole: what was tested with all labels.
            run: the protocol for this model, as a function of the job.
            summariser: of the whole.

        Returns:
            Per share, 1 last: `share`, mean `training_units` and `training_frames`, `f1` and `auc` with intervals,
            and the `spread` over splits; below 1 `CHOSEN`, as far as the protocol chooses them (of 1 the model has
            them itself).
        """
        out = []
        for share, job in {**self._jobs, 1.0: self._whole}.items():
            outcome = None if share == 1 else run(job)
            runs = dict(whole) if outcome is None else decisions(self._threshold, job, outcome, run)[0]
            chosen = {} if outcome is None else {name: outcome.facts[name] for name in CHOSEN if name in outcome.facts}
            amounts = {
                (seed, number): (len(np.unique(self._units[fold.train])), int(fold.train.sum()))
                for seed, plan in job.plans.items()
                for number, fold in enumerate(plan)
            }
            rows = cells(model, "", job.task.items, job.task.labels, runs)
            for row in rows:
                units, frames = amounts[row["seed"], row["fold"]]
                known = {"share": share, "unit": self._unit, "training_units": units, "training_frames": frames}
                self._rows.append({**row, **known})
            units, frames = np.mean(list(amounts.values()), axis=0)
            means = {"training_units": round(float(units), 2), "training_frames": round(float(frames), 2)}
            apart = spread(rows, one_split=one_split(job.plans, len(job.task.rows)))
            out.append({"share": share, **means, **chosen, **summariser.means(runs), "spread": apart})
        return out
