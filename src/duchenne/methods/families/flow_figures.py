"""Pictures of flows: what they make of a source, and where they point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from duchenne.data.prepared import Prepared
from duchenne.data.stored.used import used_clips
from duchenne.errors import InputError

PAIRS: Final = 6
"""At most so many clips are shown, evenly spaced."""
APART: Final = (0.25, 0.75)
"""Where in a clip the source and the target lie, as shares of its frames."""
SIDE_IN: Final = 1.5


class Panel(NamedTuple):
    """A column of a figure.

    Attributes:
        title: above it.
        values: (N, 3, H, W) pictures in [0, 1], (N, 2, H, W) flows, or (N, H, W) shares in [0, 1].
    """

    title: str
    values: Tensor


def pairs_of(data: Prepared, rows: NDArray[np.int64], size_px: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Targets and sources from some clips: (N, 3, size_px, size_px) in [0, 1] each.

    Raises:
        InputError: when no clip has two frames.
    """
    found = []
    for used in used_clips(data, rows):
        long = used.lengths > 1
        length, begin = used.lengths[long], used.begin[long]
        first, last = ((share * (length - 1)).astype(np.int64) for share in APART)
        last = np.maximum(last, first + 1)  # in a clip of two or three frames they would be one
        found.append(np.stack([used.rows[begin + first], used.rows[begin + last]], axis=1))
    clips = np.concatenate(found)
    if not len(clips):
        raise InputError(f"{data.paths[0]}: none of its clips has two frames.")
    chosen = clips[np.unique(np.linspace(0, len(clips) - 1, min(PAIRS, len(clips))).astype(np.int64))]
    pictures = torch.from_numpy(data.images(chosen.ravel(), size_px)).permute(0, 3, 1, 2).float().to(device) / 255
    pairs = pictures.reshape(len(chosen), 2, *pictures.shape[1:])
    return pairs[:, 1], pairs[:, 0]


def draw_panels(panels: Sequence[Panel]) -> Figure:
    """One row per pair, one column per panel; a flow's hue says where pixels are read, its strength how far."""
    count = len(panels[0].values)
    figure = Figure(figsize=(SIDE_IN * len(panels), SIDE_IN * count + 0.4), layout="constrained")
    for column, (title, values) in enumerate(panels):
        shown = values.detach().float().cpu().numpy()
        if shown.ndim == 4 and shown.shape[1] == 2:
            pixels = float(np.linalg.norm(shown, axis=1).max()) * (shown.shape[-1] - 1) / 2
            title = f"{title}\n(strongest: {pixels:.1f} px)"
        for row in range(count):
            axes = figure.add_subplot(count, len(panels), row * len(panels) + column + 1)
            axes.set_axis_off()
            if shown.ndim == 3:
                axes.imshow(shown[row], cmap="gray", vmin=0, vmax=1)
            else:
                axes.imshow(_colours(shown, row) if shown.shape[1] == 2 else shown[row].clip(0, 1).transpose(1, 2, 0))
            if row == 0:
                axes.set_title(title, fontsize=7)
    return figure


def _colours(flows: NDArray[np.float32], row: int) -> NDArray[np.float64]:
    """(N, 2, H, W) -> (H, W, 3): the hue of the direction, white where nothing moves."""
    strongest = max(float(np.linalg.norm(flows, axis=1).max()), 1e-9)
    x, y = flows[row].astype(np.float64)
    hue = (np.arctan2(y, x) / (2 * np.pi)) % 1.0
    strength = np.hypot(x, y) / strongest
    return np.asarray(mpl.colors.hsv_to_rgb(np.stack([hue, strength.clip(0, 1), np.ones_like(hue)], axis=-1)))
