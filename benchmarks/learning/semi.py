"""What priors over label vectors bring to linear classifiers, on made-up labels with noisy linear features.

    python benchmarks/learning/semi.py [--seeds 5] [--out FILE.json]

Ten labels, independent or in three combinations; missing in single labels (every second one is known in 5 % of the
faces, the others in 80 %) or in whole faces (5 % have labels). 800 faces to learn from, 2,000 fresh ones to test. First
what `evaluate semi` gives, everything chosen on held-out people, beside the same with a prior that does not count, and
the plain classifier with the best penalty for the tested faces. Then DAU-R's term as printed (likelihood) and as it is
here (likelihood against independent labels), by its strength.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from duchenne.data.folds import Fold
from duchenne.evaluation.semi.group_sparse import fit_group_sparse
from duchenne.evaluation.semi.learning import learn_semi
from duchenne.evaluation.semi.margins import fit_units
from duchenne.evaluation.semi.rbm import LabelMachine, fit_machine
from duchenne.metrics import f1_score, roc_auc

LABELS, WIDTH, ROWS, TESTED, NOISE = 10, 40, 800, 2000, 6.0
PATTERNS = np.array([[1, 1, 1] + [0] * 7, [0, 0, 0, 1, 1, 1, 1, 0, 0, 0], [0] * 6 + [1] * 4, [0] * 10])
PENALTIES = (1e-2, 1e-1, 1.0, 10.0)
STRENGTHS = (0.3, 1.0, 3.0, 10.0)


class Printed(LabelMachine):
    """The likelihood itself."""

    def dependence(self, labels: Tensor) -> Tensor:
        return self.free_energy(labels)


def made(seed: int, coupled: bool, missing: str) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Standardised features, labels as known in training (all of the tested faces), and the truth."""
    draw = np.random.default_rng(seed)
    chosen = PATTERNS[draw.choice(4, ROWS + TESTED, p=[0.25, 0.2, 0.2, 0.35])]
    share = np.where(chosen > 0, 0.95, 0.03) if coupled else np.full(chosen.shape, 0.25)
    truth = (draw.random(chosen.shape) < share).astype(np.float32)
    mixing = np.random.default_rng(99).normal(size=(LABELS, WIDTH))
    x = (truth @ mixing + NOISE * draw.normal(size=(len(truth), WIDTH))).astype(np.float32)
    x = (x - x[:ROWS].mean(0)) / x[:ROWS].std(0)
    seldom = np.where(np.arange(LABELS) % 2 == 0, 0.8, 0.05)
    known = draw.random(truth.shape) < seldom if missing == "labels" else draw.random((len(truth), 1)) < 0.05
    return x, np.where(known | (np.arange(len(truth)) >= ROWS)[:, None], truth, np.nan), truth


def scores(truth: NDArray[Any], found: NDArray[Any]) -> tuple[float, float]:
    return float(roc_auc(truth, found).mean()), float(f1_score(truth, found > 0).mean())


def chosen(seed: int, coupled: bool, missing: str) -> dict[str, float]:
    """AUC of what `evaluate semi` gives, and of plain classifiers."""
    x, labels, truth = made(seed, coupled, missing)
    train = np.arange(len(x)) < ROWS
    bare = train & np.isnan(labels).all(axis=1)
    fold = Fold(train=train & ~bare, test=~train, unlabelled=bare)
    groups = np.arange(len(x)) % 20 + 20 * ~train
    out = {}
    for prior in ("rbm", "group_sparse"):
        score = learn_semi(x, labels, [fold], groups, prior=prior, l2=PENALTIES, seed=seed).score  # type: ignore[arg-type]
        out[prior] = scores(truth[~train], score[~train])[0]
        bare_prior = learn_semi(
            x, labels, [fold], groups, prior=prior, l2=PENALTIES, strengths=(0.0,), seed=seed,  # type: ignore[arg-type]
        ).score  # fmt: skip
        out[f"{prior} that does not count"] = scores(truth[~train], bare_prior[~train])[0]
    machine = fit_machine(labels[train])
    units = [fit_units(x[train], labels[train], machine, strength=0.0, l2=l2) for l2 in PENALTIES]
    out["plain, for rbm"] = max(scores(truth[~train], one(x[~train]))[0] for one in units)
    models = [fit_group_sparse(x[train], labels[train], l2=l2, inferred_weight=0.0) for l2 in PENALTIES]
    out["plain, for group_sparse"] = max(
        scores(truth[~train], x[~train] @ model.weight[:-1] + model.weight[-1])[0] for model in models
    )
    return out


def by_strength(seed: int, coupled: bool) -> dict[str, tuple[float, float]]:
    """AUC and F1 of DAU-R's units at the best plain penalty, by the form and strength of its term."""
    x, labels, truth = made(seed, coupled, "labels")
    known, tested = labels[:ROWS], (x[ROWS:], truth[ROWS:])
    machine = fit_machine(known)
    plain = {l2: fit_units(x[:ROWS], known, machine, strength=0.0, l2=l2) for l2 in PENALTIES}
    l2 = max(plain, key=lambda one: scores(tested[1], plain[one](tested[0]))[0])
    out = {"plain": scores(tested[1], plain[l2](tested[0]))}
    printed = Printed(machine.visible, machine.hidden, machine.weight, machine.alone)
    for name, own in (("likelihood", printed), ("against independent labels", machine)):
        for strength in STRENGTHS:
            units = fit_units(x[:ROWS], known, own, strength=strength, l2=l2, start=plain[l2])
            out[f"{name}, {strength:g}"] = scores(tested[1], units(tested[0]))
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    result: dict[str, Any] = {}
    for coupled in (True, False):
        kind = "combinations" if coupled else "independent"
        for missing in ("labels", "faces"):
            rows = [chosen(seed, coupled, missing) for seed in range(arguments.seeds)]
            result[f"{kind}, {missing} missing"] = {name: [row[name] for row in rows] for name in rows[0]}
            said = "; ".join(
                f"{name} {np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"
                for name, values in result[f"{kind}, {missing} missing"].items()
            )
            print(f"{kind}, {missing} missing: {said}", flush=True)
        strengths = [by_strength(seed, coupled) for seed in range(arguments.seeds)]
        for name in strengths[0]:
            auc, f1 = np.mean([row[name] for row in strengths], axis=0)
            result.setdefault(f"{kind}, by strength", {})[name] = [auc, f1]
            print(f"{kind}, {name}: AUC {auc:.3f}, F1 {f1:.3f}", flush=True)
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
