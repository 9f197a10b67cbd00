"""Turns the weights that the authors of temporal ranking released into an encoder of this library."""

from __future__ import annotations

from pathlib import Path

from duchenne._version import __version__
from duchenne.errors import InputError, UsageError
from duchenne.modules.encoder import Encoder, EncoderSpec
from duchenne.training.runs import EncoderRecord, TrainedOn, save_encoder
from duchenne.training.weights import apply_weights, encoder_state, read_state


def convert(weights: str | Path, *, out: str | Path) -> Path:
    """Writes `encoder.safetensors` and `encoder.json` from the released state dict of temporal ranking.

    Args:
        weights: the authors' file (ResNet-18, linear layer 512 to 256; saved from DataParallel or not). Nothing in it
            is executed.
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
    state = encoder_state(read_state(weights))
    if "embedding.weight" not in state:
        raise InputError(f"{weights}: is not the released network (it has no fc1.weight); choose another file.")
    spec = EncoderSpec(backbone="resnet18", embedding_dim=len(state["embedding.weight"]), unit_rows=True)
    encoder = Encoder(spec)
    apply_weights(encoder, str(weights))
    record = EncoderRecord(
        method="temporal_ranking",
        spec=spec,
        size_px=256,
        alignment="the crops of VoxCeleb2",
        weights=f"released by the authors ({Path(weights).name})",
        steps=0,
        duchenne=__version__,
        trained_on=(TrainedOn(dataset="voxceleb2", subjects=(), labels=False, licence="none stated by the authors"),),
    )
    save_encoder(out, encoder, record)
    return out
