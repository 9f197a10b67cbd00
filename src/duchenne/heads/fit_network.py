"""What every supervised training of a network on prepared faces shares: targets, an epoch, and BatchNorm afterwards.

Running means of BatchNorm lag behind the weights, and after few steps are still half those of an untrained layer, which
moves every score of an item by the same amount; so statistics are taken anew from training faces before scoring.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from duchenne.losses.weighted_bce import class_weights, weighted_bce
from duchenne.losses.weightings import Weighting

SETTLED_FACES: Final = 4096
"""Most training faces from which BatchNorm statistics are taken anew."""


@dataclass(frozen=True)
class Targets:
    """Labels to train on.

    Attributes:
        truth: (N, A) int64 1, 0, or -1 where unknown; all of an item that cannot be learned.
        shares: (A,) share of positives among the known labels of the training rows.
        learnable: (A,) whether training rows show an item both present and absent.
        weighting: of the classes, see `LinearSettings`.
    """

    truth: Tensor
    shares: list[float]
    learnable: NDArray[np.bool_]
    weighting: Weighting

    @classmethod
    def of(cls, labels: NDArray[np.floating], weighting: Weighting, rows: Any = slice(None)) -> Targets:
        """Those of labels (N, A): 0, 1 or NaN where unknown; `rows` are trained on, all by default."""
        truth = torch.from_numpy(np.where(np.isnan(labels), -1, labels).astype(np.int64))
        shares, learnable = learnable_shares(labels[rows])
        truth[:, ~torch.from_numpy(learnable)] = -1
        return cls(truth, shares, learnable, weighting)


def fit_epoch(
    network: nn.Module,
    batches: Iterable[tuple[NDArray[np.int64], Any]],
    targets: Targets,
    optimiser: torch.optim.Optimizer,
    *,
    device: torch.device,
    bf16: bool = False,
    advance: Callable[[int], None] = lambda faces: None,
) -> None:
    """Trains a network on every batch once.

    Args:
        network: inputs -> (B, A) log odds; in training mode.
        batches: places among the targets, and inputs on the device; a single face is not trained on, as BatchNorm
            cannot be.
        targets: of all places.
        optimiser: of the network's parameters.
        device: where the network is.
        bf16: multiply in bfloat16 where autocast does.
        advance: called with the number of faces done.
    """
    for places, x in batches:
        advance(len(places))
        if len(places) < 2:
            continue
        truth = targets.truth[torch.from_numpy(places)].to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            scores = network(x)
        loss = weighted_bce(scores, truth, class_weights(truth, targets.shares, targets.weighting))
        torch.autograd.backward(loss)
        optimiser.step()
        optimiser.zero_grad()


def settle_on(network: nn.Module, batches: Iterable[tuple[int, Any]]) -> None:
    """Sets the statistics of all BatchNorm layers that `network.train()` puts in training mode to the mean over faces.

    Args:
        network: changed in place, and left in evaluation mode.
        batches: (start, inputs) of training faces in a random order: a tensor, or several of equal length. One face
            alone is left out.

    Source: "precise BatchNorm" of Wu & Johnson, Rethinking "Batch" in BatchNorm, 2021.
    """
    layers = [
        layer
        for layer in network.train().modules()
        if isinstance(layer, _BatchNorm) and layer.training and layer.running_mean is not None
    ]
    momentum = [layer.momentum for layer in layers]
    network.eval()
    for layer in layers:
        layer.train()
    with torch.no_grad():
        for start, x in batches:
            faces = len(x if isinstance(x, Tensor) else x[0])
            if faces < 2:
                continue
            for layer in layers:
                layer.momentum = faces / (start + faces)  # all faces so far count alike
            network(x)
    for layer, own in zip(layers, momentum, strict=True):
        layer.momentum = own
    network.eval()


def train_batchnorm(encoder: nn.Module) -> list[nn.Module]:
    """The BatchNorm layers of an encoder, whose weights then have a gradient."""
    return [layer.requires_grad_(True) for layer in encoder.modules() if isinstance(layer, _BatchNorm)]


def learnable_shares(labels: NDArray[np.floating]) -> tuple[list[float], NDArray[np.bool_]]:
    """(A,) share of positives among the known labels (0.5 where an item cannot be learned), and whether it can."""
    known, present = (~np.isnan(labels)).sum(0), (labels == 1).sum(0)
    learnable = (present > 0) & (present < known)
    return np.where(learnable, present / np.maximum(known, 1), 0.5).tolist(), learnable
