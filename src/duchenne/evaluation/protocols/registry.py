"""Every protocol by name: its arguments, and where the class is that evaluates by it. Imports no torch.

Adding one: docs/architecture.md, "A protocol".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from duchenne.config import Workers
from duchenne.errors import UsageError
from duchenne.evaluation.arguments import (
    CommonArguments,
    FeatureArguments,
    MappedArguments,
    Prior,
    ScoredArguments,
)
from duchenne.heads.settings import PenaltySettings, TuneSettings
from duchenne.keywords import field_names, flag, from_keywords

if TYPE_CHECKING:
    from duchenne.evaluation.protocols.base import Protocol


@dataclass(frozen=True, kw_only=True)
class LinearArguments(PenaltySettings, MappedArguments):
    """One linear unit per item on frozen, standardised features."""


@dataclass(frozen=True, kw_only=True)
class LinearBNArguments(MappedArguments):
    """One linear unit per item, with the encoder's BatchNorm layers trained along."""


@dataclass(frozen=True, kw_only=True)
class FinetuneArguments(TuneSettings, FeatureArguments, ScoredArguments):
    """One linear unit per item on an encoder that is trained further in every fold, or a method that learns there."""

    method: tuple[str, ...] = ()
    """Methods that learn from labels, trained in every fold: supervised, cl_ile, or with a recipe
    (cl_ile:cpu/cl_ile)."""
    workers: Workers = 1
    """Folds that are trained at the same time."""
    scheduler: str | None = None
    """A Dask cluster that trains the folds instead, tcp://HOST:PORT."""

    def check_given(self, given: Collection[str], models: int) -> None:
        """See `CommonArguments`."""
        super().check_given(given, models + len(self.method))
        of_encoders = field_names(TuneSettings) | {"feature", "weighting"}
        foreign = [flag(name) for name in given if name in of_encoders]
        if not models and foreign:
            raise UsageError(
                f"evaluate finetune: {', '.join(foreign)}: for encoders (--model) alone; a --method is trained as its "
                "recipe says (NAME:RECIPE). Leave it out."
            )
        unused = [flag(name) for name in ("lr", "layer_decay") if name in given and self.tune == "head"]
        if unused:
            raise UsageError(f"{unused[0]}: is of the encoder, of which --tune head trains nothing; leave it out.")

    @property
    def tuning(self) -> TuneSettings:
        """How encoders are trained, by itself."""
        return TuneSettings(**{name: getattr(self, name) for name in field_names(TuneSettings)})


@dataclass(frozen=True, kw_only=True)
class AreasArguments(ScoredArguments):
    """Perceptrons on areas of the face, on a frozen encoder."""

    areas: Path | None = None
    """YAML with areas of the face; without, those of the knowledge-driven method."""

    def __post_init__(self) -> None:
        """See `ScoredArguments`."""
        super().__post_init__()
        if self.target == "emotion":
            raise UsageError("--target emotion: areas judge action units; use --target au, or evaluate linear.")


@dataclass(frozen=True, kw_only=True)
class AreasFinetuneArguments(AreasArguments):
    """Perceptrons on areas of the face, with the encoder trained along."""


@dataclass(frozen=True, kw_only=True)
class QuickArguments(MappedArguments):
    """Those whose items are apart, so that none can weigh more than another."""

    weighting: Literal["balanced", "none"] = "balanced"
    """Class weights."""


@dataclass(frozen=True, kw_only=True)
class SemiArguments(PenaltySettings, QuickArguments):
    """Linear units that learn from unlabelled faces too (--label-share), through the co-occurrence of labels."""

    prior: Prior
    """Model of how labels co-occur: rbm (a restricted Boltzmann machine, as DAU-R) or group_sparse
    (overlapping groups, as BGCS)."""

    def __post_init__(self) -> None:
        """See `PenaltySettings` and `ScoredArguments`."""
        super().__post_init__()
        if self.target == "emotion":
            raise UsageError(
                "--target emotion: semi models how action units go together, and a face has one emotion; use evaluate "
                "linear."
            )


@dataclass(frozen=True, kw_only=True)
class KnnArguments(QuickArguments):
    """A vote of the nearest training faces: a quick look at the features of linear."""


@dataclass(frozen=True, kw_only=True)
class RidgeArguments(PenaltySettings, QuickArguments):
    """Least squares: a quick look at the features of linear."""


@dataclass(frozen=True, kw_only=True)
class ProbesArguments(PenaltySettings, FeatureArguments, CommonArguments):
    """What else the features encode: identity, pose, light, order in time."""

    def __post_init__(self) -> None:
        """See `PenaltySettings`."""
        super().__post_init__()
        if not self.folds.isdigit():
            raise UsageError(f"--folds {self.folds}: probes need a number of folds.")


@dataclass(frozen=True)
class Entry:
    """A protocol that can be named.

    Attributes:
        arguments: the dataclass that is its command line; the first line of its docstring says what the protocol is.
        place: `module:class` below `duchenne.evaluation`.
    """

    arguments: type[CommonArguments]
    place: str

    @property
    def about(self) -> str:
        """What the protocol is, in a line."""
        return (self.arguments.__doc__ or "").partition("\n")[0]

    @property
    def fields(self) -> set[str]:
        """Names of what it may be asked."""
        return field_names(self.arguments)

    def load(self) -> type[Protocol[Any]]:
        """The class."""
        module, _, name = self.place.partition(":")
        found: type[Protocol[Any]] = getattr(import_module(f"duchenne.evaluation.{module}"), name)
        return found


PROTOCOLS: Final = {
    "linear": Entry(LinearArguments, "protocols.frozen:Linear"),
    "linear+bn": Entry(LinearBNArguments, "protocols.linear_bn:LinearBN"),
    "finetune": Entry(FinetuneArguments, "protocols.finetune:Finetune"),
    "areas": Entry(AreasArguments, "protocols.areas:Areas"),
    "areas+finetune": Entry(AreasFinetuneArguments, "protocols.areas:AreasFinetune"),
    "semi": Entry(SemiArguments, "semi.protocol:Semi"),
    "knn": Entry(KnnArguments, "protocols.frozen:Knn"),
    "ridge": Entry(RidgeArguments, "protocols.frozen:Ridge"),
    "probes": Entry(ProbesArguments, "protocols.probes:Probes"),
}
"""Name -> protocol."""


def find_protocol(name: str) -> Entry:
    """The protocol of this name.

    Raises:
        UsageError: when there is none.
    """
    if name not in PROTOCOLS:
        raise UsageError(f"evaluate {name}: there is no such protocol; choose {', '.join(PROTOCOLS)}.")
    return PROTOCOLS[name]


def check_fields(protocol: str, names: Iterable[str]) -> None:
    """Refuses what only other protocols can be asked; a name that none knows is left to whoever reads the values.

    Raises:
        UsageError: for the first of these, with the protocols that have it.
    """
    own = find_protocol(protocol).fields
    for name in names:
        others = [other for other, entry in PROTOCOLS.items() if name in entry.fields]
        if name not in own and others:
            fitting = "`, `evaluate ".join(others)
            raise UsageError(f"{flag(name)}: is for `evaluate {fitting}`, not for `evaluate {protocol}`; leave it out.")


def read_arguments(protocol: str, given: Mapping[str, Any], *, models: int) -> CommonArguments:
    """The arguments of a protocol from Python values, see `from_keywords`.

    Args:
        protocol: its name.
        given: field -> value.
        models: how many models were named.

    Raises:
        UsageError: for an unknown protocol or field, or a value that has no meaning.
    """
    check_fields(protocol, given)
    kind = find_protocol(protocol).arguments
    arguments = from_keywords(kind, given, where=f"evaluate {protocol}")
    arguments.check_given(given, models)
    return arguments
