"""Whose codes, and of whom: the coder among several, and the faces that the subjects of the codes are."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar

from duchenne.errors import InputError
from duchenne.preparing.codes.names import is_called_so, may_be_one, stem_of
from duchenne.preparing.codes.programs.events import Event
from duchenne.preparing.sources.survey import listed

_UNNAMED: Final = "(unnamed)"
Face = TypeVar("Face", bound=Hashable)


class Sessions:
    """Chooses whose codes to take, video by video."""

    def __init__(self, coder: str | None) -> None:
        self._coder = coder
        self._known: set[str] = set()

    def choose(self, source: str, events: Sequence[Event]) -> list[Event]:
        """The events of one coder.

        Raises:
            InputError: when several coded and none of them was chosen.
        """
        sessions = list(dict.fromkeys((event.coder, event.observation) for event in events if not is_of_all(event)))
        names = {session: {name for name in session if name} or {_UNNAMED} for session in sessions}
        self._known |= {name for called in names.values() for name in called}
        if len(sessions) > 1 and self._coder is not None and any(self._coder in called for called in names.values()):
            sessions = [session for session in sessions if self._coder in names[session]]
        coders = {coder or observation for coder, observation in sessions}
        if len(coders) > 1:
            listed = ", ".join(sorted(name or _UNNAMED for name in coders))
            raise InputError(
                f"{source}: was coded by {listed}; choose one with --coder, or, where these are people in it, say "
                "which face each of them is (--names names.csv)."
            )
        chosen = [event for event in events if (event.coder, event.observation) in sessions or is_of_all(event)]
        aus = Counter(au for session in sessions for au in {
            event.au for event in chosen if (event.coder, event.observation) == session and event.kind == "au"
        })  # fmt: skip
        if max(aus.values(), default=0) > 1:  # passes over different AUs belong together, two over one AU do not
            listed = ", ".join(sorted(observation for _, observation in sessions))
            raise InputError(f"{source}: was coded more than once ({listed}); choose one with --coder.")
        return chosen

    def check(self, path: Path) -> None:
        """Raises InputError when the coder that was asked for is nobody."""
        if self._coder is not None and self._coder not in self._known:
            listed = ", ".join(sorted(self._known - {_UNNAMED})) or "nobody by name"
            raise InputError(f"{path}: --coder {self._coder}: there is no such coder; there are {listed}.")


class Used:
    """Which AUs each coder used in the codes that were taken.

    Coders may look for different AUs, so that what only another one used is unknown, not absent.
    """

    def __init__(self) -> None:
        self._aus: dict[str, set[int]] = defaultdict(set)

    def add(self, coder: str, aus: Iterable[int]) -> None:
        """Takes note of AUs that a coder used; the coder's name is empty where nobody's is given."""
        self._aus[coder].update(aus)

    @property
    def by_anyone(self) -> set[int]:
        """All AUs that were used."""
        return set[int]().union(*self._aus.values())

    def in_video(self, events: Iterable[Event]) -> set[int]:
        """The AUs that were looked for in a video with these events: those that its coders used there or elsewhere."""
        coders = {event.coder for event in events if not is_of_all(event)}
        if not self._aus.get(""):  # who says without a name that there was nothing to see
            coders.discard("")
        if not coders:  # it holds for all of them
            return set.intersection(*(aus for aus in self._aus.values() if aus)) if self.by_anyone else set()
        return set[int]().union(*(self._aus[coder] for coder in coders))


def copies_note(path: Path, called: Mapping[str, Mapping[str, str]]) -> list[str]:
    """A sentence on recordings that codes know by a path of another computer, of which only the file's name fits.

    Args:
        path: of the codes.
        called: recording -> what the codes call it, and where.

    Raises:
        InputError: when the codes name several files that cannot all be one recording.
    """
    taken = []
    for source, wheres in called.items():
        names = [name for name in wheres if stem_of(name) == stem_of(source)]
        copies = [name for name in names if not is_called_so(name, source)]
        if not may_be_one(names):
            odd = (copies or names[1:])[0]
            others = ", ".join(f"`{name}`" for name in names if name != odd)
            raise InputError(
                f"{wheres[odd]}: `{odd}` cannot be {source}, as {others} is, too; give paths under --root."
            )
        taken += [f"{name} for {source}" for name in copies[:1]]
    return [f"{path}: by file name alone, taken {listed(taken)}."] if taken else []


def left_out_note(path: Path, aus: Collection[int]) -> list[str]:
    """A sentence that names the AUs that only coders used whose codes were not taken."""
    listed = ", ".join(map(str, sorted(aus)))
    return [f"{path}: AU {listed} left out: only coders who were not chosen used it."] if aus else []


def not_looked_for_note(path: Path, aus: Sequence[int], looked_for: Mapping[str, Collection[int]]) -> list[str]:
    """A sentence that names the AUs that are unknown in some videos, because their coder used them nowhere.

    Args:
        path: of the codes.
        aus: of all videos.
        looked_for: source -> AUs.
    """
    lacking = {au: [source for source, own in looked_for.items() if au not in own] for au in aus}
    words = [f"AU {au} in {len(sources)} (first: {sources[0]})" for au, sources in lacking.items() if sources]
    if not words:
        return []
    return [
        f"{path}: unknown in videos whose coder used it nowhere: {', '.join(words)}; where all coders looked for the "
        "same AUs, leave out their names."
    ]


def is_of_all(event: Event) -> bool:
    """What was coded at all, and what could not be seen, holds for every coder where nobody's name stands beside it."""
    return event.kind in ("coded", "unknown") and not (event.coder or event.observation)


def told_apart(by_file: Mapping[Path, Sequence[Event]]) -> list[Event]:
    """The events of all files; where unnamed coders coded one AU of one video in two files, each file is a session."""
    files: dict[tuple[str, int], set[Path]] = defaultdict(set)
    for file, events in by_file.items():
        for event in events:
            if event.kind == "au" and event.au is not None and not (event.coder or event.observation):
                files[event.source, event.au].add(file)
    twice = {source for (source, _), found in files.items() if len(found) > 1}
    return [
        replace(event, observation=file.name)
        if event.source in twice and not (event.coder or event.observation)
        else event
        for file, events in by_file.items()
        for event in events
    ]


def people_of(names: Mapping[tuple[str, int], str]) -> dict[str, dict[str, list[int]]]:
    """Source -> name -> faces."""
    found: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for (source, face), name in names.items():
        if name:
            found[source][name].append(face)
    return found


def as_subject(event: Event, named: Mapping[str, Sequence[int]]) -> Event:
    """ELAN writes `AU12@MK` whoever MK is: who stands in names.csv is seen in the video, and is not its coder."""
    if event.coder in named and not event.subject:
        return replace(event, subject=event.coder, coder="")
    return event


def coded_faces(events: Mapping[Face, Sequence[Event]], nobody: Face) -> dict[Face, list[Event]]:
    """Without the faces of which no more is said than that they could not be seen, where another was coded.

    Args:
        events: of every face.
        nobody: stands for the face of codes that name none. These may be of any face, so that those stretches hold for
            them, too.
    """
    unseen = [
        face for face, own in events.items()
        if face != nobody and all(one.kind == "unknown" and one.au is None for one in own)
    ]  # fmt: skip
    found = {face: list(own) for face, own in events.items()}
    for face in unseen if len(unseen) < len(events) else ():
        found.get(nobody, []).extend(found.pop(face))
    return found


def with_faces(source: str, events: Sequence[Event], named: Mapping[str, Sequence[int]]) -> list[Event]:
    """The events with the numbers of the faces that their subjects are.

    Raises:
        InputError: when there are several subjects and it is not known which face one of them is, or it is said twice,
            differently.
    """
    faceless = {
        event.subject
        for event in events
        if event.face is None and (event.kind == "au" or (event.kind in ("coded", "unknown") and event.subject))
    }
    if len(faceless - {""}) == 1:  # programs let people leave the subject open; there is one whom it can be
        one = next(iter(faceless - {""}))
        events = [replace(event, subject=event.subject or one) for event in events]
        faceless = {one}
    unknown = sorted(name for name in faceless if name not in named)
    if unknown and (len(faceless) > 1 or (len(named) > 1 and unknown != [""])):
        listed = ", ".join(name or "(no subject)" for name in sorted(faceless))
        given = f"; its faces are called {', '.join(sorted(named))} now" if named else ""
        raise InputError(
            f"{source}: has codes of {listed}; say which face each of them is in the column `name` of a table with "
            f"source, face and name (--names names.csv; faces.html, made without --labels, shows the faces{given})."
        )
    placed: list[Event] = []
    everybody: list[Event] = []
    for event in events:
        if event.face is not None:
            if event.face not in named.get(event.subject, [event.face]):
                raise InputError(
                    f"{event.where}: is of face {event.face}, and {event.subject} is face {named[event.subject][0]} in "
                    "the table of names; correct one."
                )
            placed.append(event)
        elif event.subject in named:
            placed += [replace(event, face=face) for face in named[event.subject]]
        elif event.kind in ("coded", "none", "unknown") and not event.subject:
            everybody.append(event)
        else:
            placed.append(event)
    faces = dict.fromkeys(event.face for event in placed) or {None: None}
    return placed + [replace(event, face=face) for event in everybody for face in faces]
