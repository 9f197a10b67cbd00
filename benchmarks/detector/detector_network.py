"""A network from principal components of points and log odds of blendshapes to action units (`train_detector.py`)."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file
from torch import nn
from torch.nn import functional

from duchenne.detectors.packaged.learned import FILE, LAYERS
from duchenne.detectors.packaged.measures import aligned, log_odds
from duchenne.detectors.standard import scale
from duchenne.synthetic.anatomy import SYNTH_AUS
from standard_detector import WEIGHTS

COMPONENTS = 6
"""Of the points. The finer ones tell where a picture was taken: with 120, every face in a recording lies three standard
deviations above portraits in AU 6, at rest, too (`weights/model_card.md`)."""
HIDDEN = 96
SEEDS = (0, 1, 2, 3, 4)
NOISE = 0.5
"""Standard deviation of what is added to standardised inputs in training."""
EPOCHS, PATIENCE = 60, 6
LEVELS = (0.5, 1.5, 2.5, 3.5, 4.5)
"""From where an intensity counts as A, B, C, D, E."""
Floats = NDArray[np.float64]
Arrays = dict[str, NDArray[np.float32]]


class Ordinal(nn.Module):
    """One number per action unit, and rising thresholds for A to E: occurrence and intensity agree by construction."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            [nn.Linear(inputs, HIDDEN), nn.Linear(HIDDEN, HIDDEN), nn.Linear(HIDDEN, len(SYNTH_AUS))]
        )
        self.drop = nn.Dropout(0.3)
        self.first = nn.Parameter(torch.zeros(len(SYNTH_AUS)))
        self.steps = nn.Parameter(torch.zeros(len(SYNTH_AUS), len(LEVELS) - 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 18, 5) log odds of at least A ... at least E."""
        for layer in self.layers[:-1]:
            x = self.drop(functional.relu(layer(x)))
        rising = torch.cat([self.first[:, None], functional.softplus(self.steps)], dim=1).cumsum(dim=1)
        return self.layers[-1](x)[..., None] - rising


def points_of(mesh: NDArray[Any]) -> NDArray[np.float32]:
    """(N, 478, 3) aligned, a few thousand at a time."""
    template = scale().template
    return np.concatenate(
        [aligned(mesh[start : start + 2000].astype(np.float64), template).astype(np.float32)
         for start in range(0, len(mesh), 2000)]
    )  # fmt: skip


def reduced(points: NDArray[np.float32], shapes: NDArray[Any]) -> Arrays:
    """What `inputs_of` needs: `basis` (1434, K) and `factor` (52,), both over standard deviations, and `offset`."""
    flat = points.reshape(len(points), -1)
    some = flat[:: max(1, len(flat) // 4000)]
    basis = np.linalg.svd(some - some.mean(axis=0), full_matrices=False)[2][:COMPONENTS].T.astype(np.float64)
    components, odds = flat @ basis, log_odds(shapes.astype(np.float64), np)
    widths = components.std(axis=0) + 1e-6, odds.std(axis=0) + 1e-6
    offset = np.concatenate([components.mean(axis=0) / widths[0], odds.mean(axis=0) / widths[1]])
    arrays = {"basis": basis / widths[0], "factor": 1 / widths[1], "offset": offset}
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def fit(x: NDArray[np.float32], aus: Floats, subject: NDArray[Any], seed: int) -> Arrays:
    """Trains on nine tenths of the people, stops by the others; the layers by the names of `LAYERS`, (in, out)."""
    torch.manual_seed(seed)
    people = np.random.default_rng(seed).permutation(np.unique(subject))
    kept = np.isin(subject, people[: len(people) // 10])
    rows = torch.from_numpy(x)
    levels = torch.from_numpy((aus[:, :, None] >= np.array(LEVELS)).astype(np.float32))
    model = Ordinal(x.shape[1])
    optimiser = torch.optim.AdamW(model.parameters(), 2e-3, weight_decay=1e-2)
    train, held = torch.from_numpy(np.flatnonzero(~kept)), torch.from_numpy(np.flatnonzero(kept))
    best, state, since = np.inf, model.state_dict(), 0
    for _ in range(EPOCHS):
        model.train()
        for part in train[torch.randperm(len(train))].split(256):
            noisy = rows[part] + NOISE * torch.randn(len(part), x.shape[1])
            loss = functional.binary_cross_entropy_with_logits(model(noisy), levels[part])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        model.eval()
        with torch.no_grad():
            now = float(functional.binary_cross_entropy_with_logits(model(rows[held]), levels[held]))
        if now < best - 1e-4:
            best, since, state = now, 0, {name: value.clone() for name, value in model.state_dict().items()}
        else:
            since += 1
        if since == PATIENCE:
            break
    found = {
        f"{name}_{layer}": state[f"layers.{layer}.{name}"].numpy().T
        for layer in range(3)
        for name in ("weight", "bias")
    }
    return {name: np.atleast_2d(found[name]) for name in LAYERS}


def write(arrays: Arrays, models: list[Arrays], aus: list[int], made: dict[str, Any]) -> None:
    """Stores the networks with the outputs of some action units in the package."""
    columns = [SYNTH_AUS.index(au) for au in aus]
    layers = stacked(models)
    for name in ("weight_2", "bias_2"):
        layers[name] = layers[name][..., columns]
    kept = {name: np.ascontiguousarray(one) for name, one in (arrays | layers).items()}  # else stored transposed
    save_file(kept, WEIGHTS / FILE, {"made": json.dumps({"aus": aus, **made})})


def stacked(models: list[Arrays]) -> Arrays:
    """Networks on one another, as `outputs_of` wants them."""
    return {name: np.stack([model[name] for model in models]) for name in LAYERS}
