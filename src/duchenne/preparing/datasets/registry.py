"""The data sets that can be read, by the names that `prepare` takes.

Adding one: docs/architecture.md, "A data set". Those of other packages: see `duchenne.plugins`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from duchenne.errors import UsageError
from duchenne.facs import au_column
from duchenne.plugins import import_builder, is_builder, load_plugin
from duchenne.preparing.datasets.aff_wild2 import AFF_WILD2
from duchenne.preparing.datasets.affectnet import AFFECTNET
from duchenne.preparing.datasets.bp4d import BP4D, BP4D_PLUS
from duchenne.preparing.datasets.ck_plus import CK_PLUS, UNBC
from duchenne.preparing.datasets.disfa import DISFA, DISFA_PLUS
from duchenne.preparing.datasets.emotionet import EMOTIONET
from duchenne.preparing.datasets.gft import GFT
from duchenne.preparing.datasets.rafdb import RAFAU, RAFDB
from duchenne.preparing.datasets.voxceleb2 import VOXCELEB2
from duchenne.preparing.sources.reading import DataSet, Options, Reading
from duchenne.preparing.sources.tree import Tree

DATA_SETS: Final[dict[str, DataSet]] = {
    data_set.name: data_set
    for data_set in (
        BP4D, BP4D_PLUS, DISFA, DISFA_PLUS, GFT, EMOTIONET, AFFECTNET, RAFDB, RAFAU, CK_PLUS, UNBC, AFF_WILD2,
        VOXCELEB2,
    )
}  # fmt: skip


_CODED: Final = re.compile(r"AU\d\d(_i)?")
NO_DATA_SETS: Final = ("videos", "table")
"""Readers that read any files of a kind."""


def data_set_of(name: str) -> DataSet | None:
    """A data set by name, the one of another package included; None where there is none, e.g. for `videos`.

    Raises:
        UsageError: when another package's cannot be imported, or is no `DataSet`.
    """
    if name in DATA_SETS or name in NO_DATA_SETS:
        return DATA_SETS.get(name)
    found: Any = import_builder(name, "data set") if is_builder(name) else load_plugin("datasets", name)
    if found is not None and not isinstance(found, DataSet):
        raise UsageError(f"data set {name}: is a {type(found).__name__}, not a DataSet; see docs/extending.md.")
    return found


def read_data_set(name: str, root: Path, options: Options) -> Reading:
    """Finds and joins the files of a data set.

    Raises:
        UsageError: when there is no such data set.
        InputError: when the root holds none of it, or a file cannot be understood.
    """
    known = data_set_of(name)
    if known is None:
        raise UsageError(f"there is no data set `{name}`; the known ones are {', '.join(DATA_SETS)}.")
    reading = known.read(Tree(root), options)
    _check_named(name, reading)
    return reading


def _check_named(name: str, reading: Reading) -> None:
    """Refuses labels that would be left out without a word, as no column is made for them.

    Raises:
        UsageError: for an action unit that its pictures or videos have and `Reading.aus` lacks, or with no kind.
    """
    keys = {key for image in reading.images for key in image.values}
    given = {key[:4] for key in keys if _CODED.fullmatch(key)}
    given |= {au_column(au) for video in reading.videos if video.codes is not None for au in video.codes.aus}
    lacking = sorted(given - {au_column(au) for au in reading.aus})
    if lacking:
        raise UsageError(f"data set {name}: gives labels of {lacking[0]}, which is not in `Reading.aus`; add it there.")
    graded = [key for key in sorted(keys) if key.endswith("_i") and _CODED.fullmatch(key)]
    if graded and reading.label_kind != "intensity":
        raise UsageError(f"data set {name}: gives {graded[0]}, but its `label_kind` is not intensity; correct one.")
    if reading.aus and reading.label_kind == "none":
        raise UsageError(f"data set {name}: its `Reading` has `aus` and no `label_kind`; say occurrence or intensity.")
