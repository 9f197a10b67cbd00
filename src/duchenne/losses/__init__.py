"""Loss functions and helpers that several methods share; the loss functions of single methods can be had here too.

`from duchenne.losses import triplet_loss` gives what stands in `duchenne.methods.triplet.loss`. Each is imported when
it is first asked for, by name: methods build on this room, so it imports none of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

_METHODS: Final = {
    "cross_identity_reconstruction_loss": "clp",
    "emotion_contrastive_loss": "emoco",
    "emotion_loss": "emoco",
    "identity_label_loss": "cl_ile",
    "inter_area_loss": "knowledge_driven",
    "intra_area_loss": "knowledge_driven",
    "label_contrastive_loss": "cl_ile",
    "n_pair_mc_loss": "n_pair",
    "nt_xent_loss": "simclr",
    "orthogonality_loss": "cl_ile",
    "prediction_loss": "knowledge_driven",
    "prediction_similarity_loss": "simsiam",
    "ranking_triplet_loss": "temporal_ranking",
    "reconstruction_loss": "fab_net",
    "temporal_contrastive_loss": "clp",
    "triplet_loss": "triplet",
}
"""Loss function -> the method whose paper it is from."""
__all__ = list(_METHODS)


def __getattr__(name: str) -> Any:
    if name in _METHODS:
        return getattr(import_module(f"duchenne.methods.{_METHODS[name]}.loss"), name)
    raise AttributeError(f"module 'duchenne.losses' has no attribute '{name}'")


def __dir__() -> list[str]:
    return list(__all__)
