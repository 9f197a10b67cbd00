"""Does "what to code next" help? AUC on other people against the seconds coded: chosen stretches against random ones.

    python benchmarks/review_choosing.py [--out FILE.csv] [--seeds 3]

Synthetic people, their landmarks as features, the heads of `fit`. A pool of people is coded two seconds at a time, from
eight random stretches on, eight more each round: at random, where the detector fitted so far is least sure, or where it
sees what is rarely coded, as the page proposes it. After each round a detector is fitted to what is coded and judged on
people who are not in the pool. All three begin with the same stretches.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

import duchenne
from duchenne.data.prepared import Prepared, open_prepared
from duchenne.detectors.calibrating.calibrated import train_calibrated
from duchenne.detectors.coded import coded_rows
from duchenne.features.resolve import resolve
from duchenne.features.source import Context
from duchenne.metrics import roc_auc
from duchenne.reviewing.choosing import STRETCH_S, Candidate, choose

SUBJECTS, CLIPS, FRAMES, RATE = 28, 6, 100, 25
BATCH, ROUNDS = 8, (1, 2, 3, 4, 6, 8, 12)


def next_ones(
    arm: str, probability: NDArray[np.float64], labels: NDArray[np.float64], aus: list[int], rows: pd.DataFrame,
    open_rows: NDArray[np.bool_], rng: np.random.Generator,
) -> list[str]:  # fmt: skip
    """The names of the next stretches."""
    if arm == "random":
        return list(rng.choice(np.unique(rows["stretch"][open_rows]), BATCH, replace=False))
    candidates = [
        Candidate(
            str(subject), 0, part["time_s"].to_numpy(),
            {au: probability[part.index, column] for column, au in enumerate(aus)}, ~open_rows[part.index],
        )
        for subject, part in rows.groupby("subject")
    ]  # fmt: skip
    seconds = {au: float((labels[~open_rows, column] == 1).sum()) / RATE for column, au in enumerate(aus)}
    found = choose(candidates, by="doubt" if arm == "doubt" else "rare", coded_seconds=seconds, count=BATCH)
    return [f"{one['source']}@{round(one['onset_s'] / STRETCH_S)}" for one in found]


def run(data: Prepared, seed: int) -> list[dict[str, Any]]:
    """One seed: every arm, every round."""
    coded = coded_rows(data)
    features = resolve("landmarks").features(data, coded.rows, Context(device=torch.device("cpu")))
    table = data.frames.iloc[coded.rows].reset_index(drop=True)
    subjects = np.unique(coded.groups)
    rng = np.random.default_rng(seed)
    tested = np.isin(coded.groups, rng.permutation(subjects)[: len(subjects) // 3])
    rows = table.loc[~tested, ["subject", "clip", "frame"]].reset_index(drop=True)
    # One recording per person: clip after clip.
    clip = rows.groupby("subject")["clip"].transform(lambda own: pd.factorize(own)[0])
    rows["time_s"] = (clip * FRAMES + rows["frame"]) / RATE
    rows["stretch"] = [
        f"{who}@{int(time_s / STRETCH_S + 1e-9)}" for who, time_s in zip(rows["subject"], rows["time_s"])
    ]
    rows = rows.sort_values(["subject", "time_s"])
    order = rows.index.to_numpy()
    rows = rows.reset_index(drop=True)
    pool, labels = features[~tested][order], coded.labels[~tested].astype(float)[order]
    groups = coded.groups[~tested][order]
    aus = [int(au[2:]) for au in coded.aus]
    first = rng.choice(np.unique(rows["stretch"]), BATCH, replace=False)
    found = []
    for arm in ("random", "doubt", "rare"):
        own, open_rows = np.random.default_rng(seed + 100), ~rows["stretch"].isin(first).to_numpy()
        for number in range(1, max(ROUNDS) + 1):
            known = ~open_rows
            heads = train_calibrated(pool[known], labels[known], groups[known], seed=seed)
            if number in ROUNDS:
                areas = roc_auc(
                    coded.labels[tested].astype(float), np.nan_to_num(heads.probability(features[tested]), nan=0.5)
                )
                found.append({"seed": seed, "arm": arm, "seconds": known.sum() / RATE, "auc": float(np.nanmean(areas))})
            probability = np.asarray(np.where(heads.usable, heads.probability(pool), 0.5), dtype=np.float64)
            open_rows &= (
                ~rows["stretch"].isin(next_ones(arm, probability, labels, aus, rows, open_rows, own)).to_numpy()
            )
        print(pd.DataFrame(found).tail(len(ROUNDS)).round(3).to_string(index=False, header=arm == "random"), flush=True)
    return found


def main() -> None:
    """Makes the people, runs the seeds, prints means."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(given.seeds):
            out = Path(folder) / str(seed)
            duchenne.synth(out, subjects=SUBJECTS, clips=CLIPS, frames=FRAMES, size_px=32, seed=seed)
            found += run(open_prepared(out), seed)
    table = pd.DataFrame(found)
    if given.out:
        table.to_csv(given.out, index=False)
    print(
        table.pivot_table(index="seconds", columns="arm", values="auc", aggfunc=["mean", "min", "max"])
        .round(3)
        .to_string()
    )


if __name__ == "__main__":
    main()
