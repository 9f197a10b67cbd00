"""The papers' tables by name, and for each of their rows the recipes that make it here, or why none does. No torch.

table = find_table("clp/table1")
for entry in table.entries:
    print(entry.row.method, entry.recipes or entry.reason)
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from functools import cache
from typing import Final

from duchenne.errors import UsageError
from duchenne.published import AVERAGE, PAPERS, Protocol, Row, load, load_ablations
from duchenne.training.recipes import recipe_names

READERS: Final = {
    "BP4D": "bp4d", "DISFA": "disfa", "GFT": "gft", "EmotioNet": "emotionet", "AffectNet": "affectnet",
    "RAF-DB": "rafdb",
}  # fmt: skip
"""Data set of a row -> the reader that prepares it."""
_SETS: Final = {name.lower() for name in READERS}
EMOTIONS: Final[dict[str, dict[str, int]]] = {"AffectNet": {"TC": 8, "CLP": 7}, "RAF-DB": {}}
"""Data sets on which the papers predict emotions, and how many of them each paper does, where there is a choice."""

_TEMPORAL: Final = tuple(f"temporal_ranking/voxceleb2_k{interval}" for interval in (1, 2, 4))
_FLOWS: Final = {"FAb-Net": ("fab_net/voxceleb2",), "TCAE": ("twin_cycle/voxceleb2",)}
_SINGLE: Final = {f"temporal ranking k={recipe[-1]}": (recipe,) for recipe in _TEMPORAL}
_SERIES: Final = {
    **_SINGLE, "temporal ranking k=1,2,4": _TEMPORAL,
    "temporal ranking k=1, DenseNet-121": ("temporal_ranking/voxceleb2_k1_densenet121",),
}  # fmt: skip
_TRAINED: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "KSRL": {
        **_FLOWS, "SimCLR": ("simclr/bp4d_plus",), "MoCo": ("moco/bp4d_plus",), "KSRL": ("knowledge_driven/bp4d_plus",),
    },
    "EmoCo": {
        **_FLOWS, "MoCo": ("moco/affectnet",), "temporal ranking": _TEMPORAL[:1], "EmoCo": ("emoco/affectnet",),
        "ResNet-50": ("supervised/emoco_baseline",),
    },
    "CL-ILE": {},
    "TC": {**_FLOWS, **_SERIES, "triplet": ("triplet/voxceleb2",), "N-pair-mc": ("n_pair/voxceleb2",)},
    "CLP": {
        **_FLOWS, **_SERIES, "EmoCo": ("emoco/affectnet",), "ResNet-34, ImageNet": ("supervised/clp_baseline",),
        **{name: (f"{name.lower()}/voxceleb2",) for name in ("SimCLR", "MoCo", "SimSiam", "CVC", "CLP")},
    },
}  # fmt: skip
"""Paper -> method of its rows, without `, retrained` -> recipes; of several, the features stand side by side. Rows of
ablations name their recipe themselves, and CL-ILE has one for each data set."""

_CURVES: Final[tuple[tuple[str, str, tuple[str, ...], tuple[Protocol, ...], tuple[str, ...]], ...]] = (
    ("KSRL", "Fig. 3", ("BP4D", "DISFA"), ("areas",), ("knowledge_driven/lambda_", "knowledge_driven/alpha_")),
    ("EmoCo", "Fig. 4", ("BP4D",), ("linear", "finetune"), ("emoco/lambda_",)),
)
"""Paper, figure, data sets, protocols, start of the recipes of its points: curves whose numbers are not printed."""
_CURVE: Final = "remark: a point of a curve, whose number is not printed"
_NO_NUMBER: Final = {"emoco": ("table1", "table2")}
"""Tables of which we do not know which is which; they are called by their data set."""


@dataclass(frozen=True, eq=False)
class Entry:
    """A printed row, and what makes it here.

    Attributes:
        row: as printed.
        recipes: that train it; of several, the features stand side by side. Empty where nothing does.
        reason: why nothing does, in a few words.
    """

    row: Row
    recipes: tuple[str, ...]
    reason: str = ""

    @property
    def supervised(self) -> bool:
        """Whether it is trained on the labels of the tested data set, in every fold."""
        return self.row.protocol == "supervised"


@dataclass(frozen=True)
class Table:
    """A table or figure of a paper.

    Attributes:
        name: `paper/table`, as `reproduce` takes it.
        entries: its rows.
    """

    name: str
    entries: tuple[Entry, ...]

    @property
    def made(self) -> tuple[Entry, ...]:
        """The rows that recipes make."""
        return tuple(entry for entry in self.entries if entry.recipes)

    @property
    def left_out(self) -> str:
        """Which rows nothing makes, and why, in one sentence; empty where all are made."""
        reasons: dict[str, list[str]] = {}
        for entry in self.entries:
            if entry.reason:
                reasons.setdefault(entry.reason, []).append(entry.row.method)
        listed = "; ".join(f"{', '.join(dict.fromkeys(names))} ({reason})" for reason, names in reasons.items())
        return f"Not made: {listed}." if listed else ""

    @property
    def title(self) -> str:
        """Paper, table and data sets, in words."""
        first = self.entries[0].row
        sets = list(dict.fromkeys(entry.row.dataset for entry in self.entries))
        number = first.table if re.search(r"[a-z]", first.table) else f"Table {first.table}"
        places = sets if first.table in sets else [number, *sets]
        return f"{PAPERS[first.paper].citation}: {', '.join(places)}"


@cache
def all_tables() -> dict[str, Table]:
    """Every table and figure of the published numbers, by name."""
    groups: dict[str, list[Entry]] = {}
    printed = {(row.paper, row.table, row.dataset, row.method) for row in load()}
    ablations = [row for row in load_ablations() if (row.paper, row.table, row.dataset, row.method) not in printed]
    for row in (*load(), *ablations, *_curves()):
        groups.setdefault(_name(row.paper, row.table), []).append(_entry(row))
    return {name: Table(name, tuple(entries)) for name, entries in groups.items()}


def find_table(name: str) -> Table:
    """The table of this name, see `all_tables`.

    Raises:
        UsageError: when there is none, or none of its rows can be made.
    """
    tables = {_plain(known): table for known, table in all_tables().items()}
    wanted = _plain(name)
    if wanted not in tables:
        paper, _, table = wanted.partition("/")
        if table in _NO_NUMBER.get(paper, ()):
            own = [known for known in all_tables() if known.startswith(f"{paper}/") and not re.search(r"\d", known)]
            raise UsageError(f"{name}: which table has this number is not on record; choose {' or '.join(own)}.")
        if table.startswith("fig"):
            raise UsageError(
                f"{name}: only figures with a curve over recipes are reproduced (emoco/figure4, ksrl/figure3); the "
                "commands for the others are in docs/evaluation.md, `The papers' figures`."
            )
        near = difflib.get_close_matches(name.lower(), all_tables(), n=1, cutoff=0.0)[0]
        raise UsageError(f"there is no table `{name}`; did you mean `{near}`? `duchenne reproduce --help` lists all.")
    found = tables[wanted]
    if not found.made:
        reasons = "; ".join(dict.fromkeys(entry.reason for entry in found.entries))
        raise UsageError(f"{name}: none of its rows can be made here ({reasons}); choose another table.")
    return found


def _name(paper: str, table: str) -> str:
    """`TC`, `S1` -> `tc/table_s1`; `CLP`, `IV` -> `clp/table4`; `EmoCo`, `GFT` -> `emoco/gft`."""
    roman = {"I": "1", "II": "2", "III": "3", "IV": "4", "V": "5", "VI": "6"}
    number = roman.get(table, table).lower()
    if re.fullmatch(r"s?\d+", number):
        number = f"table{number.replace('s', '_s')}"
    elif number not in _SETS:
        number = number.replace("fig. ", "figure")
    return f"{paper}/{number}".lower().replace("cl-ile", "cl_ile")


def _plain(name: str) -> str:
    """A name without what is easily written in another way."""
    return re.sub(r"[-_ .]", "", name.lower())


def _curves() -> list[Row]:
    """The points of curves that are not among the ablations."""
    known = {(row.recipe, row.dataset, row.protocol, row.table) for row in load_ablations()}
    return [
        Row(
            paper, table, dataset, f"{paper}, {recipe.split('/')[1].replace('_', ' ')}", protocol, "f1", {},
            float("nan"), ((AVERAGE, _CURVE),), recipe,
        )
        for paper, table, datasets, protocols, starts in _CURVES
        for dataset in datasets for protocol in protocols for start in starts
        for recipe in recipe_names() if recipe.startswith(start)
        if (recipe, dataset, protocol, table) not in known
    ]  # fmt: skip


def _entry(row: Row) -> Entry:
    method = row.method.removesuffix(", retrained")
    recipes = (row.recipe,) if row.recipe else _TRAINED[row.paper].get(method, ())
    if method == "CL-ILE" and row.paper == "CL-ILE":
        recipes = (f"cl_ile/{READERS[row.dataset]}",)
    if row.protocol == "supervised" and not recipes:
        backbone = "backbone of" in method
        return Entry(row, (), "no recipe has this backbone" if backbone else "a system that this library does not have")
    if method == "TAE":
        return Entry(row, (), "what its authors changed in TCAE (twin_cycle) is not public")
    return Entry(row, recipes, "" if recipes else "a method that this library does not have")
