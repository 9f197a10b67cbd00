"""What `summary.json` says of the data and the software."""

from __future__ import annotations

import platform
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
import torch

from duchenne._version import __version__
from duchenne.data.prepared import Prepared


def describe_data(data: Prepared, number: int, *, trained: int) -> dict[str, Any]:
    """What a prepared folder says of itself, and what it is used for.

    Args:
        data: all folders.
        number: of the folder.
        trained: how many folders, from the first, are trained on only.
    """
    info = data.infos[number]
    facts = asdict(info)
    kept = ("name", "alignment", "size_px", "label_kind", "positive_from", "licence", "settings", "format_version")
    role = "train" if number < trained else "test" if trained else "train and test"
    crops = int((data.datasets() == number).sum())
    return {key: facts[key] for key in kept} | {"crops": crops, "role": role}


def versions() -> dict[str, str]:
    """Of everything that numbers may depend on, and the number of threads."""
    return {
        "duchenne": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "pandas": pd.__version__,
        "threads": str(torch.get_num_threads()),
    }
