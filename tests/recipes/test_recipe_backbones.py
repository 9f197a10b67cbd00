"""Networks of the papers' tables of backbones: built as their recipes say, by the registry, and used.

Parameters are those of torchvision's documentation (its numbers of IMAGENET1K weights) less the classifier on top.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.methods.made import SMALL
from tests.training.made import moving_squares

import duchenne
from duchenne.config import from_mapping
from duchenne.errors import UsageError
from duchenne.methods.base import Method
from duchenne.training.config import method_run_config
from duchenne.training.recipes import load_recipe, recipe_names
from duchenne.training.runs import build_method, load_encoder
from duchenne.types import ClipBatch

HUB: dict[str, dict[str, Any]] = {
    "efficientnet-b2": {
        "model_type": "efficientnet", "width_coefficient": 1.1, "depth_coefficient": 1.2, "image_size": 260,
        "hidden_dim": 1408, "dropout_rate": 0.3, "depthwise_padding": [5, 8, 16],
    },
    "swin-tiny-patch4-window7-224": {"model_type": "swin"},
    "mobilenet_v2_1.0_224": {"model_type": "mobilenet_v2"},
}  # fmt: skip
"""Folder that a recipe names -> what the `config.json` of that name on the Hugging Face hub sets."""
NETWORKS: dict[str, tuple[int, int, int]] = {
    "supervised/cl_ile_backbone": (32, 512, 11_689_512 - 513 * 1000),
    "supervised/cl_ile_resnet50": (32, 2048, 25_557_032 - 2049 * 1000),
    "supervised/cl_ile_resnet152": (32, 2048, 60_192_808 - 2049 * 1000),
    "supervised/cl_ile_swin": (224, 768, 28_288_354 - 769 * 1000),
    "supervised/cl_ile_efficientnet_b2": (32, 1408, 9_109_994 - 1409 * 1000),
    "temporal_ranking/voxceleb2_k1_mobilenet_v2": (32, 1280, 3_504_872 - 1281 * 1000),
    "temporal_ranking/voxceleb2_k1_densenet121": (32, 1024, 7_978_856 - 1025 * 1000),
}
"""Recipe -> a side that the network takes (Swin: 7 cells of 32 px), channels of its last map, parameters."""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the hub's configurations, and random weights of their shapes."""
    transformers = pytest.importorskip("transformers")
    for name, values in HUB.items():
        config = transformers.AutoConfig.for_model(**values)
        transformers.AutoModel.from_config(config).save_pretrained(tmp_path / name)
        assert json.loads((tmp_path / name / "config.json").read_text())["model_type"] == values["model_type"]
    monkeypatch.chdir(tmp_path)
    return tmp_path


def built(name: str) -> Method:
    """With random weights in place of those that would be fetched; those of a folder are its network's own."""
    kind = name.split("/")[0]
    data = {key: SMALL[kind][key] for key in ("aus", "positive_shares") if key in SMALL[kind]}
    values = {**load_recipe(name, kind), **data, "weights": "none"}
    return build_method(kind, from_mapping(method_run_config(kind), values, where=name))


@pytest.mark.slow
def test_networks_of_the_tables_are_built_and_trained(hub: Path) -> None:
    torch.manual_seed(0)
    for name, (side, channels, parameters) in NETWORKS.items():
        method = built(name)
        encoder: Any = method.encoder
        assert sum(p.numel() for p in encoder.backbone.parameters()) == parameters, name
        frames = method.sampler(method.config).frames
        pictures = torch.randint(0, 256, (2, frames, 3, side, side), dtype=torch.uint8)
        rows = torch.arange(2 * frames).view(2, frames)
        wanted = method.labels(method.config)
        labels = {"aus": torch.tensor([[[0, 1]], [[1, 0]]], dtype=torch.int8)} if wanted.aus else {}
        batch = ClipBatch(pictures, rows, torch.arange(2), torch.arange(2), labels)
        with torch.no_grad():
            seen = pictures[:, 0].float() / 255
            assert encoder.eval().feature_map(seen).shape == (2, channels, max(1, side // 32), max(1, side // 32)), name
            assert encoder(seen).shape == (2, encoder.feature_dim)
        loss = method.train().training_step(method.augment(batch)).loss
        loss.backward()
        assert torch.isfinite(loss), name
        unmoved = [key for key, p in encoder.named_parameters() if p.requires_grad and p.grad is None]
        assert not unmoved, name


def test_the_test_above_builds_every_network_of_the_tables() -> None:
    named = [name for name in recipe_names() if name.startswith("supervised/cl_ile_")]
    named += ["temporal_ranking/voxceleb2_k1_mobilenet_v2", "temporal_ranking/voxceleb2_k1_densenet121"]
    assert sorted(named) == sorted(NETWORKS)
    folders = {load_recipe(name, name.split("/")[0]).get("backbone", "") for name in named}
    assert {name.removeprefix("transformers:") for name in folders if name.startswith("transformers:")} == set(HUB)


@pytest.mark.slow
def test_a_recipe_whose_folder_is_there_is_trained_and_opened_without_it(hub: Path, tmp_path: Path) -> None:
    """The weights of the folder are the start; the run alone is enough afterwards."""
    moving_squares(tmp_path / "squares")
    name, out = "temporal_ranking/voxceleb2_k1_mobilenet_v2", tmp_path / "run"
    fields = {"size_px": 32, "batch_size": 2, "device": "cpu", "quiet": True, "lr": 1e-12, "max_steps": 1}
    duchenne.pretrain("temporal_ranking", recipe=name, data=tmp_path / "squares", out=out, **fields)
    start = built(name).encoder.state_dict()
    (tmp_path / "mobilenet_v2_1.0_224").rename(tmp_path / "gone")
    found = load_encoder(out).encoder.state_dict()
    learned = [key for key in found if key.startswith("backbone.") and key.endswith("weight")]
    assert len(learned) > 100
    assert all(torch.allclose(found[key], start[key], atol=1e-6) for key in learned)


def test_a_recipe_whose_folder_is_not_there_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("transformers")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"efficientnet-b2: is neither a model type .* nor a folder"):
        built("supervised/cl_ile_efficientnet_b2")
