"""Does "what to code next" help? AUC on other people against the seconds coded: chosen stretches against random ones.

    python benchmarks/reviewing/choosing.py [--out FILE.csv] [--seeds 3] [--rest]

Synthetic people, their landmarks as features, the heads of `fit`. A pool of people is coded two seconds at a time, from
eight random stretches on, eight more each round: at random, where the detector fitted so far is least sure, or where it
sees what is rarely coded, as the page proposes it. After each round a detector is fitted to what is coded and judged on
people who are not in the pool. All three begin with the same stretches.

With --rest every person of the pool is at rest in all clips but one, as people in most recordings are.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

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


class Frames(NamedTuple):
    """Frames of synthetic people: `subject, clip` (0 to CLIPS - 1) and `frame`, features and labels."""

    rows: pd.DataFrame
    features: NDArray[np.float32]
    labels: NDArray[np.float64]
    aus: list[int]


def frames_of(data: Prepared) -> Frames:
    """All coded frames."""
    coded = coded_rows(data)
    features = resolve("landmarks").features(data, coded.rows, Context(device=torch.device("cpu")))
    rows = data.frames.iloc[coded.rows][["subject", "clip", "frame"]].reset_index(drop=True)
    rows["clip"] = rows.groupby("subject")["clip"].transform(lambda own: pd.factorize(own)[0])
    return Frames(rows, features, coded.labels.astype(float), [int(au[2:]) for au in coded.aus])


def at_rest(moving: Frames, resting: Frames, chosen: NDArray[np.bool_]) -> Frames:
    """The chosen frames of `moving`, in which everybody moves in one clip, not the same, and rests in the others."""
    order = {subject: number % CLIPS for number, subject in enumerate(np.unique(moving.rows["subject"]))}
    in_it = [frames.rows["clip"] == frames.rows["subject"].map(order) for frames in (moving, resting)]
    kept = [(chosen & in_it[0]).to_numpy(), resting.rows["subject"].isin(moving.rows["subject"][chosen]) & ~in_it[1]]
    parts = [(one.rows[keep], one.features[keep], one.labels[keep]) for one, keep in zip((moving, resting), kept)]
    rows, features, labels = zip(*parts)
    return Frames(pd.concat(rows, ignore_index=True), np.concatenate(features), np.concatenate(labels), moving.aus)


def run(everything: Frames, resting: Frames | None, seed: int) -> list[dict[str, Any]]:
    """One seed: every arm, every round."""
    subjects = np.unique(everything.rows["subject"])
    rng = np.random.default_rng(seed)
    tested = everything.rows["subject"].isin(rng.permutation(subjects)[: len(subjects) // 3]).to_numpy()
    pool = Frames(
        everything.rows[~tested].reset_index(drop=True), everything.features[~tested], everything.labels[~tested],
        everything.aus,
    ) if resting is None else at_rest(everything, resting, ~tested)  # fmt: skip
    rows = pool.rows.copy()
    # One recording per person: clip after clip.
    rows["time_s"] = (rows["clip"] * FRAMES + rows["frame"]) / RATE
    rows["stretch"] = [
        f"{who}@{int(time_s / STRETCH_S + 1e-9)}" for who, time_s in zip(rows["subject"], rows["time_s"])
    ]
    rows = rows.sort_values(["subject", "time_s"])
    order = rows.index.to_numpy()
    rows = rows.reset_index(drop=True)
    features, labels, aus = pool.features[order], pool.labels[order], pool.aus
    groups = pd.factorize(rows["subject"])[0]
    first = rng.choice(np.unique(rows["stretch"]), BATCH, replace=False)
    found = []
    for arm in ("random", "doubt", "rare"):
        own, open_rows = np.random.default_rng(seed + 100), ~rows["stretch"].isin(first).to_numpy()
        for number in range(1, max(ROUNDS) + 1):
            known = ~open_rows
            heads = train_calibrated(features[known], labels[known], groups[known], seed=seed)
            if number in ROUNDS:
                said = np.nan_to_num(heads.probability(everything.features[tested]), nan=0.5)
                areas = roc_auc(everything.labels[tested], said)
                found.append({"seed": seed, "arm": arm, "seconds": known.sum() / RATE, "auc": float(np.nanmean(areas))})
            probability = np.asarray(np.where(heads.usable, heads.probability(features), 0.5), dtype=np.float64)
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
    parser.add_argument("--rest", action="store_true", help="people are at rest in all clips but one")
    given = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(given.seeds):
            made = {}
            for aus in ("on", "off") if given.rest else ("on",):
                out = Path(folder) / f"{seed}_{aus}"
                duchenne.synth(
                    out, subjects=SUBJECTS, clips=CLIPS, frames=FRAMES, size_px=32, seed=seed,
                    aus="on" if aus == "on" else "off",
                )  # fmt: skip
                made[aus] = frames_of(open_prepared(out))
            found += run(made["on"], made.get("off"), seed)
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
