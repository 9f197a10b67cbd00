"""The result tables and ablations of the five papers as data: what they printed, under which protocol, what is wrong.

    for row in load():
        print(row.paper, row.table, row.method, row.protocol, row.average)

The files are `results.csv` in this folder, one line per printed number, and `ablations.csv`, one line per printed mean
of an ablation (`load_ablations`); their columns are explained in docs/published.md.
Numbers are copied as printed, also where they are wrong: errors are flagged, never corrected.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final, Literal, NamedTuple, cast

Metric = Literal["f1", "auc", "recall"]
Protocol = Literal["linear", "linear+bn", "frozen", "areas", "finetune", "areas+finetune", "supervised"]
COLUMNS: Final = ("paper", "table", "dataset", "method", "protocol", "metric", "item", "value", "note")
AVERAGE: Final = "average"
SPREAD_OVER_SPLITS: Final = 6.5
"""F1 points, up or down, by which published work found a score to move with the split alone."""


class Paper(NamedTuple):
    """One of the five papers.

    Attributes:
        name: as the column `paper` has it.
        citation: authors, venue and year.
        alignment: how the faces of its test data were cut out.
        weighting: of the classes, for the rows that it trained itself; None where the paper does not say.
    """

    name: str
    citation: str
    alignment: str
    weighting: str | None


PAPERS: Final[dict[str, Paper]] = {
    paper.name: paper
    for paper in (
        Paper("KSRL", "Chang & Wang, CVPR 2022", "68 landmarks of dlib", None),
        Paper("EmoCo", "Sun, Zeng & Shan, FG 2021", "5 points of SeetaFace", None),
        Paper("CL-ILE", "Lian et al., BMVC 2023", "landmarks of CE-CLM (OpenFace)", "selective learning"),
        Paper("TC", "Lu, Tavabi & Soleymani, BMVC 2020", "the data sets' landmarks", "balanced"),
        Paper("CLP", "Li & Shan, IEEE TIP 2023 (arXiv 2403.03400)", "SeetaFace", "balanced"),
    )
}

PROTOCOLS: Final[dict[Protocol, str]] = {
    "linear": "frozen encoder, one linear unit per item",
    "linear+bn": "as linear, but the encoder's BatchNorm layers are trained with the units",
    "frozen": "frozen encoder, a classifier that the paper does not describe",
    "areas": "frozen encoder, multi-layer classifiers on the features of facial areas",
    "finetune": "the encoder is trained on the labels too",
    "areas+finetune": "as areas, with the encoder trained on the labels too",
    "supervised": "a model of its own, trained on the labels from the start",
}


METHODS: Final[dict[str, str]] = {
    "SimCLR": "simclr", "MoCo": "moco", "SimSiam": "simsiam", "CVC": "cvc", "triplet": "triplet", "N-pair-mc": "n_pair",
    "temporal ranking": "temporal_ranking", "CLP": "clp", "EmoCo": "emoco", "CL-ILE": "cl_ile",
    "KSRL": "knowledge_driven", "FAb-Net": "fab_net", "TCAE": "twin_cycle", "TAE": "twin_cycle",
}  # fmt: skip
"""Printed method, without what is said after it (`, retrained`, ` k=1`), -> this library's."""


class Row(NamedTuple):
    """One printed row.

    Attributes:
        paper: key of `PAPERS`.
        table: its number there; the name of the data set where we do not have the number on record, although the paper
            prints one.
        dataset: BP4D, DISFA, GFT, EmotioNet, AffectNet or RAF-DB.
        method: one name for one method in all papers; `, retrained`: the paper trained another paper's method
            again, or evaluated its released weights again, which the note says.
        protocol: key of `PROTOCOLS`.
        metric: what the numbers are.
        values: item (`AU12`, `happiness`) -> percent, in printed order; empty for a row of an ablation.
        average: as printed, percent; NaN where an ablation says it in words only, or the number is not on record.
        notes: (item or `average`, sentence); a sentence starts with `error`, `remark` or `cited`.
        recipe: that trains it, for a row of an ablation; empty where there is none.
    """

    paper: str
    table: str
    dataset: str
    method: str
    protocol: Protocol
    metric: Metric
    values: Mapping[str, float]
    average: float
    notes: tuple[tuple[str, str], ...]
    recipe: str = ""

    @property
    def cited(self) -> bool:
        """Whether the paper copied the row from an earlier one."""
        return any(sentence.startswith("cited") for _, sentence in self.notes)

    @property
    def own_method(self) -> str | None:
        """This library's method that the row is of, or that its recipe is for; None where it has none."""
        return METHODS.get(re.split(r",| k=", self.method)[0]) or self.recipe.split("/")[0] or None

    @property
    def errors(self) -> tuple[str, ...]:
        """What is wrong in the row, one sentence each."""
        found = [(item, note.removeprefix("error: ")) for item, note in self.notes if note.startswith("error: ")]
        return tuple(note if item == AVERAGE else f"{item}: {note}" for item, note in found)

    @property
    def weighting(self) -> str | None:
        """How its classes were weighted; None where it is not known, as for rows copied from earlier papers."""
        known = self.protocol not in ("supervised", "frozen") and not self.cited
        return PAPERS[self.paper].weighting if known else None


@cache
def load() -> tuple[Row, ...]:
    """Every printed row of the five papers, in their order."""
    lines = files(__name__).joinpath("results.csv").read_text(encoding="utf-8").splitlines()
    groups: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for line in csv.DictReader(lines):
        groups.setdefault(tuple(line[name] for name in COLUMNS[:6]), []).append(line)
    return tuple(_row(key, cells) for key, cells in groups.items())


@cache
def load_ablations() -> tuple[Row, ...]:
    """Every mean of the papers' ablations, in their order."""
    lines = files(__name__).joinpath("ablations.csv").read_text(encoding="utf-8").splitlines()
    return tuple(
        Row(
            cell["paper"], cell["table"], cell["dataset"], cell["method"], cast(Protocol, cell["protocol"]),
            cast(Metric, cell["metric"]), {}, float(cell["value"] or "nan"),
            tuple((AVERAGE, sentence) for sentence in cell["note"].split("; ") if sentence), cell["recipe"],
        )
        for cell in csv.DictReader(lines)
    )  # fmt: skip


def _row(key: tuple[str, ...], cells: list[dict[str, str]]) -> Row:
    paper, table, dataset, method, protocol, metric = key
    values = {cell["item"]: float(cell["value"]) for cell in cells}
    notes = tuple((cell["item"], sentence) for cell in cells if cell["note"] for sentence in cell["note"].split("; "))
    return Row(
        paper, table, dataset, method, cast(Protocol, protocol), cast(Metric, metric),
        {item: value for item, value in values.items() if item != AVERAGE}, values[AVERAGE], notes,
    )  # fmt: skip
