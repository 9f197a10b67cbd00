"""Small instances of every method of the registry, for the contract tests."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from duchenne import testing
from duchenne.methods.base import Method, RunFacts
from duchenne.training.config import method_run_config

SMALL: dict[str, dict[str, Any]] = defaultdict(dict)
SMALL |= {
    "cl_ile": {
        "aus": (1, 12),
        "positive_shares": (0.5, 0.5),
        "weighting": "none",
        "subject_numbers": tuple(range(8)),
        "hidden": 16,
        "dropout": 0.0,
        "backbone_steps": 6,
    },
    "clp": {"backbone": "resnet18", "length": 4, "memory": 24, "support": 10, "bn_splits": 1},
    "cvc": {"backbone": "resnet18", "memory": 12, "cycle_memory": 20, "support": 8, "bn_splits": 1},
    "emoco": {"backbone": "resnet18", "memory": 12, "bn_splits": 1},
    "fab_net": {"layers": 5, "window_steps": 2},
    "knowledge_driven": {
        "backbone": "resnet18",
        "projection_hidden": 32,
        "projection_dim": 16,
        "predictor_hidden": 32,
        "smallest_area_px": 4.0,
    },
    "moco": {"backbone": "resnet18", "memory": 12, "bn_splits": 1},
    "n_pair": {"triplets": 3},
    "simclr": {"backbone": "resnet18"},
    "simsiam": {"backbone": "resnet18"},
    "supervised": {"aus": (1, 12), "positive_shares": (0.5, 0.5), "weighting": "none"},
    "temporal_ranking": {"triplets": 3},
    "triplet": {"triplets": 3},
    "twin_cycle": {"layers": 5, "window_steps": 2},
}
"""Method -> fields that make its batches small, where its defaults are large."""


RUN = RunFacts(batch_size=4, size_px=32)
"""A job of the small methods."""


random_batch, random_labels = testing.random_batch, testing.random_labels


def small_config(name: str, **fields: Any) -> Any:
    return method_run_config(name)(**{"size_px": 32, **SMALL[name], **fields})


def small_method(name: str, **fields: Any) -> Method:
    return testing.small_method(name, **{**SMALL[name], **fields})
