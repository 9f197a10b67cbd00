"""Loading batches of clips: what batch a step sees follows from the seed and the step's number alone.

So a resumed run continues with the very batches that it would have had, on any number of processes.

Why not torch's DataLoader: it loads ahead only in other processes, each of which needs the table of frames, and sends
every batch from one to another. Decoding JPEG releases the interpreter lock, so threads of this process do the same
without any of that, and nothing is left to clean up when a run is interrupted.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from duchenne.config import Side
from duchenne.data.clip_samplers import Clip
from duchenne.data.labels import LabelSpec
from duchenne.data.prepared import Data, Prepared, open_prepared
from duchenne.data.stored.rows import Rows, chosen
from duchenne.data.stored.spilled import spilled
from duchenne.errors import UsageError
from duchenne.facs import ACTION_UNITS
from duchenne.keywords import check_numbers, from_keywords
from duchenne.parallel import ahead
from duchenne.types import ClipBatch


class ClipSampler(Protocol):
    """What a method says about the frames that it needs together."""

    @property
    def frames(self) -> int:
        """Frames per clip in a batch."""
        ...

    def usable_clips(self, data: Prepared, rows: NDArray[np.int64]) -> tuple[Sequence[Clip], int]:
        """The clips that it can draw from, and how many it cannot."""
        ...

    def order(self, clips: Sequence[Clip], rng: np.random.Generator) -> NDArray[np.int64]:
        """(len(clips),) the places of the clips of an epoch, in its order."""
        ...

    def notes(self, clips: Sequence[Clip], left_out: int) -> list[str]:
        """What a user should know about the usable clips, one sentence each."""
        ...

    def draw(self, clip: Clip, rng: np.random.Generator) -> NDArray[np.int64]:
        """(frames,) rows drawn from one clip."""
        ...


class ClipLoader:
    """Batches of clips, decoded by threads while the previous batch is trained on.

    An epoch is as many clips as are usable, in the sampler's order (each once, at random, unless it says otherwise);
    batches run on over the ends of epochs, so that none is short.

    Args:
        data: the frames.
        clips: the usable ones.
        sampler: draws the frames of a clip.
        labels: read beside the pictures; None for none.
        batch_size: clips per batch, over all processes.
        size_px: side of the pictures.
        seed: of the order and the draws.
        rank: of this process; it gets its contiguous share of every batch.
        processes: their number; must divide `batch_size`.
        threads: for decoding.

    Raises:
        ValueError: when `batch_size` is not divisible by `processes`.
    """

    def __init__(
        self,
        data: Prepared,
        clips: Sequence[Clip],
        sampler: ClipSampler,
        *,
        labels: LabelSpec | None = None,
        batch_size: int,
        size_px: int,
        seed: int,
        rank: int = 0,
        processes: int = 1,
        threads: int = 2,
    ) -> None:
        if batch_size % processes:
            raise ValueError(f"batch_size {batch_size} is not divisible by the {processes} processes")
        self.data, self.clips, self.sampler = data, clips, sampler
        self.batch_size, self.size_px, self.seed = batch_size, size_px, seed
        self.share = range(rank * batch_size // processes, (rank + 1) * batch_size // processes)
        self.threads = threads
        self.labels = replace(labels or LabelSpec(), size_px=size_px)
        self.labels.check(data)
        self._orders: dict[int, NDArray[np.int64]] = {}

    def rows(self, step: int) -> tuple[NDArray[np.int64], list[Clip]]:
        """The (B, frames) rows of this process's share of a step's batch, and their clips."""
        rows, clips = [], []
        for place in self.share:
            epoch, position = divmod(step * self.batch_size + place, len(self.clips))
            number = int(self._order(epoch)[position])
            rng = np.random.default_rng([self.seed, 1, epoch, number])
            unit = self.clips[number]
            rows.append(self.sampler.draw(unit, rng))
            clips.append(unit.clip_of(int(rows[-1][0])))
        return np.stack(rows), clips

    def batch(self, step: int, pool: ThreadPoolExecutor | None = None) -> ClipBatch:
        """This process's share of the batch of a step, as uint8 pictures on the CPU."""
        rows, clips = self.rows(step)
        pictures = torch.from_numpy(self.data.images(rows.ravel(), self.size_px, pool))
        labels = self.labels.read(self.data, rows.ravel())
        pictures = pictures.permute(0, 3, 1, 2).reshape(*rows.shape, 3, self.size_px, self.size_px)
        return ClipBatch(
            images=pictures,
            rows=torch.from_numpy(rows),
            clips=torch.tensor([clip.number for clip in clips]),
            subjects=torch.tensor([clip.subject for clip in clips]),
            labels={
                name: torch.from_numpy(values.reshape(*rows.shape, *values.shape[1:]))
                for name, values in labels.items()
            },
        )

    def batches(self, start: int, stop: int) -> Generator[ClipBatch, None, None]:
        """The batches of steps `start` to `stop` - 1; up to two are decoded ahead in the background."""

        def made() -> Generator[ClipBatch, None, None]:
            with ThreadPoolExecutor(self.threads) as pool:
                for step in range(start, stop):
                    yield self.batch(step, pool)

        yield from ahead(made(), depth=2)

    def _order(self, epoch: int) -> NDArray[np.int64]:
        if epoch not in self._orders:
            self._orders = {key: value for key, value in self._orders.items() if key == epoch - 1}
            order = self.sampler.order(self.clips, np.random.default_rng([self.seed, 0, epoch]))
            self._orders[epoch] = spilled([order])
        return self._orders[epoch]


@dataclass(frozen=True, kw_only=True)
class _Side:
    size_px: Side | None = None

    def __post_init__(self) -> None:
        check_numbers(self)


class FaceDataset(Dataset[dict[str, Tensor]]):
    """Prepared faces one by one, for torch's own `DataLoader` and training loops of your own.

    Each is a dictionary: `image` (3, side, side) float32 RGB in [0, 1]; `aus` (A,) float32, 0 or 1, NaN where unknown;
    `subject`, a number per person, -1 where unknown; `row` of the prepared data. Every worker process of a `DataLoader`
    opens the files itself, and labels are read with the pictures: what it holds in memory does not grow with the data.

    Args:
        data: open, see `duchenne.Prepared`, or prepared folders.
        rows: which faces, in this order; None for all.
        size_px: side of the pictures; None for that of the crops.
        aus: which action units; None for those that every folder codes (`Prepared.aus`). One that only some folders
            code must be named; it is NaN in the others.

    Raises:
        InputError: when a folder cannot be opened, or codes none of the `aus`.
        UsageError: when `rows` are not rows of the data, `size_px` is no side, or `aus` are no action units.
    """

    def __init__(
        self,
        data: Data,
        *,
        rows: Rows = None,
        size_px: int | None = None,
        aus: Sequence[int] | int | None = None,
    ) -> None:
        self.data = open_prepared(data)
        self.size_px = from_keywords(_Side, {"size_px": size_px}, where="FaceDataset").size_px
        own = chosen(rows, len(self.data))
        self.rows = range(own.start, own.stop) if isinstance(own, slice) else own
        several = isinstance(aus, Iterable) and not isinstance(aus, str)
        wanted: list[Any] = [*self.data.aus] if aus is None else [*aus] if several else [aus]  # type: ignore[misc]
        unknown = [au for au in wanted if au not in ACTION_UNITS]
        if unknown:
            raise UsageError(f"--aus {unknown[0]!r}: is no action unit; give FACS numbers, such as 12.")
        self.aus = tuple(int(au) for au in wanted)
        self.data.presence(self.aus, slice(0, 0))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: int) -> dict[str, Tensor]:
        return self.__getitems__([place])[0]

    def __getitems__(self, places: Sequence[int]) -> list[dict[str, Tensor]]:
        """The faces of a batch, as `DataLoader` asks for them: their labels are read together."""
        rows = np.array([self.rows[place] for place in places], dtype=np.int64)
        labels = torch.from_numpy(self.data.occurrence(self.aus, rows))
        subjects, numbers = torch.from_numpy(self.data.subject_ids(rows)), torch.from_numpy(rows)
        return [
            {
                "image": torch.from_numpy(self.data.image(row, self.size_px)).permute(2, 0, 1).float() / 255,
                "aus": labels[place],
                "subject": subjects[place],
                "row": numbers[place],
            }
            for place, row in enumerate(rows.tolist())
        ]
