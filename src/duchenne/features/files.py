"""Features that were computed before: a table that `duchenne embed` or anything else wrote."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import pandas as pd

from duchenne.data.prepared import Prepared
from duchenne.data.stored.parquet import read_parquet
from duchenne.errors import InputError
from duchenne.features.source import Context, Features, Rows, SingleSource, finite
from duchenne.files import file_hash
from duchenne.training.runs import TrainedOn

_KEYS: Final = ["subject", "clip", "frame"]


@dataclass
class FileSource(SingleSource):
    """Features computed elsewhere, joined by subject, clip and frame."""

    WORDS = ("features:FILE.parquet",)
    name: str
    path: Path
    seeded: bool = False
    trained_on: tuple[TrainedOn, ...] = ()

    @classmethod
    def from_word(cls, word: str) -> Self | None:
        """See `SingleSource`."""
        kind, _, rest = word.partition(":")
        if kind != "features" or not rest:
            return None
        if not Path(rest).is_file():
            raise InputError(f"{rest}: there is no such file; write it with `duchenne embed`.")
        return cls(word, Path(rest))

    def describe(self) -> dict[str, Any]:
        """See `FeatureSource`."""
        return {"kind": "features", "file": self.path.name}

    def fingerprint(self, seed: int) -> Any:
        """See `FeatureSource`: with the bytes of the file."""
        return [self.describe(), file_hash(self.path)]

    def features(self, data: Prepared, rows: Rows, context: Context) -> Features:
        """See `FeatureSource`.

        Raises:
            InputError: when the file cannot be read, lacks a column or a face, or it or the data name one twice.
        """
        table = read_parquet(self.path)
        missing = [name for name in (*_KEYS, "feature") if name not in table.column_names]
        if missing:
            raise InputError(f"{self.path}: has no column `{missing[0]}`; `duchenne embed` writes what is needed.")
        stored = table.select(_KEYS).to_pandas()
        if not _is_whole(stored["frame"]):
            raise InputError(f"{self.path}: its column `frame` is not of whole numbers; write frame numbers, from 0.")
        known, wanted = _keys(stored), _keys({name: data.column(name, rows) for name in _KEYS})
        if wanted.has_duplicates:
            raise InputError(
                f"--model {self.name}: several faces are {wanted[wanted.duplicated()][0]} (subject, clip, frame), so "
                "features cannot be told apart; evaluate one data set at a time."
            )
        if known.has_duplicates:
            twice = known[known.duplicated()][0]
            raise InputError(f"{self.path}: holds {twice} (subject, clip, frame) more than once; keep one row each.")
        places = known.get_indexer(wanted)
        if (places < 0).any():
            lacking = int((places < 0).sum())
            raise InputError(
                f"{self.path}: lacks {lacking} of {len(rows)} labelled faces, first {wanted[places < 0][0]} "
                "(subject, clip, frame); embed the same prepared data."
            )
        try:
            values = np.stack(table["feature"].to_numpy()).astype(np.float32)[places]
        except (TypeError, ValueError) as error:
            raise InputError(f"{self.path}: its features are not lists of numbers of one length.") from error
        if values.ndim != 2:
            raise InputError(f"{self.path}: its features are not lists of numbers of one length.")
        context.advance(len(rows))
        return finite(values, self.name)


def _is_whole(column: pd.Series[Any]) -> bool:
    """Whether all values are whole numbers; pandas makes fractions of those beside which one is missing."""
    if not pd.api.types.is_numeric_dtype(column) or column.isna().any():
        return False
    values = column.to_numpy(dtype=np.float64)
    return bool((np.isfinite(values) & (np.trunc(values) == values)).all())


def _keys(frames: Any) -> pd.MultiIndex:
    columns = [frames[name].astype("string").fillna("") for name in ("subject", "clip")]
    return pd.MultiIndex.from_arrays([*columns, frames["frame"].to_numpy(dtype=np.int64)])
