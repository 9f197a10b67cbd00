"""What methods learn on synthetic people, rung by rung of a ladder of nuisances, at a budget at which it can be seen.

    python benchmarks/learning/study.py --out FOLDER --table FILE.csv [--parts study few comparisons]
                                        [--methods ranking ...] [--heads fixed still natural] [--seeds 0 1]
                                        [--scale cpu|gpu] [--passes N]

For each seed, rung (`synth --head fixed`: nothing moves but action units; `still`: gaze and blinks too; `natural`: the
head too) and method: training by its recipe `cpu/METHOD` for the passes asked for, and once more on the same clips with
all action units held at zero (methods that are told labels are told those of the clips with them). Then the linear
protocol on other people of the same rung, beside untrained weights, pixels, HOG and the renderer's own landmarks. What
a method scores over its own run without action units was learned from action units; intervals: 95 %, over people.

`few` asks what pretraining is worth with few people labelled, and `comparisons` compares what the papers compare (named
in `PAIRS` before anything was run). A pass is one picture through an encoder, a momentum encoder's included.

Rows are appended to the table as they come, and what is there is not made again, so the study can be stopped at any
time, also within a training (which goes on from its checkpoint), and goes on with the same command.
`study_report.py` makes tables and the picture from the CSV. `--scale gpu` is a part of the same on one GPU, beside
a ResNet-18 at 112 px; it has not been run on one yet.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch
import yaml

import duchenne
from duchenne.data.prepared import Prepared
from duchenne.devices import processor_name
from duchenne.facs import au_column, intensity_column
from duchenne.methods.registry import method_class
from duchenne.synthetic.synth import TEST_SHARE
from duchenne.training.config import method_run_config
from duchenne.training.recipes import load_recipe
from duchenne.training.runs import read_record


@dataclass(frozen=True)
class Arm:
    """A method, what it is told beside pictures, and what differs from its recipe."""

    method: str
    told: str
    fields: dict[str, Any] = field(default_factory=dict)


METHODS: dict[str, Arm] = {
    "supervised": Arm("supervised", "action units"),
    "temporal ranking": Arm("temporal_ranking", "order"),
    "CL-ILE": Arm("cl_ile", "action units"),
    "EmoCo": Arm("emoco", "emotions"),
    "triplet": Arm("triplet", "order"),
    "N-pair": Arm("n_pair", "order"),
    "CLP": Arm("clp", "order"),
    "knowledge-driven": Arm("knowledge_driven", "landmarks"),
    "SimCLR": Arm("simclr", "nothing"),
    "MoCo": Arm("moco", "nothing"),
    "SimSiam": Arm("simsiam", "nothing"),
    "CVC": Arm("cvc", "nothing"),
    "FAb-Net": Arm("fab_net", "nothing"),
    "twin-cycle": Arm("twin_cycle", "nothing"),
}
VARIANTS: dict[str, Arm] = {
    "CLP without cross-identity": Arm("clp", "order", {"terms": "tcl"}),
    "knowledge-driven, lambda 0": Arm("knowledge_driven", "landmarks", {"intra_weight": 0.0}),
    "EmoCo, L2": Arm("emoco", "emotions", {"normalisation": "l2"}),
    "CL-ILE A3": Arm("cl_ile", "action units", {"bce_share": 1.0}),
}
PAIRS = (
    ("temporal ranking", "triplet"), ("triplet", "N-pair"), ("CLP", "CLP without cross-identity"),
    ("knowledge-driven", "knowledge-driven, lambda 0"), ("EmoCo", "EmoCo, L2"), ("CL-ILE A3", "supervised"),
)  # fmt: skip
"""First better than second, as the papers say; EmoCo on clips without an emotion (`supervised` is CL-ILE's A0)."""
SCALES: dict[str, dict[str, Any]] = {
    "cpu": {
        "people": 513, "clips": 4, "tested": 64, "labelled": 200, "passes": 300_000, "nets": {"compact": {}},
        "methods": list(METHODS), "heads": ["fixed", "still", "natural"],
    },
    "gpu": {
        "people": 258, "clips": 4, "tested": 64, "labelled": 200, "passes": 300_000,
        "nets": {"compact": {}, "ResNet-18, 112 px": {"backbone": "resnet18", "size_px": 112}},
        "methods": ["supervised", "temporal ranking"], "heads": ["fixed"],
    },
}  # fmt: skip
"""What runs where nothing else is asked for: everything, or what one GPU is thought to do in eight minutes."""
FRAMES, TESTED_FRAMES = 24, 12
BLINK = 45
SHARES = (0.01, 0.02, 0.05, 0.1, 0.5)
SHARES_OF_A_TENTH = (0.1, 0.2, 0.5)
"""Of the people labelled."""
SIZES = ("people", "clips", "passes", "tested")
KEYS = ("scale", *SIZES, "network", "learned_from", "tested_on", "seed", "model", "aus", "machine", "figure")
"""`machine`: the processors that the model was trained on (two runs of one training differ by how they round)."""


class Study:
    """One folder of the study, and its table.

    Args:
        out: the folder.
        table: the CSV.
        scale: name, and an item of `SCALES`.
        device: of training and evaluation.
    """

    def __init__(self, out: Path, table: Path, scale: tuple[str, dict[str, Any]], device: str) -> None:
        self.out, self.table, (self.name, self.scale), self.device = out, table, scale, device
        self.rows = pd.read_csv(table, dtype=str, keep_default_na=False) if table.exists() else pd.DataFrame()

    def has(self, figure: str, **key: Any) -> bool:
        """Whether a figure is in the table."""
        wanted = {"scale": self.name, **{k: self.scale[k] for k in SIZES}, "figure": figure, **key}
        found = np.ones(len(self.rows), dtype=bool)
        for name in wanted if len(self.rows) else ():
            found &= self.rows[name].to_numpy() == str(wanted[name])
        return bool(len(self.rows)) and bool(found.any())

    def add(self, figure: str, estimate: dict[str, Any], machine: str, **key: Any) -> None:
        """Appends a row, unless a call that was stopped has done so."""
        if self.has(figure, **key):
            return
        sizes = {k: self.scale[k] for k in SIZES}
        row = {"scale": self.name, **sizes, **key, "machine": machine, "figure": figure}
        values = {k: f"{estimate[k]:.4f}" if estimate.get(k) is not None else "" for k in ("value", "low", "high")}
        line = pd.DataFrame([{**{k: str(row.get(k, "")) for k in KEYS}, **values}])
        self.table.parent.mkdir(parents=True, exist_ok=True)
        line.to_csv(self.table, mode="a", header=not self.table.exists(), index=False)
        self.rows = pd.concat([self.rows, line], ignore_index=True)
        say(f"{key} {figure} {' '.join(values.values())}")

    def faces(self, kind: str, head: str, seed: int, aus: str = "on", size_px: int = 64) -> Path:
        """Rendered people: `learned` (of whom `synth` keeps a quarter apart), `tested`, or `labelled`.

        The latter two are scored without AU 45, which never occurs on the lowest rung.
        """
        people = self.rendered() if kind == "learned" else self.scale[kind]
        frames = FRAMES if kind == "learned" else TESTED_FRAMES
        out = self.out / f"{kind}_{head}_{aus}_{size_px}_{seed}"
        number = {"learned": 100, "tested": 101, "labelled": 102}[kind] + 3 * seed
        duchenne.synth(
            out, subjects=people, clips=self.scale["clips"], frames=frames, size_px=size_px, seed=number, head=head,
            aus=aus, style="natural", quiet=True, workers=0 if self.device == "cuda" else 1,
        )  # fmt: skip
        return out if kind == "learned" else without_blinks(out)

    def rendered(self) -> int:
        """How many people are rendered to learn from, with those whom `synth` keeps apart."""
        return int(self.scale["people"]) * 4 // 3

    def learned(self, arm: Arm, head: str, seed: int, aus: str, size_px: int) -> Path:
        """What a method learns from; where it is told labels, clips without action units have the others'."""
        hidden = aus == "off" and arm.told in ("emotions", "action units")
        return self.faces("learned", head, seed, "hidden" if hidden else aus, size_px)

    def trained(self, name: str, head: str, seed: int, aus: str, net: str) -> Path:
        """The run of a method, trained where it is not yet; its log's last figures go into the table."""
        arm = {**METHODS, **VARIANTS}[name]
        fields = {"seed": seed, "device": self.device, **arm.fields, **self.scale["nets"][net]}
        recipe = load_recipe(f"cpu/{arm.method}", arm.method)
        config: Any = method_run_config(arm.method)(**{**recipe, **fields})
        steps = self.scale["passes"] / (config.batch_size * pictures(arm.method, config))
        if arm.method == "cl_ile":  # three fifths for its network, a fifth for each later stage
            fields["backbone_steps"], steps = max(1, round(0.6 * steps)), 0.2 * steps
        fields["max_steps"] = max(1, round(steps))
        run = self.run_of(name, head, seed, aus, net)
        if not (run / "encoder.safetensors").exists():
            note_machine(run, self.device)
            data = self.learned(arm, head, seed, aus, config.size_px)
            resume, start = (run / "checkpoint.pt").exists(), time.perf_counter()
            result = duchenne.pretrain(
                arm.method, data=data, out=run, recipe=f"cpu/{arm.method}", quiet=True, resume=resume, **fields
            )
            if not result.finished:
                raise SystemExit("stopped; the same command goes on.")
            (run / "checkpoint.pt").unlink()
            say(f"{run.name}: trained in {time.perf_counter() - start:.0f} s, {log_end(run)}")
        stored, wanted = yaml.safe_load((run / "config.yaml").read_text()), {**recipe, **fields}
        seen = sum(len(item.subjects) for item in read_record(run / "encoder.json").trained_on)
        people = self.rendered() - round(self.rendered() * TEST_SHARE)
        if seen != people or any(stored[key] != value for key, value in wanted.items()):
            raise SystemExit(f"{run} was trained with other settings or on other people; name another --out.")
        return run

    def run_of(self, name: str, head: str, seed: int, aus: str, net: str) -> Path:
        """The folder of a run."""
        return self.out / file_name(f"{name}{'' if net == 'compact' else f', {net}'}_{head}_{aus}_{seed}")

    def scored(self, protocol: str, models: list[str], data: Path, out: str, **options: Any) -> dict[str, Any]:
        """The summary of an evaluation."""
        folder = self.out / protocol / file_name(out)
        if not (folder / "summary.json").exists():
            duchenne.evaluate(
                protocol, model=models, data=data, out=folder, sample_faces=0, baselines=False, device=self.device,
                quiet=True, **options,
            )  # fmt: skip
        summary: dict[str, Any] = json.loads((folder / "summary.json").read_text())
        return summary

    def linear(self, models: list[str], data: Path, out: str) -> dict[str, Any]:
        """The summary of a linear evaluation."""
        return self.scored("linear", models, data, out, maps="none")

    def compared(self, first: Path, second: str, data: Path, out: str, over: str, key: dict[str, Any]) -> None:
        """Scores two models and stores the first one's figures, and its lead over the second."""
        summary, machine = self.linear([str(first), second], data, out), machines(first)
        for figure in ("auc", "f1"):
            self.add(figure, summary["models"][str(first)]["mean_of_folds"][figure], machine, **key)
        self.add("seconds", {"value": seconds(first)}, machine, **key)
        for name, value in log_end(first).items():
            self.add(f"last {name}", {"value": value}, machine, **key)
        self.add(f"auc over {over}", summary["differences"][0]["mean_of_folds"]["auc"], machine, **key)

    def known(self, name: str, head: str, seed: int, net: str, key: dict[str, Any]) -> None:
        """Refuses to mix two trainings in one row of the report: a run that is lost would not come back as it was."""
        run = self.run_of(name, head, seed, "on", net)
        if self.has("auc", **key, aus="on") and not (run / "encoder.safetensors").exists():
            raise SystemExit(f"{run} is gone, and trained anew it would be another one; name another --table.")

    def study(self, names: list[str], heads: list[str], seeds: list[int]) -> None:
        """Every method on every rung, with and without action units."""
        for head, seed, net in ((h, s, n) for h in heads for s in seeds for n in self.scale["nets"]):
            size_px = self.scale["nets"][net].get("size_px", 64)
            place = {"network": net, "learned_from": head, "tested_on": head}
            place["seed"] = str(seed)
            self.beside(head, seed, size_px, place)
            for name in names:
                if net != "compact" and not takes_backbone(METHODS[name].method):
                    continue
                key = {**place, "model": name}
                if all(self.has(f"auc over {other}", **key, aus="on") for other in ("untrained", "AUs off")):
                    continue
                self.known(name, head, seed, net, key)
                if not self.has("auc over untrained", **key, aus="on"):
                    run = self.trained(name, head, seed, "on", net)
                    data, out = self.faces("tested", head, seed, size_px=size_px), f"{run.name}_untrained"
                    self.compared(run, f"random:{run}", data, out, "untrained", {**key, "aus": "on"})
                if not self.has("auc over AUs off", **key, aus="on"):
                    run, other = (self.trained(name, head, seed, aus, net) for aus in ("on", "off"))
                    data, out = self.faces("tested", head, seed, size_px=size_px), f"{run.name}_control"
                    score = self.linear([str(run), str(other)], data, out)["models"][str(other)]["mean_of_folds"]
                    self.add("auc", score["auc"], machines(other), **key, aus="off")
                    for figure, value in log_end(other).items():
                        self.add(f"last {figure}", {"value": value}, machines(other), **key, aus="off")
                    self.compared(run, str(other), data, out, "AUs off", {**key, "aus": "on"})

    def beside(self, head: str, seed: int, size_px: int, place: dict[str, Any]) -> None:
        """Baselines that learn nothing but the linear units."""
        if self.has("f1", **place, model=list(FEATURES)[-1]):
            return
        data = self.faces("tested", head, seed, size_px=size_px)
        files = {name: table_of(data, of, self.out / f"{data.name}_{name}.parquet") for name, of in FEATURES.items()}
        models = {"pixels": "pixels", "landmarks": "landmarks", **files}
        scores = self.linear(list(models.values()), data, f"beside_{head}_{size_px}_{seed}")["models"]
        for name, model in models.items():
            for figure in ("auc", "f1"):
                self.add(figure, scores[model]["mean_of_folds"][figure], processor("cpu"), **place, model=name)

    def comparisons(self, names: list[str], heads: list[str], seeds: list[int]) -> None:
        """What the papers compare; both AUCs of a pair are stored with it, so that it stands for itself."""
        pairs = [pair for pair in PAIRS if all(name in (*names, *VARIANTS) for name in pair)]
        for head, seed, (first, second) in ((h, s, p) for h in heads for s in seeds for p in pairs):
            free = first == "EmoCo"
            key = {
                "network": "compact", "learned_from": head, "tested_on": f"{head}, free clips" if free else head,
                "seed": str(seed), "model": first, "aus": "on",
            }  # fmt: skip
            if self.has(f"auc over {second}", **key):
                continue
            one, other = (self.trained(name, head, seed, "on", "compact") for name in (first, second))
            data = self.faces("tested", head, seed)
            data = without_emotion(data) if free else data
            summary = self.linear([str(one), str(other)], data, f"{one.name}_over_{second}")
            for run, figure in ((one, f"auc beside {second}"), (other, f"auc of {second}")):
                self.add(figure, summary["models"][str(run)]["mean_of_folds"]["auc"], machines(run), **key)
            self.add(f"auc over {second}", summary["differences"][0]["mean_of_folds"]["auc"], machines(one), **key)

    def few(self, names: list[str], heads: list[str], seeds: list[int]) -> None:
        """Linear units and fine-tuning with few people labelled, tested on people of all folds.

        Ten epochs are few steps where few are labelled, so a tenth of the people is also learned from ten times as
        long, by fine-tuning and without pretraining, and all others are tested.
        """
        for head, seed in ((h, s) for h in heads for s in seeds):
            data = self.faces("labelled", head, seed)
            tenth = few_learned_from(data, self.out / f"{data.name}_tenth.csv")
            models = {}
            for name in names:
                run = self.trained(name, head, seed, "on", "compact")
                shape = "untrained" if takes_backbone(METHODS[name].method) else f"{name}, untrained"
                models = {shape: (run, f"random:{run}"), **models, name: (run, str(run))}
            for name, (run, model) in models.items():
                for words, options in (
                    ("linear", {"maps": "none", "label_share": SHARES}),
                    ("finetune", {"epochs": 10, "lr": 1e-3, "label_share": SHARES}),
                    ("finetune, a tenth, 100 epochs",
                     {"epochs": 100, "lr": 1e-3, "label_share": SHARES_OF_A_TENTH, "folds": str(tenth)}),
                ):  # fmt: skip
                    protocol = words.split(",")[0]
                    key = {
                        "network": "compact", "learned_from": head, "tested_on": f"{head}, {words}",
                        "seed": str(seed), "model": name, "aus": "" if name.endswith("untrained") else "on",
                        "tested": self.scale["labelled"],
                    }  # fmt: skip
                    if self.has("auc, share 1", **key):
                        continue
                    end = "_tenth" if "folds" in options else ""
                    summary = self.scored(protocol, [model], data, f"few_{name}_{head}_{seed}{end}", **options)
                    for point in summary["models"][model]["label_efficiency"]:
                        self.add(f"auc, share {point['share']:g}", point["auc"], machines(run), **key)


def file_name(words: str) -> str:
    """Words without what is awkward in the name of a folder."""
    return words.replace(",", "").replace(" ", "_")


def takes_backbone(method: str) -> bool:
    """Whether a method's network can be chosen."""
    return "backbone" in method_run_config(method).__dataclass_fields__


def processor(device: str) -> str:
    """The name of what computes."""
    return processor_name() if device == "cpu" else torch.cuda.get_device_name()


def note_machine(run: Path, device: str) -> None:
    """Writes down what a run is trained on, from now on."""
    names = dict.fromkeys([*filter(None, machines(run).split(" and ")), processor(device)])
    (run.parent / f"{run.name}.machine").write_text(" and ".join(names))


def machines(run: Path) -> str:
    """What a run was trained on."""
    noted = run.parent / f"{run.name}.machine"
    return noted.read_text() if noted.exists() else ""


def pictures(method: str, config: Any) -> int:
    """Encoder forward passes of one clip (or frame) of a batch, momentum encoders included."""
    frames = int(method_class(method).sampler(config).frames)
    if method == "clp":
        return frames + (0 if config.terms == "tcl" else int(config.separate_frames))
    if method == "twin_cycle":
        return 5  # both frames, and the three pictures that are made of them
    return frames if method in ("supervised", "cl_ile") else max(frames, 2)


def log_lines(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's log that speak of training."""
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if "images_per_s" in line]


def log_end(run: Path) -> dict[str, float]:
    """Means over the last tenth of a run's log: what tells of learning and of collapse."""
    lines = log_lines(run)
    last = pd.DataFrame(lines[-max(1, len(lines) // 10) :])
    return {name: float(last[name].mean()) for name in ("loss", "accuracy", "spread") if name in last}


def seconds(run: Path) -> float:
    """That a run's steps took."""
    lines = log_lines(run)
    config: Any = yaml.safe_load((run / "config.yaml").read_text())
    clips = np.diff([0, *(line["step"] for line in lines)]) * config["batch_size"]
    method = str(config["method"])
    chosen = method_run_config(method)
    known = chosen.__dataclass_fields__
    fields = {k: tuple(v) if isinstance(v, list) else v for k, v in config.items() if k in known}
    frames = int(method_class(method).sampler(chosen(**fields)).frames)
    seen = clips * (frames if method in ("supervised", "cl_ile") else max(2, frames))
    return float(sum(seen / [line["images_per_s"] for line in lines]))


def grey(picture: Any) -> Any:
    """(256,) a picture as 16 x 16 grey values."""
    small = cv2.resize(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (16, 16), interpolation=cv2.INTER_AREA)
    return small.astype(np.float32).ravel() / 255


def hog(picture: Any) -> Any:
    """(1764,) histograms of oriented gradients at 64 px."""
    descriptor = cv2.HOGDescriptor((64, 64), (16, 16), (8, 8), (8, 8), 9)
    small = cv2.resize(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (64, 64), interpolation=cv2.INTER_AREA)
    return np.asarray(descriptor.compute(small), dtype=np.float32).ravel()


FEATURES: dict[str, Callable[[Any], Any]] = {"16 x 16 pixels": grey, "HOG": hog}


def table_of(data: Path, of: Callable[[Any], Any], out: Path) -> str:
    """A table of features as `--model`."""
    prepared = Prepared([data])
    values = [of(prepared.image(row, prepared.infos[0].size_px)) for row in range(len(prepared))]
    prepared.frames[["subject", "clip", "frame"]].assign(feature=values).to_parquet(out)
    return f"features:{out}"


def few_learned_from(data: Path, out: Path) -> Path:
    """Folds in which every tenth person is learned from and all others are tested."""
    people = sorted(Prepared([data]).subject_list())
    rows = [f"{name},{'' if number % 10 == 0 else 0}" for number, name in enumerate(people)]
    out.write_text("\n".join(["subject,fold", *rows]) + "\n")
    return out


def view_of(data: Path, end: str, change: Callable[[pd.DataFrame], pd.DataFrame], without: Sequence[int] = ()) -> Path:
    """The same pictures with other rows or labels, beside the data."""
    out = data.with_name(f"{data.name}_{end}")
    if not out.exists():
        making = out.with_suffix(".making")
        making.mkdir(exist_ok=True)
        about = yaml.safe_load((data / "dataset.yaml").read_text())
        about["aus"] = [au for au in about["aus"] if au not in without]
        (making / "dataset.yaml").write_text(yaml.safe_dump(about))
        if not (making / "shards").exists():
            (making / "shards").symlink_to((data / "shards").resolve())
        change(pd.read_parquet(data / "frames.parquet")).to_parquet(making / "frames.parquet")
        making.rename(out)
    return out


def without_emotion(data: Path) -> Path:
    """Its clips in which action units are combined freely."""
    return view_of(data, "free", lambda table: table[table["emotion"].isna()])


def without_blinks(data: Path) -> Path:
    """Without AU 45, the blink: it never occurs on the lowest rung, and rungs are to be compared."""
    lost = [au_column(BLINK), intensity_column(BLINK)]
    return view_of(data, "no_blinks", lambda table: table.drop(columns=lost), [BLINK])


def say(text: str) -> None:
    """A line with the time."""
    print(time.strftime("%H:%M:%S"), text, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--parts", nargs="+", choices=("study", "few", "comparisons"), default=["study"])
    parser.add_argument("--methods", nargs="+", choices=METHODS)
    parser.add_argument("--heads", nargs="+", choices=SCALES["cpu"]["heads"])
    parser.add_argument("--networks", nargs="+", choices=SCALES["gpu"]["nets"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--scale", choices=SCALES, default="cpu")
    parser.add_argument("--device", help="cpu or cuda; by default what the scale is for")
    for name, what in (
        ("passes", "encoder forward passes of every run"), ("people", "learned from"), ("clips", "of each person"),
        ("tested", "people tested"), ("labelled", "people of the part few"),
    ):  # fmt: skip
        parser.add_argument(f"--{name}", type=int, help=what)
    arguments = parser.parse_args()
    scale = dict(SCALES[arguments.scale])
    for name in ("methods", "heads", "passes", "people", "clips", "tested", "labelled"):
        scale[name] = getattr(arguments, name) or scale[name]
    scale["nets"] = {name: SCALES["gpu"]["nets"][name] for name in arguments.networks or scale["nets"]}
    if "compact" not in scale["nets"] and set(arguments.parts) != {"study"}:
        parser.error("--networks: the parts few and comparisons are of compact; name it, too.")
    arguments.out.mkdir(parents=True, exist_ok=True)
    device = arguments.device or {"cpu": "cpu", "gpu": "cuda"}[arguments.scale]
    study = Study(arguments.out, arguments.table, (arguments.scale, scale), device)
    say(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {device}")
    for part in arguments.parts:
        if part == "study":
            study.study(scale["methods"], scale["heads"], arguments.seeds)
        elif part == "few":
            study.few(scale["methods"], scale["heads"], arguments.seeds)
        else:
            study.comparisons(scale["methods"], scale["heads"], arguments.seeds)


if __name__ == "__main__":
    main()
