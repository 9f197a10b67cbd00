"""Turns weights that authors released into encoders of this library: temporal ranking's, FAb-Net's and TCAE's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from torch import Tensor

from duchenne._version import __version__
from duchenne.errors import InputError, UsageError
from duchenne.modules.encoder import Encoder, EncoderSpec
from duchenne.training.released import released_state, which_released
from duchenne.training.runs import EncoderRecord, TrainedOn, save_encoder
from duchenne.training.weights import encoder_state, fill_encoder, read_state

_LICENCE: Final = "none stated by the authors"


@dataclass(frozen=True)
class _Network:
    """A released network: its encoders by name of their files, and what it was trained on."""

    method: str
    encoders: dict[str, tuple[EncoderSpec, dict[str, Tensor]]]
    data: tuple[str, ...]


def convert(weights: str | Path, *, out: str | Path) -> Path:
    """Writes `encoder.safetensors` and `encoder.json` from a released state dict.

    Args:
        weights: the authors' file, saved from DataParallel or not: of temporal ranking (ResNet-18, linear layer 512 to
            256), of FAb-Net (with or without a classifier beside it), or of TCAE, whose pose code goes beside as
            `encoder_pose.safetensors`. Nothing in it is executed.
        out: folder to make; `--model OUT` takes it everywhere.

    Returns:
        The folder.

    Raises:
        UsageError: when `out` holds an encoder already.
        InputError: when the file cannot be read or is for another network.
    """
    out = Path(out)
    if (out / "encoder.safetensors").exists():
        raise UsageError(f"{out}: holds an encoder already; name another --out.")
    network = _network(weights)
    built = {}
    for name, (spec, state) in network.encoders.items():
        built[name] = fill_encoder(Encoder(spec), state, str(weights))
    trained_on = tuple(TrainedOn(dataset=name, subjects=(), labels=False, licence=_LICENCE) for name in network.data)
    for name, encoder in built.items():
        record = EncoderRecord(
            method=network.method,
            spec=encoder.spec,
            size_px=256,
            alignment="the crops of VoxCeleb2",
            weights=f"released by the authors ({Path(weights).name})",
            steps=0,
            duchenne=__version__,
            trained_on=trained_on,
        )
        save_encoder(out, encoder, record, name=name)
    return out


def _network(weights: str | Path) -> _Network:
    state = {key.removeprefix("module."): value for key, value in read_state(weights).items()}
    found, both = which_released(state), ("voxceleb1", "voxceleb2")
    if found == "fab_net":
        return _Network(found, {"encoder": (EncoderSpec(backbone="strided8"), released_state(state))}, both)
    if found == "twin_cycle":
        spec = EncoderSpec(backbone="strided8_bn")
        codes = {"encoder": (spec, released_state(state)), "encoder_pose": (spec, released_state(state, "pose"))}
        return _Network(found, codes, both)
    if "fc1.weight" not in state:
        raise InputError(
            f"{weights}: is none of the released networks (temporal ranking: fc1.weight; FAb-Net: encoder.20.weight; "
            "TCAE: encoder.conv8_1.weight); choose another file."
        )
    state = encoder_state(state)
    spec = EncoderSpec(backbone="resnet18", embedding_dim=len(state["embedding.weight"]), unit_rows=True)
    return _Network("temporal_ranking", {"encoder": (spec, state)}, ("voxceleb2",))
