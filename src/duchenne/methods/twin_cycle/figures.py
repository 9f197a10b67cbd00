"""What the two flows of a trained network make of pictures."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from duchenne.data.prepared import Prepared
from duchenne.methods.families.flow_figures import Panel, draw_panels, pairs_of
from duchenne.methods.twin_cycle.method import TwinCycle
from duchenne.modules.flow import clamped


def figures_of(method: TwinCycle, data: Prepared, rows: NDArray[np.int64]) -> Mapping[str, Figure]:
    """`flows`: what the pose flow and the AU flow alone make of sources, and both together (the paper's figure)."""
    device = method.encoder.mean.device
    target, source = pairs_of(data, rows, 2**method.config.layers, device)
    with torch.no_grad():
        found = method.move(target, source)
    panels = (
        Panel("source", source), Panel("target", target), Panel("moved by the pose flow", found.pose),
        Panel("moved by the AU flow", found.au), Panel("moved by both", found.merged),
        Panel("pose flow", clamped(found.pose_flow)), Panel("AU flow", clamped(found.au_flow)),
        Panel("share of the AU flow", found.attention.softmax(1)[:, 1]),
    )  # fmt: skip
    return {"flows": draw_panels(panels)}
