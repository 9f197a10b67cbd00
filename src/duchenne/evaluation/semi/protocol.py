"""`duchenne evaluate semi`: semi-supervised classifiers on frozen features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from duchenne.data.folds import Fold
from duchenne.evaluation.job import Job, Outcome
from duchenne.evaluation.protocols.frozen import Found, PenalisedProtocol, run_classifiers
from duchenne.evaluation.protocols.registry import SemiArguments
from duchenne.evaluation.semi.learning import learn_semi
from duchenne.features.source import Features, FeatureSource


class Semi(PenalisedProtocol[SemiArguments]):
    """Classifiers with a prior over label vectors, see `duchenne.evaluation.semi.learning`.

    The unlabelled faces are those whose labels a share leaves out; all of a face's missing labels count as such too.
    """

    name = "semi"
    text = (
        "one linear unit per item on frozen features standardised with the statistics of the faces learned from: "
        "labelled and unlabelled ones, with a prior over how labels go together"
    )

    def run(self, source: FeatureSource, job: Job) -> Outcome:
        """See `ScoredProtocol`."""
        settings, prior = self.settings, self.arguments.prior

        def fit(values: Features, plan: Sequence[Fold], seed: int) -> Found:
            found = learn_semi(
                values, job.task.labels, plan, job.task.people, prior=prior, l2=settings.l2,
                balanced=settings.weighting == "balanced", held_out=settings.held_out, seed=seed,
            )  # fmt: skip
            return {
                "score": found.score,
                "l2": np.array(found.l2),
                "strength": np.array(found.strength),
                "unlabelled": np.array(found.unlabelled),
            }

        found, outcome = run_classifiers(source, job, {"semi": prior, **asdict(settings)}, fit)
        chosen = {
            name: {str(seed): [float(value) for value in values[name]] for seed, values in found.items()}
            for name in ("l2", "strength", "unlabelled")
        }
        return outcome(
            {"l2": chosen["l2"], "prior_strength": chosen["strength"], "unlabelled_rows": chosen["unlabelled"]}
        )

    def describe(self, models: Sequence[FeatureSource]) -> dict[str, Any]:
        """See `ScoredProtocol`."""
        return super().describe(models) | {"prior": self.arguments.prior}
