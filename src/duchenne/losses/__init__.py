"""Loss functions and helpers that several methods share; the loss functions of single methods can be had here too.

`from duchenne.losses import triplet_loss` gives what stands in `duchenne.methods.triplet.loss`. Each is imported when
it is first asked for, by name: methods build on this room, so it imports none of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

_PLACES: Final = {
    "cross_identity_reconstruction_loss": "losses.reconstruction",
    "emotion_contrastive_loss": "methods.emoco.loss",
    "emotion_loss": "methods.emoco.loss",
    "identity_label_loss": "methods.cl_ile.loss",
    "inter_area_loss": "methods.knowledge_driven.loss",
    "intra_area_loss": "methods.knowledge_driven.loss",
    "label_contrastive_loss": "methods.cl_ile.loss",
    "n_pair_mc_loss": "methods.n_pair.loss",
    "nt_xent_loss": "methods.simclr.loss",
    "orthogonality_loss": "methods.cl_ile.loss",
    "prediction_loss": "methods.knowledge_driven.loss",
    "prediction_similarity_loss": "methods.simsiam.loss",
    "ranking_triplet_loss": "methods.temporal_ranking.loss",
    "reconstruction_loss": "losses.reconstruction",
    "temporal_contrastive_loss": "methods.clp.loss",
    "triplet_loss": "methods.triplet.loss",
}
"""Loss function -> where it stands: with the method whose paper it is from, or here."""
__all__ = list(_PLACES)


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(import_module(f"duchenne.{_PLACES[name]}"), name)
    raise AttributeError(f"module 'duchenne.losses' has no attribute '{name}'")


def __dir__() -> list[str]:
    return list(__all__)
