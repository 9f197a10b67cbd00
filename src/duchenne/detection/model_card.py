"""The model card of a detector: what `detector.json` holds, in words for those who will use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from duchenne.detection.records import AuRecord, DetectorRecord
from duchenne.facs import ACTION_UNITS

_HEADINGS: Final = (
    "action unit", "frames, present", "subjects, showing it", "AUC", "F1", "kappa (95 % interval)",
    "calibration error", "threshold", "decisions",
)  # fmt: skip


def model_card(record: DetectorRecord) -> str:
    """The text of `model_card.md` (Markdown)."""
    return "\n".join([*_head(record), *_figures(record), *_data(record), *_how(record), *_limits()])


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
    ]


def _row(name: str, item: AuRecord) -> list[str]:
    held = item.held_out or {}
    low, high = held.get("kappa_low"), held.get("kappa_high")
    interval = f" ({low:.2f} to {high:.2f})" if low is not None and high is not None else ""
    return [
        f"{name} {_name(name)}",
        f"{item.frames}, {item.present / item.frames:.0%}",
        f"{item.subjects}, {item.showing}",
        *(_two(held.get(key)) for key in ("auc", "f1")),
        _two(held.get("kappa")) + interval,
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
            f"intensity, present from {item['positive_from']:g}" if item["positive_from"] else "occurrence",
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
    return [
        "## How it was made",
        "",
        "A linear unit per action unit: logistic regression on standardised features, both classes weighted alike,",
        f"with an L2 penalty of {record.l2:g} chosen on subjects left out. The weighting is taken back with the share",
        "of frames that show the action unit; slope and offset are fitted on subjects left out (Platt scaling), so",
        "that the outcome is a probability. Values outside the range seen in training count as the nearest inside it.",
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


def _two(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
