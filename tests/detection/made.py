"""Made-up faces: the level of a picture's first pixel says who is in it."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from duchenne.detectors.calibrating.calibrated import CalibratedHeads
from duchenne.detectors.files import save_detector
from duchenne.detectors.records import AuRecord, DetectorRecord
from duchenne.faces.align import ALIGNMENT
from duchenne.faces.decode import Picture
from duchenne.faces.find import Face
from duchenne.features.encoder import Built, EncoderSource
from duchenne.features.ensemble import side_by_side
from duchenne.features.source import Member
from duchenne.heads.linear import LinearHead
from duchenne.modules.encoder import Encoder, EncoderSpec


def picture(level: int) -> NDArray[np.uint8]:
    """(48, 64, 3) the same noise every time, but for the first pixel."""
    image = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    image[0, 0] = level
    return image


def points() -> NDArray[np.float32]:
    """68 landmarks of which no two coincide."""
    return np.stack([np.arange(68) % 9 + 10.0, np.arange(68) // 9 + 5.0], axis=1).astype(np.float32)


class ScriptedFinder:
    """Stands in for `FaceFinder`: the level of the first pixel says who is in the picture.

    0 nobody; 1..99 one face whose blendshapes are all level / 100; 100..199 two, the second too small; 200.. one
    without landmarks.
    """

    def __init__(self, min_face_px: float, threads: int | None = None) -> None:
        self.min_face_px = min_face_px

    def follow(self, pictures: Iterable[Picture], **_: object) -> Iterator[tuple[Picture, list[Face]]]:
        for one in pictures:
            yield one, self.find(one.image)

    def find(self, image: NDArray[np.uint8]) -> list[Face]:
        level = int(image[0, 0, 0])
        if level == 0:
            return []
        if level >= 200:
            return [Face((1.0, 2.0, 40.0, 44.0), 0.75, flag="no_landmarks")]
        shapes = np.full(52, level % 100 / 100, np.float32)
        faces = [Face((1.0, 2.0, 40.0, 44.0), 0.9, points(), shapes, (10.0, 20.0, -30.0))]
        if level >= 100:
            faces.append(Face((45.0, 2.0, 12.0, 13.0), 0.8, flag="small"))
        return faces

    def close(self) -> None:
        pass


def write_detector(folder: Path, *parts: Member, widths: tuple[int, ...], crop_px: int = 48) -> Path:
    """A detector of three action units, two of which have decisions, that has learned nothing."""
    names, width, draw = ("AU01", "AU06", "AU12"), sum(widths), np.random.default_rng(0)
    head = LinearHead(
        low=np.full(width, -2, np.float32), high=np.full(width, 2, np.float32), mean=np.zeros(width, np.float32),
        factor=np.full(width, 0.5, np.float32), weight=draw.normal(0, 0.3, (width, 3)).astype(np.float32),
        bias=np.array([-0.5, 0, 0.5], np.float32), trained=np.ones(3, bool),
    )  # fmt: skip
    numbers = {"prior": (0.2, 0.5, 0.4), "slope": (0.8, 1.0, 1.2), "offset": (0.1, 0.0, -0.1), "threshold": (0.3,) * 3}
    aus = {
        name: AuRecord(
            **{key: values[place] for key, values in numbers.items()}, passed=name != "AU06", why="made up", frames=9,
            present=3, subjects=3, showing=3, held_out=None,
        )
        for place, name in enumerate(names)
    }  # fmt: skip
    heads = CalibratedHeads(
        head, 0.01, **{key: np.array(values) for key, values in numbers.items()}, usable=np.ones(3, bool)
    )
    record = DetectorRecord(
        model="made", parts=tuple(part.to_spec() for part in parts), crop_px=crop_px, alignment=ALIGNMENT, l2=0.01,
        aus=aus, left_out={}, validation={}, trained_on=(), encoder_trained_on={}, notes=(), duchenne="0",
    )  # fmt: skip
    save_detector(folder, record, heads, side_by_side("made", parts), "made up\n")
    return folder


def random_encoder(input_px: int = 32) -> EncoderSource:
    """A small ResNet-18 with random weights; 8 features."""
    torch.manual_seed(0)
    spec = EncoderSpec(backbone="resnet18", embedding_dim=8)
    return EncoderSource("made", Built(Encoder(spec).eval().requires_grad_(False)), input_px, {"kind": "encoder"})
