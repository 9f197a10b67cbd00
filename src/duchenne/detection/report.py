"""`--report`: one self-contained page per video, to look through its action units over time."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, NamedTuple, cast
from urllib.parse import quote

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne._version import __version__
from duchenne.detection import findings
from duchenne.detection.drawing import draw_faces, draw_portrait, encode, face_colour
from duchenne.detection.results import POSE_COLUMNS, FrameResult, Rows, plain_table
from duchenne.detection.settings import DetectSettings
from duchenne.detection.temporal import Baseline
from duchenne.detectors.base import AuModel, score_scale
from duchenne.faces.recordings.formats import VIDEO_SUFFIXES
from duchenne.facs import ACTION_UNITS, au_column
from duchenne.files import write_text
from duchenne.pages import jpeg_uri, render_page
from duchenne.tables.episodes import SCALE_COLUMN, Measure, find_measures, frame_seconds
from duchenne.tables.made_with import settings_sentences
from duchenne.tables.quality import advice
from duchenne.tables.summarize import summarize

_THUMBNAILS: Final = 60  # at least so many are kept of a long video, at most twice as many
_THUMBNAIL_PX: Final = 104  # side
_STILL_PX: Final = 480  # height of the picture on the page of a single picture,
_STILL_WIDEST_PX: Final = 1920  # less where it is wider than this
_MOST_EPISODES: Final = 1000  # rows on the page; `duchenne summarize` writes all
_PIECE_FRAMES: Final = 512


Thumbnails = tuple[float, dict[int, bytes]]
"""Time of a frame in seconds, and the JPEG portrait of each face in it."""


class ReportCollector:
    """Takes the frames of one video in order and keeps what the page needs: the table and a few small pictures."""

    def __init__(self, model: AuModel, *, anonymous: bool, settings: DetectSettings | None = None) -> None:
        self._model = model
        self._anonymous = anonymous
        self._settings = settings or DetectSettings()
        self._baseline: Baseline | None = None
        self._resting: dict[int, bytes] = {}
        self._pieces: list[pd.DataFrame] = []
        self._waiting: list[FrameResult] = []
        self._thumbnails: list[Thumbnails] = []
        self._stride = 1
        self._frames = 0
        self._still: FrameResult | None = None

    def add(self, result: FrameResult) -> None:
        """Takes the next frame, with its picture."""
        if self._frames % self._stride == 0:
            assert result.image is not None, "the frame's picture was dropped"
            portraits = {
                face.number: _jpeg(draw_portrait(result.image, face, _THUMBNAIL_PX, anonymous=self._anonymous))
                for face in result.faces
            }
            self._thumbnails.append((result.time_s, portraits))
            if len(self._thumbnails) == 2 * _THUMBNAILS:
                self._thumbnails = self._thumbnails[::2]
                self._stride *= 2
        self._still = result if self._frames == 0 else None
        self._keep_resting(result)
        self._frames += 1
        self._waiting.append(result.without_image())
        if len(self._waiting) == _PIECE_FRAMES:
            self._flush()

    def rested(self, baseline: Baseline) -> None:
        """Takes the resting faces that are subtracted."""
        self._baseline = baseline

    def _keep_resting(self, result: FrameResult) -> None:
        """A picture of every face from the middle of the seconds in which it was at rest."""
        window = self._settings.baseline_window_s
        if window is None or not window[0] <= result.time_s < window[1] or result.image is None:
            return
        for face in result.faces:
            if face.number not in self._resting or result.time_s <= sum(window) / 2:
                portrait = draw_portrait(result.image, face, _THUMBNAIL_PX, anonymous=self._anonymous)
                self._resting[face.number] = _jpeg(portrait)

    def _rest(self) -> list[dict[str, Any]]:
        if self._baseline is None:
            return []
        found = []
        for face, values in self._baseline.by_face.items():
            who = "The resting face" if face is None else f"The resting face of face {face}"
            said, doubtful = findings.resting_sentence(self._model.columns, values, score_scale(self._model), who)
            picture = self._resting.get(-1 if face is None else face)
            shown = jpeg_uri(picture) if picture else None
            found.append({"face": face, "said": said, "doubtful": doubtful, "picture": shown})
        return found

    def write(self, path: Path, source: str, failure: str | None) -> None:
        """Writes the page; nothing when no frame came.

        Args:
            path: the page.
            source: the input as the user named it.
            failure: why it could not be read to its end.

        Raises:
            InputError: when it cannot be written.
        """
        self._flush()
        if not self._pieces:
            return
        table = pd.concat(self._pieces, ignore_index=True)
        still = None if self._still is None else _picture(self._still, self._anonymous)
        film = None if self._anonymous or self._still is not None else _film(path, source, self._settings)
        pictures = Pictures(self._thumbnails, still, self._rest(), film, self._anonymous)
        write_text(path, render(table, source, self._model, self._settings, pictures, failure))

    def _flush(self) -> None:
        if self._waiting:
            self._pieces.append(plain_table(Rows(self._waiting, self._model.columns, score_scale(self._model))))
            self._waiting = []


def _picture(result: FrameResult, anonymous: bool) -> bytes:
    assert result.image is not None, "the frame's picture was dropped"
    height, width = result.image.shape[:2]
    scale = min(_STILL_PX / height, _STILL_WIDEST_PX / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return _jpeg(draw_faces(result, size, anonymous=anonymous))


def _jpeg(image: NDArray[np.uint8]) -> bytes:
    return encode(image, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, 80])


def _film(page: Path, source: str, settings: DetectSettings) -> str | None:
    """Where the page finds the recording as it lies; None where that would not be what was read."""
    path = Path(source)
    if settings.mirrored or settings.chapters or path.suffix.lower() not in VIDEO_SUFFIXES or not path.is_file():
        return None
    try:
        relative = Path(os.path.relpath(path.resolve(), page.resolve().parent))
    except ValueError:  # on another drive
        return None
    return quote(relative.as_posix())


class Pictures(NamedTuple):
    """What a page shows beside its numbers.

    Attributes:
        thumbnails: portraits of some frames, in order.
        still: the picture, where the input is one.
        resting: the resting faces that were subtracted: `face, said, doubtful, picture`.
        film: the recording as an address relative to the page; None where it is not to be shown.
        anonymous: whether the pictures are drawings.
    """

    thumbnails: Sequence[Thumbnails]
    still: bytes | None
    resting: Sequence[Mapping[str, Any]]
    film: str | None
    anonymous: bool


def render(
    table: pd.DataFrame,
    source: str,
    model: AuModel,
    settings: DetectSettings,
    pictures: Pictures,
    failure: str | None,
) -> str:
    """The page as HTML: everything it needs is in it.

    Presence, episodes and combinations are those that the model decides; a score is a curve.

    Args:
        table: of one input, `--format duchenne`.
        source: the input as the user named it.
        model: that made it.
        settings: that it was made with.
        pictures: what is shown of the recording.
        failure: why it could not be read to its end.
    """
    thumbnails, still, resting, film, anonymous = pictures
    about = model.describe()
    measures = find_measures(list(table.columns))
    summary = summarize(table.assign(source=source))
    decided = {measure.au for measure in measures if _decides(table, measure)}
    episodes = summary.episodes[summary.episodes["au"].isin(decided)].sort_values(["face", "onset_s", "au"])
    of_face = {int(cast(float, face)): rows for face, rows in table[table["face"].notna()].groupby("face")}
    why = {face: findings.reasons(rows, measures, model.columns, about) for face, rows in of_face.items()}
    plain, said = settings.baseline is None, settings_sentences(asdict(settings))
    doubts = {face: findings.contradictions(rows, measures, scores=plain) for face, rows in of_face.items()}
    frames = table.drop_duplicates("frame")
    times = frames["time_s"].to_numpy(dtype=float)
    values = {
        "title": Path(source).name,
        "name": Path(source).name,
        "model": model.name,
        "settings": said,
        "resting": resting,
        "verdicts": findings.verdicts(about),
        "version": __version__,
        "failure": failure,
        "anonymous": anonymous,
        "raw": any(measure.column.endswith("_s") for measure in measures),
        "is_z": SCALE_COLUMN in table,
        "frames": len(frames),
        "duration_s": float(frame_seconds(times).sum()),
        "faceless": int(table["face"].isna().sum()),
        "unread": int(table["flag"].notna().sum()),
        "faces": [
            {"number": face, "colour": _hex(face_colour(face)), "frames": int((table["face"] == face).sum())}
            for face in sorted(set(table["face"].dropna().astype(int)))
        ],
        "still": None if still is None else jpeg_uri(still),
        "summary": _with_reasons(_with_names(summary.faces), why),
        "combinations": _decided_combinations(summary.combinations, decided),
        "episodes": _with_names(episodes.head(_MOST_EPISODES)),
        "hidden_episodes": max(0, len(episodes) - _MOST_EPISODES),
        "advice": [
            *(
                (face, _upper_first(sentence.removeprefix(f"{source}: ")))
                for face, own in summary.quality.groupby("face")
                for sentence in advice(own)
            ),
            *((face, sentence) for face, sentences in doubts.items() for sentence in sentences),
        ],
        "apart_s": float(np.diff([time_s for time_s, _ in thumbnails]).max()) if len(thumbnails) > 1 else 1.0,
        "data": _script(
            {
                "source": Path(source).name if anonymous else source,
                "settings": said,
                "film": film,
                **_page_data(table, frames, measures, episodes, thumbnails, about),
            }
        ),
    }
    return render_page("duchenne.detection", "report.html.jinja", values)


def _decides(table: pd.DataFrame, measure: Measure) -> bool:
    return measure.decision is not None and bool(table[measure.decision].notna().any())


def _with_reasons(rows: list[dict[Any, Any]], why: Mapping[int, Mapping[int, str]]) -> list[dict[Any, Any]]:
    return [{**row, "why": why.get(int(row["face"]), {}).get(row["au"])} for row in rows]


def _decided_combinations(table: pd.DataFrame, decided: Set[int]) -> list[dict[Any, Any]]:
    """Those of whose action units every one is decided: of scores nobody knows when they are together."""
    rows = table.to_dict("records")
    return [row for row in rows if {int(au) for au in str(row["combination"]).split("+")} <= decided]


def _upper_first(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _hex(colour: tuple[int, int, int]) -> str:
    return "#" + bytes(colour).hex()


def _with_names(table: pd.DataFrame) -> list[dict[Any, Any]]:
    return [
        {**row, "name": ACTION_UNITS[row["au"]].name if row["au"] in ACTION_UNITS else ""}
        for row in table.to_dict("records")
    ]


def _page_data(
    table: pd.DataFrame,
    frames: pd.DataFrame,
    measures: list[Measure],
    episodes: pd.DataFrame,
    thumbnails: Sequence[Thumbnails],
    about: Mapping[str, Any],
) -> dict[str, Any]:
    """What the page's script draws; values in thousandths, null where there is none."""
    seen = [measure for measure in measures if table[measure.column].notna().any()]
    faces = {}
    for face, rows in table[table["face"].notna()].groupby("face"):
        aligned = rows.set_index("frame").reindex(frames["frame"].to_numpy())
        own = episodes[episodes["face"] == face]
        faces[str(int(cast(float, face)))] = {
            "values": {measure.au: _thousandths(aligned[measure.column]) for measure in seen},
            "pose": [_thousandths(aligned[name]) for name in POSE_COLUMNS],
            "unread": {place: flag for place, flag in enumerate(aligned["flag"].tolist()) if isinstance(flag, str)},
            "episodes": own[["au", "onset_s", "apex_s", "offset_s"]].to_numpy().tolist(),
            "portraits": [
                [round(time_s, 4), jpeg_uri(portraits[int(cast(float, face))])]
                for time_s, portraits in thumbnails
                if int(cast(float, face)) in portraits
            ],
        }
    return {
        "times": np.round(frames["time_s"].to_numpy(dtype=float), 4).tolist(),
        "frames": frames["frame"].tolist(),
        "aus": [
            {
                "au": measure.au,
                "name": ACTION_UNITS[measure.au].name if measure.au in ACTION_UNITS else "",
                "column": measure.column,
                "full": _full(table, measure),
                "low": _low(table, measure),
                "threshold": _threshold(measure, about),
            }
            for measure in seen
        ],
        "faces": faces,
    }


def _threshold(measure: Measure, about: Mapping[str, Any]) -> float | None:
    """The line of a probability: from where the detector's card calls it present; scores have none."""
    cards = about.get("aus")
    card = cards.get(au_column(measure.au)) if isinstance(cards, Mapping) else None
    return float(card["threshold"]) if card and measure.column.endswith("_p") else None


def _full(table: pd.DataFrame, measure: Measure) -> float:
    """The value at the top of a curve; standard deviations have no upper end."""
    if measure.column.endswith("_s") and SCALE_COLUMN in table:
        return max(5.0, float(np.ceil(table[measure.column].max())))
    return 5.0 if measure.column.endswith("_r") else 1.0


def _low(table: pd.DataFrame, measure: Measure) -> float:
    """The value at the bottom of a curve: 0, or the lowest where values lie below."""
    return min(0.0, float(np.floor(10 * table[measure.column].min()) / 10))


def _thousandths(values: pd.Series[Any]) -> list[int | None]:
    numbers = np.round(values.to_numpy(dtype=float, na_value=np.nan) * 1000)
    return [None if np.isnan(number) else int(number) for number in numbers]


def _script(data: dict[str, Any]) -> str:
    # `</script>` inside a string would end the script.
    return json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
