"""CL-ILE's label embeddings with the paper's optimiser and with one of their own, on synthetic people.

    python benchmarks/learning/label_embeddings.py --out FOLDER [--seeds 3] [--tiny]

The paper says "SGD for all networks", 1e-5 in the stages `identity` and `general`; by default the embeddings have an
Adam of their own (1e-3) here. For each seed the network (stage `backbone`) is trained once; on it, frozen, both stages
are trained four times: the embeddings with SGD like everything else or with Adam, at the printed learning rate and at
one that moves networks of this size in so few steps. Prints, in Markdown, how alike the identity-label embeddings are
within subjects and within action units (mean |cos|; the loss raises the first and lowers the second), and the AUC and
F1 of the method's own scores on people of whom nothing was seen.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

import duchenne
from duchenne.config import from_mapping
from duchenne.data.prepared import Prepared
from duchenne.heads.tuning import score_faces
from duchenne.methods.cl_ile.method import ClIle
from duchenne.metrics import confusion, f1_from_counts, roc_auc
from duchenne.training.config import method_run_config
from duchenne.training.held_out import training_rows
from duchenne.training.pretrain import train_on

PRINTED, RAISED = 1e-5, 1e-2
SIZE_PX = 48
COMMON: dict[str, Any] = {
    "validation_share": 0.0, "size_px": SIZE_PX, "batch_size": 32, "schedule": "constant", "optimiser": "sgd",
    "weighting": "balanced", "device": "cpu",
}  # fmt: skip


class Judge(torch.nn.Module):
    """What a trained CL-ILE says of whole faces."""

    def __init__(self, method: ClIle) -> None:
        super().__init__()
        self.method = method

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.method.judge(x)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tiny", action="store_true", help="seconds, to see that it runs")
    given = parser.parse_args()
    people, steps = (6, 2) if given.tiny else (48, 150)
    sets = {}
    for name, number, seed in (("train", people, 5), ("test", people // 2, 6)):
        folder = given.out / name
        if not folder.exists():
            duchenne.synth(
                folder, subjects=number, clips=4, frames=4 if given.tiny else 12, size_px=SIZE_PX, seed=seed, quiet=True
            )
        sets[name] = Prepared([folder])
    print("| label embeddings | learning rate | seed | within subjects | within action units | AUC | F1 |")
    print("|---|---|---|---|---|---|---|")
    for seed in range(given.seeds):
        base = given.out / f"backbone{seed}"
        if not (base / "encoder.safetensors").is_file():
            duchenne.pretrain(
                "supervised", data=given.out / "train", out=base, weights="none", seed=seed, max_steps=2 * steps,
                lr=0.02, quiet=True, **COMMON,
            )  # fmt: skip
        for rate in (PRINTED, RAISED):
            for literal in (True, False):
                row = train(sets, base, given.out / f"run{seed}_{rate:g}_{literal}", rate, literal, seed, steps)
                kind = "SGD, as all networks" if literal else "Adam 1e-3"
                print(
                    f"| {kind} | {rate:g} | {seed} | " + " | ".join(f"{value:.3f}" for value in row) + " |", flush=True
                )


def train(
    sets: dict[str, Prepared], base: Path, out: Path, rate: float, literal: bool, seed: int, steps: int
) -> list[float]:
    """Trains both stages on a network and gives what a line of the table says."""
    fields = {
        **COMMON, "weights": str(base / "encoder.safetensors"), "backbone_epochs": 0, "max_steps": steps, "lr": rate,
        "literal_sgd": literal, "seed": seed, "hidden": 512, "log_every": 1,
    }  # fmt: skip
    config: Any = from_mapping(method_run_config("cl_ile"), fields, where="benchmark")
    _, method = train_on("cl_ile", config, sets["train"], training_rows(sets["train"]), out, job={}, quiet=True)
    assert isinstance(method, ClIle)
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    last = [line for line in lines if "within_subject" in line][-1]
    test, aus = sets["test"], method.config.aus
    truth = test.occurrence(aus)
    scores = score_faces(Judge(method).eval(), test, np.arange(len(test)), SIZE_PX, torch.device("cpu"))
    tp, fp, fn, _ = confusion(truth, scores > 0)
    return [
        last["within_subject"], last["within_au"], float(np.nanmean(roc_auc(truth, scores))),
        float(np.nanmean(f1_from_counts(tp, fp, fn))),
    ]  # fmt: skip


if __name__ == "__main__":
    main()
