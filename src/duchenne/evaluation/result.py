"""What `duchenne.evaluate` returns: the table of scores, with everything else that was found beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd

from duchenne.evaluation.scoring import AGGREGATES

OVER_ITEMS = "mean"
"""The item of rows that are means over all items."""


class EvaluationResult(pd.DataFrame):
    """The table of `scores.csv` (of `probes.csv` for `probes`), which is a pandas DataFrame to everything.

    A DataFrame of its own kind rather than one with `attrs`: pandas copies those with every step, and a selection of
    rows is no evaluation any more. Whatever pandas makes of it is a plain DataFrame.

    Attributes:
        summary: what `summary.json` holds.
        out: the folder that was written.
    """

    _metadata: ClassVar[list[str]] = ["summary", "out"]
    summary: Mapping[str, Any]
    out: Path

    def __init__(self, table: pd.DataFrame, *, summary: Mapping[str, Any], out: Path) -> None:
        super().__init__(table)  # type: ignore[call-arg]
        object.__setattr__(self, "summary", summary)
        object.__setattr__(self, "out", out)

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        return pd.DataFrame

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self.table, self.summary, self.out)

    @property
    def table(self) -> pd.DataFrame:
        """The same as a plain DataFrame."""
        return pd.DataFrame(self)

    @property
    def intervals(self) -> pd.DataFrame:
        """One row per `model`, `item` (`mean` over the items first), `aggregate` and `metric`: `value, low, high`."""
        rows = []
        for model, found in self.summary["models"].items():
            for item, values in ((OVER_ITEMS, found), *found.get("items", {}).items()):
                rows += [{"model": model, "item": item, **row} for row in _estimates(values)]
        return pd.DataFrame(rows, columns=["model", "item", "aggregate", "metric", "value", "low", "high"])

    @property
    def differences(self) -> pd.DataFrame:
        """Paired differences, `first` minus `second`, of every two models; otherwise as `intervals`.

        Those of single items are of the means of folds.
        """
        rows = []
        for found in self.summary.get("differences", ()):
            pair = {"first": found["first"], "second": found["second"]}
            rows += [{**pair, "item": OVER_ITEMS, **row} for row in _estimates(found)]
            for item, values in found["items"].items():
                rows += [{**pair, "item": item, **row} for row in _estimates({AGGREGATES[0]: values})]
        return pd.DataFrame(rows, columns=["first", "second", "item", "aggregate", "metric", "value", "low", "high"])


def _estimates(values: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for aggregate in AGGREGATES:
        for metric, estimate in values.get(aggregate, {}).items():
            yield {"aggregate": aggregate, "metric": metric, **estimate}


def _again(table: pd.DataFrame, summary: Mapping[str, Any], out: Path) -> EvaluationResult:
    return EvaluationResult(table, summary=summary, out=out)
