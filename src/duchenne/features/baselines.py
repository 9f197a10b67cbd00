"""The baselines of every evaluation: an untrained encoder and MediaPipe's own values under the same protocol."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from duchenne.data.prepared import Prepared
from duchenne.features.resolve import resolve
from duchenne.features.source import FeatureSource

COLUMNS: Final = ("blendshapes", "landmarks")


def baselines_of(
    sources: Sequence[FeatureSource], data: Prepared, rows: NDArray[np.int64]
) -> tuple[list[FeatureSource], dict[str, str]]:
    """The models to be added to those that were named.

    `random:RUN` of the first encoder (`random` where it has no record), if any model is an encoder and none untrained;
    `blendshapes` and `landmarks` where the data have them for every face.

    Args:
        sources: the models that were named.
        data: the faces.
        rows: that take part.

    Returns:
        The models, and why others were left out: name -> reason.
    """
    added: list[FeatureSource] = []
    left_out: dict[str, str] = {}
    encoders = [part for source in sources for part in source.members if part.network]
    if encoders and not any(part.seeded for part in encoders):
        run = encoders[0].name.removeprefix("initial:")
        is_run = encoders[0].describe()["kind"] in ("encoder", "initial") and Path(run).exists()
        added.append(resolve(f"random:{run}" if is_run else "random"))
    named = {source.name for source in sources}
    for name in COLUMNS:
        if name in named:
            continue
        values = data.blendshapes() if name == "blendshapes" else data.landmarks().reshape(len(data), -1)
        lacking = int(np.isnan(values[rows]).any(axis=1).sum())
        if lacking:
            left_out[name] = f"{lacking} of {len(rows)} faces have none"
        else:
            added.append(resolve(name))
    return added, left_out
