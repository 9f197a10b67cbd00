"""Recipes: one flat YAML per experiment, shipped or written by the user, and what they come to. Imports no torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from duchenne.config import from_mapping, load_mapping, to_mapping
from duchenne.errors import UsageError, did_you_mean
from duchenne.plugins import check_named_code
from duchenne.training.config import TrainingConfig, method_run_config


def recipe_names() -> list[str]:
    """Names of the shipped recipes, e.g. `cpu/temporal_ranking`."""
    root = Path(str(files("duchenne") / "recipes"))
    return sorted(path.relative_to(root).with_suffix("").as_posix() for path in root.rglob("*.yaml"))


def load_recipe(name: str, method: str) -> dict[str, Any]:
    """Reads a recipe.

    Args:
        name: of a shipped recipe, or the path of a YAML file.
        method: that will be trained; the recipe must be for it.

    Returns:
        Fields of the method's flat configuration.

    Raises:
        UsageError: when there is no such recipe, it is for another method, or it names code that the user has not.
        InputError: when the file is not a flat YAML mapping.
    """
    path = Path(str(files("duchenne") / "recipes")) / f"{name}.yaml"
    if name not in recipe_names():
        path = Path(name)
        if not path.is_file():
            hint = did_you_mean(name, recipe_names(), "`duchenne info --all` lists them.")
            raise UsageError(f"there is no recipe `{name}`; {hint} A path of a YAML file works too.")
    values = load_mapping(path)
    check_named_code(values, path, method)
    found = values.pop("method", None)
    if found != method:
        raise UsageError(f"{path}: is a recipe for the method `{found}`, not `{method}`; choose another recipe.")
    return values


class Setting(NamedTuple):
    """A resolved value.

    Attributes:
        name: of the field.
        value: as YAML writes it.
        source: `default`, `default of METHOD` where the method has it or changes that of the training, `recipe NAME` or
            `command line`.
    """

    name: str
    value: str
    source: str


def resolved(method: str, recipe: str | None, given: Mapping[str, Any]) -> list[Setting]:
    """Every field of a training, in the order of the configuration.

    Args:
        method: its name.
        recipe: name of a shipped one, path of a YAML file, or None.
        given: field -> value that was asked for; it takes precedence over the recipe.

    Raises:
        UsageError: for an unknown method, recipe or field, or a value out of range.
    """
    kind = method_run_config(method)
    values = load_recipe(recipe, method) if recipe else {}
    where = f"recipe {recipe}" if recipe else f"pretrain {method}"
    config = to_mapping(from_mapping(kind, {**values, **given}, where=where))
    general = to_mapping(TrainingConfig())
    defaults = {field.name: field.default for field in dataclasses.fields(kind)}
    settings = []
    for name, value in config.items():
        if name in given:
            source = "command line"
        elif name in values:
            source = f"recipe {recipe}"
        else:
            source = "default" if name in general and general[name] == defaults[name] else f"default of {method}"
        settings.append(Setting(name, _written(value), source))
    return settings


def _written(value: Any) -> str:
    import yaml

    return str(yaml.safe_dump(value, default_flow_style=True, width=10**6)).removesuffix("...\n").strip()
