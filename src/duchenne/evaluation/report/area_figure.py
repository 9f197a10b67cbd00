"""Where the areas of a face lie and which of them are related, as a picture.

Source: Chang & Wang, Knowledge-driven self-supervised representation learning, CVPR 2022, figure 1b: eight areas and a
graph whose 26 arrows each stand for a predictor. Boxes, names and the list of arrows are inferences: `duchenne.facs`.
"""

from __future__ import annotations

from typing import Final

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle
from numpy.typing import NDArray

from duchenne.data.labels import LabelSpec
from duchenne.data.prepared import Prepared
from duchenne.errors import InputError
from duchenne.faces.areas import AreaTable, parse_boxes, parse_groups
from duchenne.faces.boxes import area_boxes
from duchenne.facs import AREA_BOXES, AREA_EDGES, AREA_RELATIONS, FACIAL_AREAS
from duchenne.plots import COLOURS, STYLE, TEXT, colour

PICTURE_PX: Final = 256
_PLACES: Final = {
    1: (0.5, 1.0), 2: (0.06, 0.74), 3: (0.94, 0.74), 4: (0.5, 0.60), 5: (0.16, 0.36), 6: (0.84, 0.36), 7: (0.5, 0.16),
    8: (0.5, -0.12),
}  # fmt: skip
"""Of the areas in the graph: so that no arrows cross. Left is the picture's left, the subject's right."""


def typical_face(data: Prepared, rows: NDArray[np.integer]) -> int | None:
    """The row whose landmarks lie nearest to the median of all; None where no row has landmarks."""
    points = data.landmarks()[rows].reshape(len(rows), -1)
    known = ~np.isnan(points).any(axis=1)
    if not known.any():
        return None
    apart = np.abs(points - np.median(points[known], axis=0)).sum(axis=1)
    return int(rows[np.nanargmin(apart)])


def boxes_of(data: Prepared, row: int, areas: AreaTable, size_px: int) -> NDArray[np.float64]:
    """(A, 4) left, top, right, bottom of the areas of one face, in pixels of a crop of `size_px`; not cut to it.

    Raises:
        InputError: when the face has no landmarks.
    """
    boxes = area_boxes(torch.tensor(_points(data, row, size_px)[None]), parse_boxes(areas.area_boxes))
    return boxes[0].double().numpy()


def area_figure(data: Prepared, row: int, areas: AreaTable | None = None, *, picture: bool = True) -> Figure:
    """A face with its landmarks and areas; beside it the graph of their relations, or what judges what.

    Args:
        data: a prepared folder.
        row: of the face.
        areas: None for those of the knowledge-driven method. Others have no graph: what is judged from them is listed.
        picture: draw the face; else its landmarks alone.

    Returns:
        A figure: `savefig("areas.png")` writes it.

    Raises:
        InputError: when the face has no landmarks.
    """
    table = areas or AreaTable()
    known = table.area_boxes == AREA_BOXES
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.2, 4.4), layout="constrained")
        left, right = figure.subplots(1, 2)
        _draw_face(left, data, row, table, picture)
        if known:
            left.set_xlabel(
                "\n".join(
                    ", ".join(f"{area} {FACIAL_AREAS[area]}" for area in some)
                    for some in ((1, 4, 7, 8), (2, 3), (5,), (6,))
                ),
                fontsize=8,
            )
            _draw_graph(right)
        else:
            _list_groups(right, table)
        return figure


def _draw_face(axis: Axes, data: Prepared, row: int, table: AreaTable, picture: bool) -> None:
    if picture:
        axis.imshow(data.image(row, PICTURE_PX), extent=(0, PICTURE_PX, PICTURE_PX, 0), alpha=0.85)
    points = _points(data, row, PICTURE_PX)
    axis.scatter(
        points[:, 0], points[:, 1], s=5, color="#ffffff" if picture else TEXT, edgecolors=TEXT, linewidths=0.3, zorder=2
    )
    for number, (x0, y0, x1, y1) in enumerate(boxes_of(data, row, table, PICTURE_PX)):
        own = colour(number)
        axis.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=own, linewidth=2, zorder=3))
        axis.text(
            x0 + 3, y0 + 3, str(number + 1), color="#ffffff", fontsize=9, weight="bold", ha="left", va="top", zorder=4,
            bbox={"boxstyle": "square,pad=0.15", "facecolor": own, "edgecolor": "none"},
        )  # fmt: skip
    axis.set_xlim(0, PICTURE_PX)
    axis.set_ylim(PICTURE_PX, 0)
    axis.set_aspect("equal")
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_title("Areas, and the landmarks that bound them", fontsize=10, loc="left")


def _draw_graph(axis: Axes) -> None:
    for source, target in AREA_EDGES:
        a, b = np.array(_PLACES[source]), np.array(_PLACES[target])
        along = (b - a) / np.linalg.norm(b - a)
        aside = 0.012 * np.array([along[1], -along[0]])  # the two directions run side by side
        start, end = a + 0.065 * along + aside, b - 0.065 * along + aside
        arrow = FancyArrowPatch(
            tuple(start), tuple(end), arrowstyle="-|>", mutation_scale=8, color=TEXT, linewidth=0.9, alpha=0.75,
            shrinkA=0, shrinkB=0,
        )  # fmt: skip
        axis.add_patch(arrow)
    for (one, other), aus in AREA_RELATIONS.items():
        middle = (np.array(_PLACES[one]) + np.array(_PLACES[other])) / 2
        axis.text(
            middle[0], middle[1], " ".join(map(str, aus)), fontsize=8, ha="center", va="center", color="#ffffff",
            zorder=3, bbox={"boxstyle": "round,pad=0.2", "facecolor": "#5b6470", "edgecolor": "none"},
        )  # fmt: skip
    for area, place in _PLACES.items():
        axis.text(
            *place, str(area), fontsize=11, weight="bold", ha="center", va="center", color="#ffffff", zorder=4,
            bbox={"boxstyle": "circle,pad=0.35", "facecolor": COLOURS[area - 1], "edgecolor": "none"},
        )  # fmt: skip
    axis.set_xlim(-0.05, 1.05)
    axis.set_ylim(-0.22, 1.1)
    axis.set_aspect("equal")
    axis.set_axis_off()
    axis.set_title(f"Relations: {len(AREA_EDGES)} arrows, with the AUs that both show", fontsize=10, loc="left")


def _list_groups(axis: Axes, table: AreaTable) -> None:
    groups = parse_groups(table.area_groups, len(table.area_boxes))
    lines = [f"{' '.join(map(str, own))}:  AU {' '.join(map(str, aus))}" for own, aus in groups]
    axis.text(0, 1, "\n".join(lines), va="top", linespacing=1.8, transform=axis.transAxes)
    axis.set_axis_off()
    axis.set_title("Areas and what is judged from them", fontsize=10, loc="left")


def _points(data: Prepared, row: int, size_px: int) -> NDArray[np.float32]:
    """(68, 2) in pixels of a crop of `size_px`."""
    points: NDArray[np.float32] = LabelSpec(landmarks=True, size_px=size_px).read(data)["landmarks"][row]
    if np.isnan(points).any():
        raise InputError(f"{data.paths[0]}: row {row} has no landmarks, by which areas are found; choose another face.")
    return points
