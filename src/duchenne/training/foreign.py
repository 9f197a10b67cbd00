"""The ResNet inside other people's checkpoints: under whatever prefix, beside heads, queues, optimisers and options.

moco writes `module.encoder_q.`, moco v3 `module.base_encoder.`, lightly and solo-learn `backbone.` (lightly numbers the
children: `backbone.0.`), DINO `teacher` with `module.backbone.`, torch.compile `_orig_mod.`. Of an encoder and the
slow copy of it the trained one is taken, of DINO's two the teacher, which is the one that its authors evaluate.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

_NESTED: Final = (
    "state_dict_model", "teacher", "state_dict", "model_state_dict", "model_state", "model", "net", "network", "online",
    "encoder", "backbone", "module", "weights", "params", "student", "ema", "state_dict_ema", "model_ema",
)  # fmt: skip
"""Under which keys checkpoints keep a state dict, the preferred ones first."""
_DEEPEST: Final = 4
_SLOW: Final = re.compile(r"(^|[._])(encoder_k|key|momentum|target|ema|slow|student)(?=[._]|$)")
_PARTS: Final = ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4")
CHILDREN: Final = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}
"""Children of torchvision's ResNet by their place in `nn.Sequential(*resnet.children())`."""
_DEPTHS: Final[dict[tuple[bool, tuple[int, ...]], str]] = {
    (False, (2, 2, 2, 2)): "resnet18", (False, (3, 4, 6, 3)): "resnet34", (True, (3, 4, 6, 3)): "resnet50",
    (True, (3, 4, 23, 3)): "resnet101", (True, (3, 8, 36, 3)): "resnet152",
}  # fmt: skip
_OWN: Final = ("backbone.", "embedding.", "tokens.", "mean", "std")


class _Ignored:
    """Stands for every class that a checkpoint names besides tensors: options, paths, numbers; does nothing."""

    def __new__(cls, *_: Any, **__: Any) -> _Ignored:
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, _: Any) -> None:
        pass


def load_tensors(path: Path) -> Any:
    """What `torch.save` wrote, on the CPU; everything but tensors and plain values is an empty object.

    Nothing in the file is executed: its classes are never looked up.

    Raises:
        Exception: many kinds, see `weights.UNREADABLE`, when torch did not write it.
    """
    try:
        named = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except (ValueError, RuntimeError, OSError, pickle.UnpicklingError):
        named = []  # of the format before torch 1.6, or damaged: loading tells
    ignored: list[Any] = [(type(name, (_Ignored,), {}), name) for name in named]
    with torch.serialization.safe_globals(ignored):
        return torch.load(path, map_location="cpu", weights_only=True)


def find_state(loaded: Any) -> dict[str, Tensor] | None:
    """The state dict in a checkpoint: the first with a ResNet in it, else the first with tensors; None: no tensors."""
    found = [
        {str(key): value for key, value in one.items() if isinstance(value, Tensor)}
        for one in _dictionaries(loaded, _DEEPEST)
    ]
    found = [one for one in found if one]
    return next((one for one in found if _prefixes(_cleaned(one))), found[0] if found else None)


def resnet_state(state: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """The ResNet's tensors named as in `Encoder`; None where there is none, or where the state is an `Encoder`'s own.

    Heads, classifiers, queues and slow copies are left out.
    """
    state = _cleaned(state)
    if any(key.startswith("backbone.") for key in state) and all(key.startswith(_OWN) for key in state):
        return None
    prefixes = _prefixes(state)
    if not prefixes:
        return None
    prefix = prefixes[0]
    named = {}
    for key, value in state.items():
        first, _, rest = key.removeprefix(prefix).partition(".")
        first = first if f"{prefix}conv1.weight" in state else CHILDREN.get(first, "")
        if key.startswith(prefix) and first in _PARTS:
            named[f"backbone.{first}.{rest}"] = value
    return named


def name_of(state: Mapping[str, Tensor]) -> str:
    """Which ResNet tensors named as in `Encoder` are of; empty where none."""
    depths = tuple(
        len({match[1] for key in state if (match := re.match(rf"backbone\.layer{stage}\.(\d+)\.", key))})
        for stage in (1, 2, 3, 4)
    )
    return _DEPTHS.get(("backbone.layer1.0.conv3.weight" in state, depths), "")


def not_finite(state: Mapping[str, Tensor]) -> str:
    """Name of the first tensor that holds NaN or infinity; empty where none does."""
    return next((key for key, value in state.items() if value.is_floating_point() and not value.isfinite().all()), "")


def _dictionaries(loaded: Any, depth: int) -> Iterator[Mapping[Any, Any]]:
    if not isinstance(loaded, Mapping):
        return
    yield loaded
    if depth:
        order = [key for key in _NESTED if key in loaded]
        order += [key for key in loaded if key not in _NESTED and not re.search("optim|sched|scaler|queue", str(key))]
        for key in order:
            yield from _dictionaries(loaded[key], depth - 1)


def _cleaned(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without what torch.compile and DataParallel put into names."""
    return {key.replace("_orig_mod.", "").removeprefix("module."): value for key, value in state.items()}


def _prefixes(state: Mapping[str, Tensor]) -> list[str]:
    """Where ResNets begin, the trained one before slow copies, shorter names first."""
    found = [key.removesuffix("conv1.weight") for key in state if re.search(r"(^|\.)conv1\.weight$", key)]
    found = [prefix for prefix in found if f"{prefix}layer1.0.conv1.weight" in state]
    found += [
        key.removesuffix("4.0.conv1.weight") for key in state
        if re.search(r"(^|\.)4\.0\.conv1\.weight$", key) and f"{key.removesuffix('4.0.conv1.weight')}0.weight" in state
    ]  # fmt: skip
    return sorted(found, key=lambda prefix: (bool(_SLOW.search(prefix)), prefix.count("."), prefix))
