"""MakeHuman's textures and proxies (CC0): looked up in a folder, else fetched once and checked by SHA-256.

`DUCHENNE_MAKEHUMAN` names a folder with `textures/` and `proxies/`; without it the user's cache is looked at, and what
is missing there is fetched from the official repositories at the commits below. `none` in its place does without: then
faces have procedural skin, plain eyes, painted brows and no hair, and they are baked apart from the others.
"""

from __future__ import annotations

import csv
import hashlib
import os
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final

from duchenne.errors import InputError, UsageError

VARIABLE: Final = "DUCHENNE_MAKEHUMAN"
NONE: Final = "none"
_ASSETS: Final = "makehumancommunity/makehuman-assets/8cf9645b975a98eea056b140df11a1d278da0d10"
_MAKEHUMAN: Final = "makehumancommunity/makehuman/a8bc2d54ff0ac92e78ff71431b1023eda42bf482"
_LARGE: Final = "https://media.githubusercontent.com/media/"  # what Git LFS keeps
_PLAIN: Final = "https://raw.githubusercontent.com/"
_ADVICE: Final = (
    f"connect to the network once, name a folder that holds it in {VARIABLE}, or do without: {VARIABLE}={NONE}"
)


@cache
def known() -> dict[str, tuple[str, str]]:
    """Every asset, as `textures/FILE` or `proxies/...`, with its SHA-256 and its path in its repository."""
    text = files("duchenne.synthetic.modelled").joinpath("assets.csv").read_text("utf-8")
    return {row["file"]: (row["sha256"], row["path"]) for row in csv.DictReader(text.splitlines())}


def are_wanted() -> bool:
    """Whether faces are to wear MakeHuman's assets."""
    return os.environ.get(VARIABLE) != NONE


def asset(name: str) -> Path:
    """The path of an asset.

    Args:
        name: a key of `known`.

    Raises:
        UsageError: when `DUCHENNE_MAKEHUMAN` names no folder.
        InputError: when the file is missing and cannot be fetched, or is not the one it should be.
    """
    sha256, path = known()[name]
    folder = os.environ.get(VARIABLE)
    if folder:
        if not Path(folder).is_dir():
            raise UsageError(
                f"{VARIABLE}: {folder} is not a folder; unset it or name the folder of MakeHuman's assets."
            )
        found = Path(folder) / name
        if not found.is_file():
            raise InputError(f"{found}: is missing; put it there, or unset {VARIABLE} to have it fetched.")
        return _checked(found, sha256)
    import pooch

    kept = Path(pooch.os_cache("duchenne")) / "makehuman" / name
    if kept.is_file():
        return _checked(kept, sha256)
    pooch.get_logger().setLevel("WARNING")
    repository = _MAKEHUMAN if path.startswith("makehuman/") else _ASSETS
    url = f"{_LARGE if name.endswith('.png') else _PLAIN}{repository}/{path}"
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        return Path(pooch.retrieve(url, f"sha256:{sha256}", fname=kept.name, path=kept.parent))
    except (OSError, ValueError) as error:  # requests' errors are OSErrors; a wrong hash is a ValueError
        raise InputError(
            f"{kept.name}: could not be fetched ({type(error).__name__} from {url}); {_ADVICE}."
        ) from error


def _checked(path: Path, sha256: str) -> Path:
    try:
        with path.open("rb") as file:
            is_it = hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check its permissions.") from error
    if not is_it:
        raise InputError(f"{path}: is not the expected file (its SHA-256 differs); replace it or remove it.")
    return path
