"""A data set: pictures `PERSON/FRAME.png`, and `smiles.csv` with a line `PERSON,FRAME,0 or 1` for each coded one."""

from __future__ import annotations

from collections import defaultdict

from duchenne.errors import InputError
from duchenne.facs import au_column
from duchenne.preparing.sources.reading import (
    IMAGES,
    Clip,
    DataSet,
    Labels,
    Options,
    Reading,
    frame_number,
    join,
    occurrence,
)  # fmt: skip
from duchenne.preparing.sources.survey import Survey
from duchenne.preparing.sources.tree import Tree

AUS = (12,)


def read(tree: Tree, options: Options) -> Reading:
    """Finds pictures and codes, and puts them together."""
    found = tree.index(rf"([A-Za-z]\w*)/(\d+){IMAGES}", lambda match: (match[1], int(match[2])))
    if not found:
        raise SMILES.nothing(tree)
    frames: dict[Clip, dict[int, str]] = defaultdict(dict)
    for (person, number), name in found.items():
        frames[person, person][number] = name
    labels: dict[Clip, dict[int, Labels]] = defaultdict(dict)
    for row, line in enumerate(tree.text("smiles.csv").splitlines(), start=1):
        cells = line.split(",")
        if len(cells) != 3:
            raise InputError(f"smiles.csv, row {row}: has {len(cells)} cells, not 3; check the file.")
        person, number, smiles = cells
        code = occurrence(smiles, "smiles.csv", row)  # what could not be coded is None, never 0
        labels[person, person][frame_number(number, "smiles.csv", row)] = {au_column(12): code}
    survey = Survey()
    survey.count("people", len(frames))
    images = join(tree, survey, frames, labels, options, AUS, rate=25.0)
    survey.missing += tree.problems
    return Reading(survey, AUS, "occurrence", images)


SMILES = DataSet(
    name="smiles",
    title="Smiles",
    about="pictures of people who smile or do not (an example)",
    read=read,
    layout=("anna/0001.png", "smiles.csv"),
    licence="not stated",
    options=frozenset({"frames"}),
)
