"""`duchenne retrieve`: the prepared faces nearest to a picture's, and what nearness means to an encoder.

Source: Lu et al., Self-supervised learning for facial action unit recognition through temporal consistency, 2020,
figure 2 (top-5 retrieval by cosine similarity). Ours: the three numbers beside the pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.data.prepared import Data, DatasetInfo, Prepared, open_prepared
from duchenne.data.shards import encode_jpeg
from duchenne.data.spreadsheets import plain_cells
from duchenne.devices import resolve_device
from duchenne.errors import InputError, UsageError
from duchenne.faces.align import crop_face, crop_matrix
from duchenne.faces.decode import read_pictures
from duchenne.faces.find import FaceFinder
from duchenne.faces.resize import resized
from duchenne.facs import au_column
from duchenne.features.columns import PixelSource
from duchenne.features.resolve import Model, sources_of
from duchenne.features.source import Context, FeatureKind, Features, FeatureSource
from duchenne.files import replacing, write_text
from duchenne.keywords import check_choice
from duchenne.metrics import f1_from_counts, json_number
from duchenne.pages import jpeg_uri, render_page
from duchenne.progress import progress_bar

PROBES: Final = 2000
PROBES_AT_ONCE: Final = 64
FACE_PX: Final = 128


@dataclass(frozen=True)
class QueryFaces:
    """Crops in memory, with the sizes of the data they are compared with."""

    infos: list[DatasetInfo]
    crops: NDArray[np.uint8]

    def images(
        self, rows: NDArray[np.int64], size_px: int, pool: ThreadPoolExecutor | None = None
    ) -> NDArray[np.uint8]:
        """(N, size_px, size_px, 3) RGB uint8."""
        return np.stack([resized(self.crops[row], size_px) for row in rows])


def retrieve(
    *,
    model: Model | Sequence[Model],
    data: Data,
    query: str | Path,
    out: str | Path,
    top: int = 5,
    feature: FeatureKind = "embedding",
    device: str = "auto",
    quiet: bool = False,
) -> pd.DataFrame:
    """Finds the prepared faces whose features have the highest cosine similarity to those of the faces in a picture.

    Args:
        model: an encoder, by a word or itself, or `pixels`, see `duchenne.features.resolve`; of several, what each
            finds is shown below one another.
        data: prepared folders, or prepared data that is open; one or several.
        query: a picture; of a video, the first frame.
        out: `FILE.html` to write the page to; the table goes beside it as `FILE.csv`.
        top: neighbours per face, each of another clip.
        feature: `embedding` for what the encoder gives, `pooled` for its averaged last map.
        device: auto, cpu, cuda, cuda:N or mps.
        quiet: show no progress.

    Returns:
        One row per neighbour: `model`, `face` (of the query, left to right), `rank`, `cosine`, `dataset, subject, clip,
        frame`, and the data's AUs. The page adds how far nearness follows action units and identity, see `nearness`.

    Raises:
        UsageError: when a model cannot look at pictures or is named twice, or `out` is no page.
        InputError: when something cannot be read, or the query shows no face with landmarks.
    """
    out = Path(out)
    if out.suffix != ".html" or top < 1:
        raise UsageError(f"--out {out}, --top {top}: name a page (.html) and at least one neighbour.")
    check_choice("feature", feature, FeatureKind)
    chosen = resolve_device(device)
    members = {source.name: _members(source) for source in sources_of(model)}
    names = set(members)
    members.setdefault("pixels", [PixelSource()])  # its numbers stand beside
    prepared = open_prepared(data)
    crops = _query_crops(query, prepared.infos[0].size_px)
    context = Context(device=chosen, feature=feature)
    found: dict[str, tuple[NDArray[np.int64], Features]] = {}
    numbers: dict[str, dict[str, float | None]] = {}
    with progress_bar(quiet=quiet) as bar:
        task = bar.add_task("faces", total=len(prepared) * sum(map(len, members.values())), note="")
        moving = Context(device=chosen, feature=feature, advance=lambda faces: bar.advance(task, faces))
        for name, own in members.items():
            stored = _units(_features(own, prepared, len(prepared), moving))
            numbers[name] = nearness(prepared, stored, top)
            if name in names:
                cosine = _units(_features(own, QueryFaces(prepared.infos, crops), len(crops), context)) @ stored.T
                found[name] = _nearest(cosine, prepared.clip_ids(), top), cosine
    table = pd.concat([_table(name, prepared, *some) for name, some in found.items()], ignore_index=True)
    _write(out, prepared, crops, found, table, numbers)
    return table


def nearness(data: Prepared, units: Features, top: int) -> dict[str, float | None]:
    """What nearness follows: up to 2,000 faces of known people, evenly spaced, each with its nearest of other clips.

    Faces of unknown people are left out; of two faces only the AUs that are coded in both are compared.

    Args:
        data: the faces.
        units: (N, D) rows of length 1.
        top: neighbours per face.

    Returns:
        `aus`: twice the AUs that a face and its neighbours of *other subjects* share, over all that either shows;
        `aus_at_random`: the same for neighbours drawn at random; `identity`: the share of neighbours that are the
        same subject; `identity_at_random`. None where the data lack what is needed.
    """
    known = np.flatnonzero(data.subject_ids() >= 0)
    close = {
        "aus": np.zeros(3),
        "aus_at_random": np.zeros(3),
        "identity": np.zeros(2),
        "identity_at_random": np.zeros(2),
    }
    if not len(known):
        return dict.fromkeys(close)
    clips, subjects = data.clip_ids(known), data.subject_ids(known)
    units = units[known]
    probes = np.unique(np.linspace(0, len(known) - 1, PROBES).astype(np.int64))
    generator = np.random.default_rng(0)
    labels = data.occurrence(rows=known) if data.aus else None
    for start in range(0, len(probes), PROBES_AT_ONCE):
        chosen = probes[start : start + PROBES_AT_ONCE]
        cosine = units[chosen] @ units.T
        for ending, score in (("", cosine), ("_at_random", generator.random(cosine.shape, dtype=np.float32))):
            elsewhere = np.where(clips[chosen][:, None] == clips, -np.inf, score)
            for name, allowed in (
                ("identity", elsewhere),
                ("aus", np.where(subjects[chosen][:, None] == subjects, -np.inf, elsewhere)),
            ):
                near = np.argpartition(-allowed, min(top, len(known) - 1) - 1, axis=1)[:, :top]
                usable = np.isfinite(np.take_along_axis(allowed, near, axis=1))
                if name == "identity":
                    same = (subjects[near] == subjects[chosen][:, None]) & usable
                    close[name + ending] += [same.sum(), usable.sum()]
                elif labels is not None:
                    mine, theirs = labels[chosen][:, None, :], labels[near]
                    coded = usable[:, :, None] & ~np.isnan(mine) & ~np.isnan(theirs)
                    mine, theirs = coded & (mine == 1), coded & (theirs == 1)
                    close[name + ending] += [(mine & theirs).sum(), (mine & ~theirs).sum(), (~mine & theirs).sum()]
    return {
        name: None
        if counts.sum() == 0
        else json_number(f1_from_counts(*counts) if len(counts) == 3 else counts[0] / counts[1])
        for name, counts in close.items()
    }


def _members(source: FeatureSource) -> list[FeatureSource]:
    for part in source.members:
        if not part.sees_pictures:
            raise UsageError(f"--model {part.name}: cannot look at a new picture; use an encoder or `pixels`.")
    return list(source.members)


def _features(members: Sequence[FeatureSource], pictures: Any, count: int, context: Context) -> Features:
    return np.concatenate([member.features(pictures, np.arange(count), context) for member in members], axis=1)


def _units(values: Features) -> Features:
    length = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / np.maximum(length, 1e-12), dtype=np.float32)


def _nearest(cosine: Features, clips: NDArray[np.int64], top: int) -> NDArray[np.int64]:
    """(F, top) rows of highest cosine, at most one of each clip: neighbouring frames are all but the same."""
    out = []
    for order in np.argsort(-cosine, axis=1, kind="stable"):
        _, first = np.unique(clips[order], return_index=True)
        out.append(order[np.sort(first)[:top]])
    return np.stack(out)


def _query_crops(query: str | Path, size_px: int) -> NDArray[np.uint8]:
    """(F, size_px, size_px, 3) crops of everyone in the picture, cut as `prepare` cuts them."""
    picture = next(iter(read_pictures(query)), None)
    if picture is None:
        raise InputError(f"{query}: holds no picture; give another query.")
    with FaceFinder() as finder:
        faces = [face.landmarks for face in finder.find(picture.image) if face.landmarks is not None]
    if not faces:
        raise InputError(f"{query}: shows no face with landmarks; give a picture with a larger, frontal face.")
    return np.stack([crop_face(picture.image, crop_matrix(points, size_px), size_px) for points in faces])


def _table(model: str, data: Prepared, nearest: NDArray[np.int64], cosine: Features) -> pd.DataFrame:
    faces, ranks = np.indices(nearest.shape)
    rows = nearest.ravel()
    columns = ["subject", "clip", "frame", *(au_column(au) for au in data.aus)]
    table = pd.DataFrame({name: data.column(name, rows).reset_index(drop=True) for name in columns})
    table.insert(0, "model", model)
    table.insert(1, "face", faces.ravel())
    table.insert(2, "rank", ranks.ravel() + 1)
    table.insert(3, "cosine", cosine[faces.ravel(), rows].round(6))
    table.insert(4, "dataset", [data.infos[number].name for number in data.datasets(rows)])
    return table


def _write(
    out: Path,
    data: Prepared,
    crops: NDArray[np.uint8],
    nearest: dict[str, tuple[NDArray[np.int64], Features]],
    table: pd.DataFrame,
    numbers: dict[str, dict[str, float | None]],
) -> None:
    with replacing(out.with_suffix(".csv")) as temporary:
        plain_cells(table).to_csv(temporary, index=False)
    entries = []
    for face, crop in enumerate(crops):
        found: dict[str, list[dict[str, Any]]] = {}
        for model, (rows, cosine) in nearest.items():
            for row in rows[face]:
                subject = data.column("subject", np.array([row])).iat[0]
                found.setdefault(model, []).append({
                    "picture": _small(data.image(int(row))), "cosine": float(cosine[face, row]),
                    "subject": str(subject) if isinstance(subject, str) else "", "aus": _coded(data, int(row)),
                })  # fmt: skip
        entries.append({"query": _small(crop), "found": found})
    sources = [{"name": info.name, "licence": info.licence} for info in data.infos]
    values = {"title": "nearest faces", "sources": sources, "entries": entries, "numbers": numbers}
    write_text(out, render_page("duchenne.features", "retrieve.jinja", values))


def _coded(data: Prepared, row: int) -> str:
    """What the labels say of a face; empty where the data have no action units (in common)."""
    if not data.aus:
        return ""
    labels = data.occurrence(rows=np.array([row]))[0]
    if np.isnan(labels).all():
        return "action units not coded"
    shown = " ".join(str(au) for au, label in zip(data.aus, labels) if label == 1)
    return f"AU {shown}" if shown else "no AU coded as present"


def _small(image: NDArray[np.uint8]) -> str:
    return jpeg_uri(encode_jpeg(resized(image, FACE_PX)))
