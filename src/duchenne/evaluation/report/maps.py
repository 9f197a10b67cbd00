"""Two-dimensional maps of features, coloured by action unit, emotion and subject: what lies near what.

Source: the papers' figures of this kind (EmoCo, figure 5: seven emotions, and AU6 within one of them; CLP, figures 5 to
7: 30 faces of 10 subjects by AU12 and by subject). A map shows, it does not measure:
distances between groups in a t-SNE mean little, and two principal components may hold little of the variance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from duchenne.errors import UsageError
from duchenne.evaluation.arguments import MAP_FACES, MapFaces, MapSubjects
from duchenne.keywords import check_numbers
from duchenne.plots import COLOURS, STYLE, to_svg

FEW: Final = 100
"""Points up to this number are drawn large."""
PANELS: Final = 2
ACROSS: Final = 4
"""Maps side by side."""
PALETTE: Final = (*COLOURS, "#7d5a48", "#1f3a5f")
"""Of subjects and emotions."""
_ABSENT: Final = "#9aa3ad"


@dataclass(frozen=True, kw_only=True)
class MapSettings:
    """Which faces are on a map and what colours them.

    Attributes:
        faces: at most so many.
        subjects: of so many subjects, those with most faces; 0: of all.
        items: names of the items that colour a map each; none: the two nearest to half present.
        emotion: the maps of items show the faces of this emotion alone; None: all.
    """

    faces: MapFaces = MAP_FACES
    subjects: MapSubjects = 0
    items: tuple[str, ...] = ()
    emotion: str | None = None

    def __post_init__(self) -> None:
        """Checks the numbers.

        Raises:
            UsageError: when there are too few faces or too many subjects.
        """
        check_numbers(self, faces="map_faces", subjects="map_subjects")

    def check(self, items: Sequence[str], emotions: pd.Series[str]) -> None:
        """Checks what can only be known from the data.

        Args:
            items: of the evaluation.
            emotions: of its faces.

        Raises:
            UsageError: when an item or the emotion does not occur.
        """
        for item in self.items:
            if item not in items:
                raise UsageError(f"--map-items {item}: is not among the evaluated {', '.join(items)}.")
        known = sorted(emotions.dropna().unique())
        if self.emotion is not None and self.emotion not in known:
            raise UsageError(
                f"--map-emotion {self.emotion}: no face has it; the data have {', '.join(known) or 'no emotions'}."
            )


def choose_points(group: NDArray[np.integer], settings: MapSettings) -> NDArray[np.int64]:
    """Places of the faces on a map, ascending: evenly spaced over all rows, or over those of each subject.

    Args:
        group: (N,) a number per subject.
        settings: how many faces of how many subjects.
    """
    if not settings.subjects:
        return _evenly(np.arange(len(group)), settings.faces)
    numbers, counts = np.unique(group, return_counts=True)
    chosen = numbers[np.argsort(-counts, kind="stable")[: settings.subjects]]
    each = max(1, settings.faces // len(chosen))
    return np.sort(np.concatenate([_evenly(np.flatnonzero(group == number), each) for number in chosen]))


def _evenly(places: NDArray[np.int64], number: int) -> NDArray[np.int64]:
    return places[np.unique(np.linspace(0, len(places) - 1, min(len(places), number)).astype(np.int64))]


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
    settings: MapSettings,
) -> str:
    """The same map several times side by side, each coloured by something else, as SVG.

    Args:
        points: (N, 2).
        labels: (N, A) 0, 1 or NaN.
        items: names of the A items.
        emotions: (N,) or all null.
        subjects: (N,) or all null; the ten with most points are coloured.
        settings: which items, and whether for the faces of one emotion alone.
    """
    within = np.ones(len(points), dtype=bool)
    if settings.emotion is not None:
        within = emotions.eq(settings.emotion).fillna(False).to_numpy(dtype=bool)
    shares = np.array([np.nanmean(column) if (~np.isnan(column)).any() else 0.0 for column in labels.T])
    nearest = [au for au in np.argsort(np.abs(shares - 0.5), kind="stable")[:PANELS] if 0 < shares[au] < 1]
    shown = [items.index(item) for item in settings.items] or sorted(nearest)
    panels: list[tuple[str, list[tuple[str, str, NDArray[np.bool_]]]]] = []
    for au in shown:
        there, absent = within & (labels[:, au] == 1), within & (labels[:, au] == 0)
        title = items[au] if settings.emotion is None else f"{items[au]}, {settings.emotion}"
        panels.append((title, [("absent", _ABSENT, absent), ("present", COLOURS[0], there)]))
    for title, names in (("emotion", emotions), ("subject", subjects)):
        largest = sorted(names.dropna().value_counts().index[: len(PALETTE)])
        if len(largest) > 1:
            masks = [names.eq(name).fillna(False).to_numpy(dtype=bool) for name in largest]
            others = [("others", _ABSENT, ~np.any(masks, axis=0))]
            panels.append((title, others + [(str(n), PALETTE[i], m) for i, (n, m) in enumerate(zip(largest, masks))]))
    with mpl.rc_context(STYLE):
        across = min(ACROSS, max(1, len(panels)))
        down = -(-max(1, len(panels)) // across)
        figure = Figure(figsize=(9.2, 3.4 * down), layout="constrained")
        grid = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True).flat  # one map, one scale
        for axis in grid[len(panels) :]:
            axis.set_axis_off()
        for axis, (title, parts) in zip(grid, panels):
            for name, colour, mask in parts:
                if mask.any():
                    axis.scatter(
                        *points[mask].T,
                        s=7 if len(points) > FEW else 30,
                        color=colour,
                        alpha=0.75,
                        linewidths=0,
                        label=name,
                    )
            axis.set_title(title, fontsize=10, loc="left")
            axis.set_xticks([])
            axis.set_yticks([])
            if title != "subject":
                axis.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.01), ncols=2)
        return to_svg(figure)
