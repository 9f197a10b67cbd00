"""The data sets that can be read, by the names that `prepare` takes.

Adding one: docs/architecture.md, "A data set".
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

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


def read_data_set(name: str, root: Path, options: Options) -> Reading:
    """Finds and joins the files of a data set.

    Raises:
        InputError: when the root holds none of it, or a file cannot be understood.
    """
    return DATA_SETS[name].read(Tree(root), options)
