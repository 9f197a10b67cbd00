"""`duchenne evaluate linear --model M... --data PREPARED --out DIR [--target au|emotion --folds K|split|FILE]`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import tyro


@dataclass(frozen=True, kw_only=True)
class EvaluateArguments:
    """Scores representations under one protocol: scores.csv, summary.json, folds.csv and report.html."""

    protocol: tyro.conf.Positional[
        Literal["linear", "linear+bn", "finetune", "areas", "areas+finetune", "knn", "ridge", "probes"]
    ]
    """linear: one linear unit per item on frozen, standardised features; linear+bn: the same, with the encoder's
    BatchNorm layers trained along; finetune: with the encoder trained further in every fold;
    areas: perceptrons on areas of the face, with the encoder frozen; areas+finetune: the same with the encoder trained
    along. Quick looks at the same features: knn (nearest training faces), ridge (least squares).
    probes: what else the features hold (identity, pose, light, order in time); takes --model, --data, --out, --folds,
    --feature, --l2, --no-baselines, --device and --quiet."""
    model: tuple[str, ...] = ()
    """One or several: RUN, encoder.safetensors, A+B+C, random[:RUN], initial:RUN, pixels, blendshapes, landmarks,
    features:FILE.parquet, package.module:builder."""
    method: tuple[str, ...] = ()
    """finetune: methods that learn from labels, trained in every fold: supervised, cl_ile, or with a recipe
    (cl_ile:cpu/cl_ile)."""
    data: tuple[Path, ...]
    """Prepared data with labels."""
    out: Path
    """Folder to write to."""
    target: Literal["au", "emotion"] = "au"
    """What to predict."""
    train_data: tuple[Path, ...] = ()
    """Other prepared data to train on; then all of --data is tested, on the action units that all of them code."""
    positive_from: float | None = None
    """Lowest intensity (0 to 5) that counts as present, in every data set."""
    folds: str = "3"
    """Number of folds without shared subjects, `split` for the data's own split, `parts`, a published partition
    (bp4d:jaa ...), or a CSV with subject and fold."""
    seeds: int = 1
    """How often everything that is drawn (folds, held-out subjects, untrained weights, the course of training) is
    drawn."""
    repeats: int = 1
    """How often, per seed, folds and held-out subjects are drawn, while all else that is drawn stays."""
    feature: Literal["embedding", "pooled"] = "embedding"
    """What the encoder gives, or its averaged last map."""
    weighting: Literal["balanced", "inverse_frequency", "none"] = "balanced"
    """Of the classes."""
    l2: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
    """Penalty strengths; of several, one per fold is chosen on held-out training subjects."""
    threshold: float | Literal["stored", "oracle"] = 0.5
    """On the sigmoid, from which an AU is called present; stored: learned on held-out training subjects; oracle: the
    best for the tested faces, marked as such."""
    label_share: tuple[float, ...] = ()
    """Shares of the training labels to evaluate with as well, such as 0.01 0.1 0.5."""
    label_unit: Literal["subjects", "clips", "frames"] = "subjects"
    """What is left out."""
    areas: Path | None = None
    """YAML with areas of the face for the protocols on areas; without, those of the knowledge-driven method."""
    sweep: tuple[str, ...] = ()
    """A key of the runs' config.yaml, against which the report draws their scores; a second: a line for each of its
    values."""
    tune: Literal["head", "bn", "all"] = "all"
    """finetune: what of an encoder is trained: nothing, its BatchNorm layers, or all."""
    epochs: int = 10
    """finetune: passes over the training faces."""
    batch_size: int = 64
    """finetune: faces per step."""
    lr: float = 1e-4
    """finetune: learning rate of the encoder (AdamW)."""
    head_lr: float = 1e-3
    """finetune: learning rate of the linear units."""
    layer_decay: float = 1.0
    """finetune: factor of the learning rate from each part of the encoder to the one before it."""
    patience: int = 0
    """finetune: stop after so many epochs without a better AUC on held-out training subjects; 0: never."""
    workers: int = 1
    """finetune: folds that are trained at the same time."""
    baselines: tyro.conf.FlagCreatePairsOff[bool] = True
    """Without this flag, an untrained encoder, blendshapes and landmarks stand beside the models."""
    sample_faces: int = 12
    """Faces shown in the report; 0 keeps pictures out of it."""
    maps: Literal["none", "pca", "tsne"] = "pca"
    """Two-dimensional maps of the features in the report, coloured by action unit, emotion and subject."""
    map_items: tuple[str, ...] = ()
    """Items that colour a map each (AU12 ...); without, the two nearest to half present."""
    map_emotion: str | None = None
    """The maps of items show the faces of this emotion alone."""
    map_subjects: int = 0
    """Maps show faces of so many subjects, 10 at most; 0: of all."""
    map_faces: int = 1000
    """How many faces are on a map."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""
    quiet: tyro.conf.FlagCreatePairsOff[bool] = False
    """Show no progress."""


def main(arguments: list[str]) -> int:
    """Parses the arguments, evaluates, and prints one line per model."""
    parsed = tyro.cli(EvaluateArguments, args=arguments, prog="duchenne evaluate")

    from duchenne.evaluation.evaluate import evaluate  # heavy; not needed for --help
    from duchenne.evaluation.scoring import model_means

    table = evaluate(**asdict(parsed))
    if parsed.protocol == "probes":
        found = table[table["item"] == "mean"].pivot(index="model", columns="probe", values="value")
        print(found.to_string(float_format="%.3f", na_rep=""))
        print(f"{parsed.out / 'report.html'}")
        return 0
    means = model_means(table)
    width = max(map(len, means.index))
    f1 = "F1 (oracle thresholds)" if parsed.threshold == "oracle" else "F1"
    for name, row in means.iterrows():
        said = f"{name:<{width}}  AUC {row['auc']:.3f}  {f1} {row['f1']:.3f}"
        if parsed.target == "emotion":
            found = json.loads((parsed.out / "summary.json").read_text(encoding="utf-8"))["models"][name]
            right = {key: found["mean_of_folds"][key]["value"] for key in ("accuracy", "mean_recall")}
            print(f"{said}  accuracy {right['accuracy']:.3f}, mean of classes {right['mean_recall']:.3f}")
        else:
            print(f"{said}  (always positive {row['f1_always_positive']:.3f})")
    print(f"{parsed.out / 'report.html'}")
    return 0
