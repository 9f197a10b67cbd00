"""What the readers of the field's data sets share: their facts, what they report, and how labels meet frames."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from duchenne.config import Intensity
from duchenne.data.cells import MOST_WHOLE, NOT_CODED, read_rows
from duchenne.errors import InputError
from duchenne.faces.recordings.formats import VIDEO_SUFFIXES
from duchenne.facs import ACTION_UNITS, au_column, intensity_column
from duchenne.preparing.settings import AusChoice, CameraChoice, DrawChoice, EmotionsChoice, FramesChoice
from duchenne.preparing.sources.parts import (
    LabelKind,
    Plan,
    TableImage,
    VideoPart,
    VideosPart,
    file_sizes,
    plan_images,
)
from duchenne.preparing.sources.points import Points
from duchenne.preparing.sources.survey import Survey, listed
from duchenne.preparing.sources.tree import Tree

IMAGES: Final = r"\.(?:jpe?g|png|bmp|tiff?)"
"""Pattern of the pictures' suffixes."""
VIDEOS: Final = "(?:" + "|".join(sorted(rf"\{suffix}" for suffix in VIDEO_SUFFIXES - {".gif"})) + ")"
"""Pattern of the videos' suffixes."""
_PLAIN: Final = {"0": 0, "1": 1, "9": None}
_SPLITS: Final = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}

Labels = dict[str, Any]
Clip = tuple[str, str]
"""Subject and clip."""


@dataclass(frozen=True, kw_only=True)
class Options(AusChoice, FramesChoice, EmotionsChoice, CameraChoice, DrawChoice):
    """What a user may choose of a data set.

    Attributes:
        points: whether the data set's own landmarks are wanted.
        positive_from: the lowest intensity that counts as present.
    """

    points: bool = False
    positive_from: Intensity = 2.0


@dataclass
class Reading:
    """What a reader found.

    Attributes:
        survey: in numbers and words.
        aus: FACS numbers that get columns.
        label_kind: how they are coded.
        images: pictures to be prepared, if the data set is one of pictures.
        videos: videos to be prepared otherwise.
        grouped: whether several videos become one shard, by their subject.
    """

    survey: Survey
    aus: tuple[int, ...] = ()
    label_kind: LabelKind = "none"
    images: list[TableImage] = field(default_factory=list)
    videos: list[VideoPart] = field(default_factory=list)
    grouped: bool = False

    def plan(self, *, detect: bool) -> Plan:
        """The job."""
        notes = [*(f"missing: {line}" for line in self.survey.missing), *self.survey.notes]
        if not self.videos:
            return plan_images(self.images, self.aus, self.label_kind, detect=detect, notes=notes)
        videos = sorted(self.videos, key=lambda video: (video.subject or "", video.source))
        inputs = [[v.source, v.subject, v.split, repr(v.codes), *file_sizes([v.path])] for v in videos]
        if not self.grouped:
            return Plan(videos, self.aus, self.label_kind, inputs, notes)
        by_subject: dict[str | None, list[VideoPart]] = defaultdict(list)
        for video in videos:
            by_subject[video.subject].append(video)
        parts = [VideosPart(tuple(group)) for group in by_subject.values()]
        return Plan(parts, self.aus, self.label_kind, inputs, notes)

    def divide(self, path: Path) -> dict[str, Any]:
        """Divides the subjects as a table says, or the pictures where nobody's name is known.

        Args:
            path: a CSV `subject, part`, or of pictures `source, part` with their path below the root.

        Returns:
            What `dataset.yaml` is to say of it: the name of the file and, unless the parts are train, validation and
            test, the subjects of each part; of pictures, that their column `split` holds the part.

        Raises:
            InputError: when it cannot be read, names a subject twice, or lacks one.
        """
        if self.images and all(image.values["subject"] is None for image in self.images):
            return self._divide_pictures(path)
        _, rows = read_rows(path, ("subject", "part"))
        part_of: dict[str, str] = {}
        for row in rows:
            subject, part = row.get("subject"), row.get("part")
            if not subject or not part or part_of.setdefault(subject, part) != part:
                raise row.error("part", f"subject `{subject}` needs one part; correct the row.")
        subjects = {image.values["subject"] for image in self.images} | {video.subject for video in self.videos}
        absent = sorted(subject or "without a name" for subject in subjects if subject not in part_of)
        if absent:
            raise InputError(f"{path}: has no part for subjects {listed(absent)}; add them.")
        self.survey.notes.append(f"parts of {path.name}: {_sizes(part_of)}.")
        if set(part_of.values()) <= set(_SPLITS):
            split = {subject: _SPLITS[part] for subject, part in part_of.items()}
            self.images = [
                replace(image, values={**image.values, "split": split[image.values["subject"]]})
                for image in self.images
            ]
            self.videos = [replace(video, split=split[str(video.subject)]) for video in self.videos]
            return {"parts_file": path.name}
        parts: dict[str, list[str]] = defaultdict(list)
        for subject, part in sorted(part_of.items()):
            parts[part].append(subject)
        return {"parts_file": path.name, "parts": dict(sorted(parts.items()))}

    def _divide_pictures(self, path: Path) -> dict[str, Any]:
        _, rows = read_rows(path, ("source", "part"))
        part_of: dict[str, str] = {}
        for row in rows:
            source, part = row.get("source"), row.get("part")
            if not source or not part or part_of.setdefault(source, part) != part:
                raise row.error("part", f"picture `{source}` needs one part; correct the row.")
        absent = sorted(image.source for image in self.images if image.source not in part_of)
        if absent:
            raise InputError(f"{path}: has no part for {len(absent)} pictures (first: {absent[0]}); add them.")
        own = set(part_of.values()) <= set(_SPLITS)
        self.survey.notes.append(f"parts of {path.name}, by picture: {_sizes(part_of)}.")
        split = {source: _SPLITS[part] if own else part for source, part in part_of.items()}
        self.images = [replace(image, values={**image.values, "split": split[image.source]}) for image in self.images]
        return {"parts_file": path.name, **({} if own else {"parts_of": "pictures"})}


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """A data set that can be read.

    Attributes:
        name: of the reader.
        title: the data set's own name.
        about: what is read, in a few words.
        read: finds and joins its files.
        layout: what lies where, two examples or three; shown where something is missing.
        licence: in words; travels into checkpoints and model cards.
        namespace: whose people they are; `name` unless they are another data set's.
        options: names of the options that apply: aus, frames, emotions, camera, fps, points, per_subject.
        positive_from: the lowest intensity that counts as present; None where occurrence is coded by itself.
    """

    name: str
    title: str
    about: str
    read: Callable[[Tree, Options], Reading]
    layout: tuple[str, ...]
    licence: str
    namespace: str = ""
    options: frozenset[str] = frozenset()
    positive_from: float | None = None

    def nothing(self, tree: Tree) -> InputError:
        """The error for a root that holds none of it."""
        return InputError(
            f"{tree.root}: holds no {self.title} ({tree.glance()}); below it there should be files such "
            f"as {', '.join(self.layout)}."
        )


def chosen(options: Options, protocol: Sequence[int], coded: Iterable[int]) -> tuple[int, ...]:
    """The action units that get columns, ascending: the coded ones that are known, or wanted by the protocol."""
    wanted = protocol if options.aus == "protocol" else ACTION_UNITS
    return tuple(sorted(set(wanted) & set(coded) & set(ACTION_UNITS)))


def occurrence(text: str, name: str, row: int) -> int | None:
    """0, 1, or None where not coded (`NOT_CODED`); `name` and `row` say where it stands.

    Raises:
        InputError: for anything else.
    """
    if text in _PLAIN:  # nearly all are; this is called millions of times
        return _PLAIN[text]
    text = text.strip()
    if text in NOT_CODED:
        return None
    if text not in ("0", "1", "0.0", "1.0"):
        raise InputError(f"{name}, row {row}: `{text}` is not 0, 1 or a mark for not coded; check the file.")
    return int(float(text))


def intensity(text: str, name: str, row: int) -> float | None:
    """0 to 5, or None where not coded (`NOT_CODED`); `name` and `row` say where it stands.

    Raises:
        InputError: for anything else.
    """
    text = text.strip()
    if text in NOT_CODED:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 5:
        raise InputError(f"{name}, row {row}: `{text}` is not an intensity from 0 to 5; check the file.")
    return value


def frame_number(text: str, name: str, row: int) -> int:
    """A whole number up to `MOST_WHOLE`, however it is written.

    Raises:
        InputError: for anything else.
    """
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not (0 <= value <= MOST_WHOLE and value.is_integer()):
        raise InputError(f"{name}, row {row}: `{text.strip()}` is not a frame number; check the file.")
    return int(value)


def positives(labels: Iterable[Labels], aus: Sequence[int], positive_from: float) -> Counter[int]:
    """How many rows have each action unit present."""
    counts: Counter[int] = Counter()
    for row in labels:
        for au in aus:
            counts[au] += is_present(row, au, positive_from)
    return counts


def is_present(row: Mapping[str, Any], au: int, positive_from: float) -> bool:
    """Whether a row of labels has an action unit present; occurrence goes before intensity."""
    present = row.get(au_column(au))
    if present is not None:
        return bool(present)
    strength = row.get(intensity_column(au))
    return strength is not None and strength >= positive_from


def only(row: Labels, columns: Collection[str]) -> Labels:
    """Some columns of a row; see `columns_of`."""
    return {name: value for name, value in row.items() if name in columns}


def columns_of(aus: Sequence[int]) -> frozenset[str]:
    """The columns of action units: occurrence and intensity."""
    return frozenset(column(au) for au in aus for column in (au_column, intensity_column))


def join(
    tree: Tree,
    survey: Survey,
    frames: Mapping[Clip, Mapping[int, str]],
    labels: Mapping[Clip, Mapping[int, Labels]],
    options: Options,
    aus: Sequence[int],
    *,
    rate: float | None = None,
    split: Mapping[str, str] | None = None,
    points: Callable[[Clip, int], Points | None] | None = None,
) -> list[TableImage]:
    """Puts labels and frames of equal clips and numbers together, and reports what has no partner.

    Args:
        tree: where the frames lie.
        survey: to report to.
        frames: clip -> frame number -> name in the tree.
        labels: clip -> frame number -> columns.
        options: see `Options`.
        aus: that get columns.
        rate: frames per second of the recordings; None where unknown or where images stand alone.
        split: subject -> train, validation or test.
        points: where the landmarks of a frame are.

    Returns:
        The images to prepare.
    """
    images, without_label, columns = [], 0, columns_of(aus)
    for clip, numbers in frames.items():
        known = labels.get(clip, {})
        for number, name in numbers.items():
            row = known.get(number)
            if row is None:
                without_label += 1
                if options.frames == "coded" and labels:
                    continue
            if number > MOST_WHOLE:
                raise InputError(f"{tree.root}: the name of {name} ends in no frame number; rename it.")
            place = tree.stored(name)
            values = {
                "subject": clip[0] or None,
                "clip": clip[1],
                "frame": number,
                "time_s": None if rate is None else number / rate,
                "split": (split or {}).get(clip[0]),
                "emotion": (row or {}).get("emotion"),
                **only(row or {}, columns),
            }
            found = points(clip, number) if points else None
            images.append(TableImage(place.path, name, values, place.member, found))
    survey.count("frames kept", len(images))
    if without_label:
        what = "left out (--frames all keeps them)" if options.frames == "coded" and labels else "kept without labels"
        survey.notes.append(f"{without_label:,} frames have no label: {what}.")
    lost = [(clip, number) for clip, rows in labels.items() for number in rows if number not in frames.get(clip, {})]
    report_lost(survey, lost, labels, aus, options.positive_from)
    return images


def lone(
    tree: Tree, name: str, values: Mapping[str, Any], *, frame: int = 0, points: Points | None = None
) -> TableImage:
    """A picture that stands alone: a clip of its own, of nobody known unless `values` say otherwise."""
    place = tree.stored(name)
    unknown = {"subject": None, "clip": name, "frame": frame, "time_s": None, "split": None, "emotion": None}
    return TableImage(place.path, name, {**unknown, **values}, place.member, points)


def report_lost(
    survey: Survey,
    lost: Sequence[tuple[Clip, int]],
    labels: Mapping[Clip, Mapping[int, Labels]],
    aus: Sequence[int],
    positive_from: float,
) -> None:
    """Names labels that have no frame, with the positives that go with them."""
    if not lost:
        return
    by_clip = Counter(" ".join(dict.fromkeys(part for part in clip if part)) for clip, _ in lost)
    total = positives((row for rows in labels.values() for row in rows.values()), aus, positive_from)
    gone = positives((labels[clip][number] for clip, number in lost), aus, positive_from)
    clips = listed([f"{clip} ({number})" for clip, number in sorted(by_clip.items())])
    whole = sum(len(rows) for rows in labels.values())
    survey.missing.append(
        f"the pictures of {len(lost):,} of {whole:,} labelled frames: {clips}{_lost_words(gone, total)}"
    )


def _sizes(part_of: Mapping[str, str]) -> str:
    return ", ".join(f"{part} {number}" for part, number in sorted(Counter(part_of.values()).items()))


def _lost_words(gone: Mapping[int, int], total: Mapping[int, int]) -> str:
    words = [f"AU{au} {gone[au]:,} ({100 * gone[au] / total[au]:.1f} %)" for au in sorted(gone) if gone[au]]
    return f"; positives lost with them: {', '.join(words)}" if words else ""


def coded_video(
    tree: Tree,
    name: str,
    subject: str,
    rows: Mapping[int, Labels],
    aus: Sequence[int],
    *,
    first_frame: int = 0,
    split: str | None = None,
) -> VideoPart:
    """A video of one person, with a row of labels per frame number."""
    columns = columns_of(aus)
    kept = {float(number): only(row, columns) for number, row in rows.items()}
    from duchenne.preparing.codes.video_codes import FaceCodes, VideoCodes  # numpy; not needed for --help

    codes = VideoCodes(tuple(aus), {None: FaceCodes(rows=kept)}) if kept else None
    return VideoPart(tree.stored(name).path, name, max(1, len(rows)), codes, subject, split, first_frame)
