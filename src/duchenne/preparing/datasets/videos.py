"""Reader `videos`: a folder of plain or coded videos, searched through all its levels; everyone seen is a subject."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

from duchenne.errors import InputError
from duchenne.faces.decode import probe
from duchenne.faces.recordings.formats import VIDEO_SUFFIXES
from duchenne.faces.recordings.listing import (
    Assembly,
    frames_of_sequence,
    join_chapters,
    list_media,
    list_sequences,
)
from duchenne.files import shown_name
from duchenne.preparing.codes.names import own_name, read_names
from duchenne.preparing.codes.video_codes import VideoCodes, read_codes
from duchenne.preparing.sources.parts import Plan, VideoPart, file_sizes
from duchenne.preparing.sources.tree import check_root

_PLAIN: Final = Assembly()


def plan_videos(
    root: Path,
    labels: Path | None = None,
    coder: str | None = None,
    names: Path | None = None,
    *,
    assembly: Assembly = _PLAIN,
    chapters: bool = False,
) -> Plan:
    """Lists the videos under `root`, with their codes where there are any.

    Args:
        root: folder of the videos.
        labels: a file or folder of codes, see `video_codes.read_codes`.
        coder: whose codes to take where several coded the same video.
        names: a table of `source, face, name`; tells which face the subjects of the codes are.
        assembly: how a file or a folder of pictures becomes one recording.
        chapters: files whose names tell chapters are one recording, named as the first.

    Raises:
        InputError: when `root` is not a folder, cannot be read or holds no video, or for bad codes.
    """
    check_root(root)
    paths = list_media([root], VIDEO_SUFFIXES) if assembly.sequence_fps is None else list_sequences([root])
    joined = join_chapters(paths) if chapters else dict.fromkeys(paths, ())
    paths = list(joined)
    assemblies = {path: replace(assembly, chapters=joined[path]) for path in paths}
    below = [path.relative_to(root).as_posix() if path != root else root.resolve().name for path in paths]
    sources = [shown_name(name) for name in below]
    inputs = [[source, *_sizes(path, assemblies[path])] for source, path in zip(sources, paths)]
    parts = [
        VideoPart(path, source, frames_of(path, assemblies[path]), assembly=assemblies[path])
        for path, source in zip(paths, sources)
    ]
    if labels is None:
        return Plan(parts, (), "none", inputs)
    parts_of = {
        shown_name(later.relative_to(root).as_posix()): source
        for path, source in zip(paths, sources)
        for later in joined[path]
    }
    who = read_names(names, sources) if names is not None else None
    codes = read_codes(labels, sources, coder, who, parts_of)
    parts = [_coded(part, codes.videos.get(part.source), who or {}) for part in parts]
    digests = {
        source: hashlib.sha256(repr(asdict(given)).encode()).hexdigest() for source, given in codes.videos.items()
    }
    missing = [source for source in sources if source not in codes.videos]
    notes = list(codes.notes)
    if missing:
        notes.append(f"{labels}: names {len(codes.videos)} of {len(sources)} videos; the others have no labels.")
    return Plan(parts, codes.aus, codes.label_kind, [inputs, sorted(digests.items())], notes)


def _coded(part: VideoPart, codes: VideoCodes | None, who: Mapping[tuple[str, int], str]) -> VideoPart:
    """A video with its codes, and whose those without a face are not."""
    if codes is None:
        return part
    named = {face: name for (source, face), name in who.items() if source == part.source}
    about = {event.subject for event in codes.faces[None].events} - {""} if None in codes.faces else set()
    return replace(
        part,
        codes=codes,
        left_out=frozenset(face for face, name in named.items() if not name),
        others=frozenset(
            face for face, name in named.items()
            if about and name and name not in about and name != own_name(part.source, face)
        ),
    )  # fmt: skip


def _sizes(path: Path, assembly: Assembly) -> list[int]:
    """The sizes of a recording's files."""
    return file_sizes([path, *assembly.chapters] if assembly.sequence_fps is None else frames_of_sequence(path))


def frames_of(path: Path, assembly: Assembly = _PLAIN) -> int:
    """Number of frames by the header of a video, for the progress bar; 1 where it cannot be read."""
    try:
        return probe(path, assembly).frames or 1
    except InputError:
        return 1  # reported when its turn comes
