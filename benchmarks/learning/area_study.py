"""What the knowledge-driven method learns with exact landmarks and with MediaPipe's: AUC of both protocols on areas.

    python benchmarks/learning/area_study.py --out FOLDER [--seeds 3] [--subjects 32] [max_steps=300 ...]

The same synthetic clips twice: with the landmarks that the renderer knows, and with those that MediaPipe finds in the
crops (frames in which it finds none have none, and are left out and counted by `pretrain`). For each seed and kind of
landmarks: `cpu/knowledge_driven` on clips with action units and on the same clips with all of them held at zero; then
`evaluate areas` (with MediaPipe's landmarks of the tested faces) and `evaluate linear` on other people, beside
untrained weights and 16 x 16 grey pictures. Tested are the faces in which MediaPipe found landmarks.

Writes `area_study.json` and prints Markdown tables. Finished runs are not made again.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

import duchenne
from duchenne.data.prepared import Prepared
from duchenne.faces.find import FaceFinder
from emotion_study import copied, features, grey, machine, tables

FACES: dict[str, Any] = {"frames": 24, "size_px": 128, "quiet": True}


def mediapipe(data: Path, out: Path) -> Path:
    """A copy of prepared data with the landmarks that MediaPipe finds in its crops."""
    if out.exists():
        return out
    prepared, table = Prepared([data]), pd.read_parquet(data / "frames.parquet")
    found: list[Any] = []
    with FaceFinder() as finder:
        for row in range(len(prepared)):
            faces = [face for face in finder.find(prepared.image(row)) if face.landmarks is not None]
            found.append(faces[0].landmarks.astype(np.float32).ravel() if len(faces) == 1 else None)
    print(f"{data.name}: MediaPipe found landmarks in {sum(points is not None for points in found)} of {len(found)}")
    return copied(data, out, table.assign(landmarks=pd.Series(found, dtype=object)))


def pretrained(out: Path, data: Path, seed: int, fields: dict[str, Any]) -> str:
    run, wanted = out / f"run_{data.name}", {"seed": seed, **fields}
    if not (run / "encoder.safetensors").exists():
        method = "knowledge_driven"
        resume = (run / "checkpoint.pt").exists()
        result = duchenne.pretrain(
            method, data=data, out=run, recipe=f"cpu/{method}", quiet=True, resume=resume, **wanted
        )  # fmt: skip
        print(f"{run.name}:", *result.notes)
    config = yaml.safe_load((run / "config.yaml").read_text())
    if any(config[key] != value for key, value in wanted.items()):
        raise SystemExit(f"{run} was trained with other settings; name another --out.")
    return str(run)


def cell(out: Path, seed: int, subjects: int, fields: dict[str, Any]) -> list[Any]:
    """All models of one seed under both protocols."""
    runs, control = {}, {}
    for aus in ("on", "off"):
        exact = out / f"exact_{aus}_{seed}"
        duchenne.synth(exact, subjects=subjects, clips=4, seed=300 + 2 * seed, aus=aus, **FACES)
        found = mediapipe(exact, out / f"mediapipe_{aus}_{seed}")
        for name, data in (("exact landmarks", exact), ("MediaPipe's landmarks", found)):
            run = pretrained(out, data, seed, fields)
            runs[run] = name if aus == "on" else f"{name}, AUs off"
            control[runs[run]] = run
    tested = out / f"tested_{seed}"
    duchenne.synth(tested, subjects=subjects // 2, clips=4, seed=301 + 2 * seed, **FACES)
    tested = mediapipe(tested, out / f"tested_mediapipe_{seed}")
    table = pd.read_parquet(tested / "frames.parquet")
    tested = copied(tested, out / f"tested_found_{seed}", table[table["landmarks"].notna()])
    first = next(iter(runs))
    models = {**runs, f"random:{first}": "random"}
    models[features(tested, grey(tested), out / f"pixels_{seed}.parquet")] = "16 x 16 pixels"
    rows = []
    for protocol in ("areas", "linear"):
        folder = out / f"{protocol}_{seed}"
        duchenne.evaluate(
            protocol, model=list(models), data=tested, out=folder, sample_faces=0, baselines=False, quiet=True,
            **({"maps": "none"} if protocol == "linear" else {}),
        )  # fmt: skip
        summary = json.loads((folder / "summary.json").read_text())
        leads = {(pair["first"], pair["second"]): pair["mean_of_folds"]["auc"] for pair in summary["differences"]}
        for model, values in summary["models"].items():
            other = control.get(f"{models[model]}, AUs off")
            rows.append({
                "kind": f"new people, evaluate {protocol}", "seed": seed, "model": models[model],
                "lead": leads.get((model, other)), "auc": values["mean_of_folds"]["auc"],
                "f1": values["mean_of_folds"]["f1"], "always": summary["always_positive"]["mean_of_folds"],
            })  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--subjects", type=int, default=32, help="to learn from; half as many others are tested")
    parser.add_argument("fields", nargs="*", help="of the run's configuration, e.g. max_steps=300")
    arguments = parser.parse_args()
    fields = {key: yaml.safe_load(value) for key, value in (item.split("=", 1) for item in arguments.fields)}
    rows, start = [], time.perf_counter()
    for seed in range(arguments.seeds):
        rows += cell(arguments.out, seed, arguments.subjects, fields)
        print(tables(rows), flush=True)
    result = {"fields": fields, "faces": FACES, "subjects": arguments.subjects, "machine": machine(), "rows": rows}
    (arguments.out / "area_study.json").write_text(json.dumps(result, indent=1) + "\n")
    print(f"\n{time.perf_counter() - start:.0f} s on {machine()}")


if __name__ == "__main__":
    main()
