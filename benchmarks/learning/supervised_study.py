"""What labels bring, on synthetic people: the supervised ceiling, the identity that features leak, few labels.

    python benchmarks/learning/supervised_study.py --out FOLDER [--seeds 3] [--tiny] [max_steps=150 ...]

For each seed, on people of whom nothing was seen before (two of three folds are trained on, nobody on both sides):

1. supervised and CL-ILE, trained in every fold (`evaluate finetune --method`), beside linear units on frozen encoders
   (temporal ranking pretrained on other people, untrained), on pixels, and on MediaPipe's landmarks and blendshapes
   (what `fit --model landmarks` and `blendshapes` do); faces that MediaPipe does not find are left out of all;
2. who it is: a linear classifier tells the people of a data set by their features, from one half of their clips to the
   other; of people that the encoder was trained on, and of others; supervised, CL-ILE, untrained and pixels;
3. 5 % of the training people labelled: an encoder pretrained without labels and the same one from random weights, both
   fine-tuned, and linear units on all frozen features.

Intervals: 95 %, resampled people. Writes `supervised_study.json` and prints Markdown tables. Finished parts are not
made again.
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
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import duchenne
from duchenne.data.prepared import Prepared
from duchenne.devices import processor_name
from duchenne.faces.find import FaceFinder
from duchenne.features.resolve import resolve
from duchenne.features.source import Context
from duchenne.metrics import RESAMPLES
from duchenne.training.recipes import load_recipe
from emotion_study import copied

LABELLED = ("supervised", "cl_ile")
SHARE = 0.05
SIZE_PX = 128
"""Of the crops, so that MediaPipe finds most faces; encoders look at 64 px."""
SCALES: dict[str, dict[str, Any]] = {
    "full": {"people": 96, "others": 64, "clips": 2, "frames": 12, "sequence": 24, "fields": {}, "epochs": 10},
    "tiny": {
        "people": 6, "others": 4, "clips": 2, "frames": 4, "sequence": 30, "epochs": 1,
        "fields": {"max_steps": 2, "batch_size": 8},
    },
}  # fmt: skip


class Study:
    """One folder of data, runs and evaluations.

    Args:
        out: everything is made here.
        scale: a key of `SCALES`.
        fields: of the runs' configurations, beyond those of the scale.
    """

    def __init__(self, out: Path, scale: str, fields: dict[str, Any]) -> None:
        self.out, self.scale = out, SCALES[scale] | {"fields": SCALES[scale]["fields"] | fields}

    def faces(self, name: str, seed: int, people: int, frames: int) -> Path:
        data = self.out / name
        duchenne.synth(
            data, subjects=people, clips=self.scale["clips"], frames=frames, size_px=SIZE_PX, seed=seed, quiet=True
        )
        return data

    def run(self, method: str, data: Path, seed: int) -> Path:
        """A method trained with its recipe."""
        run = self.out / f"{method}_{seed}"
        if not (run / "encoder.safetensors").exists():
            resume = (run / "checkpoint.pt").exists()
            duchenne.pretrain(
                method, data=data, out=run, recipe=self.recipe(method), resume=resume, quiet=True, seed=seed
            )
        return run

    def recipe(self, method: str) -> Path:
        """The CPU recipe with the study's own fields; the steps are those of each of CL-ILE's stages."""
        path = self.out / f"{method}.yaml"
        values = {"method": method, **load_recipe(f"cpu/{method}", method), **self.scale["fields"]}
        if method == "cl_ile" and "max_steps" in self.scale["fields"]:
            values["backbone_steps"] = values["max_steps"]
        text = yaml.safe_dump(values)
        if path.exists() and path.read_text() != text:
            raise SystemExit(f"{path} holds other settings; name another --out.")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def evaluated(self, name: str, protocol: str, **arguments: Any) -> dict[str, Any]:
        """The summary of an evaluation."""
        folder = self.out / name
        if not (folder / "summary.json").exists():
            duchenne.evaluate(protocol, out=folder, sample_faces=0, baselines=False, quiet=True, **arguments)
        return json.loads((folder / "summary.json").read_text())

    def seed(self, seed: int) -> dict[str, list[dict[str, Any]]]:
        """All tables' rows of one seed."""
        scale = self.scale
        others = self.faces(f"others_{seed}", 300 + 2 * seed, scale["others"], scale["sequence"])
        people = self.faces(f"people_{seed}", 301 + 2 * seed, scale["people"], scale["frames"])
        people = found_by_mediapipe(people, self.out / f"found_{seed}")
        ranking = self.run("temporal_ranking", others, seed)
        untrained = f"random:{ranking}"
        frozen = [str(ranking), untrained, "pixels", "landmarks", "blendshapes"]
        shares = {"label_share": [SHARE], "label_unit": "subjects"}
        methods = [f"{method}:{self.recipe(method)}" for method in LABELLED]
        names = {str(ranking): "temporal ranking, other people", untrained: "untrained"}
        names |= dict(zip(methods, LABELLED, strict=True))
        linear = self.evaluated(f"linear_{seed}", "linear", model=frozen, data=people, maps="none", **shares)
        learned = self.evaluated(f"learned_{seed}", "finetune", method=methods, data=people)
        tuned = self.evaluated(
            f"tuned_{seed}", "finetune", model=[str(ranking), untrained], data=people, epochs=scale["epochs"], **shares
        )
        ceiling, few = [], []
        for how, summary in (("linear, frozen", linear), ("trained in every fold", learned), ("fine-tuned", tuned)):
            for model, found in summary["models"].items():
                row = {"seed": seed, "model": names.get(model, model), "how": how}
                ceiling.append(
                    row | {"auc": found["mean_of_folds"]["auc"], "f1": found["mean_of_folds"]["f1"]["value"]}
                )
                for part in found.get("label_efficiency", ()):
                    if part["share"] == SHARE:
                        few.append(
                            row | {"auc": part["auc"], "f1": part["f1"]["value"], "people": part["training_units"]}
                        )
        return {"ceiling": ceiling, "identity": self.identity(seed, others, people), "few": few}

    def identity(self, seed: int, seen: Path, unseen: Path) -> list[dict[str, Any]]:
        """How well features tell people apart."""
        rows, number = [], min(self.scale["people"], self.scale["others"]) * 3 // 4
        runs = {method: str(self.run(method, seen, seed)) for method in LABELLED}
        for name, model in {**runs, "untrained": f"random:{runs['supervised']}", "pixels": "pixels"}.items():
            for what, data in (("seen in training", seen), ("not seen", unseen)):
                prepared = Prepared([data])
                kept = np.flatnonzero(prepared.frames["split"] != "test")
                # As many people of each, so that chance is the same.
                kept = kept[np.isin(prepared.subject_ids()[kept], np.unique(prepared.subject_ids()[kept])[:number])]
                kept = kept[prepared.frames["frame"].to_numpy()[kept] % max(1, self.scale["frames"] // 6) == 0]
                context = Context(device=torch.device("cpu"), seed=seed)
                features = resolve(model).features(prepared, kept, context)
                rows.append({"seed": seed, "model": name, "people": what, **told(features, prepared, kept)})
        return rows


def found_by_mediapipe(data: Path, out: Path) -> Path:
    """A copy of prepared data with MediaPipe's landmarks and blendshapes; faces that it does not find are left out."""
    if out.exists():
        return out
    prepared, table = Prepared([data]), pd.read_parquet(data / "frames.parquet")
    landmarks, blendshapes = [], []
    with FaceFinder() as finder:
        for row in range(len(prepared)):
            faces = [face for face in finder.find(prepared.image(row)) if face.landmarks is not None]
            only = faces[0] if len(faces) == 1 else None
            landmarks.append(only and only.landmarks.astype(np.float32).ravel())
            blendshapes.append(only and only.blendshapes.astype(np.float32))
    table = table.assign(landmarks=landmarks, blendshapes=blendshapes).dropna(subset=["landmarks", "blendshapes"])
    print(f"{data.name}: MediaPipe found {len(table)} of {len(prepared)} faces", flush=True)
    return copied(data, out, table)


def told(features: NDArray[np.float32], data: Prepared, rows: NDArray[np.int64]) -> dict[str, Any]:
    """Share of frames whose person a linear classifier names, from half of everybody's clips to the other half."""
    who = np.unique(data.subject_ids()[rows], return_inverse=True)[1]
    clips = data.clip_ids()[rows]
    second = np.zeros(len(rows), dtype=bool)
    for person in np.unique(who):
        own = np.unique(clips[who == person])
        second |= np.isin(clips, own[len(own) // 2 :]) & (who == person)
    right = np.zeros(len(rows))
    for train, test in ((~second, second), (second, ~second)):
        classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))
        right[test] = classifier.fit(features[train], who[train]).predict(features[test]) == who[test]
    own = np.array([right[who == person].mean() for person in np.unique(who)])
    drawn = np.random.default_rng(0).integers(len(own), size=(RESAMPLES, len(own)))
    low, high = np.percentile(own[drawn].mean(axis=1), [2.5, 97.5])
    return {"accuracy": {"value": own.mean(), "low": low, "high": high}, "chance": 1 / len(own)}


def between(found: dict[str, float]) -> str:
    return f"{found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})"


def table(title: str, rows: list[dict[str, Any]], keys: tuple[str, ...], score: str, others: tuple[str, ...]) -> str:
    """Markdown: a line per combination of `keys`, its score per seed and on average."""
    lines = [f"\n### {title}\n", f"| {' | '.join((*keys, score + ' per seed (95 %)', 'mean', *others))} |"]
    lines.append("|" + "---|" * (len(keys) + 2 + len(others)))
    for name in dict.fromkeys(tuple(row[key] for key in keys) for row in rows):
        mine = [row for row in rows if tuple(row[key] for key in keys) == name]
        cells = [*name, ", ".join(between(row[score]) for row in mine)]
        cells.append(f"**{np.mean([row[score]['value'] for row in mine]):.3f}**")
        cells += [f"{np.mean([row[key] for row in mine]):.3f}" for key in others]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tiny", action="store_true", help="a try of a minute; its figures mean nothing")
    parser.add_argument("fields", nargs="*", help="of the runs' configurations, e.g. max_steps=150")
    given = parser.parse_args()
    fields = {key: yaml.safe_load(value) for key, value in (item.split("=", 1) for item in given.fields)}
    start, found = time.time(), {"ceiling": [], "identity": [], "few": []}
    study = Study(given.out, "tiny" if given.tiny else "full", fields)
    for seed in range(given.seeds):
        for name, rows in study.seed(seed).items():
            found[name] += rows
        (given.out / "supervised_study.json").write_text(json.dumps(found, indent=1, default=float) + "\n")
    print(table("Supervised, and linear units on frozen features", found["ceiling"], ("model", "how"), "auc", ("f1",)))
    print(table("Who it is", found["identity"], ("model", "people"), "accuracy", ("chance",)))
    print(table("5 % of the people labelled", found["few"], ("model", "how"), "auc", ("f1", "people")))
    print(f"\n{processor_name()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, "
          f"torch {torch.__version__}, Python {platform.python_version()}, {time.time() - start:.0f} s")  # fmt: skip


if __name__ == "__main__":
    main()
