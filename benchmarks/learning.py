"""What pretraining learns, on synthetic people in a rendering style it has never seen: linear AUC beside its controls.

    python benchmarks/learning.py --out FOLDER [--seeds 3] [--methods "ranking, k = 2" triplet] [max_steps=300 ...]

For each seed, kind of head motion and method (temporal ranking at three intervals, triplet, N-pair): pretraining on
clips in one style with action units and on the same clips with all of them held at zero, then the linear protocol on
other people in the other style (with natural head motion) for all of them, untrained weights and 16 x 16 grey
pictures; and how well each representation tells the head's pose (R^2 of a ridge regression on unseen people). Writes
`learning.json` and prints Markdown tables. Finished parts are not made again.
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

METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "ranking, k = 2": ("temporal_ranking", {}),
    "ranking, k = 1": ("temporal_ranking", {"interval": 1}),
    "ranking, k = 4": ("temporal_ranking", {"interval": 4}),
    "triplet": ("triplet", {}),
    "N-pair": ("n_pair", {}),
}
"""Name -> method and what differs from its recipe `cpu/METHOD`."""
FACES: dict[str, Any] = {"clips": 4, "frames": 48, "size_px": 64, "quiet": True}
STYLES = ("natural", "drawn")
"""Learned from, and tested on."""


def pretrained(out: Path, name: str, seed: int, head: str, aus: str, subjects: int, fields: dict[str, Any]) -> Path:
    """The run of one cell."""
    method, changed = METHODS[name]
    data, run = out / f"faces_{head}_{aus}_{seed}", out / f"{method}{changed.get('interval', 2)}_{head}_{aus}_{seed}"
    duchenne.synth(data, subjects=subjects, seed=100 + 2 * seed, head=head, aus=aus, style=STYLES[0], **FACES)
    wanted = {"seed": seed, **changed, **fields}
    if not (run / "encoder.safetensors").exists():
        resume = (run / "checkpoint.pt").exists()
        duchenne.pretrain(method, data=data, out=run, recipe=f"cpu/{method}", quiet=True, resume=resume, **wanted)
    config = yaml.safe_load((run / "config.yaml").read_text())
    if any(config[key] != value for key, value in wanted.items()):
        raise SystemExit(f"{run} was trained with other settings; name another --out.")
    return run


def small_pictures(data: Path, out: Path) -> Path:
    """A feature table of 16 x 16 grey pictures."""
    prepared = Prepared([data])
    grey = [prepared.image(row, 16).mean(axis=2, dtype=np.float32).ravel() / 255 for row in range(len(prepared))]
    table = prepared.frames[["subject", "clip", "frame"]].assign(feature=grey)
    table.to_parquet(out)
    return out


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


def cell(out: Path, seed: int, head: str, subjects: int, methods: list[str], fields: dict[str, Any]) -> list[Any]:
    """All models of one seed and kind of head motion."""
    labelled = out / f"labelled_{seed}"
    duchenne.synth(labelled, subjects=subjects // 2, seed=101 + 2 * seed, style=STYLES[1], **FACES)
    runs = {name: {aus: str(pretrained(out, name, seed, head, aus, subjects, fields)) for aus in ("on", "off")}
            for name in methods}  # fmt: skip
    models = {run: name if aus == "on" else f"{name}, AUs off" for name, pair in runs.items()
              for aus, run in pair.items()}  # fmt: skip
    pixels = f"features:{small_pictures(labelled, out / f'pixels_{seed}.parquet')}"
    models |= {f"random:{runs[methods[0]]['on']}": "random", pixels: "16 x 16 pixels"}
    folder = out / f"linear_{head}_{seed}"
    duchenne.evaluate(
        "linear", model=list(models), data=labelled, out=folder, baselines=False, sample_faces=0, maps="none", quiet=True
    )  # fmt: skip
    summary = json.loads((folder / "summary.json").read_text())
    leads = {(pair["first"], pair["second"]): pair["mean_of_folds"]["auc"] for pair in summary["differences"]}
    control = {pair["on"]: pair["off"] for pair in runs.values()}
    return [
        {
            "head": head, "seed": seed, "model": name, "auc": values["mean_of_folds"]["auc"],
            "f1": values["mean_of_folds"]["f1"], "lead": leads[model, control[model]] if model in control else None,
            "always": summary["always_positive"]["mean_of_folds"], "pose": pose_told(model, labelled, folder),
        }
        for (model, values), name in zip(summary["models"].items(), models.values(), strict=True)
    ]  # fmt: skip


def tables(rows: list[dict[str, Any]]) -> str:
    """Markdown: one line per head motion and model, seeds side by side, then their mean."""
    columns = (
        "representation",
        "AUC per seed (95 % interval)",
        "mean",
        "lead over AUs off",
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
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("fields", nargs="*", help="of the run's configuration, e.g. max_steps=300")
    arguments = parser.parse_args()
    fields = {key: yaml.safe_load(value) for key, value in (item.split("=", 1) for item in arguments.fields)}
    rows, start = [], time.perf_counter()
    for seed in range(arguments.seeds):
        for head in arguments.heads:
            rows += cell(arguments.out, seed, head, arguments.subjects, arguments.methods, fields)
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
