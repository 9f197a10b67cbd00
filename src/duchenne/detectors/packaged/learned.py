"""The part of `--model duchenne` that was learned from rendered people: small networks on what MediaPipe says.

`weights/learned.safetensors` holds the networks, `weights/neutral.json` where their outputs stand on neutral faces.
`benchmarks/detector/train_detector.py` makes the first, and says which action units they may enter
(`duchenne/weights/model_card.md`).

Everything here is written in operations that numpy and torch share, because the exported graph must compute the same.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import as_file, files
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from duchenne.detectors.packaged.measures import log_odds

FILE: Final = "learned.safetensors"
INPUTS: Final = ("basis", "factor", "offset")
LAYERS: Final = ("weight_0", "bias_0", "weight_1", "bias_1", "weight_2", "bias_2")
_FAR: Final = 4.0
"""Inputs end here, in standard deviations over the pictures trained on: beyond it nothing was seen."""
Arrays = dict[str, NDArray[np.float32]]


@cache
def learned() -> tuple[Arrays, dict[str, Any]]:
    """The arrays of the package's networks, and how they were made (`aus`: of their outputs, in order).

    `basis` (1434, K), `factor` (52,) and `offset` (K + 52,) make the inputs; the layers of E networks lie on one
    another: `weight_0` (E, K + 52, H), `bias_0` (E, 1, H) and so on.
    """
    with as_file(files("duchenne.weights").joinpath(FILE)) as path, safe_open(path, framework="numpy") as stored:
        return {name: stored.get_tensor(name) for name in (*INPUTS, *LAYERS)}, json.loads(stored.metadata()["made"])


def inputs_of(points: Any, blendshapes: Any, arrays: Any, xp: Any) -> Any:
    """(N, K + 52) principal components of the points, and log odds of blendshapes, standardised.

    Args:
        points: (N, 478, 3) as `duchenne.detectors.packaged.measures.aligned` gives them.
        blendshapes: (N, 52) in 0 to 1.
        arrays: see `learned`.
        xp: `numpy` or `torch`, of which all these are.
    """
    components = points.reshape((-1, arrays["basis"].shape[0])) @ arrays["basis"]
    odds = log_odds(blendshapes, xp) * arrays["factor"]
    return xp.clip(xp.concatenate([components, odds], axis=1) - arrays["offset"], -_FAR, _FAR)


def outputs_of(inputs: Any, arrays: Any, xp: Any) -> Any:
    """(N, A) the mean of the networks' outputs, in log odds of no stated intensity.

    Args:
        inputs: see `inputs_of`.
        arrays: see `learned`.
        xp: `numpy` or `torch`, of which both are.
    """
    rows = inputs[None]
    for layer in (0, 1):
        rows = xp.clip(rows @ arrays[f"weight_{layer}"] + arrays[f"bias_{layer}"], 0, None)
    return xp.mean(rows @ arrays["weight_2"] + arrays["bias_2"], 0)
