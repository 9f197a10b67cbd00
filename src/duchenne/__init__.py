"""Duchenne: facial action units, learned, evaluated and detected.

The functions below have the names and arguments of the commands (`duchenne detect` is `duchenne.detect`). Importing
this package imports nothing heavy: each function is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_FUNCTIONS = {
    "agree": "duchenne.evaluation.agree",
    "camera": "duchenne.detection.camera",
    "compare": "duchenne.evaluation.compare",
    "convert": "duchenne.training.convert",
    "demo": "duchenne.demonstration.job",
    "detect": "duchenne.detection.detect",
    "detect_frames": "duchenne.detection.detect",
    "embed": "duchenne.evaluation.embed",
    "evaluate": "duchenne.evaluation.evaluate",
    "export": "duchenne.detection.export",
    "fit": "duchenne.detection.fit",
    "info": "duchenne.cli.info",
    "prepare": "duchenne.faces.prepare",
    "pretrain": "duchenne.training.pretrain",
    "retrieve": "duchenne.evaluation.retrieve",
    "summarize": "duchenne.detection.summarize",
    "synth": "duchenne.data.synthetic.synth",
}
__all__ = [
    "__version__", "agree", "camera", "compare", "convert", "demo", "detect", "detect_frames", "embed", "evaluate",
    "export", "fit", "info", "prepare", "pretrain", "retrieve", "summarize", "synth",
]  # fmt: skip

if TYPE_CHECKING:
    from duchenne.cli.info import info
    from duchenne.data.synthetic.synth import synth
    from duchenne.demonstration.job import demo
    from duchenne.detection.camera import camera
    from duchenne.detection.detect import detect, detect_frames
    from duchenne.detection.export import export
    from duchenne.detection.fit import fit
    from duchenne.detection.summarize import summarize
    from duchenne.evaluation.agree import agree
    from duchenne.evaluation.compare import compare
    from duchenne.evaluation.embed import embed
    from duchenne.evaluation.evaluate import evaluate
    from duchenne.evaluation.retrieve import retrieve
    from duchenne.faces.prepare import prepare
    from duchenne.training.convert import convert
    from duchenne.training.pretrain import pretrain


def __getattr__(name: str) -> Any:
    if name in _FUNCTIONS:
        return getattr(import_module(_FUNCTIONS[name]), name)
    raise AttributeError(f"module 'duchenne' has no attribute '{name}'")


def __dir__() -> list[str]:
    return list(__all__)
