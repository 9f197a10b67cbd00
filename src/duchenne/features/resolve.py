"""What `--model` may name, and how each gives one feature vector per prepared face.

RUN | encoder.safetensors   a pretrained encoder
A+B+C                       several, their features side by side
random | random:RUN         untrained weights: a ResNet-18, or the shape of a run's encoder
initial:RUN                 a run's encoder before its first step
pixels                      the crop itself: grey, area-averaged to 32 x 32, 1024 values in [0, 1]
blendshapes | landmarks     the columns of the prepared data (52 values; 136 values as shares of the crop's side)
features:FILE.parquet       what `duchenne embed` writes: subject, clip, frame, feature
package.module:builder      a function without arguments that returns a torch module, (B,3,H,W) in [0,1] -> (B,D)
"""

from __future__ import annotations

import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Literal

from torch import nn

from duchenne.errors import InputError, UsageError
from duchenne.features.columns import ColumnSource, PixelSource
from duchenne.features.encoder import EncoderSource
from duchenne.features.ensemble import EnsembleSource
from duchenne.features.files import FileSource
from duchenne.features.source import FeatureSource
from duchenne.training.runs import LoadedEncoder, initial_encoder, load_encoder, random_encoder, seen_before

_WORDS: Final = ("random", "pixels", "blendshapes", "landmarks")
"""Mean the same whatever folders there are; `./random` is a folder."""
_BUILDER: Final = re.compile(r"([A-Za-z_]\w*(?:\.\w+)*):([A-Za-z_]\w*)")


def resolve(name: str) -> FeatureSource:
    """Finds out what a `--model` means (see the module's first lines).

    Raises:
        UsageError: when it means nothing.
        InputError: when it names a run or file that cannot be read.
    """
    if name not in _WORDS and Path(name).exists():
        return _trained(name, load_encoder(name), "encoder")
    rest_exists = Path(name.partition(":")[2] or "?").exists()  # a plus sign in a path is part of it
    if "+" in name and not rest_exists:
        return EnsembleSource(name, [resolve(part) for part in name.split("+")])
    if name in ("blendshapes", "landmarks"):
        return ColumnSource("blendshapes" if name == "blendshapes" else "landmarks")
    if name == "pixels":
        return PixelSource()
    kind, _, rest = name.partition(":")
    if kind == "random":
        record = load_encoder(rest).record if rest else None
        facts = {"kind": "random", "backbone": record.spec.backbone if record else "resnet18"}
        size_px = record.size_px if record else None
        return EncoderSource(name, lambda seed: random_encoder(record, seed), size_px, facts, seeded=True)
    if kind == "initial" and rest:
        return _trained(name, initial_encoder(rest), "initial")
    if kind == "features" and rest:
        if not Path(rest).is_file():
            raise InputError(f"{rest}: there is no such file; write it with `duchenne embed`.")
        return FileSource(name, Path(rest))
    if _BUILDER.fullmatch(name):
        module = _call_builder(name)
        return EncoderSource(name, lambda seed: module, getattr(module, "size_px", None), {"kind": "builder"})
    raise UsageError(
        f"--model {name}: is neither a run folder nor an encoder file that exists, nor random, random:RUN, "
        "initial:RUN, pixels, blendshapes, landmarks, features:FILE.parquet or package.module:builder; check the path."
    )


def _trained(name: str, loaded: LoadedEncoder, kind: Literal["encoder", "initial"]) -> EncoderSource:
    record = loaded.record
    facts: dict[str, Any] = {"kind": kind, "method": record.method, "backbone": record.spec.backbone}
    seen = seen_before(record.weights)
    if kind == "encoder":
        facts |= {"file": loaded.path.name, "steps": record.steps}
        seen = record.trained_on
    facts |= {"weights": record.weights, "alignment": record.alignment}
    return EncoderSource(name, lambda seed: loaded.encoder, record.size_px, facts, trained_on=seen)


def _call_builder(name: str) -> nn.Module:
    package, _, function = name.partition(":")
    here = str(Path.cwd())
    added = here not in sys.path
    if added:
        sys.path.insert(0, here)  # as `python -m` would; the installed command does not have it
    try:
        module = getattr(import_module(package), function)()
    except (ImportError, AttributeError, TypeError) as error:
        raise UsageError(
            f"--model {name}: cannot be called ({error}); check the name, it takes no argument."
        ) from error
    finally:
        if added:
            sys.path.remove(here)
    if not isinstance(module, nn.Module):
        raise UsageError(f"--model {name}: returns a {type(module).__name__}, not a torch module.")
    return module
