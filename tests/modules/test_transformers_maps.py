"""Networks of transformers as backbones: which of their outputs are maps, and what of them is trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.methods.made import small_method
from tests.modules.made_transformers import CONVNEXT, VIT, saved
from torch import Tensor

from duchenne import testing
from duchenne.errors import UsageError
from duchenne.methods.base import Method
from duchenne.modules.backbones.build import build_backbone
from duchenne.modules.backbones.transformers import TransformersBackbone

transformers: Any = pytest.importorskip("transformers")


def test_registers_are_no_cells_however_small_the_picture() -> None:
    """28 px in patches of 16 px are one cell, after a class token and four registers: of six tokens the last."""
    values = {**VIT, "model_type": "dinov2_with_registers", "num_register_tokens": 4, "image_size": 32}
    backbone = build_backbone("transformers:dinov2_with_registers", config=json.dumps(values)).eval()
    for side, cells in ((28, 1), (32, 4), (47, 4), (64, 16)):
        x = torch.rand(2, 3, side, side)
        with torch.no_grad():
            tokens = backbone.network(x).last_hidden_state
            features, found = backbone(x), backbone.feature_map(x)
        assert tokens.shape == (2, 1 + 4 + cells, 8)
        assert torch.allclose(features, tokens[:, 5:].mean(1), atol=1e-6)
        assert torch.equal(found.flatten(2), tokens[:, 5:].transpose(1, 2))


def test_tokens_of_detections_are_no_cells() -> None:
    values = {**VIT, "model_type": "yolos", "image_size": [64, 64], "num_detection_tokens": 5}
    backbone = build_backbone("transformers:yolos", config=json.dumps(values)).eval()
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        tokens, found = backbone.network(x).last_hidden_state, backbone.feature_map(x)
    assert tokens.shape == (1, 1 + 16 + 5, 8)
    assert torch.equal(found[0, :, 1, 2], tokens[0, 1 + 4 + 2])


def given(monkeypatch: pytest.MonkeyPatch, *shapes: tuple[int, ...]) -> Any:
    """A backbone whose network is made to give tensors of these shapes, each its own number."""

    def outputs(self: Any, network: Any, x: Tensor) -> list[Tensor]:
        bias = network.layernorm.bias.sum() * 0
        full = [torch.full((len(x), *shape), float(number), device=x.device) for number, shape in enumerate(shapes)]
        return [bias + one for one in full]

    monkeypatch.setattr(TransformersBackbone, "_outputs", outputs)
    return build_backbone("transformers:vit", config=json.dumps(VIT)).eval()


def test_tokens_that_nothing_explains_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """64 px are 16 cells; a class token and one of distillation may stand before them, no three, and none after."""
    x = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert given(monkeypatch, (18, 8)).feature_map(x).shape == (2, 8, 4, 4)
        with pytest.raises(UsageError, match="its 19 tokens are not the cells of a square map and 2 more at most"):
            given(monkeypatch, (19, 8))
        with pytest.raises(UsageError, match=r"\(1, 8, 4, 5\) is no square map"):
            given(monkeypatch, (8, 4, 5))
        with pytest.raises(UsageError, match=r"\(1, 8\) is neither a map nor tokens"):
            given(monkeypatch, (8,))
        backbone = given(monkeypatch, (17, 8))
        monkeypatch.setattr(TransformersBackbone, "_outputs", lambda self, network, x: [torch.zeros(len(x), 20, 8)])
        with pytest.raises(ValueError, match="20 tokens of a picture of 64 x 64 px are no map"):
            backbone.feature_map(x)


def test_a_map_whose_sides_do_not_tell_lies_as_its_neighbours_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many channels as rows; and tokens are as many as the cells of the map beside them."""
    x = torch.rand(1, 3, 64, 64)
    for shape, turned in (((4, 4, 16), True), ((16, 4, 4), False)):
        backbone = given(monkeypatch, (8, 8, 8), shape, (17, 8))
        assert [layout.channels_last for layout in backbone._layouts] == [turned, turned, False]
        assert backbone._layouts[2].before == 1
        with torch.no_grad():
            assert [one.shape[1:] for one in backbone._maps(x)] == [(8, 8, 8), (16, 4, 4), (8, 4, 4)]


def test_maps_with_channels_last_are_turned() -> None:
    values = {
        "model_type": "hiera", "embed_dim": 8, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 2, 2],
        "image_size": [64, 64],
    }  # fmt: skip
    backbone = build_backbone("transformers:hiera", config=json.dumps(values)).eval()
    assert backbone.stages == ("layer1", "layer2", "layer3", "layer4")
    x = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        own = backbone.network(x, output_hidden_states=True)
        found = [backbone.feature_map(x, f"layer{n}") for n in (1, 2, 3, 4)]
    assert [one.shape[1:] for one in found] == [(8, 16, 16), (16, 8, 8), (32, 4, 4), (64, 2, 2)]
    assert own.reshaped_hidden_states[-2].shape == (2, 4, 4, 32)
    assert torch.equal(found[2][:, :, 1, 3], own.reshaped_hidden_states[-2][:, 1, 3])
    assert torch.equal(found[3][:, :, 1, 0], own.last_hidden_state[:, 2])  # row by row
    assert backbone.channels == backbone(x).shape[1] == 64


@pytest.mark.parametrize("place", ["record", "folder", "name"])
def test_a_network_that_masks_at_random_is_refused(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {**VIT, "model_type": "vit_mae", "decoder_hidden_size": 8, "decoder_num_attention_heads": 1}
    said = "gives another map of the same picture at every look"
    if place == "record":
        with pytest.raises(UsageError, match=said):
            build_backbone("transformers:vit_mae", config=json.dumps(values))
    elif place == "folder":
        with pytest.raises(UsageError, match=said):
            build_backbone(f"transformers:{saved(tmp_path / 'mae', values)}")
    else:
        small = transformers.ViTMAEConfig(**{key: value for key, value in values.items() if key != "model_type"})
        monkeypatch.setattr(transformers.AutoConfig, "for_model", lambda _: small)
        with pytest.raises(UsageError, match=said):
            build_backbone("transformers:vit_mae")


def test_a_backbone_ends_at_its_last_stage_and_later_ones_are_frozen() -> None:
    text = json.dumps(CONVNEXT)
    whole, short = (build_backbone("transformers:convnext", last, text) for last in (None, "layer3"))
    assert whole.stages == ("layer1", "layer2", "layer3", "layer4")
    assert short.stages == ("layer1", "layer2", "layer3")
    frozen = {name for name, parameter in short.network.named_parameters() if not parameter.requires_grad}
    assert frozen == {
        name for name, _ in short.network.named_parameters() if name.startswith(("encoder.stages.3.", "layernorm."))
    }
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        short.eval()
        assert torch.equal(short.feature_map(x), short.feature_map(x, "layer3"))
    with pytest.raises(ValueError, match="there is no stage 'layer4'"):
        short.feature_map(x, "layer4")
    with pytest.raises(UsageError, match=r"has no stage `layer7`; it has layer1, layer2, layer3, layer4"):
        build_backbone("transformers:convnext", "layer7", text)


def untouched(method: Method) -> list[str]:
    """Trainable parameters that a step gives no gradient: those over which DistributedDataParallel stops."""
    method.train().zero_grad()
    torch.manual_seed(0)
    batch = testing.random_batch(method, 4)
    method.training_step(method.augment(batch)).loss.backward()
    return [name for name, p in method.named_parameters() if p.requires_grad and p.grad is None]


@pytest.mark.parametrize("values", [CONVNEXT, VIT], ids=["convnext", "vit"])
def test_every_parameter_that_is_trained_gets_a_gradient(values: dict[str, Any], tmp_path: Path) -> None:
    name = f"transformers:{saved(tmp_path / 'net', values)}"
    method = small_method("knowledge_driven", backbone=name, size_px=64, bn_splits=1)
    assert not untouched(method)
    assert any(p.requires_grad for p in method.encoder.backbone.parameters())
    method = small_method("cl_ile", backbone=name, size_px=64, token_side=2, heads=2)
    bearing = {key for key, p in build_backbone(name).named_parameters() if p.requires_grad}
    for number, stage in enumerate(method.stages()):
        method.start_stage(number)
        assert not untouched(method), stage
        trained = {key for key, p in method.encoder.backbone.named_parameters() if p.requires_grad}
        assert trained == (bearing if stage.name == "backbone" else set())
    method.start_stage(0)
    assert {key for key, p in method.encoder.backbone.named_parameters() if p.requires_grad} == bearing
