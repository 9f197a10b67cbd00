"""The reliability curves of a detector as a picture: said to be this likely, how often was it there?"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Final

from duchenne.detectors.records import AuRecord
from duchenne.plots import COLOURS

_COLUMNS: Final = 5
_SIDE_INCHES: Final = 2.1


def reliability_picture(aus: Mapping[str, AuRecord]) -> bytes | None:
    """A PNG with one panel per action unit that has figures; None where none has.

    A dot per tenth of probability, its area by the number of frames; on the diagonal probabilities come true.
    """
    judged = {name: item.held_out for name, item in aus.items() if item.held_out and item.held_out["reliability"]}
    if not judged:
        return None
    from matplotlib.figure import Figure  # slow to import

    columns = min(_COLUMNS, len(judged))
    lines = -(-len(judged) // columns)
    figure = Figure(figsize=(_SIDE_INCHES * max(columns, 2), _SIDE_INCHES * lines + 0.6), dpi=100, layout="constrained")
    panels = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).flat
    for (name, held), axes in zip(judged.items(), panels, strict=False):
        bins, total = held["reliability"], held["frames"]
        said, there = ([one[key] for one in bins] for key in ("probability", "present"))
        axes.plot([0, 1], [0, 1], color="#999999", linewidth=1)
        axes.plot(said, there, color=COLOURS[0], linewidth=1)
        axes.scatter(said, there, s=[6 + 120 * one["frames"] / total for one in bins], color=COLOURS[0], alpha=0.8)
        axes.set_title(f"{name}   error {held['calibration_error']:.2f}", fontsize=9)
        axes.set(xlim=(-0.05, 1.05), ylim=(-0.05, 1.05), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1), aspect="equal")
        axes.tick_params(labelsize=8)
    for axes in list(panels):
        axes.set_axis_off()
    figure.supxlabel("probability said", fontsize=9)
    figure.supylabel("share of frames that show it", fontsize=9)
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()
