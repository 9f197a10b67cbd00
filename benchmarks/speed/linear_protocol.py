"""How long the linear protocol takes on features of the size of BP4D: 146,847 faces, 512 features, 12 AUs, 3 folds.

    python benchmarks/speed/linear_protocol.py [--runs 5] [--faces 146847] [--subset 15000] [--out FILE.json]

Times one L2, five L2 with the choice on held-out subjects, and the intervals; and, in the same run, scikit-learn's
LogisticRegression on the same problems over a subset of the faces (one L2, its default solver), with how far the AUCs
are apart. Features are random but like those of a network: rectified, correlated, of spreads over two decades.

Where other jobs share the machine, OMP_NUM_THREADS=1 and `processor_s` say what it would take alone, at most: threads
that wait for cores taken by others make wall times several times as long.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from duchenne.data.folds import Fold, from_assignment
from duchenne.evaluation.scoring import Predictions, Summariser
from duchenne.heads.linear import LinearResult, linear_protocol
from duchenne.heads.settings import LinearSettings
from duchenne.metrics import roc_auc
from measuring import machine

AUS, FOLDS, SUBJECTS, WIDTH, L2 = 12, 3, 41, 512, 0.01


def made_up(faces: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features (N, 512), labels (N, 12), subjects (N,)."""
    generator = torch.Generator().manual_seed(0)
    spread = torch.logspace(0, -2, WIDTH)[:, None]
    mixing = torch.randn(WIDTH, WIDTH, generator=generator) * spread
    hidden = torch.randn(faces, WIDTH, generator=generator)
    features = torch.relu(hidden @ mixing / 4 + 0.3 * torch.randn(faces, WIDTH, generator=generator))
    scaled = (features - features.mean(dim=0)) / features.std(dim=0)
    signal = scaled @ torch.randn(WIDTH, AUS, generator=generator) / WIDTH**0.5 * 2
    labels = signal - torch.linspace(0, 4, AUS) + torch.randn(faces, AUS, generator=generator) > 0
    return features.numpy(), labels.float().numpy(), np.arange(faces) * SUBJECTS // faces


def timed(call: Callable[[], Any], runs: int) -> tuple[dict[str, float], Any]:
    """Median, fastest and slowest of several runs in seconds, median processor seconds, and the last result."""
    spent, computed = [], []
    for _ in range(runs):
        start, start_cpu = time.perf_counter(), time.process_time()
        result = call()
        spent.append(time.perf_counter() - start)
        computed.append(time.process_time() - start_cpu)
    figures = {"median_s": statistics.median(spent), "min_s": min(spent), "max_s": max(spent)}
    return {**figures, "processor_s": statistics.median(computed)}, result


def with_scikit_learn(features: np.ndarray, labels: np.ndarray, folds: list[Fold]) -> np.ndarray:
    """The same problems one by one."""
    score = np.full(labels.shape, np.nan)
    for fold in folds:
        scaler = StandardScaler().fit(features[fold.train])
        train, test = scaler.transform(features[fold.train]), scaler.transform(features[fold.test])
        for au in range(labels.shape[1]):
            model = LogisticRegression(C=1 / (L2 * len(train)), class_weight="balanced", max_iter=1000)
            score[fold.test, au] = model.fit(train, labels[fold.train, au]).decision_function(test)
    return score


def intervals(labels: np.ndarray, folds: list[Fold], subjects: np.ndarray, result: LinearResult) -> dict[str, Any]:
    fold = np.select([f.test for f in folds], list(range(FOLDS)))
    of_subject = np.array([fold[subjects == subject][0] for subject in range(SUBJECTS)])
    items = [str(au) for au in range(AUS)]
    summariser = Summariser(labels, items, subjects, of_subject, resamples=1000, exclusive=False)
    return summariser.add("model", {0: Predictions(result.score, result.score > 0, fold)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--faces", type=int, default=146_847)
    parser.add_argument("--subset", type=int, default=15_000)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()

    features, labels, subjects = made_up(given.faces)
    folds = from_assignment(subjects % FOLDS)
    one, five = LinearSettings(l2=(L2,)), LinearSettings()
    report: dict[str, Any] = {
        "faces": given.faces, "features": WIDTH, "aus": AUS, "folds": FOLDS, "runs": given.runs,
        "machine": f"{machine()['processor']}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "versions": {
            "python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__,
            "scikit-learn": sklearn.__version__, "threads": torch.get_num_threads(),
        },
    }  # fmt: skip
    report["one_l2"], result = timed(lambda: linear_protocol(features, labels, folds, subjects, one), given.runs)
    report["one_l2"] |= {"iterations": result.iterations, "not_converged": result.not_converged}
    report["intervals"], _ = timed(lambda: intervals(labels, folds, subjects, result), given.runs)
    report["five_l2"], result = timed(lambda: linear_protocol(features, labels, folds, subjects, five), given.runs)
    report["five_l2"] |= {"not_converged": result.not_converged}
    report["peak_memory_gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20

    rows = np.linspace(0, given.faces - 1, given.subset).astype(int)
    part = [Fold(fold.train[rows], fold.test[rows]) for fold in folds]
    x, y, who = features[rows], labels[rows], subjects[rows]
    ours, result = timed(lambda: linear_protocol(x, y, part, who, one), given.runs)
    theirs, score = timed(lambda: with_scikit_learn(x, y, part), 1)
    apart = [np.abs(roc_auc(y[f.test], result.score[f.test]) - roc_auc(y[f.test], score[f.test])).max() for f in part]
    report["subset"] = {
        "faces": given.subset, "ours": ours, "scikit_learn": theirs, "ratio": theirs["median_s"] / ours["median_s"],
        "largest_auc_difference": float(max(apart)),
    }  # fmt: skip
    text = json.dumps(report, indent=1)
    print(text)
    if given.out:
        given.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
