"""Two-dimensional maps of features, coloured by action unit, emotion and subject: what lies near what.

Source: the papers' figures of this kind (EmoCo, figure 5; CL-ILE, figure 3). A map shows, it does not measure:
distances between groups in a t-SNE mean little, and two principal components may hold little of the variance.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from duchenne.evaluation.figures import COLOURS, STYLE, to_svg

MapKind = Literal["none", "pca", "tsne"]
POINTS: Final = 1000
PANELS: Final = 2
_ABSENT: Final = "#9aa3ad"


def choose_points(rows: int) -> NDArray[np.int64]:
    """At most 1,000 of `rows`, evenly spaced."""
    return np.unique(np.linspace(0, rows - 1, min(rows, POINTS)).astype(np.int64))


def map_features(features: NDArray[np.float32], kind: Literal["pca", "tsne"]) -> NDArray[np.float64]:
    """(N, D) -> (N, 2): standardised features on their first two principal components, or by t-SNE from there.

    Source: van der Maaten & Hinton, Visualizing data using t-SNE, 2008 (scikit-learn's, perplexity 30, seed 0).
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from sklearn.preprocessing import StandardScaler

    scaled = StandardScaler().fit_transform(features.astype(np.float64))
    parts = min(50, *scaled.shape)
    reduced = PCA(parts, svd_solver="randomized", random_state=0).fit_transform(scaled)
    if kind == "tsne" and len(reduced) > 3:
        perplexity = min(30.0, (len(reduced) - 1) / 3)
        reduced = TSNE(init="pca", perplexity=perplexity, random_state=0).fit_transform(reduced)
    out = np.zeros((len(features), 2))
    out[:, : min(2, reduced.shape[1])] = reduced[:, :2]
    return out


def draw_map(
    points: NDArray[np.float64],
    labels: NDArray[np.floating],
    items: Sequence[str],
    emotions: pd.Series[str],
    subjects: pd.Series[str],
) -> str:
    """The same map several times side by side, each coloured by something else, as SVG.

    Args:
        points: (N, 2).
        labels: (N, A) 0, 1 or NaN; the two items nearest to half present are shown.
        items: names of the A items.
        emotions: (N,) or all null.
        subjects: (N,) or all null; the eight with most points are coloured.
    """
    shares = np.array([np.nanmean(column) if (~np.isnan(column)).any() else 0.0 for column in labels.T])
    shown = [au for au in np.argsort(np.abs(shares - 0.5), kind="stable")[:PANELS] if 0 < shares[au] < 1]
    panels: list[tuple[str, list[tuple[str, str, NDArray[np.bool_]]]]] = []
    for au in sorted(shown):
        parts = [("absent", _ABSENT, labels[:, au] == 0), ("present", COLOURS[0], labels[:, au] == 1)]
        panels.append((items[au], parts))
    for title, names in (("emotion", emotions), ("subject", subjects)):
        largest = sorted(names.dropna().value_counts().index[: len(COLOURS)])
        if len(largest) > 1:
            masks = [names.eq(name).fillna(False).to_numpy(dtype=bool) for name in largest]
            others = [("others", _ABSENT, ~np.any(masks, axis=0))]
            panels.append((title, others + [(str(n), COLOURS[i], m) for i, (n, m) in enumerate(zip(largest, masks))]))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.2, 3.4), layout="constrained")
        for axis, (title, parts) in zip(figure.subplots(1, max(1, len(panels)), squeeze=False)[0], panels):
            for name, colour, mask in parts:
                if mask.any():
                    axis.scatter(*points[mask].T, s=7, color=colour, alpha=0.75, linewidths=0, label=name)
            axis.set_title(title, fontsize=10, loc="left")
            axis.set_xticks([])
            axis.set_yticks([])
            if title != "subject":
                axis.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.01), ncols=2)
        return to_svg(figure)
