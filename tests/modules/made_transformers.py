"""Small networks of transformers, and records of them as anybody can write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from duchenne.features.encoder import EncoderSource
from duchenne.modules.encoder import Encoder, EncoderSpec

transformers: Any = pytest.importorskip("transformers")
safetensors: Any = pytest.importorskip("safetensors.torch")

VIT: dict[str, Any] = {
    "model_type": "vit", "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16,
    "image_size": 64, "patch_size": 16,
}  # fmt: skip
CONVNEXT: dict[str, Any] = {"model_type": "convnext", "hidden_sizes": [8, 12, 16, 20], "depths": [1, 1, 1, 1]}


def network(values: dict[str, Any]) -> Any:
    torch.manual_seed(0)
    return transformers.AutoModel.from_config(transformers.AutoConfig.for_model(**values)).eval()


def saved(folder: Path, values: dict[str, Any]) -> Path:
    """A folder of a network, as transformers writes it."""
    network(values).save_pretrained(folder)
    return folder


def spec_of(values: Any) -> dict[str, Any]:
    text = values if isinstance(values, str) else json.dumps(values)
    name = values.get("model_type", "vit") if isinstance(values, dict) else "vit"
    return {"backbone": f"transformers:{name}", "backbone_config": text}


def recorded(folder: Path, spec: dict[str, Any], tensors: dict[str, Tensor]) -> Path:
    """A run's record and weights that know nothing of each other, as anybody can write them."""
    folder.mkdir()
    plain = {"method": "simclr", "size_px": 64, "alignment": "none", "weights": "none", "steps": 1, "duchenne": "0"}
    (folder / "encoder.json").write_text(json.dumps({**plain, "spec": spec, "format_version": 1}))
    safetensors.save_file(tensors, folder / "encoder.safetensors")
    return folder


def tensors_of(values: dict[str, Any]) -> dict[str, Tensor]:
    return Encoder(EncoderSpec(**spec_of(values))).state_dict()


def from_detector(spec: dict[str, Any], tensors: dict[str, Tensor]) -> EncoderSource:
    return EncoderSource.from_spec({"kind": "encoder", "input_px": 64, "spec": spec}, tensors, "d/detector.json")
