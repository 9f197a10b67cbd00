"""Published partitions of subjects, as parts from which folds are derived: fold i tests `parts[i]`, all others train.

Several papers share the same parts and number the folds differently; both orders have a name here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from duchenne.errors import UsageError


class Partition(NamedTuple):
    """A published way to divide the subjects of a data set.

    Attributes:
        reader: the data set, by its name in `prepare`.
        parts: subjects that are tested together, in the order of the folds.
        tested: which parts are tested; those that are not only train.
        source: where it comes from.
    """

    reader: str
    parts: tuple[tuple[str, ...], ...]
    tested: tuple[int, ...]
    source: str


def _parts(*lines: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(sorted(line.split())) for line in lines)


BP4D_PARTS: Final = _parts(
    "F001 F002 F008 F009 F010 F016 F018 F023 M001 M004 M007 M008 M012 M014",
    "F003 F005 F011 F013 F020 F022 M002 M005 M010 M011 M013 M016 M017 M018",
    "F004 F006 F007 F012 F014 F015 F017 F019 F021 M003 M006 M009 M015",
)
"""P1, P2, P3 of DRML, JAA-Net, ME-GraphAU and FG-Net."""
DISFA_PARTS: Final = _parts(
    "SN001 SN002 SN009 SN010 SN016 SN026 SN027 SN030 SN032",
    "SN006 SN011 SN012 SN013 SN018 SN021 SN024 SN028 SN031",
    "SN003 SN004 SN005 SN007 SN008 SN017 SN023 SN025 SN029",
)
"""P1, P2, P3 of the same papers."""
BP4D_PLUS_PARTS: Final = _parts(
    "M040 F072 M015 M029 M003 F076 F053 F026 F044 F066 F057 F061 F071 M050 M033 F079 F020 M025 F014 F004 F013 M017 "
    "F033 M042 M004 F038 F019 M036 M026 M048 F039 F046 M051 F047 M020",
    "F074 F012 F034 M001 F056 F075 M009 M038 F024 M047 F016 M045 M034 M022 F060 M011 M044 M046 M005 M028 F077 F028 "
    "M055 M019 F032 F030 M037 M043 F031 F022 M023 M018 M016 F065 M052",
    "F029 F054 F064 F045 F009 F040 F008 M041 F063 M056 M024 F001 F080 M010 F062 F035 M054 F052 F027 F043 F042 F050 "
    "M057 F078 F058 F017 M035 M030 M027 F021 M031 F069 F002 M008 F068",
    "M058 F037 F010 F023 M007 M002 F025 F073 F048 F041 F051 F011 M032 F005 M021 F018 M013 M049 M014 F070 F006 F067 "
    "M039 M006 F059 F003 F007 F049 M053 F081 F055 M012 F082 F015 F036",
)
"""Four folds of 35 of FMAE-IAT (Ning, Salah & Ertugrul 2024), as its README lists them."""

_BP4D: Final = tuple(sorted(subject for part in BP4D_PARTS for subject in part))
_FERA: Final = tuple(tuple(subject for subject in _BP4D if int(subject[1:]) % 2 == odd) for odd in (1, 0))

PARTITIONS: Final[dict[str, Partition]] = {
    "bp4d:jaa": Partition("bp4d", BP4D_PARTS, (0, 1, 2), "JAA-Net's parts 1 to 3; FG-Net's folds 0 to 2"),
    "bp4d:me-graphau": Partition("bp4d", BP4D_PARTS[::-1], (0, 1, 2), "ME-GraphAU: fold 1 tests P3, fold 3 tests P1"),
    "bp4d:fera2015": Partition("bp4d", _FERA, (1,), "FERA 2015: odd subjects train, even ones are its development set"),
    "bp4d_plus:fmae-iat": Partition("bp4d_plus", BP4D_PLUS_PARTS, (0, 1, 2, 3), "FMAE-IAT: four folds of 35"),
    "disfa:jaa": Partition("disfa", DISFA_PARTS, (0, 1, 2), "JAA-Net's parts 1 to 3; FG-Net's folds 0 to 2"),
    "disfa:me-graphau": Partition("disfa", DISFA_PARTS[::-1], (0, 1, 2), "ME-GraphAU: fold 1 tests P3, fold 3 P1"),
}
"""The partitions that `evaluate --folds` takes by name."""


def fold_of_subjects(name: str) -> dict[str, int]:
    """subject -> the fold that tests it, from 0; -1 where it only trains.

    Raises:
        UsageError: for an unknown name.
    """
    if name not in PARTITIONS:
        raise UsageError(f"--folds {name}: there is no such partition; known are {', '.join(PARTITIONS)}.")
    partition = PARTITIONS[name]
    folds: dict[str, int] = dict.fromkeys((subject for part in partition.parts for subject in part), -1)
    for fold, part in enumerate(partition.tested):
        folds |= dict.fromkeys(partition.parts[part], fold)
    return folds


def everyone(parts: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """All subjects of some parts, sorted."""
    return tuple(sorted(subject for part in parts for subject in part))
