"""`methods.txt`: what was done, as a paragraph for a paper, with the citations it needs."""

from __future__ import annotations

import platform
import textwrap
from collections.abc import Sequence
from typing import Any

import torch

from duchenne.config import to_mapping
from duchenne.methods.base import Method
from duchenne.training.runs import EncoderRecord


def methods_text(
    method: Method,
    config: Any,
    record: EncoderRecord,
    steps: Sequence[int],
    clips: int,
    differences: Sequence[str] = (),
) -> str:
    """The text of `methods.txt`.

    Args:
        method: trained.
        config: its resolved configuration.
        record: of the encoder.
        steps: of each stage.
        clips: that it was trained on.
        differences: from the paper of its recipe, one sentence each.
    """
    spec = record.spec
    layer = f" and a linear layer of {spec.embedding_dim}" if spec.embedding_dim else ""
    start = "random weights" if record.weights == "none" else f"the weights {record.weights}"
    sets = "; ".join(
        f"{item.dataset} ({len(item.subjects)} subjects, licence: {item.licence})" for item in record.trained_on
    )
    labels = any(item.labels for item in record.trained_on)
    paragraph = (
        f"An encoder ({spec.backbone}{layer}) was trained with {record.method} from {start} "
        f"(seed {config.seed}) for {record.steps} steps of {config.batch_size} clips at {record.size_px} px, "
        f"{_optimised(method, config, steps)}. "
        f"Data: {sets}; {clips} clips, {'with their' if labels else 'no'} labels; rows of the test split left out. "
        f"Faces were aligned by {record.alignment}. "
        f"Software: duchenne {record.duchenne}, torch {torch.__version__}, Python {platform.python_version()}."
    )
    settings = ", ".join(f"{key} {value}" for key, value in to_mapping(config).items())
    parts = [paragraph, *differences, f"All settings: {settings}.", "Cite:", method.CITATION]
    return "\n\n".join(textwrap.fill(part, 100) for part in parts) + "\n"


def _optimised(method: Method, config: Any, steps: Sequence[int]) -> str:
    """Optimisers, learning rates and weight decay; of several stages, each one's."""
    stages, decay = method.stages(), f"weight decay {config.weight_decay:g}"
    ways = [
        f"with {config.optimiser}, learning rate {stage.lr or config.lr:g} ({config.schedule})"
        + (f", {stage.beside}" if stage.beside else "")
        for stage in stages
    ]
    if len(stages) == 1:
        return f"{ways[0]}, {decay}"
    parts = [f"{stage.name}, {own} steps {way}" for stage, own, way in zip(stages, steps, ways, strict=True)]
    return f"in {len(stages)} stages: {'; '.join(parts)}; {decay} in each"
