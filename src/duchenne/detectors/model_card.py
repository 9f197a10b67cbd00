"""The model card of a detector: what `detector.json` holds, in words for those who will use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from duchenne.detectors.records import AuRecord, DetectorRecord
from duchenne.facs import ACTION_UNITS

_HEADINGS: Final = (
    "action unit", "frames, present", "subjects, showing it", "AUC", "F1", "kappa (95 % interval)",
    "calibration error", "threshold", "decisions",
)  # fmt: skip


def model_card(record: DetectorRecord) -> str:
    """The text of `model_card.md` (Markdown)."""
    parts = (_head(record), _figures(record), _intensities(record), _groups(record), _data(record), _how(record))
    return "\n".join([*(line for part in parts for line in part), *_limits()])


def _head(record: DetectorRecord) -> list[str]:
    passed = [name for name, item in record.aus.items() if item.passed]
    notes = [line for note in record.notes for line in (f"**Note:** {note}", "")]
    return [
        "# A detector of facial action units",
        "",
        f"Reads {len(record.aus)} action units from a face and gives each a probability (`AUxx_p`). Decisions",
        "(`AUxx_c`, 0 or 1) are written for those that agreed well enough with the coder on people left out:",
        f"**{', '.join(passed) or 'none'}**.",
        "",
        f"Made by `duchenne fit --model {record.model}` (Duchenne {record.duchenne}).",
        "Used by `duchenne detect --model THIS_FOLDER`.",
        "",
        *notes,
    ]


def _figures(record: DetectorRecord) -> list[str]:
    return [
        "## How well it did on people it was not trained on",
        "",
        *_table(_HEADINGS, [_row(name, item) for name, item in record.aus.items()]),
        *[f"- {name} ({_name(name)}) is left out: {why}." for name, why in record.left_out.items()],
        *([""] if record.left_out else []),
        *(_meaning(record) if record.validation["folds"] else ["There are too few subjects for figures.", ""]),
    ]


def _meaning(record: DetectorRecord) -> list[str]:
    bar, folds = record.validation["bar"], record.validation["folds"]
    return [
        "AUC: how often a frame with the action unit scores above one without (0.50 is chance), mean over folds.",
        "Kappa: agreement with the coder beyond chance, with an interval over resampled subjects. Calibration",
        "error: how far probabilities are from what came true, on average. For these figures the whole procedure",
        "(weights, strength of the penalty, calibration, threshold) was repeated without each subject",
        f"({folds} folds); the detector itself is trained on everyone. Decisions need a kappa of at least",
        f"{bar['kappa']:.2f} with a lower bound over {bar['lower_bound']:.2f}, and {bar['subjects_showing']} subjects",
        "who show the action unit.",
        "",
        "![Probabilities said and shares of frames that show it, on people left out](reliability.png)",
        "",
    ]


def _intensities(record: DetectorRecord) -> list[str]:
    read = {name: item for name, item in record.aus.items() if item.intensity}
    if not read:
        return []
    rows = [
        [
            f"{name} {_name(name)}",
            f"{item.intensity['levels'][0]:g} to {item.intensity['levels'][-1]:g}" if item.intensity else "",
            _interval(item.held_out or {}, "icc"),
            _two((item.held_out or {}).get("mae")),
            _two((item.held_out or {}).get("mae_of_zero")),
        ]
        for name, item in read.items()
    ]
    return [
        "## Intensity",
        "",
        "`AUxx_r` is the intensity from 0 to the highest level learned. It and the decision come from one scale: it",
        "reaches the level from which an action unit counts as present exactly where the probability reaches the",
        "threshold. Agreement with the coded intensity on people left out: ICC(3,1) with its 95 % interval, and mean",
        "absolute error in levels, beside that of calling every face neutral: where an action unit is rare, that is",
        "hard to beat.",
        "",
        *_table(("action unit", "levels learned", "ICC(3,1)", "mean absolute error", "of neutral"), rows),
    ]


def _groups(record: DetectorRecord) -> list[str]:
    if record.groups is None:
        return []
    rows = [
        [
            item["au"],
            item["group"],
            f"{item['subjects']}, {item['showing']}",
            f"{item['frames']}, {item['present'] / item['frames']:.0%}",
            *(_interval(item, key) for key in ("auc", "f1", "kappa")),
        ]
        for item in sorted(record.groups["scores"], key=lambda item: (item["au"], item["group"]))
    ]
    unknown = record.groups["unknown"]
    return [
        f"## By {record.groups['by']}",
        "",
        "The same figures, on people left out, for each group alone (95 % intervals over resampled subjects, where six",
        "show the action unit). F1 and kappa also depend on how often a group shows the action unit, AUC does not."
        + (f" {unknown} frames belong to no known group." if unknown else ""),
        "",
        *_table(("action unit", "group", "subjects, showing it", "frames, present", "AUC", "F1", "kappa"), rows),
    ]


def _row(name: str, item: AuRecord) -> list[str]:
    held = item.held_out or {}
    return [
        f"{name} {_name(name)}",
        f"{item.frames}, {item.present / item.frames:.0%}",
        f"{item.subjects}, {item.showing}",
        *(_two(held.get(key)) for key in ("auc", "f1")),
        _interval(held, "kappa"),
        _two(held.get("calibration_error")),
        f"{item.threshold:.2f}",
        item.why,
    ]


def _data(record: DetectorRecord) -> list[str]:
    rows = [
        [
            item["dataset"],
            str(len(item["subjects"]) or "unknown"),
            str(item["frames"]),
            _coded(item),
            item["licence"],
        ]
        for item in record.trained_on
    ]
    lines = ["## What it was trained on", ""]
    lines += _table(("data", "subjects", "labelled frames", "coded", "licence"), rows)
    lines += ["What looks at the face: " + ", ".join(map(_part, record.parts)) + ".", ""]
    encoder = record.encoder_trained_on
    if encoder["data"]:
        rows = [
            [item["dataset"], str(item["subjects"] or "unknown"), "yes" if item["labels"] else "no", item["licence"]]
            for item in encoder["data"]
        ]
        lines += ["That was trained on:", "", *_table(("data", "subjects", "with labels", "licence"), rows)]
    if encoder["seen_these_subjects"]:
        lines += ["It had seen faces of the subjects above, without labels: the figures are *transductive*.", ""]
    return [*lines, "The licences of all these data bind this detector too.", ""]


def _coded(item: Mapping[str, Any]) -> str:
    if item["label_kind"] != "intensity":
        return "occurrence"
    level = item["positive_from"]
    return f"intensity, present from {level:g}" if level else "occurrence, and intensity of some"


def _part(part: Mapping[str, Any]) -> str:
    kind = part["kind"]
    if kind == "encoder":
        return f"a {part['spec']['backbone']} ({part.get('source')}), {part['input_px']} pixels wide"
    known = {
        "blendshapes": "MediaPipe's 52 blendshapes",
        "landmarks": "68 landmarks of the aligned face",
        "pixels": "the face in grey, 32 x 32",
    }
    return known.get(kind, f"the code {part.get('builder')}")


def _how(record: DetectorRecord) -> list[str]:
    platt = (
        "slope and offset are fitted on subjects left out (Platt scaling), so",
        "that the outcome is a probability.",
    )
    curve = ("a curve is fitted on subjects left out (isotonic regression), so", "that the outcome is a probability.")
    fitted = curve if record.calibration == "isotonic" else platt
    return [
        "## How it was made",
        "",
        "A linear unit per action unit: logistic regression on standardised features, both classes weighted alike,",
        f"with an L2 penalty of {record.l2:g} chosen on subjects left out. The weighting is taken back with the share",
        f"of frames that show the action unit; {fitted[0]}",
        f"{fitted[1]} Values outside the range seen in training count as the nearest inside it.",
        "",
    ]


def _limits() -> list[str]:
    return [
        "## Limits",
        "",
        "- The figures hold for people, cameras, light and tasks like those above. On others it can do worse: code a",
        "  part of your own material and compare (`duchenne agree`).",
        "- Probabilities assume that an action unit is as frequent as in the training data (`prior` in detector.json).",
        "- It learned what the coder coded, mistakes included. An action unit is a movement, not an emotion.",
        "- It is for research on groups of frames and people. Decide nothing about a person with it.",
        "- Turned, covered, badly lit or small faces are read worse than the figures say.",
        "",
    ]


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    body = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    return [*("| " + " | ".join(row) + " |" for row in (headings, ["---"] * len(headings), *body)), ""]


def _name(column: str) -> str:
    return ACTION_UNITS[int(column[2:])].name.lower()


def _interval(figures: Mapping[str, Any], key: str) -> str:
    low, high = figures.get(f"{key}_low"), figures.get(f"{key}_high")
    return _two(figures.get(key)) + (f" ({low:.2f} to {high:.2f})" if low is not None and high is not None else "")


def _two(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
