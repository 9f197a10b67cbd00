"""Does "what to code next" help? AUC on other people against the seconds coded: chosen stretches against random ones.

    python benchmarks/review_choosing.py [--out FILE.csv] [--seeds 3]

Synthetic people, their landmarks as features, the heads of `fit`. A pool of people is coded two seconds at a time, from
eight random stretches on, eight more each round: at random, where the detector fitted so far is least sure, or where it
sees what is rarely coded. After each round a detector is fitted to what is coded and judged on people who are not in
the pool. All three begin with the same stretches.
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


def stretches(clips: NDArray[np.str_], frames: NDArray[np.int64]) -> NDArray[np.str_]:
    """A name for the two seconds that each row lies in."""
    place = (frames / RATE / STRETCH_S).astype(int)
    return np.array([f"{clip}@{part}" for clip, part in zip(clips, place)])


def next_ones(
    arm: str, probability: NDArray[np.float64], labels: NDArray[np.float64], aus: list[int], rows: pd.DataFrame,
    open_rows: NDArray[np.bool_], rng: np.random.Generator,
) -> list[str]:  # fmt: skip
    """The names of the next stretches."""
    if arm == "random":
        return list(rng.choice(np.unique(rows["stretch"][open_rows]), BATCH, replace=False))
    candidates = [
        Candidate(
            str(clip), 0, part["frame"].to_numpy() / RATE,
            {au: probability[part.index, column] for column, au in enumerate(aus)}, ~open_rows[part.index],
        )
        for clip, part in rows.groupby("clip")
    ]  # fmt: skip
    seconds = {au: float((labels[~open_rows, column] == 1).sum()) / RATE for column, au in enumerate(aus)}
    found = choose(candidates, by="doubt" if arm == "doubt" else "rare", coded_seconds=seconds, count=BATCH)
    return [f"{one['source']}@{round(one['onset_s'] / STRETCH_S)}" for one in found]


def run(data: Prepared, seed: int) -> list[dict[str, Any]]:
    """One seed: every arm, every round."""
    coded = coded_rows(data)
    features = resolve("landmarks").features(data, coded.rows, Context(device=torch.device("cpu")))
    table = data.frames.iloc[coded.rows]
    subjects = np.unique(coded.groups)
    rng = np.random.default_rng(seed)
    tested = np.isin(coded.groups, rng.permutation(subjects)[: len(subjects) // 3])
    rows = pd.DataFrame({"clip": table["clip"].to_numpy(), "frame": table["frame"].to_numpy()})[~tested].reset_index(
        drop=True
    )
    rows["stretch"] = stretches(rows["clip"].to_numpy(), rows["frame"].to_numpy())
    pool, labels, groups = features[~tested], coded.labels[~tested].astype(float), coded.groups[~tested]
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
