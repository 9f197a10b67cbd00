"""What EmoCo learns beyond the emotion: linear AUC on free combinations of action units, the emotion oracle beside it.

    python benchmarks/learning/emotion_study.py --out FOLDER [--seeds 3] [--variants EmoCo "L2" ...] [max_steps=300 ...]

On synthetic clips that follow emotion prototypes, the emotion label alone predicts action units, so an encoder that has
learned nothing but emotions would score well there. The clips of other people are therefore tested apart: `emotional`
ones, and `free` ones, whose action units are combined freely and which have no emotion. For each seed: the rows of
EmoCo's ablation (`cpu/emoco` with the changes of its Table IV), the first of them on the same clips and labels with all
action units held at zero (nothing of the labels can then be seen), untrained weights, and 16 x 16 grey pictures. Beside
them two oracles: the emotion label itself (emotional clips only), and an `emotion reader`: the probabilities of each
emotion from logistic regression on the exact intensities, which on free clips says what a face comes nearest to.

Writes `emotion_study.json` and prints Markdown tables. Finished runs are not made again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

import duchenne
from duchenne.data.prepared import Prepared
from duchenne.devices import processor_name

VARIANTS: dict[str, dict[str, Any]] = {
    "EmoCo": {},
    "one memory": {"queues": "single"},
    "L2": {"normalisation": "l2"},
    "contrast alone": {"emotion_weight": 0.0, "normalisation": "l2"},
    "emotion alone": {"contrast_weight": 0.0},
}
"""Name -> what differs from the recipe `cpu/emoco`: Table IV."""
FACES: dict[str, Any] = {"frames": 32, "size_px": 64, "quiet": True}
READER, LABEL, PIXELS = "emotion reader", "emotion label", "16 x 16 pixels"


def pretrained(out: Path, data: Path, name: str, seed: int, fields: dict[str, Any]) -> Path:
    """The run of one variant."""
    run = out / f"{name.replace(' ', '_')}_{data.name}"
    wanted = {"seed": seed, **VARIANTS[name], **fields}
    if not (run / "encoder.safetensors").exists():
        resume = (run / "checkpoint.pt").exists()
        duchenne.pretrain("emoco", data=data, out=run, recipe="cpu/emoco", quiet=True, resume=resume, **wanted)
    config = yaml.safe_load((run / "config.yaml").read_text())
    if any(config[key] != value for key, value in wanted.items()):
        raise SystemExit(f"{run} was trained with other settings; name another --out.")
    return run


def part(data: Path, out: Path, *, free: bool) -> Path:
    """A copy of prepared data with its free or its emotional clips alone."""
    table = pd.read_parquet(data / "frames.parquet")
    return copied(data, out, table[table["emotion"].isna() == free])


def relabelled(data: Path, out: Path, like: Path) -> Path:
    """A copy of clips without action units that has the emotions of the same clips with them."""
    table, other = (pd.read_parquet(folder / "frames.parquet") for folder in (data, like))
    keys = ["subject", "clip", "frame"]
    if not table[keys].equals(other[keys]):
        raise SystemExit(f"{data} and {like} are not the same clips; name another --out.")
    return copied(data, out, table.assign(emotion=other["emotion"]))


def copied(data: Path, out: Path, table: pd.DataFrame) -> Path:
    """A copy of prepared data with another table."""
    if not out.exists():
        making = out.with_suffix(".making")
        shutil.copytree(data, making, dirs_exist_ok=True)
        table.to_parquet(making / "frames.parquet")
        making.rename(out)
    return out


def features(data: Path, values: NDArray[np.float32], out: Path) -> str:
    """A table of features as `--model`."""
    table = Prepared([data]).frames[["subject", "clip", "frame"]]
    table.assign(feature=list(values)).to_parquet(out)
    return f"features:{out}"


def grey(data: Path) -> NDArray[np.float32]:
    prepared = Prepared([data])
    return np.stack(
        [prepared.image(row, 16).mean(axis=2, dtype=np.float32).ravel() / 255 for row in range(len(prepared))]
    )


def labels(data: Path) -> NDArray[np.float32]:
    """The emotion labels, one column each."""
    return pd.get_dummies(Prepared([data]).frames["emotion"]).to_numpy(dtype=np.float32)


def reader(data: Path, learned_from: Path) -> NDArray[np.float32]:
    """What logistic regression on the exact intensities says of the emotions."""
    intensities = [name for name in Prepared([data]).frames if name.endswith("_i")]
    known, shown = Prepared([learned_from]).frames, Prepared([data]).frames
    model = LogisticRegression(max_iter=2000).fit(known[intensities], known["emotion"].astype(str))
    return np.asarray(model.predict_proba(shown[intensities]), dtype=np.float32)


def cell(out: Path, seed: int, subjects: int, clips: int, names: list[str], fields: dict[str, Any]) -> list[Any]:
    """All models of one seed on both kinds of clips."""
    learned, off, tested = (out / f"{name}_{seed}" for name in ("learned", "off", "tested"))
    for data, people, number, aus in (
        (learned, subjects, 200 + 2 * seed, "on"), (off, subjects, 200 + 2 * seed, "off"),
        (tested, subjects // 2, 201 + 2 * seed, "on"),
    ):  # fmt: skip
        duchenne.synth(data, subjects=people, clips=clips, seed=number, aus=aus, **FACES)
    runs = {str(pretrained(out, learned, name, seed, fields)): name for name in names}
    control = relabelled(off, out / f"control_{seed}", learned)
    runs[str(pretrained(out, control, names[0], seed, fields))] = f"{names[0]}, AUs off"
    emotional = part(learned, out / f"learned_{seed}_emotional", free=False)
    rows = []
    for kind in ("free", "emotional"):
        data = part(tested, out / f"tested_{seed}_{kind}", free=kind == "free")
        beside = {PIXELS: grey(data), READER: reader(data, emotional)}
        beside |= {LABEL: labels(data)} if kind == "emotional" else {}
        models = dict(runs) | {f"random:{next(iter(runs))}": "random"}
        for name, values in beside.items():
            models[features(data, values, out / f"{name.replace(' ', '_')}_{kind}_{seed}.parquet")] = name
        folder = out / f"linear_{kind}_{seed}"
        duchenne.evaluate(
            "linear",
            model=list(models),
            data=data,
            out=folder,
            sample_faces=0,
            maps="none",
            baselines=False,
            quiet=True,
        )
        summary = json.loads((folder / "summary.json").read_text())
        without = next(model for model, name in runs.items() if name.endswith("AUs off"))
        leads = {pair["first"]: pair["mean_of_folds"]["auc"] for pair in summary["differences"]
                 if pair["second"] == without}  # fmt: skip
        for model, values in summary["models"].items():
            rows.append({
                "kind": f"{kind} clips", "seed": seed, "model": models[model], "lead": leads.get(model),
                "auc": values["mean_of_folds"]["auc"], "f1": values["mean_of_folds"]["f1"],
                "always": summary["always_positive"]["mean_of_folds"],
            })  # fmt: skip
    return rows


def tables(rows: list[dict[str, Any]]) -> str:
    """Markdown: one line per model for each kind of clips, seeds side by side, then their mean."""
    lines = []
    for kind in dict.fromkeys(row["kind"] for row in rows):
        columns = ("representation", "AUC per seed (95 % interval)", "mean", "lead over AUs off", "F1")
        lines += [f"\nTested on {kind}\n", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
        here = [row for row in rows if row["kind"] == kind]
        for model in dict.fromkeys(row["model"] for row in here):
            mine = [row for row in here if row["model"] == model]
            cells = [model, ", ".join(between(row["auc"]) for row in mine)]
            cells += [f"**{np.mean([row['auc']['value'] for row in mine]):.3f}**"]
            cells += [", ".join(between(row["lead"], "+") for row in mine if row["lead"])]
            lines.append(f"| {' | '.join(cells)} | {np.mean([row['f1']['value'] for row in mine]):.3f} |")
        lines.append(f"| always positive | .500 | | | {np.mean([row['always'] for row in here]):.3f} |")
    return "\n".join(lines)


def between(estimate: dict[str, float], sign: str = "") -> str:
    """A value and its interval."""
    return f"{estimate['value']:{sign}.3f} ({estimate['low']:{sign}.3f} to {estimate['high']:{sign}.3f})"


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "processor": processor_name(), "cores": os.cpu_count(), "threads": torch.get_num_threads(),
        "torch": torch.__version__, "python": platform.python_version(), "duchenne": duchenne.__version__,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--subjects", type=int, default=32, help="to learn from; half as many others are tested")
    parser.add_argument("--clips", type=int, default=8, help="of each person, half of them emotional")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("fields", nargs="*", help="of the run's configuration, e.g. max_steps=300")
    arguments = parser.parse_args()
    fields = {key: yaml.safe_load(value) for key, value in (item.split("=", 1) for item in arguments.fields)}
    rows, start = [], time.perf_counter()
    for seed in range(arguments.seeds):
        rows += cell(arguments.out, seed, arguments.subjects, arguments.clips, arguments.variants, fields)
        print(tables(rows), flush=True)
    result = {"fields": fields, "faces": FACES, "subjects": arguments.subjects, "machine": machine(), "rows": rows}
    (arguments.out / "emotion_study.json").write_text(json.dumps(result, indent=1) + "\n")
    print(f"\n{time.perf_counter() - start:.0f} s on {machine()}")


if __name__ == "__main__":
    main()
