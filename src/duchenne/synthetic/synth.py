"""The `synth` job: a prepared folder of synthetic faces with exact action units, and single clips to look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Final, Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from duchenne.config import CORES, Range, Seed
from duchenne.data.prepared import DatasetInfo, Prepared
from duchenne.data.shards import PartWriter, encode_jpeg
from duchenne.data.writing import write_prepared
from duchenne.errors import InputError, UsageError
from duchenne.faces.align import ALIGNMENT, OUTER_EYE_CORNERS, crop_face, crop_matrix, transform_points
from duchenne.facs import intensity_column
from duchenne.files import replacing
from duchenne.keywords import check_choice, check_number, check_numbers, from_keywords
from duchenne.synthetic.anatomy import SYNTH_AUS
from duchenne.synthetic.people import STYLES
from duchenne.synthetic.render import finish, render
from duchenne.synthetic.sampling import RATE, ClipPlan, Head, person, plan_clip, stream
from duchenne.synthetic.stats import NOTES, synth_stats

LICENCE: Final = "CC0-1.0 (rendered; nobody's face)"
Expressions = Literal["on", "off", "hidden"]
JITTER: Final = 0.010
"""Standard deviation of the landmark estimate that crops are cut by, in outer-eye distances."""
TEST_SHARE: Final = 0.25
MODELLED: Final = "modelled"
_CHUNK_PIXELS: Final = 16 * 160 * 160
_FRAME_SHARE: Final = 1.25
"""Side of the rendered picture, in sides of the crop."""


@dataclass(frozen=True)
class _Numbers:
    """How many and how large (see `synth`)."""

    subjects: Annotated[int, Range(1, 1_000_000)]
    clips: Annotated[int, Range(1, 1_000_000)]
    frames: Annotated[int, Range(2, 1_000_000)]
    size_px: Annotated[int, Range(32, 4096)]
    seed: Seed

    def __post_init__(self) -> None:
        """Checks ranges, and words where there are any.

        Raises:
            UsageError: in one sentence.
        """
        check_numbers(self)


@dataclass(frozen=True)
class SynthConfig(_Numbers):
    """What a set of synthetic faces is made from (see `synth`)."""

    head: Head
    style: str
    aus: Expressions

    def __post_init__(self) -> None:
        """See `_Numbers`."""
        super().__post_init__()
        check_choice("head", self.head, Head)
        check_choice("aus", self.aus, Expressions)
        if self.style not in (*STYLES, "mixed", MODELLED):
            raise UsageError(f"--style {self.style}: is none of {', '.join((*STYLES, 'mixed', MODELLED))}.")

    def plan(self, subject: int, clip: int) -> ClipPlan:
        """The clip's plan, as it is shown."""
        style = None if self.style == "mixed" else STYLES.index(self.style) if self.style in STYLES else 0
        return plan_clip(self.seed, subject, clip, self.frames, head=self.head, style=style, aus=self.aus == "on")


@dataclass(frozen=True)
class _Subject:
    config: SynthConfig
    number: int
    split: str


def synth(
    out: str | Path,
    *,
    subjects: int = 32,
    clips: int = 8,
    frames: int = 64,
    size_px: int = 128,
    seed: int = 0,
    head: Head = "natural",
    style: str = "mixed",
    aus: Expressions = "on",
    workers: int = 0,
    stats: bool = False,
    quiet: bool = False,
) -> Prepared:
    """Makes synthetic faces with exact action units, as prepared data.

    Beside the columns of every prepared folder, `synthetic.parquet` holds what only a renderer knows, one row per
    crop in the same order: `pitch, yaw, roll`, gaze, light, background, style, and every AU's intensity on the
    subject's right and left (`AU12_right`, `AU12_left`).

    Args:
        out: the folder to write.
        subjects: number of people; the last quarter is the test split.
        clips: clips of each; even ones follow emotion prototypes, odd ones are free combinations.
        frames: of each clip, at 25 frames a second.
        size_px: side of the crops.
        seed: determines everything; two seeds share no subject.
        head: what moves besides action units: everything (`natural`), gaze and blinks (`still`), nothing (`fixed`).
        style: `natural`, `drawn`, `mixed` (one of these two drawn for each clip), or `modelled`: heads in three
            dimensions (extra `[faces]`).
        aus: `off` holds every AU at 0 in otherwise the same clips; `hidden` does so too, but keeps the labels of the
            clips with AUs: the control of a method that learns from labels, and good for nothing else.
        workers: number of processes, 0 for one per core; the bytes written do not depend on it.
        stats: measure the result (see `stats.synth_stats`) and write `stats.csv` beside it.
        quiet: no progress.

    Returns:
        The folder, opened.

    Raises:
        UsageError: for a number out of range, an unknown style, a missing extra, or an `out` that holds something else.
        InputError: when `out` cannot be written.
    """
    check_number("workers", workers, CORES)
    asked = {"subjects": subjects, "clips": clips, "frames": frames, "size_px": size_px, "seed": seed}
    numbers = from_keywords(_Numbers, asked, where="synth")
    config = SynthConfig(**vars(numbers), head=head, style=style, aus=aus)
    subjects, clips, frames, size_px = config.subjects, config.clips, config.frames, config.size_px
    _prepare(style)
    first_test = subjects - round(subjects * TEST_SHARE)
    if stats and first_test == subjects:
        raise UsageError(f"--stats: tests on a quarter of the people; --subjects {subjects} is too few, use 4 or more.")
    info = DatasetInfo(
        name="synth",
        aus=SYNTH_AUS,
        label_kind="intensity",
        alignment=ALIGNMENT,
        size_px=size_px,
        licence=LICENCE,
        settings=vars(config),
    )
    parts = [_Subject(config, number, "test" if number >= first_test else "train") for number in range(subjects)]
    data = write_prepared(
        out, info, parts, _render_subject, workers=workers, units=[clips * frames] * subjects,
        description="rendering", what="person", quiet=quiet,
    )  # fmt: skip
    if data is None:
        raise InputError(f"{out}: no crop came out; delete the folder and run again.")
    nuisances = Path(out) / NOTES
    if not nuisances.is_file():
        with replacing(nuisances) as temporary:
            nuisance_table(config).to_parquet(temporary, index=False)
    if stats:
        with replacing(Path(out) / "stats.csv") as temporary:
            synth_stats(data).table().to_csv(temporary, index=False)
    return data


def _prepare(style: str) -> None:
    """Makes what a style needs before its first picture."""
    if style == MODELLED:
        from duchenne.synthetic.modelled import prepare_modelled

        prepare_modelled()


def frames_at_once(size_px: int) -> int:
    """How many frames of a size are best rendered together: larger batches leave the processor's cache."""
    return max(1, _CHUNK_PIXELS // size_px**2)


def render_clip(
    plan: ClipPlan,
    identity_of: tuple[int, int],
    size_px: int,
    device: torch.device | str = "cpu",
    *,
    modelled: bool = False,
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
    """Renders a clip as full frames, with the person before a background.

    Args:
        plan: the clip.
        identity_of: seed and number of the subject.
        size_px: side of the square frames.
        device: where to render; modelled heads are rendered on the processor.
        modelled: as a three-dimensional head.

    Yields:
        Frames (size_px, size_px, 3) RGB uint8 and their exact landmarks (68, 2) in pixels.
    """
    if modelled:
        from duchenne.synthetic.modelled.draw import render_modelled

        yield from render_modelled(plan, identity_of, size_px)
        return
    identity, scene = person(*identity_of).to(device), plan.scene.to(device)
    clip = int(plan.name.rsplit("-", 1)[1])
    grain = stream(*identity_of, clip, "grain")
    pose = torch.from_numpy(plan.pose)
    length = len(plan.pose)
    step = frames_at_once(size_px)
    for start in range(0, length, step):
        part = slice(start, min(start + step, length))
        rendered = render(identity, plan.expression(part).to(device), pose[part].to(device), scene, size_px)
        noise = grain.standard_normal((len(rendered.images), 1, size_px, size_px), dtype=np.float32)
        seen = finish(rendered.images, scene, torch.from_numpy(noise).to(device))
        pictures = (seen * 255 + 0.5).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        yield from zip(pictures, rendered.landmarks.cpu().numpy())


def synthetic_clip(
    seed: int = 0,
    *,
    subject: int = 0,
    clip: int = 0,
    frames: int = 64,
    size_px: int = 256,
    style: str = "natural",
    head: Head = "natural",
) -> tuple[NDArray[np.uint8], ClipPlan]:
    """One clip of one person as a video, before any crop.

    Args:
        seed: of the set that the person belongs to.
        subject: number of the person, from 0.
        clip: number of the clip, from 0; even ones follow emotion prototypes, odd ones are free combinations.
        frames: length, at 25 frames a second, at least 2.
        size_px: side of the frames, at least 32.
        style, head: see `synth`.

    Returns:
        Frames (T, size_px, size_px, 3) RGB uint8, and the plan with the exact AUs.

    Raises:
        UsageError: for a number out of range, an unknown word, or a missing extra.
        InputError: when what `modelled` needs cannot be had.
    """
    for name, number in (("subject", subject), ("clip", clip)):
        check_number(name, number, Range(0, 999_999))
    asked = {"subjects": subject + 1, "clips": clip + 1, "frames": frames, "size_px": size_px, "seed": seed}
    numbers = from_keywords(_Numbers, asked, where="synthetic_clip")
    config = SynthConfig(**vars(numbers), head=head, style=style, aus="on")
    _prepare(style)
    plan = config.plan(subject, clip)
    pictures = render_clip(plan, (seed, subject), size_px, modelled=style == MODELLED)
    return np.stack([picture for picture, _ in pictures]), plan


def _render_subject(writer: PartWriter, part: _Subject) -> None:
    config = part.config
    frame_px = round(_FRAME_SHARE * config.size_px)
    for clip in range(config.clips):
        plan = config.plan(part.number, clip)
        labels = replace(config, aus="on").plan(part.number, clip) if config.aus == "hidden" else plan
        jitter = stream(config.seed, part.number, clip, "jitter")
        intensity = labels.intensity
        # The rendered head is as large as in the crop, give or take: `camera` is a share of the larger picture.
        plan.scene.camera[:, 0] *= OUTER_EYE_CORNERS / 0.25 / _FRAME_SHARE
        offset = jitter.normal(0, JITTER / 2, (68, 2))
        pictures = render_clip(plan, (config.seed, part.number), frame_px, modelled=config.style == MODELLED)
        for frame, (picture, landmarks) in enumerate(pictures):
            eyes = float(np.linalg.norm(landmarks[45] - landmarks[36]))
            estimate = landmarks + eyes * (offset + jitter.normal(0, JITTER, (68, 2)))
            if frame == 0 or config.head == "natural":  # else the crop is that of the first frame: the camera rests
                matrix = crop_matrix(estimate, config.size_px)
            crop = crop_face(picture, matrix, config.size_px)
            row = {
                "subject": plan.subject, "clip": plan.name, "frame": frame, "time_s": frame / RATE,
                "split": part.split, "emotion": labels.emotion[frame], "source": plan.name,
                "landmarks": transform_points(landmarks, matrix),
                **{intensity_column(au): float(intensity[frame, i]) for i, au in enumerate(SYNTH_AUS)},
            }  # fmt: skip
            writer.add(row, encode_jpeg(crop))
        writer.count("clips")
        writer.advance(config.frames)


def nuisance_table(config: SynthConfig) -> pd.DataFrame:
    """What only a renderer knows of each crop, in the order of `frames.parquet` (see `synth`)."""
    tables = []
    for subject in range(config.subjects):
        for clip in range(config.clips):
            plan = config.plan(subject, clip)
            scene = plan.scene
            columns: dict[str, object] = {
                "clip": plan.name,
                "frame": np.arange(config.frames),
                **{name: plan.pose[:, i] for i, name in enumerate(("pitch", "yaw", "roll"))},
                "gaze_x": plan.gaze[:, 0],
                "gaze_y": plan.gaze[:, 1],
                **{f"light_{axis}": float(scene.light[0, i]) for i, axis in enumerate("xyz")},
                "key": float(scene.key.mean()),
                "ambient": float(scene.ambient.mean()),
                **{f"background_{c}": float(scene.background[0, i].mean()) for i, c in enumerate("rgb")},
                "blur": float(scene.blur[0]),
                "noise": float(scene.noise[0]),
                "style": MODELLED if config.style == MODELLED else STYLES[int(scene.style[0])],
            }
            for i, au in enumerate(SYNTH_AUS):
                columns[f"AU{au:02d}_right"] = plan.aus[:, 0, i]
                columns[f"AU{au:02d}_left"] = plan.aus[:, 1, i]
            tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)
