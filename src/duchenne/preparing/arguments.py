"""What may be asked of `prepare`: which settings fit which reader, refused before anything is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from duchenne.errors import UsageError
from duchenne.keywords import field_names, flag, from_keywords
from duchenne.plugins import plugins
from duchenne.preparing.datasets.registry import DATA_SETS, data_set_of
from duchenne.preparing.settings import CHOICES, DataSetSettings, PrepareSettings, TableSettings, VideosSettings
from duchenne.preparing.sources.reading import Reading

READERS: Final[dict[str, str]] = {
    "videos": "a folder of videos; with --labels, coded ones",
    "table": "images named by a CSV (--table), with their labels",
    **{name: f"{data_set.title}: {data_set.about}" for name, data_set in DATA_SETS.items()},
}
"""Every reader of the package by the name that `prepare` takes, and what it reads."""


def settings_class(dataset: str) -> type[PrepareSettings]:
    """The settings of a reader.

    Raises:
        UsageError: when there is no such reader.
    """
    if dataset in READERS and dataset not in DATA_SETS:
        return {"videos": VideosSettings, "table": TableSettings}[dataset]
    known = data_set_of(dataset)
    if known is None:
        names = [*READERS, *(name for name in plugins("datasets") if name not in READERS)]
        raise UsageError(f"there is no data set `{dataset}`; the known ones are {', '.join(names)}.")
    choices = [kind for name, kind in CHOICES.items() if name in known.options]
    made = type("Settings", (*choices, DataSetSettings), {"__doc__": DataSetSettings.__doc__, "__module__": __name__})
    return dataclass(frozen=True, kw_only=True)(made)


def check_fields(dataset: str, names: Iterable[str]) -> None:
    """Refuses what only other readers can be asked; a name that none knows is left to whoever reads the values.

    Raises:
        UsageError: for the first of these, with the readers that have it.
    """
    own = field_names(settings_class(dataset))
    for name in names:
        if name in own:
            continue
        others = [reader for reader in READERS if name in field_names(settings_class(reader))]
        if others:
            everywhere = set(DATA_SETS) <= {*others}
            fitting = [f"`prepare {reader}`" for reader in others if not (everywhere and reader in DATA_SETS)]
            fitting += ["data sets"] if everywhere else []
            shown, instead = flag(name), "leave it out"
            if name == "detect":
                shown, instead = "--no-detect", "say --alignment none"
            raise UsageError(f"{shown}: is for {', '.join(fitting)}, not for `prepare {dataset}`; {instead}.")


def read_settings(dataset: str, given: Mapping[str, Any]) -> PrepareSettings:
    """The settings of a reader from Python values, see `from_keywords`.

    Raises:
        UsageError: for an unknown reader, a setting that it does not have, or a value that has no meaning.
    """
    check_fields(dataset, given)
    settings = from_keywords(settings_class(dataset), given, where=f"prepare {dataset}")
    if "seed" in given and getattr(settings, "per_subject", None) is None:
        raise UsageError(f"--seed {given['seed']}: is that of --per-subject; name both or neither.")
    known = data_set_of(dataset)
    if known and settings.positive_from is not None and known.positive_from is None:
        raise UsageError(f"--positive-from: {known.title} says itself what is present; leave it out.")
    _check_alignment(dataset, settings)
    return settings


def check_media(root: Path, reading: Reading, *, alignment: str, fps: float | None) -> None:
    """Refuses what only videos or only pictures can have, where a data set comes as the other.

    Raises:
        UsageError: in one sentence.
    """
    if reading.images and (alignment == "smooth" or fps is not None):
        asked = "--alignment smooth" if alignment == "smooth" else "--fps"
        raise UsageError(f"{asked}: needs videos, and {root} holds pictures; leave it out.")
    if reading.videos and alignment == "none":
        raise UsageError(f"--alignment none: is for aligned crops, and {root} holds videos; leave it out.")


def _check_alignment(dataset: str, settings: PrepareSettings) -> None:
    own = data_set_of(dataset)
    options = own.options if own else frozenset()
    if settings.alignment == "smooth" and "fps" not in field_names(type(settings)):
        raise UsageError("--alignment smooth: needs videos; leave it out.")
    if settings.alignment == "dataset" and "points" not in options:
        known = [name for name in DATA_SETS if "points" in DATA_SETS[name].options]
        raise UsageError(
            f"--alignment dataset: landmarks are read of {', '.join(known)}, not of {dataset}; choose another."
        )
