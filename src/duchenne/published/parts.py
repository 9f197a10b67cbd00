"""The three parts of subjects on which published 3-fold results of BP4D and DISFA rest.

Source: DRML (Zhao et al., CVPR 2016) and its successors JAA-Net, ME-GraphAU and FG-Net, whose lists hold the same sets
of subjects. They number their folds differently (fold 1 tests part 3 with ME-GraphAU, part 1 with JAA-Net), so the
parts are kept here and a fold is known by whom it tests.
"""

from __future__ import annotations

from typing import Final

PARTS: Final[dict[str, tuple[frozenset[str], frozenset[str], frozenset[str]]]] = {
    "BP4D": (
        frozenset(
            [
                "F001",
                "F002",
                "F008",
                "F009",
                "F010",
                "F016",
                "F018",
                "F023",
                "M001",
                "M004",
                "M007",
                "M008",
                "M012",
                "M014",
            ]
        ),
        frozenset(
            [
                "F003",
                "F005",
                "F011",
                "F013",
                "F020",
                "F022",
                "M002",
                "M005",
                "M010",
                "M011",
                "M013",
                "M016",
                "M017",
                "M018",
            ]
        ),
        frozenset(
            ["F004", "F006", "F007", "F012", "F014", "F015", "F017", "F019", "F021", "M003", "M006", "M009", "M015"]
        ),
    ),
    "DISFA": (
        frozenset(["SN001", "SN002", "SN009", "SN010", "SN016", "SN026", "SN027", "SN030", "SN032"]),
        frozenset(["SN006", "SN011", "SN012", "SN013", "SN018", "SN021", "SN024", "SN028", "SN031"]),
        frozenset(["SN003", "SN004", "SN005", "SN007", "SN008", "SN017", "SN023", "SN025", "SN029"]),
    ),
}
"""Data set -> its parts 1, 2 and 3."""
