"""Made-up faces: the level of a picture's first pixel says who is in it."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from duchenne.faces.decode import Picture
from duchenne.faces.find import Face


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
