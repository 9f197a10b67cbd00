"""Definitions of facial areas and of relations between them, as texts that a configuration holds. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from duchenne.facs import AREA_BOXES, AREA_GROUPS, LANDMARK_FLIP

_EDGE: Final = re.compile(r"(?:(min|max|mean)\s+)?([\d,\-]+)(?:\s+([+-]?\d*\.?\d+))?")
_LANDMARKS: Final = len(LANDMARK_FLIP)


class Edge(NamedTuple):
    """One side of a box.

    Attributes:
        points: landmarks whose coordinate is taken.
        choose: how several become one: `min`, `max` or `mean`.
        shift: added, in distances of the eye centres.
    """

    points: tuple[int, ...]
    choose: str
    shift: float


Box = tuple[Edge, Edge, Edge, Edge]
"""Left, top, right, bottom."""


def parse_box(text: str) -> Box:
    """Reads a box such as `17 -0.1; min 17-21 -0.1; 27; max 40,41 +0.15`, see `facs.AREA_BOXES`.

    Raises:
        ValueError: when it does not have four edges, or an edge cannot be read.
    """
    edges = [_parse_edge(part.strip(), text) for part in text.split(";")]
    if len(edges) != 4:
        raise ValueError(f"area box `{text}` has {len(edges)} edges, not left; top; right; bottom")
    return edges[0], edges[1], edges[2], edges[3]


def parse_boxes(texts: Sequence[str]) -> tuple[Box, ...]:
    """Reads one box per area, see `parse_box`.

    Raises:
        ValueError: when one cannot be read, or there is none.
    """
    if not texts:
        raise ValueError("there must be at least one area box")
    return tuple(map(parse_box, texts))


def parse_pairs(texts: Sequence[str], areas: int) -> tuple[tuple[int, int], ...]:
    """Reads pairs of areas such as `2-3`.

    Args:
        texts: pairs, areas numbered from 1.
        areas: their number.

    Raises:
        ValueError: when a text is no pair of two different areas, or stands there twice.
    """
    pairs = []
    for text in texts:
        found = re.fullmatch(r"(\d+)-(\d+)", text)
        pair = (int(found[1]), int(found[2])) if found else (0, 0)
        if pair[0] == pair[1] or not all(1 <= area <= areas for area in pair):
            raise ValueError(f"`{text}` is not a pair of two areas from 1 to {areas}, such as 2-3")
        pairs.append((min(pair), max(pair)))
    if len(set(pairs)) < len(pairs):
        raise ValueError(f"pairs of areas occur more than once in {' '.join(texts)}")
    return tuple(pairs)


def write_pairs(pairs: Sequence[tuple[int, int]]) -> tuple[str, ...]:
    """Pairs of areas as texts that `parse_pairs` reads."""
    return tuple(f"{first}-{second}" for first, second in pairs)


def parse_groups(texts: Sequence[str], areas: int) -> tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]:
    """Reads groups such as `1 2 3 4: 1 2 4`: areas, and the action units that one classifier judges from them.

    Args:
        texts: groups, areas numbered from 1.
        areas: their number.

    Raises:
        ValueError: when a text cannot be read, or an action unit stands in two groups.
    """
    groups = []
    for text in texts:
        found = re.fullmatch(r"(\d+(?: \d+)*): (\d+(?: \d+)*)", text)
        own = tuple(map(int, found[1].split())) if found else ()
        if found is None or not all(1 <= area <= areas for area in own):
            raise ValueError(f"`{text}` is not a group of areas (1 to {areas}) and action units, such as 7 8: 15 17")
        groups.append((own, tuple(map(int, found[2].split()))))
    judged = [au for _, aus in groups for au in aus]
    if len(set(judged)) < len(judged):
        raise ValueError("an action unit stands in more than one group of areas")
    return tuple(groups)


def write_groups(groups: Mapping[tuple[int, ...], tuple[int, ...]]) -> tuple[str, ...]:
    """Groups of areas as texts that `parse_groups` reads."""
    return tuple(f"{' '.join(map(str, areas))}: {' '.join(map(str, aus))}" for areas, aus in groups.items())


@dataclass(frozen=True, kw_only=True)
class AreaTable:
    """Where the areas lie and which action units are judged from which; the defaults are those of `duchenne.facs`.

    Attributes:
        area_boxes: one per area, see `parse_box`.
        area_groups: see `parse_groups`.
    """

    area_boxes: tuple[str, ...] = AREA_BOXES
    area_groups: tuple[str, ...] = write_groups(AREA_GROUPS)

    def __post_init__(self) -> None:
        """Checks that both can be read.

        Raises:
            ValueError: when they cannot.
        """
        parse_groups(self.area_groups, len(parse_boxes(self.area_boxes)))


def counterparts(pairs: Sequence[tuple[int, int]], areas: int) -> tuple[int, ...]:
    """For every area the place (from 0) of its counterpart on the other side, its own where it has none.

    Raises:
        ValueError: when an area has two counterparts.
    """
    flipped = list(range(areas))
    named = [area for pair in pairs for area in pair]
    if len(set(named)) < len(named):
        raise ValueError("an area has more than one counterpart")
    for first, second in pairs:
        flipped[first - 1], flipped[second - 1] = second - 1, first - 1
    return tuple(flipped)


def _parse_edge(text: str, box: str) -> Edge:
    found = _EDGE.fullmatch(text)
    if found is None:
        raise ValueError(f"area box `{box}`: cannot read the edge `{text}`; write e.g. `min 17-21 -0.1`")
    points: list[int] = []
    for part in found[2].split(","):
        first, _, last = part.partition("-")
        if not first.isdigit() or (last and not last.isdigit()):
            raise ValueError(f"area box `{box}`: `{part}` is neither a landmark nor a range such as 17-21")
        points += range(int(first), int(last or first) + 1)
    if not points or max(points) >= _LANDMARKS or (len(points) > 1 and not found[1]):
        raise ValueError(f"area box `{box}`: `{text}` needs landmarks from 0 to 67, several with min, max or mean")
    return Edge(tuple(points), found[1] or "mean", float(found[3] or 0))
