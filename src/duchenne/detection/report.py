"""`--report`: one self-contained page per video, to look through its action units over time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, cast

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne._version import __version__
from duchenne.detection.drawing import draw_faces, draw_portrait, face_colour
from duchenne.detection.results import POSE_COLUMNS, SCALE_COLUMN, FrameResult, Rows, plain_table
from duchenne.detectors.base import AuModel, score_scale
from duchenne.facs import ACTION_UNITS
from duchenne.files import write_text
from duchenne.pages import jpeg_uri, render_page
from duchenne.tables.episodes import Measure, find_measures, frame_seconds
from duchenne.tables.quality import advice
from duchenne.tables.summarize import Summary, summarize

_THUMBNAILS: Final = 60  # at least so many are kept of a long video, at most twice as many
_THUMBNAIL_PX: Final = 104  # side
_STILL_PX: Final = 480  # height of the picture on the page of a single picture
_MOST_EPISODES: Final = 1000  # rows on the page; `duchenne summarize` writes all
_PIECE_FRAMES: Final = 512


Thumbnails = tuple[float, dict[int, bytes]]
"""Time of a frame in seconds, and the JPEG portrait of each face in it."""


class ReportCollector:
    """Takes the frames of one video in order and keeps what the page needs: the table and a few small pictures."""

    def __init__(self, model: AuModel, *, anonymous: bool) -> None:
        self._model = model
        self._anonymous = anonymous
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
        self._frames += 1
        self._waiting.append(result.without_image())
        if len(self._waiting) == _PIECE_FRAMES:
            self._flush()

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
        write_text(path, render(table, source, self._model.name, self._thumbnails, still, failure, self._anonymous))

    def _flush(self) -> None:
        if self._waiting:
            self._pieces.append(plain_table(Rows(self._waiting, self._model.columns, score_scale(self._model))))
            self._waiting = []


def _picture(result: FrameResult, anonymous: bool) -> bytes:
    assert result.image is not None, "the frame's picture was dropped"
    height, width = result.image.shape[:2]
    return _jpeg(draw_faces(result, (max(1, round(width * _STILL_PX / height)), _STILL_PX), anonymous=anonymous))


def _jpeg(image: NDArray[np.uint8]) -> bytes:
    _, encoded = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])
    return encoded.tobytes()


def render(
    table: pd.DataFrame,
    source: str,
    model: str,
    thumbnails: Sequence[Thumbnails],
    still: bytes | None,
    failure: str | None,
    anonymous: bool,
) -> str:
    """The page as HTML: everything it needs is in it.

    Args:
        table: of one input, `--format duchenne`.
        source: the input as the user named it.
        model: its name.
        thumbnails: portraits of some frames, in order.
        still: the picture, where the input is one.
        failure: why it could not be read to its end.
        anonymous: whether the pictures are drawings.
    """
    measures = find_measures(list(table.columns))
    summary = summarize(table.assign(source=source))
    frames = table.drop_duplicates("frame")
    times = frames["time_s"].to_numpy(dtype=float)
    values = {
        "title": Path(source).name,
        "name": Path(source).name,
        "model": model,
        "version": __version__,
        "failure": failure,
        "anonymous": anonymous,
        "raw": any(measure.column.endswith("_s") for measure in measures),
        "threshold": _threshold(table, measures),
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
        "summary": _with_names(summary.faces),
        "combinations": summary.combinations.to_dict("records"),
        "episodes": _with_names(summary.episodes.sort_values(["face", "onset_s", "au"]).head(_MOST_EPISODES)),
        "hidden_episodes": max(0, len(summary.episodes) - _MOST_EPISODES),
        "advice": [
            (face, _upper_first(sentence.removeprefix(f"{source}: ")))
            for face, own in summary.quality.groupby("face")
            for sentence in advice(own)
        ],
        "apart_s": float(np.diff([time_s for time_s, _ in thumbnails]).max()) if len(thumbnails) > 1 else 1.0,
        "data": _script(
            {
                "source": Path(source).name if anonymous else source,
                **_page_data(table, frames, measures, summary, thumbnails),
            }
        ),
    }
    return render_page("duchenne.detection", "report.html.jinja", values)


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
    summary: Summary,
    thumbnails: Sequence[Thumbnails],
) -> dict[str, Any]:
    """What the page's script draws; values in thousandths, null where there is none."""
    seen = [measure for measure in measures if table[measure.column].notna().any()]
    faces = {}
    for face, rows in table[table["face"].notna()].groupby("face"):
        aligned = rows.set_index("frame").reindex(frames["frame"].to_numpy())
        own = summary.episodes[summary.episodes["face"] == face]
        faces[str(int(cast(float, face)))] = {
            "values": {measure.au: _thousandths(aligned[measure.column]) for measure in seen},
            "pose": [_thousandths(aligned[name]) for name in POSE_COLUMNS],
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
                "threshold": None if measure.decision else measure.threshold,
            }
            for measure in seen
        ],
        "faces": faces,
    }


def _threshold(table: pd.DataFrame, measures: Sequence[Measure]) -> float | None:
    """From where raw scores on the page count as present; None where the model decides."""
    shown = (m for m in measures if m.column.endswith("_s") and not m.decision and table[m.column].notna().any())
    return next((measure.threshold for measure in shown), None)


def _full(table: pd.DataFrame, measure: Measure) -> float:
    """The value at the top of a curve; standard deviations have no upper end."""
    if measure.column.endswith("_s") and SCALE_COLUMN in table:
        return max(5.0, float(np.ceil(table[measure.column].max())))
    return 5.0 if measure.column.endswith("_r") else 1.0


def _thousandths(values: pd.Series[Any]) -> list[int | None]:
    numbers = np.round(values.to_numpy(dtype=float, na_value=np.nan) * 1000)
    return [None if np.isnan(number) else int(number) for number in numbers]


def _script(data: dict[str, Any]) -> str:
    # `</script>` inside a string would end the script.
    return json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
