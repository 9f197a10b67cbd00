"""Methods by name, imported when first asked for.

Adding a method:
1. a folder `methods/NAME/` with `config.py` (a frozen keyword-only dataclass, imports no torch), `loss.py` (pure
   functions), `method.py` (a subclass of `Method`) and `README.md` (paper, equation map, deviations);
2. a line in `_CLASSES` below;
3. a recipe in `recipes/`;
4. a test of its loss in `tests/methods/`; the contract tests take it up by themselves.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from duchenne.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from duchenne.data.prepared import Prepared
    from duchenne.methods.base import Method

_CLASSES: Final = {
    "cl_ile": ("ClIle", "ClIleConfig"),
    "clp": ("CLP", "CLPConfig"),
    "cvc": ("CVC", "CVCConfig"),
    "emoco": ("EmoCo", "EmoCoConfig"),
    "fab_net": ("FabNet", "FabNetConfig"),
    "knowledge_driven": ("KnowledgeDriven", "KnowledgeDrivenConfig"),
    "moco": ("MoCo", "MoCoConfig"),
    "n_pair": ("NPair", "NPairConfig"),
    "simclr": ("SimCLR", "SimCLRConfig"),
    "simsiam": ("SimSiam", "SimSiamConfig"),
    "supervised": ("Supervised", "SupervisedConfig"),
    "temporal_ranking": ("TemporalRanking", "TemporalRankingConfig"),
    "triplet": ("Triplet", "TripletConfig"),
    "twin_cycle": ("TwinCycle", "TwinCycleConfig"),
}
METHODS: Final = tuple(sorted(_CLASSES))
"""Names of all methods."""


def config_class(name: str) -> type:
    """The configuration dataclass of a method; imports no torch.

    Raises:
        UsageError: when there is no such method.
    """
    found: type = getattr(import_module(f"duchenne.methods.{_known(name)}.config"), _CLASSES[name][1])
    return found


def method_class(name: str) -> type[Method]:
    """The class of a method.

    Raises:
        UsageError: when there is no such method.
    """
    found: type[Method] = getattr(import_module(f"duchenne.methods.{_known(name)}.method"), _CLASSES[name][0])
    return found


def figures_of(method: Method, data: Prepared, rows: NDArray[np.int64]) -> Mapping[str, Figure]:
    """Figures of what a trained method learned, by name: those of the module `figures` beside it, where it has one.

    Args:
        method: trained, in evaluation mode.
        data: trained on.
        rows: those that were used.
    """
    package = type(method).__module__.rpartition(".")[0]
    if not package or find_spec(f"{package}.figures") is None:
        return {}
    figures: Mapping[str, Figure] = import_module(f"{package}.figures").figures_of(method, data, rows)
    return figures


def _known(name: str) -> str:
    if name not in _CLASSES:
        near = difflib.get_close_matches(name, METHODS, n=1, cutoff=0.0)[0]
        raise UsageError(f"there is no method `{name}`; did you mean `{near}`? Methods: {', '.join(METHODS)}.")
    return name
