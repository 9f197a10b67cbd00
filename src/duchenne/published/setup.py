"""What one training of a paper is, as far as it is known: stated, left open, done in another way. No torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

When = Callable[[Any], bool]
"""Whether a configuration does what is said."""


def always(config: Any) -> bool:
    """In every training."""
    return True


def in_parts(config: Any) -> bool:
    """Whether a batch is normalised in several parts."""
    return bool(config.bn_splits * config.devices * config.num_nodes > 1)


IN_FORCE: Final[Mapping[str, When]] = {
    "momentum": lambda config: config.optimiser == "sgd",
    **dict.fromkeys(
        ("plateau_patience", "plateau_factor", "plateau_smallest"), lambda config: config.schedule == "plateau"
    ),
}
"""Field of a training -> when it has an effect."""


@dataclass(frozen=True)
class Deviation:
    """Something that is not done as printed.

    Attributes:
        sentence: without a full stop.
        field: of the configuration that brings the printed way back; None: nothing does.
        literal: its value then.
        when: whether a training does it at all, as ablations leave parts out.
    """

    sentence: str
    field: str | None = None
    literal: Any = None
    when: When = always

    def undone(self, config: Any) -> bool:
        """Whether a configuration brings the printed way back."""
        return self.field is not None and bool(getattr(config, self.field) == self.literal)


@dataclass(frozen=True)
class Setup:
    """One training of a paper.

    Attributes:
        paper: authors, venue and year.
        data: readers of the data sets that it trained on; empty: not said.
        stated: field -> value.
        open: field -> why ours is what it is.
        deviations: what is ours although the paper says otherwise.
        alignment: of the faces, in the words of `DatasetInfo` where it has any; empty: not said.
        by_code: fields of `stated` that the paper does not state, but its authors' code.
        prepared: option of `duchenne prepare` -> value, by which the paper's data come about; None: without it.
        in_force: fields of `open` that have no effect in some trainings -> when they have one.
    """

    paper: str
    data: tuple[str, ...] = ()
    stated: Mapping[str, Any] = field(default_factory=dict)
    open: Mapping[str, str] = field(default_factory=dict)
    deviations: tuple[Deviation, ...] = ()
    alignment: str = ""
    by_code: frozenset[str] = frozenset()
    prepared: Mapping[str, Any] = field(default_factory=dict)
    in_force: Mapping[str, When] = field(default_factory=lambda: IN_FORCE)
