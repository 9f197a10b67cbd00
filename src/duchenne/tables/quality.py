"""How well each person could be seen, and what that means for their numbers."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.faces.quality import NARROW_PX, TURNED_DEGREES

_MUCH: Final = 0.1
QUALITY_COLUMNS: Final = ("frames", "seen", "unread", "turned", "narrow", "cut", "blurred", "dark")


def face_quality(rows: pd.DataFrame, seconds: NDArray[np.floating], video_s: float) -> dict[str, Any]:
    """How one person of one input could be seen.

    Args:
        rows: of the person, `--format duchenne`.
        seconds: how long each row is shown; zeros for a single picture.
        video_s: how long the input is.

    Returns:
        `frames`, and shares of time: `seen` of the input, and of that `unread` (no AUs, the flag says why), `turned`
        (yaw or pitch over 30 degrees), `narrow` (face under 64 pixels), `cut` (box beyond an edge of the picture;
        of a table without `quality` the left and the upper one), `blurred` and `dark`. NaN where the table lacks the
        columns.
    """
    weight = seconds if seconds.sum() > 0 else np.ones(len(rows))

    def share(chosen: pd.Series[Any]) -> float:
        return round(float(np.average(chosen.to_numpy(dtype=float), weights=weight)), 6)

    def has(*names: str) -> bool:
        return all(name in rows for name in names)

    def said(word: str) -> pd.Series[Any]:
        return rows["quality"].fillna("").str.split().map(lambda words: word in words)

    narrow = rows["width"] < NARROW_PX if has("width") else said("narrow") if has("quality") else None
    outside = said("cut") if has("quality") else (rows["x"] < 0) | (rows["y"] < 0) if has("x", "y") else None
    turned = (
        (rows["yaw"].abs() > TURNED_DEGREES) | (rows["pitch"].abs() > TURNED_DEGREES) if has("yaw", "pitch") else None
    )
    return {
        "frames": len(rows),
        "seen": round(float(seconds.sum() / video_s), 6) if video_s > 0 else 1.0,
        "unread": share(rows["flag"].notna()) if has("flag") else np.nan,
        "turned": share(turned) if turned is not None else np.nan,
        "narrow": share(narrow) if narrow is not None else np.nan,
        "cut": share(outside) if outside is not None else np.nan,
        "blurred": share(said("blurred")) if has("quality") else np.nan,
        "dark": share(said("dark")) if has("quality") else np.nan,
    }


def advice(quality: pd.DataFrame) -> list[str]:
    """One sentence for every person and reason that touches a tenth of their time, and for inputs without a face."""
    reasons = {
        "unread": "has no action units for {} of the time; look at the column flag for why",
        "turned": f"is turned over {TURNED_DEGREES:.0f} degrees for {{}} of the time; leave these frames out or say so",
        "narrow": f"is under {NARROW_PX:.0f} pixels wide for {{}} of the time; scores of small faces are less steady",
        "cut": "is cut off by the edge of the picture for {} of the time; leave these frames out or say so",
        "blurred": "is blurred for {} of the time, which shifts scores; leave these frames out or say so",
        "dark": "is in the dark for {} of the time, which shifts scores; leave these frames out or say so",
    }
    found = []
    for row in quality.to_dict("records"):
        if row["frames"] == 0:
            found.append(f"{row['source']} has no face in the table, so its trials have no values.")
        for name, sentence in reasons.items():
            if row[name] >= _MUCH:
                found.append(f"{row['source']}: face {row['face']} {sentence.format(f'{100 * row[name]:.0f} %')}.")
            if name == "unread" and row[name] == 1:
                break  # there is nothing that the other reasons could spoil
    return found
