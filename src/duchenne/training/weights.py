"""Weights that an encoder starts from: none, ImageNet's, or a file; nothing in a file is ever executed."""

from __future__ import annotations

import json
import pickle
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from duchenne.errors import InputError, UsageError
from duchenne.files import read_bytes
from duchenne.model_files import IMAGENET_FILES, model_path
from duchenne.modules.backbones.resnet import STAGES
from duchenne.modules.encoder import Encoder
from duchenne.training.foreign import CHILDREN, find_state, load_tensors, name_of, not_finite, resnet_state
from duchenne.training.released import released_state, which_released

UNREADABLE: Final = (
    RuntimeError, pickle.UnpicklingError, EOFError, OSError, ValueError, LookupError, TypeError, AttributeError,
    struct.error,
)  # fmt: skip
"""What `torch.load(weights_only=True)` raises on files that torch did not write."""
LARGEST_WEIGHTS: Final = 2**35
"""Bytes of a file of weights."""
_CHECKPOINT: Final = frozenset({"step", "stage", "ends", "method", "optimisers"})
"""Keys of a run's checkpoint, see `Trainer.save`."""
_OLD_DENSE: Final = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")
"""Names in torchvision's files of DenseNet, from before points were forbidden in the names of modules."""


def apply_weights(encoder: Encoder, source: str, others: Mapping[str, Encoder] | None = None) -> None:
    """Loads weights into an encoder, in place.

    Args:
        encoder: of any backbone.
        source: `none` (nothing happens), `imagenet` (torchvision's IMAGENET1K_V1; the folder that DUCHENNE_MODELS
            names is looked at first), or the path of a file: an `encoder.safetensors`, a state dict of torchvision's
            ResNet or DenseNet, a checkpoint that has one in it (see `foreign`), or the state dict that the authors of
            temporal ranking, FAb-Net or TCAE released. The embedding layer is loaded where the file has one of the same
            size, and stays as it is where the file has none. Stages that the encoder does not have are left out.
        others: TCAE's code, `au` or `pose` -> the encoder of it that a method has beside `encoder`, which is then of
            the other code; TCAE's file has both.

    Raises:
        UsageError: when there are no ImageNet weights for the backbone.
        InputError: when the file is missing, damaged, or for another network.
    """
    if source == "none":
        return
    if source == "imagenet":
        names = [name for name in IMAGENET_FILES if name.startswith(f"{encoder.spec.backbone}-")]
        if not names:
            raise UsageError(f"--weights imagenet: there are none for {encoder.spec.backbone}; name a file or `none`.")
        path = model_path(names[0])
    else:
        path = Path(source)
    state = read_state(path)
    if others and which_released(state) == "twin_cycle":
        codes: dict[str, Encoder] = {code: others.get(code, encoder) for code in ("pose", "au")}
        for code, own in codes.items():
            fill_encoder(own, released_state(state, "au" if code == "au" else "pose"), str(path))
        return
    fill_encoder(encoder, encoder_state(state), str(path))


def fill_encoder(encoder: Encoder, state: Mapping[str, Tensor], where: str) -> Encoder:
    """Loads tensors named as `Encoder` does, in place; see `apply_weights`.

    Args:
        encoder: of any backbone.
        state: what `encoder_state` gives.
        where: for the error message.

    Returns:
        The encoder.

    Raises:
        InputError: when they are for another network, or not finite.
    """
    own_parts = tuple(f"{stage}." for stage in STAGES if stage not in encoder.backbone.stages)
    later = tuple(f"backbone.{part}" for part in getattr(encoder.backbone, "later", own_parts))
    state = {key: value for key, value in state.items() if not key.startswith(later)}
    broken = not_finite(state)
    if broken:
        raise InputError(f"{where}: its {broken} holds NaN or infinite numbers; choose an earlier checkpoint.")
    own = encoder.state_dict()
    needed = [key for key in own if key.startswith("backbone.") and not key.endswith(".num_batches_tracked")]
    if not any(key in state for key in needed):
        called = next(iter(state), "nothing").removeprefix("backbone.")
        raise InputError(
            f"{where}: holds no {encoder.spec.backbone} (its first tensor is called {called}); choose another file or "
            "--backbone."
        )
    missing = sorted(key for key in needed if key not in state)  # old files do not count batches
    unfit = sorted(key for key, value in state.items() if key not in own or own[key].shape != value.shape)
    if missing or unfit:
        what = f"has no {missing[0]}" if missing else f"its {unfit[0]} does not fit"
        if name_of(state) not in ("", encoder.spec.backbone):
            what = f"it is a {name_of(state)}"
        raise InputError(f"{where}: is not for {encoder.spec.backbone} ({what}); choose another file or --backbone.")
    encoder.load_state_dict(state, strict=False)
    return encoder


def read_state(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a `.safetensors` file, or of the state dict in a file saved by torch, see `foreign.find_state`.

    Raises:
        InputError: when the file is missing, damaged, or holds no tensors, or is the checkpoint of a run, which does
            not say what the run has seen.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; check the path of the weights.")
    try:
        if path.suffix == ".safetensors":
            return tensors_of(read_bytes(path, LARGEST_WEIGHTS))[0]
        loaded = load_tensors(path)
    except (SafetensorError, *UNREADABLE) as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"{path}: holds no weights that can be read safely ({reason}).") from error
    if isinstance(loaded, Mapping) and loaded.keys() >= _CHECKPOINT:
        raise InputError(
            f"{path}: is the checkpoint of a run and does not say whose faces and labels it has seen; name the "
            "encoder.safetensors of the finished run."
        )
    state = find_state(loaded)
    if state is None:
        raise InputError(f"{path}: holds no state dict; save the tensors alone.")
    return state


def tensors_of(data: bytes) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the metadata of a `.safetensors` file, whose library opens paths in UTF-8 alone.

    Raises:
        SafetensorError: when it is damaged.
    """
    state: dict[str, Tensor] = safetensors.torch.load(data)
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return state, header.get("__metadata__", {})


def encoder_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names the tensors of a state dict as `Encoder` does.

    Args:
        state: of an `Encoder` (kept as it is), of torchvision's ResNet or DenseNet (`conv1.weight`; the classifier is
            dropped), of the released temporal-ranking network (`resnet18.0.weight`, `fc1.weight`), or of the released
            FAb-Net or TCAE (`encoder.0.weight`, `encoder.conv1.weight`); `module.` before a name is dropped.
    """
    state = {key.removeprefix("module."): value for key, value in state.items()}
    if which_released(state):
        return released_state(state)
    foreign = None if any(key.startswith("resnet18.") for key in state) else resnet_state(state)
    if foreign is not None:
        return foreign
    if any(key.startswith("backbone.") for key in state):
        return state
    named = {}
    for key, value in state.items():
        released = re.fullmatch(r"resnet\d+\.(\d)\.(.+)", key)
        if released and released[1] in CHILDREN:
            named[f"backbone.{CHILDREN[released[1]]}.{released[2]}"] = value
        elif key.startswith("fc1."):
            named[f"embedding.{key.removeprefix('fc1.')}"] = value
        elif not key.startswith(("fc.", "classifier.")):
            named["backbone." + _OLD_DENSE.sub(r"\1\2", key)] = value
    return named
