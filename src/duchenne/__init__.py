"""Duchenne: facial action units, learned, evaluated and detected.

The functions below have the names of the commands and, but for a few that docs/python.md lists, their arguments
(`duchenne detect` is `duchenne.detect`). Importing this package imports nothing heavy: each function is loaded when it
is first used.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

from duchenne._version import __version__
from duchenne.errors import lacks_training

_FUNCTIONS = {
    "Detector": "duchenne.detection.detector",
    "EvaluationResult": "duchenne.evaluation.result",
    "FaceDataset": "duchenne.data.loaders",
    "FeatureSource": "duchenne.features.source",
    "Method": "duchenne.methods.base",
    "Prepared": "duchenne.data.prepared",
    "agree": "duchenne.tables.agree",
    "camera": "duchenne.detection.camera",
    "compare": "duchenne.evaluation.comparing.compare",
    "convert": "duchenne.training.convert",
    "demo": "duchenne.demonstration.job",
    "detect": "duchenne.detection.detect",
    "detect_frames": "duchenne.detection.detect",
    "embed": "duchenne.features.embed",
    "evaluate": "duchenne.evaluation.evaluate",
    "export": "duchenne.detectors.export",
    "fit": "duchenne.detectors.fit",
    "info": "duchenne.cli.info",
    "load_encoder": "duchenne.training.runs",
    "load_model": "duchenne.detectors.opening",
    "prepare": "duchenne.preparing.prepare",
    "pretrain": "duchenne.training.pretrain",
    "register_method": "duchenne.methods.registry",
    "reproduce": "duchenne.reproducing.job",
    "retrieve": "duchenne.features.retrieve",
    "review": "duchenne.reviewing.review",
    "summarize": "duchenne.tables.summarize",
    "synth": "duchenne.synthetic.synth",
}
__all__ = [
    "Detector", "EvaluationResult", "FaceDataset", "FeatureSource", "Method", "Prepared", "__version__", "agree",
    "camera", "compare", "convert", "demo", "detect", "detect_frames", "embed", "evaluate", "export", "fit", "info",
    "load_encoder", "load_model", "prepare", "pretrain", "register_method", "reproduce", "retrieve", "review",
    "summarize", "synth",
]  # fmt: skip

if TYPE_CHECKING:
    from duchenne.cli.info import info
    from duchenne.data.loaders import FaceDataset
    from duchenne.data.prepared import Prepared
    from duchenne.demonstration.job import demo
    from duchenne.detection.camera import camera
    from duchenne.detection.detect import detect, detect_frames
    from duchenne.detection.detector import Detector
    from duchenne.detectors.export import export
    from duchenne.detectors.fit import fit
    from duchenne.detectors.opening import load_model
    from duchenne.evaluation.comparing.compare import compare
    from duchenne.evaluation.evaluate import evaluate
    from duchenne.evaluation.result import EvaluationResult
    from duchenne.features.embed import embed
    from duchenne.features.retrieve import retrieve
    from duchenne.features.source import FeatureSource
    from duchenne.methods.base import Method
    from duchenne.methods.registry import register_method
    from duchenne.preparing.prepare import prepare
    from duchenne.reproducing.job import reproduce
    from duchenne.reviewing.review import review
    from duchenne.synthetic.synth import synth
    from duchenne.tables.agree import agree
    from duchenne.tables.summarize import summarize
    from duchenne.training.convert import convert
    from duchenne.training.pretrain import pretrain
    from duchenne.training.runs import load_encoder


_QUIET = logging.NullHandler()


def __getattr__(name: str) -> Any:
    if name in _FUNCTIONS:
        # A program shows what it wants to. The commands do not come through here: Python shows their warnings.
        logging.getLogger("duchenne").addHandler(_QUIET)
        try:
            return getattr(import_module(_FUNCTIONS[name]), name)
        except ModuleNotFoundError as error:
            said = lacks_training(error, f"duchenne.{name}")
            if said is None:
                raise
            raise said from error
    raise AttributeError(f"module 'duchenne' has no attribute '{name}'")


def __dir__() -> list[str]:
    return list(__all__)
