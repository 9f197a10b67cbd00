"""What pretraining learns, on synthetic people it has never seen: linear AUC beside its controls, over seeds.

    python benchmarks/learning.py --out FOLDER [--seeds 3] [--subjects 32] [--heads natural still] [max_steps=300 ...]

For each seed and kind of head motion: temporal ranking on clips with action units and on the same clips with all of
them held at zero, then the linear protocol on other people (with natural head motion) for both encoders, the same
encoder with random weights, and pixels; and how well each representation tells the head's pose (R^2 of a ridge
regression on unseen people). Writes `learning.json` and prints Markdown tables. Finished parts are not made again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import duchenne
from duchenne.data.folds import k_fold
from duchenne.data.prepared import Prepared

RECIPE = "cpu/temporal_ranking"
FACES: dict[str, Any] = {"clips": 4, "frames": 48, "size_px": 64, "quiet": True}


def pretrained(out: Path, seed: int, head: str, aus: str, subjects: int, fields: dict[str, Any]) -> tuple[Path, float]:
    """The run of one cell, and the seconds that training took."""
    data, run = out / f"faces_{head}_{aus}_{seed}", out / f"run_{head}_{aus}_{seed}"
    duchenne.synth(data, subjects=subjects, seed=100 + 2 * seed, head=head, aus=aus, **FACES)
    if not (run / "encoder.safetensors").exists():
        duchenne.pretrain("temporal_ranking", data=data, out=run, recipe=RECIPE, seed=seed, quiet=True, **fields)
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    config = yaml.safe_load((run / "config.yaml").read_text())
    if any(config[key] != value for key, value in fields.items()):
        raise SystemExit(f"{run} was trained with other settings; name another --out.")
    images = config["batch_size"] * (config["triplets"] + 2) * config["log_every"]
    return run, sum(images / line["images_per_s"] for line in lines)


def pose_told(model: str, data: Path, out: Path) -> dict[str, float]:
    """R^2 of yaw and pitch on unseen people, from the features of a model."""
    table = out / "features.parquet"
    duchenne.embed(model=model, data=data, out=table, quiet=True)
    features = np.stack(pd.read_parquet(table)["feature"].to_numpy())
    truth = pd.read_parquet(data / "synthetic.parquet")
    fold = k_fold(list(Prepared([data]).subject_names()), 3)
    found = {}
    for name in ("yaw", "pitch"):
        values, predicted = truth[name].to_numpy(), np.zeros(len(truth))
        for number in range(3):
            ridge = make_pipeline(StandardScaler(), RidgeCV(np.logspace(0, 4, 9)))
            predicted[fold == number] = ridge.fit(features[fold != number], values[fold != number]).predict(
                features[fold == number]
            )
        found[name] = float(r2_score(values, predicted))
    return found


def cell(out: Path, seed: int, head: str, subjects: int, fields: dict[str, Any]) -> list[dict[str, Any]]:
    """All models of one seed and kind of head motion."""
    labelled = out / f"labelled_{seed}"
    duchenne.synth(labelled, subjects=subjects // 2, seed=101 + 2 * seed, **FACES)
    with_aus, seconds = pretrained(out, seed, head, "on", subjects, fields)
    without, _ = pretrained(out, seed, head, "off", subjects, fields)
    names = {str(with_aus): "pretrained", str(without): "pretrained, AUs off", f"random:{with_aus}": "random",
             "pixels": "pixels"}  # fmt: skip
    folder = out / f"linear_{head}_{seed}"
    duchenne.evaluate("linear", model=list(names), data=labelled, out=folder, sample_faces=0, quiet=True)
    summary = json.loads((folder / "summary.json").read_text())
    leads = {pair["second"]: pair["mean_of_folds"]["auc"] for pair in summary["differences"]
             if pair["first"] == str(with_aus)}  # fmt: skip
    always = summary["always_positive"]["mean_of_folds"]
    return [
        {
            "head": head, "seed": seed, "model": name, "auc": values["mean_of_folds"]["auc"],
            "f1": values["mean_of_folds"]["f1"], "lead": leads.get(model), "always": always,
            "pose": pose_told(model, labelled, folder), "training_s": seconds if name == "pretrained" else None,
        }
        for (model, values), name in zip(summary["models"].items(), names.values(), strict=True)
    ]  # fmt: skip


def tables(rows: list[dict[str, Any]]) -> str:
    """Markdown: one line per head motion and model, seeds side by side, then their mean."""
    columns = (
        "representation",
        "AUC per seed (95 % interval)",
        "mean",
        "lead of pretrained",
        "F1",
        "yaw R²",
        "pitch R²",
    )
    lines = []
    for head in dict.fromkeys(row["head"] for row in rows):
        lines += [f"\nHeads while learning: {head}\n", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
        here = [row for row in rows if row["head"] == head]
        for model in dict.fromkeys(row["model"] for row in here):
            mine = [row for row in here if row["model"] == model]
            leads = ", ".join(between(row["lead"], "+") for row in mine if row["lead"])
            told = [np.mean([row["pose"][name] for row in mine]) for name in ("yaw", "pitch")]
            cells = [model, ", ".join(between(row["auc"]) for row in mine)]
            cells += [f"**{np.mean([row['auc']['value'] for row in mine]):.3f}**", leads]
            cells += [f"{np.mean([row['f1']['value'] for row in mine]):.3f}", *(f"{value:.2f}" for value in told)]
            lines.append(f"| {' | '.join(cells)} |")
        always = np.mean([row["always"] for row in here])
        lines.append(f"| always positive | .500 | | | {always:.3f} | | |")
    return "\n".join(lines)


def between(estimate: dict[str, float], sign: str = "") -> str:
    """A value and its interval."""
    return f"{estimate['value']:{sign}.3f} ({estimate['low']:{sign}.3f} to {estimate['high']:{sign}.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--subjects", type=int, default=32)
    parser.add_argument("--heads", nargs="+", default=["natural", "still"])
    parser.add_argument("fields", nargs="*", help="of the run's configuration, e.g. max_steps=300")
    arguments = parser.parse_args()
    fields = {key: yaml.safe_load(value) for key, value in (item.split("=", 1) for item in arguments.fields)}
    rows, start = [], time.perf_counter()
    for seed in range(arguments.seeds):
        for head in arguments.heads:
            rows += cell(arguments.out, seed, head, arguments.subjects, fields)
            print(tables(rows), flush=True)
    machine = {
        "processor": platform.machine(), "cores": os.cpu_count(), "threads": torch.get_num_threads(),
        "torch": torch.__version__, "python": platform.python_version(), "duchenne": duchenne.__version__,
    }  # fmt: skip
    result = {"fields": fields, "faces": FACES, "subjects": arguments.subjects, "machine": machine, "rows": rows}
    (arguments.out / "learning.json").write_text(json.dumps(result, indent=1) + "\n")
    print(f"\n{time.perf_counter() - start:.0f} s on {machine}")


if __name__ == "__main__":
    main()
