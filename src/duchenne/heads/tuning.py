"""Training an encoder further, with one linear unit per item on top: what `evaluate finetune` and `fit --tune` share.

The head is BatchNorm without weights of its own and a linear layer, so that it can be read as a linear unit on
standardised features. Class weights are those of the linear protocol. The encoder multiplies in bfloat16 while it is
trained, where the device does so natively, and in float32 when faces are scored.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from duchenne.augment.geometry import draw_geometry, warp
from duchenne.devices import computes_bf16
from duchenne.errors import UsageError
from duchenne.features.encoder import encoder_input, feature_width, picture_batches
from duchenne.features.source import Pictures
from duchenne.heads.fit_network import SETTLED_FACES, Targets, fit_epoch, settle_on, train_batchnorm
from duchenne.heads.settings import Tune, TuneSettings
from duchenne.losses.weightings import Weighting
from duchenne.metrics import roc_auc

SMALLEST_CROP: Final = 0.9
"""Smallest side of the random crops, as a share of the picture's."""
Rows = NDArray[np.int64]


class Tuned(nn.Module):
    """An encoder and its head; (B, 3, H, W) in [0, 1] -> (B, A) log odds.

    Args:
        encoder: changed in place.
        features: (B, 3, H, W) -> (B, width); a method of `encoder`.
        width: number of features.
        items: number of linear units.
        tune: see `TuneSettings`.
    """

    def __init__(
        self, encoder: nn.Module, features: Callable[[Tensor], Tensor], width: int, items: int, tune: Tune
    ) -> None:
        super().__init__()
        self.encoder, self.features = encoder.requires_grad_(tune == "all"), features
        self.trained: list[nn.Module] = [encoder] if tune == "all" else []
        if tune == "bn":
            self.trained = train_batchnorm(encoder)
        self.standardise = nn.BatchNorm1d(width, affine=False)
        self.units = nn.Linear(width, items)

    def train(self, mode: bool = True) -> Tuned:
        """Only what is trained goes to training mode."""
        super().train(False)
        for layer in (*self.trained, self.standardise, self.units):
            layer.train(mode)
        return self

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        features = self.features(x).float()
        with torch.autocast(x.device.type, enabled=False):
            return torch.as_tensor(self.units(self.standardise(features)))


def tune_encoder(
    encoder: nn.Module,
    forward: Callable[[nn.Module], Callable[[Tensor], Tensor]],
    data: Pictures,
    rows: Rows,
    labels: NDArray[np.floating],
    settings: TuneSettings,
    *,
    held: tuple[Rows, NDArray[np.floating]] | None = None,
    weighting: Weighting = "balanced",
    size_px: int,
    seed: Sequence[int],
    device: torch.device,
    advance: Callable[[int], None] = lambda faces: None,
    watch: Callable[[Tuned], None] | None = None,
) -> tuple[Tuned, dict[str, Any]]:
    """Trains a copy of an encoder and a head on some faces.

    Args:
        encoder: to start from; it is not changed.
        forward: gives the function of an encoder whose output is taken as features.
        data: the crops.
        rows: (N,) to train on.
        labels: (N, A) 0, 1 or NaN where unknown.
        settings: see `TuneSettings`.
        held: rows and labels of held-out training subjects, needed where `patience` is not 0.
        weighting: of the classes, see `LinearSettings`.
        size_px: side of the pictures.
        seed: of the head, the order and the crops.
        device: where it runs.
        advance: called with the number of faces done.
        watch: called after every epoch with a copy of the network as it would be scored; the training stays the same.

    Returns:
        The network in evaluation mode, and `epochs` (how many it was trained) with the `auc` on held-out faces after
        each.

    Raises:
        UsageError: when nothing can be trained, or the held-out subjects show no item both present and absent.
    """
    targets, bf16 = Targets.of(labels, weighting), computes_bf16(device)
    with _seeded(seed):
        network = _build(copy.deepcopy(encoder), forward, labels.shape[1], settings.tune, size_px)
        network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimiser = torch.optim.AdamW(_groups(network, settings), weight_decay=0.01)
        rng, best, areas = np.random.default_rng(list(seed)), -1.0, list[float]()
        kept: dict[str, Tensor] | None = None
        for _ in range(settings.epochs):
            network.train()
            order = rng.permutation(len(rows))
            batches = (
                (order[start : start + len(pictures)], augmented(pictures, device))
                for start, pictures in picture_batches(data, rows[order], size_px, settings.batch_size)
            )
            fit_epoch(network, batches, targets, optimiser, device=device, bf16=bf16, advance=advance)
            if watch is not None:
                shown, some = copy.deepcopy(network), np.random.default_rng([*seed, 1]).permutation(len(rows))
                with torch.random.fork_rng(devices=[]):
                    settle(shown, data, rows[some], settings.batch_size, size_px, device)
                    watch(shown)
            if held is None or not settings.patience:
                continue
            settle(network, data, rows[rng.permutation(len(rows))], settings.batch_size, size_px, device)
            areas.append(_mean_auc(held[1], score_faces(network, data, held[0], size_px, device)))
            if areas[-1] > best:
                best = areas[-1]
                kept = {name: value.detach().clone() for name, value in network.state_dict().items()}
            elif len(areas) - 1 - int(np.argmax(areas)) >= settings.patience:
                break
        if kept is not None:
            network.load_state_dict(kept)
        else:
            settle(network, data, rows[rng.permutation(len(rows))], settings.batch_size, size_px, device)
    trained = len(areas) if areas else settings.epochs
    return network.eval(), {"epochs": trained, "auc": [round(area, 6) for area in areas]}


def settle(network: Tuned, data: Pictures, rows: Rows, batch_size: int, size_px: int, device: torch.device) -> None:
    """Sets the statistics of the BatchNorm layers that were trained to the mean over training faces, batch by batch.

    Args:
        network: changed in place, and left in evaluation mode.
        data: the crops.
        rows: of training faces in a random order; the first `SETTLED_FACES` are used.
        batch_size: faces per batch; one face alone is left out.
        size_px: side of the pictures.
        device: where it runs.
    """
    pictures = picture_batches(data, rows[:SETTLED_FACES], size_px, batch_size)
    settle_on(network, ((start, encoder_input(some, device)) for start, some in pictures))


def augmented(pictures: NDArray[np.uint8], device: torch.device) -> Tensor:
    """(B, H, H, 3) uint8 -> (B, 3, H, H) in [0, 1]: random crops of nine tenths or more, mirrored at random."""
    x = encoder_input(pictures, device)
    x = warp(x, draw_geometry(len(x), x.shape[-1], crop_min=SMALLEST_CROP, crop_max=1.0, device=device))
    mirrored = (torch.rand(len(x)) < 0.5).to(device)
    x = torch.where(mirrored.view(-1, 1, 1, 1), x.flip(-1), x)
    return x.contiguous(memory_format=torch.channels_last)


def score_faces(
    network: Callable[[Tensor], Tensor],
    data: Pictures,
    rows: Rows,
    size_px: int,
    device: torch.device,
    advance: Callable[[int], None] = lambda faces: None,
) -> NDArray[np.float32]:
    """(N, ...) what a network in evaluation mode gives for whole crops."""
    if isinstance(network, nn.Module):
        network.eval()
    parts = []
    with torch.inference_mode():
        for _, pictures in picture_batches(data, rows, size_px):
            parts.append(network(encoder_input(pictures, device)).float().cpu().numpy())
            advance(len(pictures))
    return np.concatenate(parts)


def layer_depths(encoder: nn.Module) -> dict[str, int]:
    """Parameter -> how many parts of the encoder lie between it and the output.

    The parts are the direct children that have parameters, in the order in which they were defined; a child that is
    alone, or that is called `backbone`, counts by its own children. What comes before the first stage of a ResNet is
    one part.
    """
    order: list[str] = []
    for name, _ in encoder.named_parameters():
        part = _part(name)
        if part not in order:
            order.append(part)
    return {name: len(order) - 1 - order.index(_part(name)) for name, _ in encoder.named_parameters()}


def _part(name: str) -> str:
    inner = name.removeprefix("backbone.")
    first = inner.split(".")[0]
    return "stem" if first in ("conv1", "bn1") else first


def _groups(network: Tuned, settings: TuneSettings) -> list[dict[str, Any]]:
    depths = layer_depths(network.encoder)
    groups: dict[int, list[nn.Parameter]] = {}
    for name, parameter in network.encoder.named_parameters():
        if parameter.requires_grad:
            groups.setdefault(depths[name], []).append(parameter)
    own = [{"params": found, "lr": settings.lr * settings.layer_decay**depth} for depth, found in groups.items()]
    return [*own, {"params": list(network.units.parameters()), "lr": settings.head_lr}]


def _build(
    encoder: nn.Module,
    forward: Callable[[nn.Module], Callable[[Tensor], Tensor]],
    items: int,
    tune: Tune,
    size_px: int,
) -> Tuned:
    encoder = encoder.cpu().eval()
    features = forward(encoder)
    width = feature_width(features, size_px, "the encoder that is to be trained further")
    network = Tuned(encoder, features, width, items, tune)
    if tune != "head" and not any(parameter.requires_grad for parameter in encoder.parameters()):
        what = "BatchNorm layers" if tune == "bn" else "parameters"
        raise UsageError(f"--tune {tune}: the encoder has no {what} to train; use --tune head.")
    return network


def _mean_auc(labels: NDArray[np.floating], score: NDArray[np.float32]) -> float:
    areas = roc_auc(labels, score)
    if np.isnan(areas).all():
        raise UsageError(
            "--patience: no item is both present and absent among the held-out training subjects; leave it out."
        )
    return float(np.nanmean(areas))


@contextmanager
def _seeded(seed: Sequence[int]) -> Iterator[None]:
    """torch's global generator with a seed of its own, put back afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(np.random.SeedSequence(list(seed)).generate_state(1)[0]))
        yield
