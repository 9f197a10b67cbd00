"""Reader `videos`: a folder of plain videos, searched through all its levels; everyone in them is a subject."""

from __future__ import annotations

from pathlib import Path

from duchenne.data.datasets.parts import Plan, VideoPart
from duchenne.errors import InputError
from duchenne.faces.decode import VIDEO_SUFFIXES, list_media, probe


def plan_videos(root: Path) -> Plan:
    """Lists the videos under `root`.

    Raises:
        InputError: when `root` is not a folder, cannot be read or holds no video.
    """
    if not root.is_dir():
        what = "is a file; name the folder that holds it" if root.exists() else "there is no such folder; check --root"
        raise InputError(f"{root}: {what}.")
    paths = list_media([root], VIDEO_SUFFIXES)
    parts = [VideoPart(path, path.relative_to(root).as_posix(), _frames(path)) for path in paths]
    return Plan(parts, (), "none", [(part.source, part.path.stat().st_size) for part in parts])


def _frames(path: Path) -> int:
    try:
        return probe(path).frames or 1
    except InputError:
        return 1  # reported when its turn comes
