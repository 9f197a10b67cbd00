"""Who was found in the videos: a page to look at, and a table to name, merge and leave out faces afterwards.

The faces' own names, `stem#face`, can always be told from the clips (`file#face.run`), so names can be given and
changed at any time: only `frames.parquet` is written anew. Rows that are left out wait in `left_out.parquet`.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from duchenne.config import save_mapping, to_mapping
from duchenne.data.prepared import Prepared, read_info
from duchenne.data.stored.parquet import read_parquet
from duchenne.errors import InputError
from duchenne.facs import au_column
from duchenne.files import replacing, write_text
from duchenne.pages import jpeg_uri, render_page
from duchenne.plain import as_cell
from duchenne.preparing.codes.names import alike_note, own_name, read_names

_PICTURES: Final = 4
_PICTURE_PX: Final = 96
_MOST_FACES: Final = 2000


@dataclass(frozen=True)
class FoundFace:
    """One face of one video.

    Attributes:
        source: the video.
        face: its number.
        subject: its name in the prepared data.
        rows: of the prepared table, in order of time.
        first_s: when it is first seen.
        last_s: when it is last seen.
    """

    source: str
    face: int
    subject: str
    rows: tuple[int, ...]
    first_s: float
    last_s: float


def found_faces(data: Prepared) -> list[FoundFace]:
    """Everyone in prepared videos, by video and number."""
    frames = pd.DataFrame({name: data.column(name) for name in ("source", "clip", "subject", "time_s")})
    frames["face"] = [face_number(clip) for clip in frames["clip"]]
    found = []
    for _, rows in frames.groupby(["source", "face"], sort=True):
        first, times = rows.iloc[0], rows["time_s"]
        span = float(times.min()), float(times.max())
        found.append(FoundFace(first["source"], int(first["face"]), first["subject"], tuple(rows.index), *span))
    return found


def face_number(clip: str) -> int:
    """The face of a clip `file#face.run`."""
    return int(clip.rsplit("#", 1)[1].split(".")[0])


def write_sheet(out: Path) -> None:
    """Writes `faces.html`, which shows every face found, and `names.csv`, a list of them to be filled in.

    Files that are there already are left alone: `names.csv` may have been filled in.
    """
    data = Prepared([out])
    faces = found_faces(data)
    if not (out / "names.csv").exists():
        with replacing(out / "names.csv") as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(["source", "face", "name", "frames"])
            table.writerows([as_cell(face.source), face.face, as_cell(face.subject), len(face.rows)] for face in faces)
    if not (out / "faces.html").exists():
        shown = [{"face": face, "pictures": list(_pictures(data, face))} for face in faces[:_MOST_FACES]]
        values = {"title": "faces found", "name": data.infos[0].name, "shown": shown, "all": len(faces)}
        write_text(out / "faces.html", render_page("duchenne.preparing", "faces.html.jinja", values))


def apply_names(out: Path, names: Path, of_main: Mapping[str, Collection[int | None]]) -> list[str]:
    """Gives the faces of a prepared folder the names of a table; replaces names given before.

    Args:
        out: the prepared folder.
        names: a CSV with `source, face, name`: equal names are one subject, an empty one leaves the face out; faces
            that are not listed keep their own name.
        of_main: videos with codes that name no face and so became the main one's -> faces with codes of their own.

    Returns:
        Sentences on faces of one name that are seen at the same time, and on names that hardly differ.

    Raises:
        InputError: when the table cannot be read, lists a face twice or one that is not there, or leaves out a face
            that has the codes without a face, which are then another's.
    """
    frames, left = out / "frames.parquet", out / "left_out.parquet"
    table = read_parquet(frames)
    if left.exists():
        table = pa.concat_tables([table, read_parquet(left)])
        table = table.sort_by([("shard", "ascending"), ("offset", "ascending")])
        places = list(zip(table["shard"].to_pylist(), table["offset"].to_pylist()))
        # A row is in both where the last naming was interrupted between its two files.
        table = table.filter(pa.array([place != before for place, before in zip(places, [None, *places])]))
    sources, clips = table["source"].to_pylist(), table["clip"].to_pylist()
    faces = [face_number(clip) for clip in clips]
    given = read_names(names, sorted(set(sources)), set(zip(sources, faces)))
    subjects = [given.get(key, own_name(*key)) for key in zip(sources, faces)]
    place = table.schema.get_field_index("subject")
    table = table.set_column(place, table.schema.field(place), pa.array(subjects, type=pa.string()))
    kept, info = np.array(subjects) != "", read_info(out)
    labelled = np.zeros(len(table), dtype=bool)
    for au in info.aus:
        labelled |= pc.is_valid(table[au_column(au)]).to_numpy(zero_copy_only=False)
    for place in np.flatnonzero(labelled & ~kept):
        source, face = sources[place], faces[place]
        if source in of_main and face not in of_main[source]:
            raise InputError(
                f"{names}: leaves out face {face} of {source}, for which its codes, which name no face, were taken; "
                "give the face in the codes, or name another --out, where they are taken for the largest one left."
            )
    counts = {
        **info.counts, "crops": int(kept.sum()), "coded": int((labelled & kept).sum()), "left_out": int((~kept).sum()),
    }  # fmt: skip
    with replacing(left) as temporary:  # first, so that a row is lost to neither when this is interrupted
        pq.write_table(table.filter(pa.array(~kept)), temporary, write_page_checksum=True)
    with replacing(frames) as temporary:
        pq.write_table(table.filter(pa.array(kept)), temporary, write_page_checksum=True)
    save_mapping(out / "dataset.yaml", to_mapping(replace(info, counts=counts)))
    seen = pd.DataFrame({"source": sources, "name": subjects, "frame": table["frame"], "face": faces})[kept]
    twice = seen[seen.duplicated(["source", "name", "frame"], keep=False)].groupby(["source", "name"], sort=True)
    return alike_note(names, filter(None, given.values())) + [
        f"{names}: faces {' and '.join(map(str, sorted(set(rows['face']))))} of {source} are both called {name} and "
        f"are seen at the same time in {rows['frame'].nunique()} frames; correct one, unless it is a mirror or a "
        "picture."
        for (source, name), rows in twice
    ]


def _pictures(data: Prepared, face: FoundFace) -> Iterator[str]:
    for place in np.unique(np.linspace(0, len(face.rows) - 1, _PICTURES + 2).round().astype(int)[1:-1]):
        small = data.image(face.rows[place], _PICTURE_PX)
        _, jpeg = cv2.imencode(".jpg", small[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])
        yield jpeg_uri(jpeg.tobytes())
