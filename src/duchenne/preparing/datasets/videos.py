"""Reader `videos`: a folder of plain or coded videos, searched through all its levels; everyone seen is a subject."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path

from duchenne.errors import InputError
from duchenne.faces.decode import VIDEO_SUFFIXES, list_media, probe
from duchenne.preparing.codes.video_codes import read_codes
from duchenne.preparing.sources.parts import Plan, VideoPart
from duchenne.preparing.sources.tree import check_root


def plan_videos(root: Path, labels: Path | None = None, coder: str | None = None) -> Plan:
    """Lists the videos under `root`, with their codes where there are any.

    Args:
        root: folder of the videos.
        labels: a file or folder of codes, see `codes.read_codes`.
        coder: whose codes to take where several coded the same video.

    Raises:
        InputError: when `root` is not a folder, cannot be read or holds no video, or for bad codes.
    """
    check_root(root)
    paths = list_media([root], VIDEO_SUFFIXES)
    # Names that are no UTF-8 are stored with question marks.
    sources = [path.relative_to(root).as_posix().encode(errors="replace").decode() for path in paths]
    inputs = [[source, path.stat().st_size if path.exists() else 0] for source, path in zip(sources, paths)]
    if labels is None:
        parts = [VideoPart(path, source, frames_of(path)) for path, source in zip(paths, sources)]
        return Plan(parts, (), "none", inputs)
    codes = read_codes(labels, sources, coder)
    parts = [VideoPart(path, source, frames_of(path), codes.videos.get(source)) for path, source in zip(paths, sources)]
    digests = {
        source: hashlib.sha256(repr(asdict(given)).encode()).hexdigest() for source, given in codes.videos.items()
    }
    missing = [source for source in sources if source not in codes.videos]
    notes = list(codes.notes)
    if missing:
        notes.append(f"{labels}: names {len(codes.videos)} of {len(sources)} videos; the others have no labels.")
    return Plan(parts, codes.aus, codes.label_kind, [inputs, sorted(digests.items())], notes)


def frames_of(path: Path) -> int:
    """Number of frames by the header of a video, for the progress bar; 1 where it cannot be read."""
    try:
        return probe(path).frames or 1
    except InputError:
        return 1  # reported when its turn comes
