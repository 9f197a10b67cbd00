"""What the flow of a trained network makes of pictures."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from duchenne.data.prepared import Prepared
from duchenne.methods.fab_net.method import FabNet
from duchenne.methods.families.flow_figures import Panel, draw_panels, pairs_of
from duchenne.modules.flow import clamped


def figures_of(method: FabNet, data: Prepared, rows: NDArray[np.int64]) -> Mapping[str, Figure]:
    """`flow`: sources and targets, the flow between them, and what it makes of the source."""
    target, source = pairs_of(data, rows, 2**method.config.layers, method.encoder.mean.device)
    with torch.no_grad():
        made, flows = method.make(target, source[:, None])
    panels = (
        Panel("source", source), Panel("target", target), Panel("flow", clamped(flows[:, 0])),
        Panel("source moved by it", made),
    )  # fmt: skip
    return {"flow": draw_panels(panels)}
