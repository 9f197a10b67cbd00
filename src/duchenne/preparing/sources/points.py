"""Landmarks that data sets bring along: where each picture's lie, and how they become the 68-point scheme."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from duchenne.errors import InputError
from duchenne.preparing.sources.tree import Stored, read_stored

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FIVE: Final = 5
"""Points of the shortest scheme: eye centres, tip of the nose, corners of the mouth; the person's right first."""
_INNER_CORNERS: Final = (60, 64)
_PLACES: Final[dict[int, tuple[int, ...]]] = {
    68: tuple(range(68)),
    66: tuple(point for point in range(68) if point not in _INNER_CORNERS),
    49: tuple(point for point in range(17, 68) if point not in _INNER_CORNERS),
}
"""Number of points -> their places in the 68-point scheme; 66 leaves out the inner corners of the mouth, 49 the jaw
too (as AAM and IntraFace trackers do)."""


@dataclass(frozen=True)
class Points:
    """Where the landmarks of one picture lie.

    Attributes:
        values: the coordinates x0 y0 x1 ... themselves, where a table gives them.
        place: else the file: text (a point per line), `.npy`, or `.mat` with a variable `pts`.
        rows: how many lines of a text file are points; None for all.
        entry: which picture of a sequence's file, from 0; None: the file is of one picture.
    """

    values: tuple[float, ...] = ()
    place: Stored | None = None
    rows: int | None = None
    entry: int | None = None

    def load(self) -> NDArray[np.float64]:
        """(68, 2), NaN for points that the scheme lacks, or (5, 2); pixels of the picture, its corner at (0, 0).

        Raises:
            InputError: when they cannot be read, or are of no known scheme.
        """
        import numpy as np  # in functions alone: `prepare --help` lists the readers and need not wait for it

        where = "its landmarks" if self.place is None else f"{Path(self.place.path, self.place.member)}"
        try:
            if self.place is not None and self.entry is not None:
                flat = sequence_points(self.place)[self.entry]
            else:
                flat = np.asarray(self.values) if self.place is None else _read(self.place, self.rows)
            points = np.asarray(flat, dtype=np.float64).reshape(-1, 2)
        except InputError:
            raise
        except Exception as error:  # SciPy has no common class for what it raises of damaged files
            raise InputError(f"{where}: cannot be read as landmarks ({error}); replace the file.") from error
        if len(points) == FIVE:
            return points
        if len(points) not in _PLACES:
            raise InputError(f"{where}: holds {len(points)} landmarks; known are 5, {', '.join(map(str, _PLACES))}.")
        full = np.full((68, 2), np.nan)
        full[list(_PLACES[len(points)])] = points
        return full


@lru_cache(maxsize=8)
def sequence_points(place: Stored) -> NDArray[np.float64]:
    """The tracked landmarks of a sequence, as BP4D has them: a MATLAB file of version 7.3 (HDF5) with `fit(i).pred`.

    Returns:
        (F, 49, 2) pixels of each picture; NaN where the tracker found no face.

    Raises:
        InputError: when the file holds something else.
    """
    import h5py  # here: other readers need not wait for it
    import numpy as np

    where = str(Path(place.path, place.member))
    try:
        with h5py.File(io.BytesIO(read_stored(place)), "r") as file:
            entries = file["fit/pred"][()].reshape(-1)
            found = np.full((len(entries), 49, 2), np.nan)
            for number, entry in enumerate(entries):
                values = np.asarray(file[entry], dtype=np.float64)
                if values.shape == (2, 49):  # MATLAB's arrays lie transposed; an empty one has another shape
                    found[number] = values.T
    except InputError:
        raise
    except Exception as error:  # h5py has no common class for what it raises of foreign and damaged files
        raise InputError(
            f"{where}: cannot be read as tracked landmarks (MATLAB 7.3, `fit.pred`: {' '.join(str(error).split())}); "
            "replace the file, or choose another alignment."
        ) from error
    return found


def load_array(data: bytes, where: str) -> NDArray[Any]:
    """The array of an `.npy` file; objects, which would run code, are refused.

    Raises:
        InputError: when it holds anything else than an array.
    """
    import numpy as np

    try:
        found = np.load(io.BytesIO(data), allow_pickle=False)
    except Exception as error:  # NumPy has no common class for what it raises of damaged files
        raise InputError(f"{where}: cannot be read as an array ({error}); fetch it again.") from error
    if not isinstance(found, np.ndarray):
        raise InputError(f"{where}: is an archive of arrays, not an array; fetch it again.")
    return found


def _read(place: Stored, rows: int | None) -> NDArray[np.float64]:
    import numpy as np

    suffix = PurePosixPath(place.member or place.path.name).suffix.lower()
    data = read_stored(place)
    if suffix == ".npy":
        return load_array(data, str(Path(place.path, place.member))).astype(np.float64)
    if suffix == ".mat":
        from scipy.io import loadmat  # here: half a second that other readers need not wait

        file: Any = io.BytesIO(data)
        return np.asarray(loadmat(file)["pts"], dtype=np.float64)
    lines = data.decode("ascii", errors="replace").replace(",", " ").splitlines()
    return np.array([[float(cell) for cell in line.split()[:2]] for line in [x for x in lines if x.strip()][:rows]])
