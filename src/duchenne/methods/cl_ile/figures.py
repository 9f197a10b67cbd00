"""What CL-ILE's label embeddings look like: the paper's Fig. 3 (by subject, by action unit) and Fig. 4 (relations)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch.nn import functional

from duchenne.data.prepared import Prepared
from duchenne.facs import au_column
from duchenne.methods.cl_ile.method import ClIle
from duchenne.modules.backbones.build import cell_px

FRAMES: Final = 1000
"""At most so many frames, evenly spaced, are predicted for the relations."""
_BATCH: Final = 50


def figures_of(method: ClIle, data: Prepared, rows: NDArray[np.int64]) -> Mapping[str, Figure]:
    """`label_embeddings` (where there is a stage `identity`) and `au_relations`.

    Args:
        method: trained, in evaluation mode.
        data: trained on.
        rows: those that were used.
    """
    names = [au_column(au) for au in method.config.aus]
    figures = {"au_relations": _relations(method, data, rows, names)}
    if any(stage.name == "identity" for stage in method.stages()):
        rows_of_labels = functional.normalize(method.identity_labels.detach().float(), dim=-1).cpu().numpy()
        figures["label_embeddings"] = _embeddings(rows_of_labels, names)
    return figures


def _embeddings(embeddings: NDArray[np.float32], names: list[str]) -> Figure:
    """(N, C, D) on their first two principal components, coloured by subject and by action unit."""
    subjects, count = embeddings.shape[:2]
    flat = embeddings.reshape(subjects * count, -1).astype(np.float64)
    left, strength, _ = np.linalg.svd(flat - flat.mean(0), full_matrices=False)
    share = strength**2 / max(float((strength**2).sum()), 1e-12)  # one subject with one action unit varies in nothing
    points = np.zeros((len(flat), 2))
    parts = min(2, len(strength))
    points[:, :parts] = (left * strength)[:, :parts]
    figure = Figure(figsize=(10, 4.8), layout="constrained")
    own = np.repeat(np.arange(subjects), count), np.tile(np.arange(count), subjects)
    for place, (title, groups, number) in enumerate([("subject", own[0], subjects), ("action unit", own[1], count)]):
        axes = figure.add_subplot(1, 2, place + 1)
        colours = mpl.colormaps["turbo"](np.linspace(0.05, 0.95, number))
        axes.scatter(points[:, 0], points[:, 1], c=colours[groups], s=14)
        axes.set_title(f"Identity-label embeddings by {title}")
        axes.set_xlabel(f"principal component 1 ({share[0]:.0%} of the variance)")
        axes.set_ylabel(f"principal component 2 ({share[1]:.0%})" if len(share) > 1 else "")
        if place:
            for au in range(number):
                axes.scatter([], [], color=colours[au], s=14, label=names[au])
    figure.legend(fontsize=7, loc="outside right center")
    return figure


def _relations(method: ClIle, data: Prepared, rows: NDArray[np.int64], names: list[str]) -> Figure:
    """How action units go together: in the model's label embeddings, in what it says, and in the labels."""
    chosen = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), FRAMES)).astype(np.int64))]
    device = method.label_embeddings.device
    whole_cells = method.encoder.spec.token_side * cell_px(method.config.backbone)
    size_px = getattr(method.config, "size_px", whole_cells)  # a run's configuration says how large its pictures were
    said: list[NDArray[np.float32]] = []
    with torch.no_grad():
        for start in range(0, len(chosen), _BATCH):
            pictures = torch.from_numpy(data.images(chosen[start : start + _BATCH], size_px)).to(device)
            said.append(method.probability(pictures.permute(0, 3, 1, 2).float() / 255).cpu().numpy())
        own = functional.normalize(method.label_embeddings.float(), dim=1)
        cosine = (own @ own.T).cpu().numpy()
    truth = data.occurrence(method.config.aus, rows)
    figure = Figure(figsize=(14, 4.6), layout="constrained")
    panels = (
        ("cosine of the label embeddings", cosine),
        ("correlation of what the model says", _correlation(np.concatenate(said))),
        ("correlation of the labels", _correlation(truth)),
    )
    for place, (title, matrix) in enumerate(panels):
        axes = figure.add_subplot(1, 3, place + 1)
        picture = axes.imshow(matrix, cmap="RdBu_r", vmin=-1, vmax=1)
        axes.set_title(title)
        axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
        axes.set_yticks(range(len(names)), names, fontsize=7)
    figure.colorbar(picture, ax=figure.axes, shrink=0.8)
    return figure


def _correlation(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """(N, C) -> (C, C) Pearson's r over the rows where both are known; 0 where one does not vary."""
    count = values.shape[1]
    out = np.eye(count)
    for one in range(count):
        for other in range(one):
            pair = values[:, [one, other]].astype(np.float64)
            pair = pair[~np.isnan(pair).any(axis=1)]
            if len(pair) > 1 and (pair.std(axis=0) > 0).all():
                out[one, other] = out[other, one] = np.asarray(np.corrcoef(pair.T))[0, 1]
    return out
