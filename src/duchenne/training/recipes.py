"""Recipes: one flat YAML per experiment, shipped in the package or written by the user. Imports no torch."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from duchenne.config import load_mapping
from duchenne.errors import UsageError, did_you_mean
from duchenne.plugins import check_named_code


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
