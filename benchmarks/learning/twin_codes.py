"""What the two codes of the twin-cycle autoencoder hold: head pose and action units, on people never seen.

    python benchmarks/learning/twin_codes.py --out FOLDER [--steps 1200] [--size 64] [--batch-size 32] [--seed 0]
                                             [--people 0] [--tested 0] [--arms ...]

Pretraining on rendered clips with natural head motion, then on other people: R2 of pitch and yaw by ridge regression
and AUC of action units by linear units, folds of subjects, from the pose code and from the AU code of one run. Also how
much a code moves where only action units differ (the same frames rendered without them), as a share of that and of how
much it moves where only the head, gaze and lids do (frames of those clips without action units).
Intervals are of 1,000 resamples of subjects, those of differences between the codes paired. Beside them: the same codes
untrained, FAb-Net's code, and 16 x 16 grey pictures.

Named before the first run: the pose code should explain more of the pose (difference above 0), the AU code should have
the higher AUC; named before it was first measured: the AU code should move more where only action units differ. Arms
are what was tried; what is finished is not made again. Numbers of `--people` learned from and `--tested` share no
person, so that what is tried can be chosen on others than it is tested on.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

import duchenne
from duchenne.config import load_mapping, save_mapping
from duchenne.data.folds import from_assignment, k_fold, people_of
from duchenne.data.prepared import Prepared
from duchenne.devices import resolve_device
from duchenne.evaluation.protocols import known
from duchenne.evaluation.protocols.probe_measures import regression, standardised
from duchenne.evaluation.scoring import Predictions, Summariser
from duchenne.features.resolve import resolve
from duchenne.features.source import Context
from duchenne.heads.linear import linear_protocol
from duchenne.metrics import RESAMPLES, interval, ratio, resample
from duchenne.training.runs import read_record
from emotion_study import machine

SIZE_PX, FOLDS = 64, 3
LEARNED: Final = {"subjects": 64, "clips": 4, "frames": 48}
TESTED: Final = {"subjects": 40, "clips": 4, "frames": 16}
ARMS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "recipe": ("twin_cycle", {}),
    "AU flow as printed": ("twin_cycle", {"flow_weight": 0.1}),
    "AU flow x 10": ("twin_cycle", {"flow_weight": 1.0}),
    "AU flow x 30": ("twin_cycle", {"flow_weight": 3.0}),
    "smooth pose flow, in parts": ("twin_cycle", {"flow_weight": 3.0, "pose_degree": 3}),
    "curriculum": ("twin_cycle", {"curriculum": True}),
    "crop per clip": ("twin_cycle", {"augment_per": "clip"}),
    "FAb-Net": ("fab_net", {}),
}
"""Name -> method and what differs from its recipe `cpu/METHOD`."""
PARTS: Final[dict[str, tuple[tuple[float, dict[str, Any]], ...]]] = {
    "smooth pose flow, in parts": (
        (0.416, {}), (0.494, {"flow_weight": 0.1}), (1.0, {"flow_weight": 0.1, "augment_per": "clip"}),
    ),
}  # fmt: skip
"""Share of the steps until which a part of a training lasts, and what then differs: first the head, then the face."""


def run_name(arm: str) -> str:
    return arm.replace(" ", "_").replace(",", "")


def run_of(arm: str, out: Path, data: Path, steps: int, size_px: int, batch_size: int, seed: int) -> tuple[Path, float]:
    """The run of an arm, and the seconds of its steps; goes on where it was interrupted."""
    method, fields = ARMS[arm]
    run = out / f"{run_name(arm)}_{data.name}_{size_px}_{steps}_{batch_size}_{seed}"
    layers = size_px.bit_length() - 1
    window = {"window_steps": max(1, steps // 5)} if fields.get("curriculum") else {}
    for share, changed in PARTS.get(arm, ((1.0, {}),)):
        until, record = max(1, round(share * steps)), run / "encoder.json"
        if record.exists() and read_record(record).steps >= until:
            continue
        resume, fields = (run / "checkpoint.pt").exists(), {**fields, **changed}
        if resume:  # a part goes on with other settings, which a resumed run must not have by mistake
            save_mapping(run / "config.yaml", load_mapping(run / "config.yaml") | changed)
        done = duchenne.pretrain(
            method, data=data, out=run, recipe=f"cpu/{method}", max_steps=until, seed=seed, device="cpu", quiet=True,
            size_px=size_px, layers=layers, batch_size=batch_size, resume=resume, save_every=100, **window, **fields,
        )  # fmt: skip
        if not done.finished:
            raise SystemExit(f"{run}: interrupted; the same command goes on.")
    (run / "checkpoint.pt").unlink(missing_ok=True)
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    if not all(math.isfinite(value) for line in lines for value in line.values() if isinstance(value, float)):
        raise SystemExit(f"{run}: a logged value is not finite")
    images = 2 * load_mapping(run / "config.yaml")["batch_size"] * np.diff([0, *(line["step"] for line in lines)])
    return run, float(sum(images / np.array([line["images_per_s"] for line in lines])))


class Bench:
    """The tested people: what their faces show, and how well features tell it.

    Args:
        folder: prepared faces.
        without: the same without action units.
    """

    def __init__(self, folder: Path, without: Path) -> None:
        self.data, self.without = Prepared([folder]), Prepared([without])
        columns = ["subject", "clip", "frame"]
        if not self.data.frames[columns].equals(self.without.frames[columns]):
            raise SystemExit(f"{without}: does not hold the clips of {folder}")
        self.group = self.data.subject_ids()
        names = self.data.subject_names()
        self.plan = from_assignment(k_fold(names, FOLDS))
        _, self.people = np.unique(people_of(names).astype(str), return_inverse=True)
        found = known.pose(self.data)
        self.pose = np.stack([found["pitch"], found["yaw"]], axis=1)
        self.items = [f"AU{au:02d}" for au in self.data.aus]
        self.labels = self.data.occurrence().astype(np.float32)
        strata = np.full(int(self.group.max()) + 1, -1)
        self.fold = np.full(len(self.data), -1)
        for number, fold in enumerate(self.plan):
            self.fold[fold.test] = number
        np.maximum.at(strata, self.group, self.fold)
        self.strata = strata

    def features(self, name: str, data: Prepared) -> NDArray[np.float32]:
        """(N, D) of a model of `duchenne evaluate`, or 16 x 16 grey pictures."""
        if name == "pixels":
            rows = range(len(data))
            return np.stack([data.image(row, 16).mean(axis=2, dtype=np.float32).ravel() / 255 for row in rows])
        context = Context(device=resolve_device("cpu"), feature="embedding")
        return np.asarray(resolve(name).features(data, np.arange(len(data)), context))

    def movement(self, values: NDArray[np.float32], without: NDArray[np.float32]) -> NDArray[np.float64]:
        """(2, G) mean squared distances for each person: where only action units differ, and where all else does."""
        clips, count = self.data.clip_ids(), self.group.max() + 1
        later = np.arange(len(clips))  # the frame half a clip on; clips lie together
        for clip in np.unique(clips):
            rows = np.flatnonzero(clips == clip)
            later[rows] = np.roll(rows, -(len(rows) // 2))
        pairs = ((values, without), (without, without[later]))
        apart = [np.square(one.astype(np.float64) - other).sum(axis=1) for one, other in pairs]
        return np.stack([np.bincount(self.group, distance, minlength=count) for distance in apart])

    def measure(self, models: Mapping[str, str], pairs: list[tuple[str, str]]) -> dict[str, Any]:
        """R2, AUC and movement of every model, and paired differences (first minus second)."""
        summariser = Summariser(self.labels, self.items, self.group, self.strata, resamples=RESAMPLES, exclusive=False)
        weights = resample(np.ones(int(self.group.max()) + 1, dtype=bool))
        rows: dict[str, Any] = {}
        drawn: dict[str, NDArray[np.float64]] = {}
        shares: dict[str, NDArray[np.float64]] = {}
        for name, model in models.items():
            raw = self.features(model, self.data)
            alone, rest = self.movement(raw, self.features(model, self.without))
            share = [ratio(w @ alone, w @ (alone + rest)) for w in (np.ones((1, len(alone))), weights)]
            shares[name], values = np.concatenate(share), standardised(raw)
            sums = regression(values, self.pose, self.plan, self.group, self.people)
            everyone = np.ones((1, len(sums[0].top)))
            found = [np.concatenate([1 - ratio(w @ s.top, w @ s.bottom) for w in (everyone, weights)]) for s in sums]
            drawn[name] = np.mean(found, axis=0)
            score = linear_protocol(values, self.labels, self.plan, self.people).score
            rows[name] = {
                "pitch": between(found[0]), "yaw": between(found[1]), "pose": between(drawn[name]),
                "only": between(shares[name]),
                "au": summariser.add(name, {0: Predictions(score, score > 0, self.fold)})["mean_of_folds"]["auc"],
            }  # fmt: skip
            print(name, rows[name], flush=True)
        leads = {(pair["first"], pair["second"]): pair["mean_of_folds"]["auc"] for pair in summariser.differences()}
        differences = {}
        for one, other in pairs:
            differences[f"{one} - {other}"] = {
                "pose": between(drawn[one] - drawn[other]), "au": leads[one, other],
                "only": between(shares[one] - shares[other]),
            }  # fmt: skip
        return {"models": rows, "differences": differences}


def between(drawn: NDArray[np.float64]) -> dict[str, float]:
    """The first is the estimate, the rest are of resamples."""
    low, high = interval(drawn[1:])
    return {"value": float(drawn[0]), "low": float(low), "high": float(high)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument(
        "--size", type=int, default=64, choices=(32, 64), help="px of the pictures that are learned from"
    )
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0, help="of training")
    parser.add_argument("--people", type=int, default=0, help="which people are learned from")
    parser.add_argument("--tested", type=int, default=0, help="which people are tested")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=["recipe", "FAb-Net"])
    arguments = parser.parse_args()
    out, seed = arguments.out, arguments.seed
    common = {"size_px": SIZE_PX, "head": "natural", "style": "natural", "quiet": True}
    learned, tested = out / f"learned_{arguments.people}", out / f"tested_{arguments.tested}"
    without = tested.with_name(f"{tested.name}_off")
    duchenne.synth(learned, seed=700 + 2 * arguments.people, **LEARNED, **common)
    for folder, aus in ((tested, "on"), (without, "off")):
        duchenne.synth(folder, seed=701 + 2 * arguments.tested, aus=aus, **TESTED, **common)
    models: dict[str, str] = {}
    seconds, pairs = {}, []
    for arm in arguments.arms:
        run, seconds[arm] = run_of(arm, out, learned, arguments.steps, arguments.size, arguments.batch_size, seed)
        print(f"{arm}: {seconds[arm]:.0f} s of training", flush=True)
        if ARMS[arm][0] == "fab_net":
            models[arm] = str(run / "encoder.safetensors")
            continue
        models[f"{arm}: pose"] = str(run / "encoder_pose.safetensors")
        models[f"{arm}: AU"] = str(run / "encoder.safetensors")
        models.setdefault("untrained", f"random:{run}")
        pairs.append((f"{arm}: pose", f"{arm}: AU"))
    models["pixels"] = "pixels"
    found = Bench(tested, without).measure(models, pairs)
    asked = {name: str(value) if name == "out" else value for name, value in vars(arguments).items()}
    result = {**found, **asked, "seconds": seconds, "machine": machine()}
    name = f"{'_'.join(map(run_name, arguments.arms))}_{learned.name}_{tested.name}_{arguments.steps}_{seed}.json"
    (out / name).write_text(json.dumps(result, indent=1) + "\n")
    print("| | R2 pitch | R2 yaw | AUC of AUs | movement by AUs |\n|---|---|---|---|---|")
    for name, row in found["models"].items():
        print(f"| {name} | " + " | ".join(said(row[key]) for key in ("pitch", "yaw", "au", "only")) + " |")
    for name, row in found["differences"].items():
        print(
            f"{name}: R2 of the pose {said(row['pose'], '+')}, AUC {said(row['au'], '+')}, "
            f"movement by AUs {said(row['only'], '+')}"
        )


def said(found: Mapping[str, float], sign: str = "") -> str:
    return f"{found['value']:{sign}.3f} ({found['low']:{sign}.3f} to {found['high']:{sign}.3f})"


if __name__ == "__main__":
    started = time.perf_counter()
    main()
    print(f"{time.perf_counter() - started:.0f} s")
