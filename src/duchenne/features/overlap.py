"""Whether an encoder has seen the people that it is tested on."""

from __future__ import annotations

from typing import Any

import pandas as pd

from duchenne.data.folds import people_of
from duchenne.data.prepared import Prepared
from duchenne.errors import UsageError
from duchenne.features.source import FeatureSource


def overlap(source: FeatureSource, data: Prepared, subjects: pd.Series[str]) -> dict[str, Any]:
    """What an encoder has seen of the subjects it is tested on, or of their namesakes in other data sets.

    Args:
        source: with its record of training data.
        data: tested on.
        subjects: `dataset:subject` of every tested row, null where unknown.

    Returns:
        `transductive`: whether it has seen tested subjects without their labels; `test_subjects`: how many of them;
        `data`: the names of the data sets it was trained on.

    Raises:
        UsageError: when it has seen labels of tested subjects, or may have.
    """
    names = pd.Series(subjects.dropna().unique(), dtype="string")
    tested = set(names)
    unnamed = {info.name for info in data.infos} if bool(subjects.isna().any()) else set()
    shared: set[str] = set()
    for item in source.trained_on:
        met = people_of(pd.Series(item.subjects, dtype="string"))
        common = set(names[people_of(names).isin(met)])
        blind = item.dataset in unnamed or (not item.subjects and any(s.startswith(f"{item.dataset}:") for s in tested))
        if item.labels and common:
            raise UsageError(
                f"--model {source.name}: was trained with the labels of {len(common)} test subjects (first: "
                f"{min(common)}), so its scores would mean nothing; train it without them or test on other subjects "
                "(people of one name in different data sets may be the same)."
            )
        if item.labels and blind:
            raise UsageError(
                f"--model {source.name}: was trained with labels of {item.dataset}, and as the people in them are not "
                "known, its record does not say whether test images are among them; test on other data, or evaluate "
                "its method, which is then trained within the folds (`evaluate finetune --method`)."
            )
        shared |= common | ({f"{item.dataset}:unknown subjects"} if blind else set())
    return {
        "transductive": bool(shared),
        "test_subjects": len(shared),
        "data": sorted({item.dataset for item in source.trained_on}),
    }
