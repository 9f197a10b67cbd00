"""What protocols are asked: dataclasses that are the command line and the keywords of Python. Imports no torch.

Each field stands here once, with its default and its help. A protocol's own dataclass (`protocols/registry.py`) adds
its fields to those of one of these, and has no others.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from duchenne.config import Intensity, Range
from duchenne.errors import UsageError
from duchenne.keywords import check_numbers
from duchenne.losses.weightings import Weighting

Target = Literal["au", "emotion"]
Threshold = Annotated[float, Range(0, 1, above=True)] | Literal["stored", "oracle"]
LabelUnit = Literal["subjects", "clips", "frames"]
MapKind = Literal["none", "pca", "tsne"]
Prior = Literal["rbm", "group_sparse"]
DEFAULT_FOLDS: Final = "3"
MAP_FACES: Final = 1000
MapFaces = Annotated[int, Range(2, 100_000)]
MapSubjects = Annotated[int, Range(0, 10)]
"""As many as there are colours."""


@dataclass(frozen=True, kw_only=True)
class CommonArguments:
    """What every protocol is asked."""

    folds: str = DEFAULT_FOLDS
    """Number of folds without shared subjects, `split` for the data's own split, `parts`, a published partition
    (bp4d:jaa ...), or a CSV with subject and fold."""
    baselines: bool = True
    """Without this flag, an untrained encoder, blendshapes and landmarks are evaluated with the models."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""
    quiet: bool = False
    """Show no progress."""

    def check_given(self, given: Collection[str], models: int) -> None:
        """Checks what values alone do not say.

        Args:
            given: names of the fields that were given, with whatever value.
            models: how many models were named.

        Raises:
            UsageError: when no model was named, or a field was given that has no meaning beside others.
        """
        if not models:
            raise UsageError("--model: name at least one model, and each only once.")


@dataclass(frozen=True, kw_only=True)
class FeatureArguments:
    """Which features of an encoder are taken."""

    feature: Literal["embedding", "pooled"] = "embedding"
    """The encoder's output, or its last feature map, averaged."""


@dataclass(frozen=True, kw_only=True)
class ScoredArguments(CommonArguments):
    """What every protocol is asked that trains classifiers and scores what they say of tested faces."""

    target: Target = "au"
    """What to predict."""
    train_data: tuple[Path, ...] = ()
    """Other prepared data to train on; all of --data is then used for testing, on the action units that all code."""
    positive_from: Intensity | None = None
    """Lowest intensity (0 to 5) that counts as present, in every data set; by default each one's own, or with
    --train-data the highest of theirs where all code intensities."""
    seeds: Annotated[int, Range(1, 10_000)] = 1
    """Number of repetitions, each with everything random drawn anew (folds, held-out subjects, untrained weights, the
    course of training)."""
    repeats: Annotated[int, Range(1, 10_000)] = 1
    """Number of draws of folds and held-out subjects per seed, with everything else random kept as it is."""
    weighting: Weighting = "balanced"
    """Class weights."""
    threshold: Threshold = 0.5
    """Probability from which an AU is predicted as present; stored: learned on held-out training subjects; oracle: the
    best for the tested faces, marked as such."""
    label_share: tuple[Annotated[float, Range(0, 1, above=True)], ...] = ()
    """Shares of the training labels to evaluate with in addition, such as 0.01 0.1 0.5."""
    label_unit: LabelUnit = "subjects"
    """What is left out."""
    sweep: tuple[str, ...] = ()
    """A key of the runs' config.yaml, against which the report draws their scores; a second: a line for each of its
    values."""
    sample_faces: Annotated[int, Range(0, 10_000)] = 12
    """Faces shown in the report; 0 keeps pictures out of it."""

    def __post_init__(self) -> None:
        """Checks ranges, and what excludes each other.

        Raises:
            UsageError: in one sentence.
        """
        check_numbers(self)
        level, threshold = self.positive_from, self.threshold
        if level is not None and self.target == "emotion":
            raise UsageError(f"--positive-from {level:g}: emotions have no intensity; leave it out.")
        if threshold == 1:
            raise UsageError(f"--threshold {threshold}: must lie between 0 and 1, or be `stored` or `oracle`.")

    def check_given(self, given: Collection[str], models: int) -> None:
        """See `CommonArguments`."""
        super().check_given(given, models)
        if "threshold" in given and self.target == "emotion":
            raise UsageError(
                f"--threshold {self.threshold}: for emotions the highest-scoring class is predicted; leave it out."
            )
        if "label_unit" in given and not self.label_share:
            raise UsageError(f"--label-unit {self.label_unit}: says what --label-share leaves out; name shares too.")

    @property
    def shares(self) -> list[float]:
        """The shares of labels below 1, ascending, each once."""
        return sorted({share for share in self.label_share if share < 1})


@dataclass(frozen=True, kw_only=True)
class MappedArguments(FeatureArguments, ScoredArguments):
    """Those on features of whole faces, of which maps are drawn."""

    maps: MapKind = "pca"
    """Two-dimensional maps of the features in the report, coloured by action unit, emotion and subject."""
    map_items: tuple[str, ...] = ()
    """Items that colour a map each (AU12 ...); without, the two nearest to half present."""
    map_emotion: str | None = None
    """The maps of items show the faces of this emotion alone."""
    map_subjects: MapSubjects = 0
    """Number of subjects whose faces maps show, 10 at most; 0: all."""
    map_faces: MapFaces = MAP_FACES
    """How many faces are on a map."""

    def check_given(self, given: Collection[str], models: int) -> None:
        """See `CommonArguments`."""
        super().check_given(given, models)
        if self.maps == "none" and any(name.startswith("map_") for name in given):
            raise UsageError("--maps none: there are no maps, so --map-items, --map-emotion ... have no meaning.")
