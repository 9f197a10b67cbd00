"""What a training differs in from the paper that its recipe names: computed from the configuration, not from prose.

    found = compare_settings("clp/voxceleb2", config, load_recipe("clp/voxceleb2", "clp"), data=("voxceleb2",))
    print(*found.sentences(), sep="\n")

The papers' settings are in `stated.py`. Imports no torch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from duchenne.config import from_mapping
from duchenne.published.setup import Setup, always
from duchenne.published.stated import OURS, ROWS, SETUPS

_NOT_THE_PAPERS: Final = ("cpu/", "smoke/")
_THE_SAME_TRAINING: Final = frozenset({
    "seed", "precision", "channels_last", "device", "devices", "num_nodes", "loader_threads", "log_every", "save_every",
    "memory_dtype",
})  # fmt: skip
"""Fields that say where and how exactly is computed, not what."""
_STEPS: Final = {"epochs": "max_steps", "backbone_epochs": "backbone_steps"}
"""Field -> the one that takes precedence over it where it is set."""


class Comparison(NamedTuple):
    """A configuration compared with its paper.

    Attributes:
        paper: authors, venue and year.
        changed: (field, value here, value in the paper) of what the paper, or its authors' code, states otherwise.
        by_code: of these fields, those that the code states and the paper does not.
        ours: sentences on what is done in another way than printed, whatever the fields say.
        chosen: (field, value here, why) of what the paper does not state; why is empty where the value is not the
            recipe's.
        prepared: (option of `duchenne prepare`, value here, value in the paper) where the data differ in it; None:
            without the option.
        data: names of the data sets here and in the paper, where they differ.
        alignment: of the faces, here and in the paper, where both are known and not the same.
        others: (field, value here, value in the recipe) of all other fields that change a training.
    """

    paper: str
    changed: tuple[tuple[str, Any, Any], ...]
    by_code: frozenset[str]
    ours: tuple[str, ...]
    chosen: tuple[tuple[str, Any, str], ...]
    prepared: tuple[tuple[str, Any, Any], ...]
    data: tuple[tuple[str, ...], tuple[str, ...]] | None
    alignment: tuple[str, str] | None
    others: tuple[tuple[str, Any, Any], ...]

    def sentences(self) -> list[str]:
        """All of it, one sentence each; empty where nothing differs and nothing was chosen."""
        found = []
        for name, here, there in self.changed:
            source = "its authors' code" if name in self.by_code else "the paper"
            found.append(f"Differs from {self.paper}: {_named(name, here)}; {source}: {_value(there)}.")
        found += [f"Differs from {self.paper}: {sentence}." for sentence in self.ours]
        if self.data:
            here, there = (", ".join(names) for names in self.data)
            found.append(f"Differs from {self.paper}: the data are {here}; the paper's: {there}.")
        for option, value, wanted in self.prepared:
            flag = f"--{option.replace('_', '-')}"
            here = f"without {flag}" if value is None else f"with {flag} {_value(value)}"
            there = "without it" if wanted is None else _value(wanted)
            found.append(f"Differs from {self.paper}: the data were prepared {here}; the paper's: {there}.")
        if self.alignment:
            here, there = self.alignment
            found.append(f"Differs from {self.paper}: alignment of the faces: {here}; the paper's: {there}.")
        found += [
            f"Differs from the recipe: {_named(name, here)}; there: {_value(there)}."
            for name, here, there in self.others
        ]
        if self.chosen:
            listed = ", ".join(
                f"{_named(name, here)} ({why or 'not as in the recipe'})" for name, here, why in self.chosen
            )
            found.append(f"Not stated by {self.paper}, so chosen here: {listed}.")
        return found


def setup_of(recipe: str) -> Setup | None:
    """The paper's training that a shipped recipe is after; None for recipes that follow no paper (`cpu/`, `smoke/`)."""
    if recipe.startswith(_NOT_THE_PAPERS):
        return None
    fitting = [prefix for prefix in SETUPS if recipe.startswith(prefix)]
    return SETUPS[max(fitting, key=len)] if fitting else None


def expected(recipe: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """What the paper states for a recipe.

    Args:
        recipe: name of a shipped one.
        values: of its file; where the recipe is a row of a table of the paper, they are the row's.

    Raises:
        ValueError: when the recipe follows no paper.
    """
    setup = setup_of(recipe)
    if setup is None:
        raise ValueError(f"recipe {recipe} follows no paper")
    is_row = recipe.startswith(ROWS) and not recipe.startswith(OURS)
    return {**setup.stated, **({key: values[key] for key in values if key in setup.stated} if is_row else {})}


def compare_settings(
    recipe: str,
    config: Any,
    values: Mapping[str, Any],
    *,
    data: Sequence[str] = (),
    alignment: str = "",
    prepared: Sequence[Mapping[str, Any]] = (),
) -> Comparison | None:
    """Compares a configuration with the paper of its recipe.

    Args:
        recipe: name of a shipped one.
        config: resolved, flags included.
        values: of the recipe's file.
        data: names or readers of the data sets that are trained on; empty: not compared.
        alignment: of their faces, in words; empty: not compared.
        prepared: `settings` of each data set, see `DatasetInfo`.

    Returns:
        None where the recipe follows no paper.
    """
    setup = setup_of(recipe)
    if setup is None:
        return None
    stated = expected(recipe, values)
    plain = from_mapping(type(config), values, where=recipe)
    changed: list[tuple[str, Any, Any]] = []
    by_code = set(setup.by_code)
    for name, there in stated.items():
        own = _in_force(name, config)
        if own != name:
            changed.append((own, getattr(config, own), f"{there} epochs"))
            by_code |= {own} if name in setup.by_code else set()
        elif getattr(config, name) != there:
            changed.append((name, getattr(config, name), there))
    chosen: list[tuple[str, Any, str]] = []
    for name, why in setup.open.items():
        own = _in_force(name, config)
        if not setup.in_force.get(name, always)(config):
            continue
        chosen.append((own, getattr(config, own), why if getattr(config, own) == getattr(plain, own) else ""))
    ours = [item.sentence for item in setup.deviations if item.when(config) and not item.undone(config)]
    said = {name for name, *_ in (*changed, *chosen)} | {item.field for item in setup.deviations if item.undone(config)}
    others = [
        (field.name, getattr(config, field.name), getattr(plain, field.name))
        for field in dataclasses.fields(config)
        if field.name not in said | _THE_SAME_TRAINING and getattr(config, field.name) != getattr(plain, field.name)
    ]
    strange = bool(data and setup.data) and not set(data) <= set(setup.data)
    otherwise = {
        difference
        for settings in prepared if settings.get("reader") in setup.data
        for difference in prepared_otherwise(settings, setup.prepared)
    }  # fmt: skip
    return Comparison(
        setup.paper, tuple(changed), frozenset(by_code), tuple(ours), tuple(chosen),
        tuple(sorted(otherwise, key=str)), (tuple(data), setup.data) if strange else None,
        (alignment, setup.alignment) if alignment and setup.alignment not in ("", alignment) else None, tuple(others),
    )  # fmt: skip


def prepared_otherwise(settings: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """(option of `duchenne prepare`, value here, value wanted) where a folder was prepared in another way."""
    return [(name, settings.get(name), value) for name, value in wanted.items() if settings.get(name) != value]


def _in_force(name: str, config: Any) -> str:
    """The field that says what another one says, where it takes precedence and is set."""
    steps = _STEPS.get(name, name)
    return name if getattr(config, steps, None) is None else steps


def _named(name: str, value: Any) -> str:
    return f"{name} {_value(value)}"


def _value(value: Any) -> str:
    if value is None or value == ():
        return "not set"
    if isinstance(value, tuple | list):
        return f"{len(value)} entries" if len(value) > 4 else " ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
