"""What an interrupted evaluation leaves beside its output, so that the same command goes on from there.

OUT/unfinished/*.npz    finished parts, each named by a hash of everything that it depends on; removed at the end

A part is used again only where its whole key is the same: the bytes of the data's tables, the encoder's weights, the
folds, every setting, the device, the versions and the number of threads. So files are the same with and without an
interruption, and a changed setting never meets an old part.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from duchenne.data.prepared import Prepared
from duchenne.features.source import Context, Features, FeatureSource
from duchenne.files import file_hash, replacing

FOLDER: Final = "unfinished"
BLOCK: Final = 8192
"""Faces whose features are stored together; a whole number of an encoder's batches, so that none changes."""

Arrays = Mapping[str, NDArray[Any]]


class State:
    """Finished parts of one evaluation.

    Args:
        out: the folder of the evaluation.
        common: what every part depends on, as plain values.
    """

    def __init__(self, out: str | Path, common: Mapping[str, Any]) -> None:
        self._folder, self._common = Path(out) / FOLDER, dict(common)
        self._arrays: dict[Path, NDArray[Any]] = {}

    def get(self, **key: Any) -> dict[str, NDArray[Any]] | None:
        """The arrays stored under this key; None where there are none, or the file is damaged."""
        path = self._path(key)
        if not path.is_file():
            return None
        try:
            with np.load(path, allow_pickle=False) as stored:
                return {name: stored[name] for name in stored.files}
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
            return None

    def put(self, arrays: Arrays, **key: Any) -> None:
        """Stores arrays under this key.

        Raises:
            InputError: when the folder cannot be written.
        """
        with replacing(self._path(key)) as temporary, temporary.open("wb") as file:
            np.savez(file, **dict[str, Any](arrays))

    def folder(self, **key: Any) -> Path:
        """A folder of this key's own, for what is under way; it may not be there yet."""
        return self._path(key).with_suffix("")

    def array(self, fill: Callable[[Callable[..., NDArray[Any]]], NDArray[Any]], **key: Any) -> NDArray[Any]:
        """An array in a file, for values that need not lie in memory together; `clear` removes it.

        Args:
            fill: called with a function (shape, dtype) that makes the file; returns the array, filled. Not called where
                this process has filled the array of this key before.
            **key: what the values depend on.
        """
        path = self._path(key).with_suffix(".npy")
        if path not in self._arrays:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._arrays[path] = fill(lambda shape, dtype: open_memmap(path, mode="w+", dtype=dtype, shape=shape))
        return self._arrays[path]

    def clear(self) -> None:
        """Removes every part: the evaluation is finished."""
        self._arrays.clear()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, key: Mapping[str, Any]) -> Path:
        text = json.dumps({**self._common, **key}, sort_keys=True, default=str)
        return self._folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.npz"


def kept_features(
    source: FeatureSource, data: Prepared, rows: NDArray[np.int64], context: Context, state: State
) -> Features:
    """The features of a source; those of pictures are stored block by block, and not computed twice.

    Args:
        source: one `--model`; the members of an ensemble are stored by themselves.
        data: the faces.
        rows: of the faces.
        context: how to compute them.
        state: holds the finished blocks.
    """
    members = source.members
    if len(members) > 1:
        return np.concatenate([kept_features(m, data, rows, context, state) for m in members], axis=1)
    if not source.stored_by_block:
        return source.features(data, rows, context)
    key = {"features": source.fingerprint(context.seed), "feature": context.feature}
    out: Features | None = None
    for start in range(0, len(rows), BLOCK):
        part = rows[start : start + BLOCK]
        mine = {**key, "rows": array_hash(part)}
        stored = state.get(**mine)
        if stored is None:
            stored = {"features": source.features(data, part, context)}
            state.put(stored, **mine)
        else:
            context.advance(len(part))
        values = stored["features"]
        if out is None:
            out = np.empty((len(rows), values.shape[1]), dtype=np.float32)
        out[start : start + len(part)] = values
    assert out is not None
    return out


def data_hash(data: Prepared) -> list[list[str]]:
    """Of every prepared folder the hashes of `dataset.yaml` and `frames.parquet` (where every picture lies, and how
    long it is)."""
    return [[file_hash(path / name) for name in ("dataset.yaml", "frames.parquet")] for path in data.paths]


def array_hash(*arrays: NDArray[Any]) -> str:
    """SHA-256 of the kinds, shapes and values of arrays."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
