"""What pretraining learns on synthetic people, method beside method, on equal numbers of encoder forward passes.

    python benchmarks/learning.py --out FOLDER [--methods "ranking, k = 2" SimCLR ...] [--heads still natural]
                                  [--seeds 3] [--passes 14400 | --budget MINUTES] [--scale cpu|gpu]
                                  [--faces PEOPLExCLIPSxFRAMES] [--plot FILE.png]

For each seed, kind of head motion and method: pretraining (its recipe `cpu/METHOD`, with the steps that the passes
allow) on clips in one rendering style, and, but for methods that are given labels, on the same clips with all action
units held at zero. Then the linear protocol on other people (natural head motion), in that style and in one
never trained on, beside untrained weights and 16 x 16 grey pictures. Methods are grouped by what they are told:
nothing, the order of frames, landmarks, emotions, action units (the ceiling).

A forward pass is one picture through an encoder, a momentum encoder's included. `--budget` times the encoder, and sets
the passes so that training should take that long in all; the number is printed and stored, and `--passes` repeats it.
Writes `learning.json` and `learning.md`, and draws the picture. What is finished is not made again, so methods can be
added later.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
import yaml
from matplotlib import pyplot as plt

import duchenne
from duchenne.data.prepared import Prepared
from duchenne.methods.registry import method_class
from duchenne.training.config import method_run_config
from duchenne.training.recipes import load_recipe


@dataclass(frozen=True)
class Arm:
    """A method, what it is told beside pictures, and what differs from its recipe."""

    method: str
    told: str
    fields: dict[str, Any] = field(default_factory=dict)


METHODS: dict[str, Arm] = {
    "ranking, k = 2": Arm("temporal_ranking", "order"),
    "ranking, k = 1": Arm("temporal_ranking", "order", {"interval": 1}),
    "ranking, k = 4": Arm("temporal_ranking", "order", {"interval": 4}),
    "triplet": Arm("triplet", "order"),
    "N-pair": Arm("n_pair", "order"),
    "CLP": Arm("clp", "order"),
    "SimCLR": Arm("simclr", "nothing"),
    "MoCo": Arm("moco", "nothing"),
    "SimSiam": Arm("simsiam", "nothing"),
    "CVC": Arm("cvc", "nothing"),
    "FAb-Net": Arm("fab_net", "nothing"),
    "twin-cycle": Arm("twin_cycle", "nothing"),
    "knowledge-driven": Arm("knowledge_driven", "landmarks"),
    "EmoCo": Arm("emoco", "emotions"),
    "supervised": Arm("supervised", "action units"),
}
STYLES = {"natural": "the same style", "drawn": "a style never seen"}
"""Tested on; the first is learned from."""
SCALES: dict[str, dict[str, Any]] = {
    "cpu": {"people": 32, "tested": (24, 4), "clips": 4, "frames": 48, "size_px": 64, "fields": {}},
    "gpu": {"people": 400, "tested": (60, 8), "clips": 8, "frames": 64, "size_px": 112, "fields": {"size_px": 112}},
}
CONTROL = ", AUs off"
LABELS = ("emotions", "action units")
"""What clips without action units cannot tell; emotion_study.py has a control for emotions."""


class Study:
    """One folder of the study.

    Args:
        out: the folder.
        scale: an item of `SCALES`.
        passes: encoder forward passes of every run.
        device: of training and evaluation.
    """

    def __init__(self, out: Path, scale: dict[str, Any], passes: int, device: str) -> None:
        self.out, self.scale, self.passes, self.device = out, scale, passes, device

    def faces(self, name: str, **fields: Any) -> Path:
        """Rendered people."""
        duchenne.synth(self.out / name, size_px=self.scale["size_px"], quiet=True, **fields)
        return self.out / name

    def pretrained(self, name: str, seed: int, head: str, aus: str) -> tuple[Path, float]:
        """The run of one method, and the seconds that its steps took."""
        arm, (style, _) = METHODS[name], STYLES
        data = self.faces(
            f"faces_{head}_{aus}_{seed}", subjects=self.scale["people"], clips=self.scale["clips"],
            frames=self.scale["frames"], seed=100 + 2 * seed, head=head, aus=aus, style=style,
        )  # fmt: skip
        recipe = f"cpu/{arm.method}"
        fields = {"seed": seed, "device": self.device, **arm.fields, **self.scale["fields"]}
        config: Any = method_run_config(arm.method)(**{**load_recipe(recipe, arm.method), **fields})
        fields["max_steps"] = max(1, round(self.passes / (config.batch_size * pictures(arm.method, config))))
        run = self.out / f"{name.replace(',', '').replace(' ', '_')}_{head}_{aus}_{seed}"
        if not (run / "encoder.safetensors").exists():
            resume = (run / "checkpoint.pt").exists()
            duchenne.pretrain(arm.method, data=data, out=run, recipe=recipe, quiet=True, resume=resume, **fields)
            (run / "checkpoint.pt").unlink()  # of 144 runs they would take 30 GB
        stored = yaml.safe_load((run / "config.yaml").read_text())
        if any(stored[key] != value for key, value in fields.items()):
            raise SystemExit(f"{run} was trained with other settings; name another --out.")
        lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
        lines = [line for line in lines if "images_per_s" in line]
        steps = np.diff([0, *(line["step"] for line in lines)])
        seen = steps * config.batch_size * pictures(arm.method, config)
        return run, float(sum(seen / [line["images_per_s"] for line in lines]))

    def cell(self, seed: int, head: str, names: list[str]) -> list[dict[str, Any]]:
        """All models of one seed and kind of head motion, on both styles."""
        runs = {}
        for name in names:
            for aus in ("on",) if METHODS[name].told in LABELS else ("on", "off"):
                runs[name if aus == "on" else name + CONTROL] = self.pretrained(name, seed, head, aus)
        rows = []
        for style in STYLES:
            people, clips = self.scale["tested"]
            tested = self.faces(
                f"tested_{style}_{seed}", subjects=people, clips=clips, frames=16, seed=101 + 2 * seed, style=style
            )
            pixels = f"features:{small_pictures(tested, self.out / f'pixels_{style}_{seed}.parquet')}"
            untrained = f"random:{next(iter(runs.values()))[0]}"
            models = {str(run): name for name, (run, _) in runs.items()}
            models |= {untrained: "untrained", pixels: "16 x 16 pixels"}
            folder = self.out / f"linear_{head}_{style}_{seed}"
            summary = stored_summary(folder, models)
            if not summary:
                duchenne.evaluate(
                    "linear", model=list(models), data=tested, out=folder, sample_faces=0, maps="none",
                    baselines=False, device=self.device, quiet=True,
                )  # fmt: skip
                summary = stored_summary(folder, models)
            leads = {(pair["first"], pair["second"]): pair["mean_of_folds"]["auc"] for pair in summary["differences"]}
            where = {name: model for model, name in models.items()}
            for model, name in models.items():
                scores = summary["models"][model]["mean_of_folds"]
                rows.append({
                    "head": head, "style": style, "seed": seed, "model": name, "auc": scores["auc"], "f1": scores["f1"],
                    "told": METHODS[name.removesuffix(CONTROL)].told if name in runs else "",
                    "control": leads.get((model, where.get(name + CONTROL, ""))),
                    "untrained": leads.get((model, untrained)), "seconds": runs[name][1] if name in runs else None,
                    "always": summary["always_positive"]["mean_of_folds"],
                })  # fmt: skip
        return rows


def stored_summary(folder: Path, models: Iterable[str]) -> dict[str, Any]:
    """What an evaluation of just these models wrote; empty where there is none."""
    path = folder / "summary.json"
    summary: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return summary if set(summary.get("models", ())) == set(models) else {}


def pictures(method: str, config: Any) -> int:
    """Encoder forward passes of one clip (or frame) of a batch, momentum encoders included."""
    frames = int(method_class(method).sampler(config).frames)
    if method == "clp":
        return frames + int(config.separate_frames)
    if method == "twin_cycle":
        return 5  # both frames, and the three pictures that are made of them
    return frames if method == "supervised" else max(frames, 2)


def small_pictures(data: Path, out: Path) -> Path:
    """A feature table of 16 x 16 grey pictures."""
    prepared = Prepared([data])
    grey = [prepared.image(row, 16).mean(axis=2, dtype=np.float32).ravel() / 255 for row in range(len(prepared))]
    prepared.frames[["subject", "clip", "frame"]].assign(feature=grey).to_parquet(out)
    return out


def affordable(minutes: float, runs: int, size_px: int, device: str) -> int:
    """Passes of each run, so that all take about so many minutes."""
    config: Any = method_run_config("temporal_ranking")(**load_recipe("cpu/temporal_ranking", "temporal_ranking"))
    method = method_class("temporal_ranking")(config).to(device)
    images, steps = torch.rand(192, 3, size_px, size_px, device=device), 6
    for step in range(2 + steps):
        if step == 2:
            start = time.perf_counter()
        with torch.autocast(device, dtype=torch.bfloat16):
            method.encoder(images).float().square().mean().backward()
    a_second = steps * len(images) / (time.perf_counter() - start)
    return max(192, round(minutes * 60 * a_second / runs / 960) * 960)


def tables(rows: list[dict[str, Any]]) -> str:
    """Markdown: for each kind of head motion and style a line per model, then the seconds of training."""
    columns = ("told", "representation", "AUC", "per seed", "over the same with AUs off", "over untrained", "F1", "s")
    lines = []
    for head, style in dict.fromkeys((row["head"], row["style"]) for row in rows):
        lines += [f"\n### Heads {head} while learning, tested on {STYLES[style]}\n"]
        lines += [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
        here = [row for row in rows if (row["head"], row["style"]) == (head, style)]
        order = ["nothing", "order", "landmarks", "emotions", "action units", ""]
        for model in sorted(
            dict.fromkeys(row["model"] for row in here), key=lambda name: order.index(told(here, name))
        ):
            mine = [row for row in here if row["model"] == model]
            spent = [row["seconds"] for row in mine if row["seconds"]]
            cells = [told(here, model), model, f"**{np.mean([row['auc']['value'] for row in mine]):.3f}**"]
            cells += [", ".join(between(row["auc"]) for row in mine)]
            cells += [", ".join(between(row[key], "+") for row in mine if row[key]) for key in ("control", "untrained")]
            cells += [f"{np.mean([row['f1']['value'] for row in mine]):.3f}", f"{np.mean(spent):.0f}" if spent else ""]
            lines.append(f"| {' | '.join(cells)} |")
        always = np.mean([row["always"] for row in here])
        lines.append(f"| | always positive | .500 | | | | {always:.3f} | |")
    return "\n".join(lines) + "\n"


def overview(rows: list[dict[str, Any]]) -> str:
    """Markdown: a line per model, and for each kind of head motion and style its mean AUC and its mean lead over the
    same with action units off, with the number of seeds whose interval lies above and below 0."""
    places = list(dict.fromkeys((row["head"], row["style"]) for row in rows))
    lines = ["| told | representation | " + " | ".join(f"{head}, {STYLES[style]}" for head, style in places) + " |"]
    lines += ["|---" * (2 + len(places)) + "|"]
    for model in dict.fromkeys(row["model"] for row in rows if not row["model"].endswith(CONTROL)):
        cells = [told(rows, model), model]
        for place in places:
            mine = [row for row in rows if row["model"] == model and (row["head"], row["style"]) == place]
            cells.append(f"{np.mean([row['auc']['value'] for row in mine]):.3f}")
            leads = [row["control"] for row in mine if row["control"]]
            if leads:
                above, below = sum(lead["low"] > 0 for lead in leads), sum(lead["high"] < 0 for lead in leads)
                cells[-1] += f", {np.mean([lead['value'] for lead in leads]):+.3f} ({above} above, {below} below)"
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def told(rows: list[dict[str, Any]], model: str) -> str:
    """What a model was told beside pictures."""
    return str(next(row["told"] for row in rows if row["model"] == model))


def between(estimate: dict[str, float], sign: str = "") -> str:
    """A value and its interval."""
    return f"{estimate['value']:{sign}.3f} ({estimate['low']:{sign}.3f} to {estimate['high']:{sign}.3f})"


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """AUC of every model, a point with its interval per seed; a panel per head motion and style."""
    panels = list(dict.fromkeys((row["head"], row["style"]) for row in rows))
    models = list(dict.fromkeys(row["model"] for row in rows))[::-1]
    size = (4.2 * len(panels), 1 + 0.28 * len(models))
    figure, axes = plt.subplots(1, len(panels), figsize=size, sharey=True, sharex=True, squeeze=False)
    for axis, (head, style) in zip(axes[0], panels, strict=True):
        for row in rows:
            if (row["head"], row["style"]) == (head, style):
                auc, y = row["auc"], models.index(row["model"]) + 0.22 * (1 - row["seed"])
                colour = "#8a8a8a" if row["model"].endswith(CONTROL) or not row["told"] else "#1f5fa8"
                axis.plot([auc["low"], auc["high"]], [y, y], color=colour, linewidth=1.2)
                axis.plot(auc["value"], y, "o", color=colour, markersize=3.5)
        axis.axvline(0.5, color="#8a8a8a", linestyle="--", linewidth=0.8)
        axis.set_title(f"learned from {head} heads,\ntested on {STYLES[style]}", fontsize=10)
        axis.set_xlabel("linear AUC, unseen people")
        axis.set_yticks(range(len(models)), models, fontsize=9)
        axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--heads", nargs="+", choices=("still", "natural"), default=["still", "natural"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--passes", type=int, default=14_400, help="encoder forward passes of every run")
    parser.add_argument("--budget", type=float, help="minutes of training in all, instead of --passes")
    parser.add_argument("--scale", choices=SCALES, default="cpu")
    parser.add_argument("--faces", help="to learn from, e.g. 32x4x48: people, clips of each, frames of each clip")
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    scale = dict(SCALES[arguments.scale])
    if arguments.faces:
        scale |= dict(zip(("people", "clips", "frames"), map(int, arguments.faces.split("x")), strict=True))
    mpl.use("Agg")
    start = time.perf_counter()
    device = "cuda" if arguments.scale == "gpu" else "cpu"
    passes = arguments.passes
    if arguments.budget:
        runs = sum(2 - (METHODS[name].told in LABELS) for name in arguments.methods)
        runs *= len(arguments.heads) * arguments.seeds
        passes = affordable(arguments.budget, runs, scale["size_px"], device)
        print(f"{runs} runs of {passes} passes", flush=True)
    study = Study(arguments.out, scale, passes, device)
    rows: list[dict[str, Any]] = []
    for seed in range(arguments.seeds):
        for head in arguments.heads:
            rows += study.cell(seed, head, arguments.methods)
            print(f"seed {seed}, {head} heads: {time.perf_counter() - start:.0f} s", flush=True)
    machine = {
        "processor": platform.machine(), "cores": os.cpu_count(), "threads": torch.get_num_threads(), "device": device,
        "torch": torch.__version__, "python": platform.python_version(), "duchenne": duchenne.__version__,
    }  # fmt: skip
    result = {"passes": passes, "scale": scale, "machine": machine, "rows": rows}
    (arguments.out / "learning.json").write_text(json.dumps(result, indent=1) + "\n")
    (arguments.out / "learning.md").write_text(f"{overview(rows)}{tables(rows)}")
    plot(rows, arguments.plot or arguments.out / "learning.png")
    print(overview(rows), f"{passes} passes a run, {time.perf_counter() - start:.0f} s, {machine}")


if __name__ == "__main__":
    main()
