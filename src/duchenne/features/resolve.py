"""What `model` may be, and how each gives one feature vector per face. Everything that takes models asks here.

RUN | encoder.safetensors   a pretrained encoder
A+B+C                       several, their features side by side
random | random:RUN         untrained weights: a ResNet-18, or the shape of a run's encoder
initial:RUN                 a run's encoder before its first step
pixels                      the crop itself: grey, area-averaged to 32 x 32, 1024 values in [0, 1]
blendshapes | landmarks     the columns of the prepared data (52 values; 136 values as shares of the crop's side)
features:FILE.parquet       what `duchenne embed` writes: subject, clip, frame, feature
package.module:builder      a function without arguments that returns a torch module, (B,3,H,W) in [0,1] -> (B,D)

From Python also such a module itself, what `duchenne.load_encoder` returns, a `FeatureSource`, and lists of all these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

from torch import Tensor, nn

from duchenne.errors import InputError, UsageError
from duchenne.features.encoder import EncoderSource
from duchenne.features.ensemble import side_by_side
from duchenne.features.files import FileSource
from duchenne.features.source import FeatureSource, Member, SingleSource
from duchenne.features.weightless import WEIGHTLESS
from duchenne.training.runs import LoadedEncoder

_SOURCES: Final[tuple[type[SingleSource], ...]] = (*WEIGHTLESS, FileSource, EncoderSource)
"""Asked in this order: words mean the same whatever folders there are; `./random` is a folder."""
_DETECTOR: Final = "duchenne"
"""The detector that comes with the package, which people name here, too."""

Model = str | Path | nn.Module | LoadedEncoder | FeatureSource


def source_of(model: Model) -> FeatureSource:
    """A source of features from what `model` may be (see the module's first lines).

    A torch module takes (B, 3, H, W) pictures in [0, 1] to (B, D); its `size_px`, where it has one, is H and W. It is
    set to evaluation mode and may be moved to another device. What it was trained on is not known: take what
    `duchenne.load_encoder` returns instead of its `encoder` where people in the data may be the same.

    Raises:
        UsageError: when it means nothing, or is a detector.
        InputError: when it names a run or file that cannot be read.
    """
    if isinstance(model, str | Path):
        return resolve(str(model))
    if isinstance(model, LoadedEncoder):
        return EncoderSource.of_record(str(model.path), model)
    if isinstance(model, nn.Module):
        return EncoderSource.of_module(model)
    _check_source(model)
    return model


def _check_source(model: Any) -> None:
    """Refuses what is no source of features, and one that is not whole, before it is asked for what it lacks."""
    if isinstance(model, type):
        raise UsageError(f"--model {model.__name__}: is a class; give an object of it, {model.__name__}(...).")
    name = type(model).__name__
    if callable(getattr(model, "load_encoder", None)):
        raise UsageError(f"--model {name}: is a run; give its folder, `out`, or what its load_encoder returns.")
    if not hasattr(model, "features") and not hasattr(model, "features_of"):
        what = "is a detector" if hasattr(model, "score") or hasattr(model, "frames") else "gives no features"
        raise UsageError(
            f"--model {name}: {what}; give what turns faces into features: a name, a torch module, or an encoder."
        )
    for wanted, stated in vars(FeatureSource).items():
        given = getattr(type(model), wanted, None) is not stated  # else a subclass of the protocol, where it gives None
        if not wanted.startswith("_") and not (given and hasattr(model, wanted)):
            raise UsageError(f"--model {name}: has no `{wanted}`; see duchenne.FeatureSource for what it needs.")


def sources_of(models: Model | Sequence[Model]) -> list[FeatureSource]:
    """Of one model or several; those at hand that would be called alike are numbered.

    Raises:
        UsageError: when there is none, one is there twice, or see `source_of`.
        InputError: see `source_of`.
    """
    several = [*models] if isinstance(models, list | tuple) else [cast("Model", models)]
    sources: dict[str, FeatureSource] = {}
    for place, model in enumerate(several):
        source = source_of(model)
        if source.name in sources and isinstance(model, nn.Module) and not any(model is one for one in several[:place]):
            source = EncoderSource.of_module(model, f"{source.name} ({place + 1})")
        if source.name in sources:
            raise UsageError(f"--model {source.name}: is there twice; name at least one model, and each only once.")
        sources[source.name] = source
    if not sources:
        raise UsageError("--model: name at least one model, and each only once.")
    return list(sources.values())


def resolve(name: str) -> FeatureSource:
    """Finds out what a `--model` means (see the module's first lines).

    Raises:
        UsageError: when it means nothing.
        InputError: when it names a run or file that cannot be read.
    """
    kind_of, _, rest = name.partition(":")
    is_path = (bool(name) and Path(name).exists()) or ("+" not in kind_of and bool(rest) and Path(rest).exists())
    if not is_path and not all(part.strip() for part in name.split("+")):  # an empty path is the working folder
        raise UsageError(f"--model {name or repr(name)}: has an empty name in it; name a model on each side of a `+`.")
    if "+" in name and not is_path:  # a plus sign in a path is part of it
        return side_by_side(name, [resolve(part) for part in name.split("+")])
    for kind in _SOURCES:
        found = kind.from_word(name)
        if found is not None:
            return cast("FeatureSource", found)
    if name == _DETECTOR:
        raise UsageError(f"--model {name}: finds action units in faces and has no features; use blendshapes for these.")
    words = [word for kind in _SOURCES for word in kind.WORDS]
    raise UsageError(
        f"--model {name}: is neither a run folder nor an encoder file that exists, nor {', '.join(words[:-1])} or "
        f"{words[-1]}; check the path."
    )


def stored_source(spec: Mapping[str, Any], tensors: Mapping[str, Tensor], where: str) -> Member:
    """A source from what a detector holds of it, see `SingleSource.from_spec`.

    Raises:
        InputError: when it is of no known kind, or spec and weights do not fit each other.
        UsageError: when it is code that the user has not named.
    """
    for kind in _SOURCES:
        if spec.get("kind") in kind.KINDS:
            return cast("Member", kind.from_spec(spec, tensors, where))
    raise InputError(f"{where}: describes a part of unknown kind `{spec.get('kind')}`; make the detector again.")
