"""What the page can ask for: everything that the server answers, without HTTP."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.errors import InputError, UsageError
from duchenne.facs import ACTION_UNITS, au_column
from duchenne.preparing.codes.names import read_names
from duchenne.preparing.codes.programs.events import step_of, within
from duchenne.preparing.sources.survey import listed
from duchenne.reviewing import choosing, comparing, exchange, teaching
from duchenne.reviewing.appearance import SEEN
from duchenne.reviewing.clips import about_recording, frame_times
from duchenne.reviewing.codes import CodesFile, Entry
from duchenne.reviewing.columns import Track, about, arrays, read_track
from duchenne.reviewing.jobs import Jobs, Step
from duchenne.reviewing.library import FITTED, Library, Recording
from duchenne.tables.codings import Coding
from duchenne.tables.event_codings import EventCoding

_TABLE: Final = "table"
_FITTED: Final = "fitted"
_CODER: Final = "coder:"


class Desk:
    """The recordings, their tables, the codes and the job of one page."""

    def __init__(self, library: Library) -> None:
        """Opens the codes, so that what is wrong with them is said before a page is shown.

        Raises:
            InputError: when they cannot be read.
        """
        self.library = library
        self.codes = CodesFile(library.codes, library.sources)
        self.jobs = Jobs()
        self._tracks: dict[tuple[Path, str], tuple[int, Track]] = {}
        self._times: dict[str, NDArray[np.float64]] = {}
        self._clips: dict[str, dict[str, Any]] = {}
        self.codes.entries()

    def state(self) -> dict[str, Any]:
        """Recordings, coders, action units."""
        entries = self.codes.entries()
        recordings = [
            {
                "key": key, "source": one.source, "table": self.library.table_of(one) is not None,
                "coded": sorted({entry.coder for entry in entries if entry.source == one.source}),
            }
            for key, one in self.library.recordings.items()
        ]  # fmt: skip
        return {
            "recordings": recordings,
            "coders": self.codes.coders(),
            "codes": str(self.library.codes.name),
            "aus": [{"au": au, "name": unit.name, "seen": SEEN[au]} for au, unit in ACTION_UNITS.items()],
            "exports": {name: what for name, (_, what) in exchange.EXPORTS.items()},
            "models": list(teaching.MODELS),
            "skipped": self.library.skipped,
            "fitted": self._detector_words() is not None,
        }

    def recording(self, key: str) -> dict[str, Any]:
        """A recording and its table."""
        one = self.library.find(key)
        if key not in self._clips:
            self._clips[key] = about_recording(one.checked())
        track, fitted = self._track(one, _TABLE), self._track(one, _FITTED)
        return {
            "source": one.source, **self._clips[key],
            "stamp": str(self.video(key).stat().st_mtime_ns), "copy": self.video(key) != one.checked(),
            "table": about(track) if track else None,
            "fitted": about(fitted) if fitted else None,
        }  # fmt: skip

    def numbers(self, key: str, which: str, face: int) -> tuple[list[dict[str, Any]], bytes]:
        """The numbers of one face of a table; without a table, the times of the frames."""
        one = self.library.find(key)
        track = self._track(one, which)
        if track is not None:
            return arrays(track, face)
        times_s = self._frame_times(one)
        numbers = np.arange(len(times_s), dtype="<i4")
        at = 8 * len(times_s)
        described = [
            {"name": "time", "type": "f8", "at": 0, "length": len(times_s)},
            {"name": "frame", "type": "i4", "at": at, "length": len(times_s)},
        ]
        return described, times_s.astype("<f8").tobytes() + numbers.tobytes()

    def coded(self, key: str, coder: str) -> dict[str, Any]:
        """The codes of one coder of a recording with their mark, and what else holds for this coder there."""
        source = self.library.find(key).source
        codes, mark = self.codes.of(source, coder)
        shared = [one.code for one in self.codes.entries() if one.source == source and one.is_of_all and coder]
        return {"codes": [code.sent() for code in codes], "mark": mark, "shared": [code.sent() for code in shared]}

    def export(self, form: str, coder: str) -> tuple[str, str]:
        """File name and text of one coder's codes."""
        if form not in exchange.EXPORTS:
            raise UsageError(f"there is no export `{form}`; there are {', '.join(exchange.EXPORTS)}.")
        entries = self.codes.held_by(coder)
        if not entries:
            raise UsageError("there is nothing to export yet.")
        if form != "frames":
            return exchange.EXPORTS[form][0], exchange.export(form, entries, self._all_times)
        shown = [entry for entry in entries if entry.source in self.library.sources]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / teaching.NAMES
            teaching.write_names(self.library, {entry.source for entry in shown}, path)
            names = read_names(path, self.library.sources) if path.is_file() else {}
        return exchange.EXPORTS[form][0], exchange.export(form, shown, self._all_times, names)

    def take_in(self, name: str, data: bytes, coder: str) -> dict[str, Any]:
        """Adds the codes of a file."""
        entries, notes = exchange.imported(name, data, self.library.sources, coder, self._all_times)
        return {"added": self.codes.add(entries), "read": len(entries), "notes": notes}

    def compare(self, first: str, second: str, key: str | None) -> dict[str, Any]:
        """Agreement of two codings (`table`, `fitted`, `coder:NAME`) of one recording or, without `key`, of all."""
        chosen = [self.library.find(key)] if key else list(self.library.recordings.values())
        tables = {which for which in (first, second) if not which.startswith(_CODER)}
        framed = [one for one in chosen if all(self._track(one, which) is not None for which in tables)]
        if not framed:
            raise InputError("there is no table to compare with; run `duchenne detect`, or fit a detector here.")
        labels = {one.source: one.key for one in self.library.recordings.values()}
        coded = {
            which: comparing.placed(self.codes.held_by(which.removeprefix(_CODER)), self._mains(framed))
            for which in (first, second)
            if which.startswith(_CODER)
        }
        sides: list[EventCoding | Coding] = []
        with tempfile.TemporaryDirectory() as folder:
            for which in (first, second):
                if which in coded:
                    name = which.removeprefix(_CODER)
                    sides.append(comparing.event_coding(coded[which], name, labels, Path(folder)))
                else:
                    tracks = [(one.key, track) for one in framed if (track := self._track(one, which))]
                    sides.append(comparing.table_coding(tracks, which))
        keys = next((side.keys for side in sides if isinstance(side, Coding)), None)
        if keys is None:
            keys = self._keys(framed, [entry for entries in coded.values() for entry in entries])
        names = {key: source for source, key in labels.items()}
        rows, differences, notes = comparing.compare(sides[0], sides[1], keys, names)
        left_out = [one.source for one in chosen if one not in framed]
        if left_out:
            notes.append(f"Left out, because there is no table of them to compare with: {listed(left_out)}.")
        order = list(self.library.recordings)
        differences.sort(key=lambda one: order.index(one["source"]))
        return {
            "rows": rows,
            "notes": notes,
            "differences": [{**one, "key": one["source"], "source": names[one["source"]]} for one in differences],
        }

    def fit(self, coder: str, model: str) -> None:
        """Starts fitting a detector to one coder's codes."""

        def finish() -> dict[str, Any] | None:
            teaching.take_over(self.library)
            return self._detector_words()

        own = self.codes.held_by(coder)
        self.jobs.start("fit", lambda: teaching.fit_steps(self.library, own, model), finish)

    def detect(self) -> None:
        """Starts finding faces and action units where there is no table."""
        self.jobs.start("detect", lambda: teaching.detect_steps(self.library))

    def copy(self, key: str) -> None:
        """Starts making a copy of a recording that browsers play."""
        one = self.library.find(key)
        words = [str(one.checked()), str(self.library.copy_of(one))]
        step = Step(f"copy {one.source}", words, module="duchenne.reviewing.copying")
        self.jobs.start("copy", lambda: [step])

    def video(self, key: str) -> Path:
        """The file to play: the copy where one was made, else the recording."""
        one = self.library.find(key)
        path, copy = one.checked(), self.library.copy_of(one)
        fresh = copy.is_file() and copy.stat().st_mtime_ns >= path.stat().st_mtime_ns
        return copy if fresh else path

    def detector(self) -> dict[str, Any] | None:
        """The detector that was fitted last, in words."""
        return self._detector_words()

    def next_stretches(self, coder: str, by: Literal["doubt", "rare"]) -> list[dict[str, Any]]:
        """What to code next, over all recordings."""
        own = comparing.placed(self.codes.held_by(coder), self._mains(self.library.recordings.values()))
        candidates = []
        for one in self.library.recordings.values():
            track = self._track(one, _FITTED)
            if track is None:
                continue
            for face in track.faces:
                rows = track.of_face(face)
                probabilities = {
                    m.au: rows[m.column].to_numpy(dtype=np.float64) for m in track.measures if m.column.endswith("_p")
                }
                coded = coded_frames([entry for entry in own if entry.source == one.source], face, track.times_s)
                candidates.append(choosing.Candidate(one.source, face, track.times_s, probabilities, coded))
        if not candidates:
            raise UsageError("fit a detector first; what it is unsure of is worth coding next.")
        seconds: dict[int, float] = {}
        for entry in own:
            if entry.code.kind == "au" and entry.code.au is not None:
                seconds[entry.code.au] = seconds.get(entry.code.au, 0.0) + entry.code.offset_s - entry.code.onset_s
        keys = {one.source: one.key for one in self.library.recordings.values()}
        found = choosing.choose(candidates, by=by, coded_seconds=seconds)
        return [{**one, "key": keys[one["source"]], "au": au_column(one["au"])} for one in found]

    def _detector_words(self) -> dict[str, Any] | None:
        record = teaching.read_detector(self.library.work / "detector")
        return None if record is None else teaching.in_words(record)

    def _track(self, one: Recording, which: str) -> Track | None:
        if which not in (_TABLE, _FITTED):
            raise UsageError(f"there is no coding `{which}`.")
        path = self.library.table_of(one) if which == _TABLE else self.library.made(FITTED, one)
        if path is None or not path.is_file():
            return None
        stamp = path.stat().st_mtime_ns
        kept = self._tracks.get((path, one.source))
        if kept is None or kept[0] != stamp:
            alone = len(self.library.recordings) == 1 or path.stem.endswith("_aus")
            track = read_track(path, one.source, self.library.sources, alone=alone)
            if track.record and track.record.get("mirrored"):
                raise InputError(
                    f"{path}: was made with --mirrored, so its boxes and its left and right are not those of the "
                    "recording as it is shown; make it anew without, or review a mirrored copy of the recording."
                )
            kept = (stamp, track)
            self._tracks[path, one.source] = kept
        return kept[1]

    def _frame_times(self, one: Recording) -> NDArray[np.float64]:
        track = self._track(one, _TABLE)
        if track is not None:
            return track.times_s
        return self._all_times(one.source)

    def _all_times(self, source: str) -> NDArray[np.float64]:
        """The times of all frames of a recording, also of those that its table leaves out."""
        one = next((one for one in self.library.recordings.values() if one.source == source), None)
        if one is None:
            raise InputError(f"{source}: is not among the recordings, so nobody knows its frames; export events.")
        if one.key not in self._times:
            self._times[one.key] = frame_times(one.checked())
        return self._times[one.key]

    def _mains(self, recordings: Iterable[Recording]) -> dict[str, int | None]:
        """Source -> the face seen largest and longest, where a table says which one that is."""
        tracks = {one.source: self._track(one, _TABLE) or self._track(one, _FITTED) for one in recordings}
        return {source: track.main_face for source, track in tracks.items() if track is not None}

    def _keys(self, recordings: list[Recording], entries: list[Entry]) -> pd.DataFrame:
        """The frames of recordings, once for every face that is coded there."""
        parts = []
        for one in recordings:
            times_s = self._frame_times(one)
            faces = {entry.code.face for entry in entries if entry.source == one.source} - {None} or {0}
            parts += [
                pd.DataFrame(
                    {"source": one.key, "face": str(face), "frame": np.arange(len(times_s), dtype=float),
                     "time_s": times_s, "size": 1.0}
                )
                for face in sorted(face for face in faces if face is not None)
            ]  # fmt: skip
        return pd.concat(parts, ignore_index=True)


def coded_frames(entries: list[Entry], face: int, times_s: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which frames of a face need no coding: those in its coded stretches, or all where codes state none, and those in
    which nothing could be judged.

    Args:
        entries: of one coder and recording.
        face: number.
        times_s: of the frames.
    """
    own = [entry.code for entry in entries if entry.code.face in (face, None)]
    spans = [(code.onset_s, code.offset_s) for code in own if code.kind == "coded"]
    unknown = [(code.onset_s, code.offset_s) for code in own if code.kind == "unknown" and code.au is None]
    coded = np.full(len(times_s), bool(own) and not spans)
    step_s = step_of(times_s)
    for onset_s, offset_s in (*spans, *unknown):
        coded |= within(times_s, onset_s, offset_s, step_s)
    return coded
