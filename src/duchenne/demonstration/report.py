"""The demonstration's page: what was learned from, how, how well, and action units of a video."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import cv2
import matplotlib as mpl
import numpy as np
import pandas as pd
import torch
from markupsafe import Markup
from matplotlib.figure import Figure
from numpy.typing import NDArray

from duchenne import plots
from duchenne._version import __version__
from duchenne.data.prepared import Prepared
from duchenne.data.shards import encode_jpeg
from duchenne.evaluation.report.page import absent_items, log_curve
from duchenne.facs import ACTION_UNITS, au_column
from duchenne.files import write_text
from duchenne.methods.emoco.config import EmoCoConfig
from duchenne.pages import jpeg_uri, render_page
from duchenne.synthetic.anatomy import SYNTH_AUS
from duchenne.synthetic.sampling import RATE, ClipPlan

PANELS: Final = 6
"""Action units of the timeline: the smile, and those that the clip shows most."""
_NAMES: Final = {
    "run_labelled": ("supervised", "learned from the clips above with their action units"),
    "run": ("EmoCo", "learned from the emotions of the clips above, told no action unit"),
    "run_aus_off": ("EmoCo without AUs", "the control: told the same, but every action unit held at zero"),
    "random": ("untrained network", "the same encoder with random weights"),
    "pixels": ("pixels", "small grey pictures, no network"),
    "landmarks": ("landmarks", "exact, the renderer's own"),
}


def write_demo_report(
    out: Path,
    summary: Mapping[str, Any],
    frames: NDArray[np.uint8],
    plan: ClipPlan,
    fitted: pd.DataFrame,
    detected: pd.DataFrame,
    seconds: Mapping[str, float],
) -> None:
    """Writes `report.html`.

    Args:
        out: the demonstration's folder.
        summary: of the linear protocol.
        frames: (T, H, W, 3) RGB uint8 of the video that was detected.
        plan: of that video, with the exact action units.
        fitted: the table of `fit`.
        detected: the table of `detect`.
        seconds: spent on each part.
    """
    data = Prepared([out / "faces"])
    learned = np.flatnonzero(data.column("split") != "test")  # pretraining leaves the test split out
    told = set(EmoCoConfig().classes) & set(data.column("emotion", learned))
    names = {model: _NAMES[_kind(model)] for model in summary["models"]}
    means = {names[model][0]: values["mean_of_folds"] for model, values in summary["models"].items()}
    always = summary["always_positive"]["mean_of_folds"]
    curves = {_NAMES[run][0]: log_curve(out / run, "accuracy") for run in ("run", "run_aus_off")}
    passed = [str(au) for au in fitted.loc[fitted["passed"], "au"]]
    logs = {name: curve for name, curve in curves.items() if curve}
    found = detected.loc[detected["face"].notna(), "frame"].nunique()
    absent = absent_items(summary)
    page = {
        "title": "demonstration",
        "pretraining": {
            "subjects": data.column("subject", learned).nunique(),
            "clips": data.column("clip", learned).nunique(),
            "frames": len(learned),
            "size_px": data.infos[0].size_px,
        },
        "clips": _clips(data),
        "learning": Markup(plots.curves(logs, label="emotion told right")),
        "chance": _short(1 / len(told)),
        "steps": max(steps[-1] for steps, _ in logs.values()),
        "overview": Markup(
            plots.overview(
                means,
                {"auc": 0.5, "f1": always},
                {"auc": "AUC (dashed: chance)", "f1": "F1 (dashed: calling everything present)"},
            )
        ),
        "rows": list(_rows(summary, names)),
        "always": _short(always),
        "verdicts": _verdicts(summary),
        "detector": {
            "passed": ", ".join(passed) or "none",
            "number": len(passed),
            "of": len(fitted) - len(absent),
            "kappa": _short(float(fitted["kappa"].mean())),
            "auc": _short(float(fitted["auc"].mean())),
            "agreement": _agreement(plan, detected),
        },
        "protocol": summary["protocol"],
        "absent": ", ".join(absent),
        "film": _film(frames),
        "timeline": Markup(_timeline(plan, detected)),
        "found": f"A face was found in {found} of {len(frames)} frames.",
        "made": _made(seconds),
    }
    write_text(out / "report.html", render_page("duchenne.demonstration", "report.jinja", page))


def _kind(model: str) -> str:
    return "random" if model.startswith("random:") else Path(model).name


def _rows(summary: Mapping[str, Any], names: Mapping[str, tuple[str, str]]) -> Any:
    models = list(summary["models"])
    differences = {pair["second"]: pair for pair in summary["differences"] if pair["first"] == models[0]}
    for number, model in enumerate(models):
        auc, f1 = (summary["models"][model]["mean_of_folds"][metric] for metric in ("auc", "f1"))
        lead = differences.get(model, {}).get("mean_of_folds", {}).get("auc")
        yield {
            "name": names[model][0], "what": names[model][1], "colour": plots.colour(number),
            "auc": _short(auc["value"]), "auc_between": _between(auc),
            "f1": _short(f1["value"]), "f1_between": _between(f1),
            "lead": _short(lead["value"], "+") if lead else "", "lead_between": _between(lead, "+") if lead else "",
        }  # fmt: skip


def _verdicts(summary: Mapping[str, Any]) -> list[str]:
    """What each training learned and what not; nothing is left out because it disappoints."""
    models = {_kind(model): model for model in summary["models"]}
    said = []
    for kind, control, against in (
        ("run_labelled", "random", "the untrained network"),
        ("run", "run_aus_off", "the same training with every action unit held at zero"),
    ):
        leads = _leads(summary, models[kind])
        learned = _learned(_NAMES[kind][0], leads.get(models[control]), against)
        said.append(f"{learned} {_ranked(summary, leads)}")
    return said


def _leads(summary: Mapping[str, Any], model: str) -> dict[str, dict[str, float] | None]:
    """A model's lead in AUC over every other, None where it is undefined."""
    leads: dict[str, dict[str, float] | None] = {}
    for pair in summary["differences"]:
        lead = pair["mean_of_folds"]["auc"]
        known = all(lead[key] is not None for key in ("value", "low", "high"))
        if pair["first"] == model:
            leads[pair["second"]] = dict(lead) if known else None
        elif pair["second"] == model:
            turned = {"value": "value", "low": "high", "high": "low"}
            leads[pair["first"]] = {key: -lead[turned[key]] for key in turned} if known else None
    return leads


def _learned(name: str, lead: dict[str, float] | None, against: str) -> str:
    """Whether a training learned action units, one sentence; the control decides."""
    name = f"{name[0].upper()}{name[1:]}"
    if lead is None:
        return f"{name}: what it learned cannot be said, because its AUC or that of {against} is undefined."
    measured = f"its AUC less that of {against} is {_short(lead['value'], '+')} ({_between(lead, '+')})"
    if lead["low"] > 0:
        return f"{name} learned action units: {measured}."
    if lead["high"] < 0:
        return f"{name} learned no action units and lost some of what shows them: {measured}."
    return f"That {name} learned action units cannot be said: {measured}, which may be 0."


def _ranked(summary: Mapping[str, Any], leads: Mapping[str, dict[str, float] | None]) -> str:
    """What a model is better and worse than, one sentence."""
    kinds: dict[str, list[str]] = {"is better than": [], "cannot be told apart from": [], "is worse than": []}
    for other, lead in leads.items():
        kind = (
            "cannot be compared with" if lead is None else "is better than" if lead["low"] > 0
            else "is worse than" if lead["high"] < 0 else "cannot be told apart from"
        )  # fmt: skip
        kinds.setdefault(kind, []).append(_NAMES[_kind(other)][0])
    return f"In AUC it {'; '.join(f'{kind} {_enumerated(others)}' for kind, others in kinds.items() if others)}."


def _enumerated(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _agreement(plan: ClipPlan, detected: pd.DataFrame) -> str:
    """The mean correlation of what was detected with the exact intensities, over action units that the clip shows."""
    first = _first_face(detected)
    found = []
    for place, au in enumerate(SYNTH_AUS):
        exact = plan.aus[:, :, place].max(axis=1)[first["frame"].to_numpy(dtype=np.int64)]
        column = f"{au_column(au)}_p"
        said = first[column].to_numpy(dtype=np.float64) if column in first else np.full(len(exact), np.nan)
        read = ~np.isnan(said)  # frames without a face have no value
        if read.sum() > 2 and exact[read].max() >= 1:
            both = np.corrcoef(exact[read], said[read])[0, 1]
            found.append(0.0 if np.isnan(both) else float(both))
    return f"{_short(float(np.mean(found)))} ({len(found)} action units)" if found else "not measurable"


def _first_face(detected: pd.DataFrame) -> pd.DataFrame:
    return detected[detected["face"].isna() | (detected["face"] == 0)]


def _short(value: float | None, sign: str = "") -> str:
    return "–" if value is None else f"{value:{sign}.3f}".replace("0.", ".", 1)


def _between(estimate: Mapping[str, float | None], sign: str = "") -> str:
    return f"{_short(estimate['low'], sign)} to {_short(estimate['high'], sign)}"


def _clips(data: Prepared, number: int = 4, length: int = 10) -> list[list[str]]:
    names = data.column("clip")
    clips = list(names.groupby(names, sort=False).groups.values())
    chosen = [clips[place] for place in np.linspace(0, len(clips) - 1, number).astype(int)]
    return [
        [jpeg_uri(data.jpeg(int(rows[i]))) for i in np.linspace(0, len(rows) - 1, min(length, len(rows))).astype(int)]
        for rows in chosen
    ]


def _film(frames: NDArray[np.uint8], number: int = 8) -> list[dict[str, Any]]:
    shown = []
    for place in np.linspace(0, len(frames) - 1, number).astype(int):
        small = np.asarray(cv2.resize(frames[place], (140, 140), interpolation=cv2.INTER_AREA), dtype=np.uint8)
        shown.append({"picture": jpeg_uri(encode_jpeg(small)), "number": place, "time_s": place / RATE})
    return shown


def _timeline(plan: ClipPlan, detected: pd.DataFrame) -> str:
    """Detected probability and exact intensity over time, a small panel for each action unit the clip shows most."""
    first = _first_face(detected)
    strongest = np.argsort(-plan.aus.max(axis=(0, 1)), kind="stable").tolist()
    strongest.sort(key=lambda place: SYNTH_AUS[place] != 12)  # the smile that the clip was chosen for comes first
    shown = [int(place) for place in strongest if f"{au_column(SYNTH_AUS[place])}_p" in first][:PANELS]
    with mpl.rc_context(plots.STYLE):
        figure = Figure(figsize=(9.2, 4.2), layout="constrained")
        panels = figure.subplots(2, PANELS // 2, sharex=True, sharey=True).ravel()
        for axis in panels[len(shown) :]:
            axis.set_visible(False)
        for number, (axis, place) in enumerate(zip(panels, shown)):
            au, exact = SYNTH_AUS[place], plan.aus[:, :, place].max(axis=1) / 5
            axis.plot(np.arange(len(exact)) / RATE, exact, "--", color=plots.TEXT, linewidth=1.2, alpha=0.7)
            axis.plot(first["time_s"], first[f"{au_column(au)}_p"], color=plots.colour(number), linewidth=1.8)
            axis.set_title(f"AU{au} {ACTION_UNITS[au].name}", fontsize=10, loc="left")
            axis.set_ylim(0, 1)
            axis.grid(visible=True)
        for axis in panels[PANELS // 2 :]:
            axis.set_xlabel("seconds")
        return plots.to_svg(figure)


def _made(seconds: Mapping[str, float]) -> str:
    parts = ", ".join(f"{name} {value:.0f} s" for name, value in seconds.items())
    software: Sequence[str] = (
        f"duchenne {__version__}", f"torch {torch.__version__}", f"Python {platform.python_version()}",
        f"{torch.get_num_threads()} threads",
    )  # fmt: skip
    whole = f"Made in {sum(seconds.values()):.0f} s ({parts}; what an earlier call had finished is not counted)."
    return f"{whole} {', '.join(software)}."
