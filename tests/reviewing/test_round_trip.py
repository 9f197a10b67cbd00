"""Whatever is coded means the same after it went through the file of another program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from duchenne.preparing.codes.video_codes import read_codes
from duchenne.reviewing import exchange
from duchenne.reviewing.codes import Code, Entry, entries_text

SOURCES = ["P01/a.mp4", "P02/a.mp4", "b c.mp4"]
TIMES_S = np.arange(60) / 25
PEOPLE: list[list[tuple[int | None, str]]] = [
    [(None, "")], [(None, "mother")], [(0, ""), (1, "")], [(0, "mother"), (1, "infant 2")],
]  # fmt: skip


@st.composite
def coded(draw: st.DrawFn) -> list[Entry]:
    """What one coder coded, with stretches in nobody's name; at least one action unit."""
    coder = draw(st.sampled_from(["anna", "", "Coder 2", "m\u00fcller"]))
    found = [Entry(SOURCES[0], coder, Code(kind="au", au=12, onset_s=0.5, offset_s=1.0))]
    for source in SOURCES[1:]:
        if draw(st.booleans()):
            found.append(Entry(source, coder, Code(kind="none")))
        for face, subject in draw(st.sampled_from(PEOPLE)):
            for _ in range(draw(st.integers(0, 3))):
                kind = draw(st.sampled_from(["au", "au", "unknown au", "unknown", "coded"]))
                onset_s = draw(st.integers(0, 2200)) / 1000
                lasts_s = draw(st.sampled_from([0.04, 0.2, 0.5, 1.0]))
                everybody = kind in ("unknown", "coded") and draw(st.booleans())
                code = Code(
                    kind=kind.split()[0],
                    au=draw(st.sampled_from([4, 6, 12])) if "au" in kind else None,
                    intensity={"au": draw(st.sampled_from(["", "C", "2.5"])), "unknown au": "?"}.get(kind, ""),
                    onset_s=onset_s,
                    offset_s=min(onset_s + lasts_s, 2.4),
                    face=None if everybody else face,
                    others=(("subject", subject),) if subject and not everybody else (),
                )
                found.append(Entry(source, "" if everybody and draw(st.booleans()) else coder, code))
    return found


def labels(path: Path) -> dict[tuple[str, int | None], Any]:
    videos = read_codes(path, SOURCES).videos
    found = {
        (source, face): video.labels(face, range(len(TIMES_S)), TIMES_S)
        for source, video in videos.items()
        for face in video.faces
    }
    return {of: rows for of, rows in found.items() if any(set(row.values()) - {None} for row in rows)}


@given(coded())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_codes_mean_the_same_after_other_programs(tmp_path: Path, entries: list[Entry]) -> None:
    own = tmp_path / "codes.csv"
    own.write_text(entries_text(entries), encoding="utf-8")
    expected = labels(own)
    coder = next((entry.coder for entry in entries if entry.coder), "")
    for form in ("elan", "boris"):
        path = tmp_path / f"out_{exchange.EXPORTS[form][0]}"
        path.write_text(exchange.export(form, entries, lambda _: TIMES_S), encoding="utf-8")
        assert labels(path) == expected, form
        back, _ = exchange.imported(path.name, path.read_bytes(), SOURCES, "ben", lambda _: TIMES_S)
        assert {entry.coder for entry in back} == {coder or "ben"}
        again = tmp_path / "again.csv"
        again.write_text(entries_text(back), encoding="utf-8")
        assert labels(again) == expected, form
