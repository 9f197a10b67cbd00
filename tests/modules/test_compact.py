"""The network that keeps where things are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.methods.made import SMALL, random_labels
from tests.training.made import moving_squares

import duchenne
from duchenne.errors import UsageError
from duchenne.methods.registry import METHODS
from duchenne.modules.backbones.build import BACKBONES, build_backbone
from duchenne.modules.backbones.compact import STAGES, to_cells
from duchenne.training.config import method_run_config
from duchenne.training.runs import build_method, load_encoder
from duchenne.types import ClipBatch


def test_sizes():
    network = build_backbone("compact").eval()
    assert sum(p.numel() for p in network.parameters()) == 1_824 + 413_568 + 1_088 + 262_144 + 256  # by hand
    with torch.no_grad():
        for side in (64, 65, 80, 112, 224):
            assert network(torch.rand(2, 3, side, side)).shape == (2, 128)
        for stage, cells in zip(STAGES, (16, 8, 4), strict=True):
            assert network.feature_map(torch.rand(1, 3, 64, 64), stage).shape[-2:] == (cells, cells)
    with pytest.raises(ValueError, match="takes pictures from 64 px, not 63"):
        network(torch.rand(2, 3, 63, 63))
    with pytest.raises(ValueError, match="no stage 'layer4'"):
        network.feature_map(torch.rand(1, 3, 64, 64), "layer4")


@pytest.mark.parametrize("side", [4, 5, 6, 7, 14])
def test_cells_average_equal_areas(side):
    maps = torch.randn(2, 3, side, side, dtype=torch.float64)
    fine = maps.numpy().repeat(4, axis=2).repeat(4, axis=3)  # every cell is then a whole number of rows and columns
    expected = fine.reshape(2, 3, 4, side, 4, side).mean(axis=(3, 5))
    np.testing.assert_allclose(to_cells(maps).numpy(), expected, atol=1e-6)
    if side == 4:
        assert to_cells(maps) is maps


def test_features_tell_where_a_thing_is(monkeypatch):
    """The same cells in other places: nothing to an average, another vector here."""
    for name, channels, same in (("resnet18", 512, True), ("compact", 128, False)):
        network = build_backbone(name).eval()
        cells = torch.randn(1, channels, 4, 4)
        features = []
        for maps in (cells, cells.flip(-1)):
            monkeypatch.setattr(network, "feature_map", lambda x, maps=maps: maps)
            features.append(network(torch.zeros(1, 3, 64, 64)).detach())
        assert torch.allclose(*features, atol=1e-6) == same


def test_every_method_learns_on_it():
    for name in METHODS:
        if "backbone" not in method_run_config(name).__dataclass_fields__:
            continue  # the flow methods have a network of their own
        method = build_method(name, method_run_config(name)(**{**SMALL[name], "size_px": 64, "backbone": "compact"}))
        frames, generator = method.sampler(method.config).frames, torch.Generator().manual_seed(0)
        images = torch.randint(0, 256, (4, frames, 3, 64, 64), generator=generator, dtype=torch.uint8)
        rows = torch.arange(4 * frames).view(4, frames)
        labels = random_labels(method, 4, frames, generator)
        batch = ClipBatch(images, rows, torch.arange(4), torch.arange(4) // 2, labels)
        method.training_step(method.augment(batch)).loss.backward()
        for key, parameter in method.named_parameters():
            if parameter.requires_grad:
                assert parameter.grad is not None, (name, key)


def test_a_run_comes_back_with_its_backbone(tmp_path):
    moving_squares(tmp_path / "data")
    fields = {"recipe": "smoke/simclr", "backbone": "compact", "size_px": 64, "max_steps": 2, "quiet": True}
    duchenne.pretrain("simclr", data=tmp_path / "data", out=tmp_path / "run", **fields)
    loaded = load_encoder(tmp_path / "run")
    assert loaded.record.spec.backbone == "compact"
    with torch.no_grad():
        assert loaded.encoder(torch.rand(2, 3, 64, 64)).shape == (2, 128)
        assert loaded.encoder.feature_map(torch.rand(1, 3, 64, 64), "layer3").shape == (1, 128, 4, 4)
    with pytest.raises(UsageError, match="size_px 48: compact takes pictures from 64 px"):
        duchenne.pretrain("simclr", data=tmp_path / "data", out=tmp_path / "small", **{**fields, "size_px": 48})
    with pytest.raises(UsageError, match="no backbone `compat`; did you mean `compact`"):
        duchenne.pretrain("simclr", data=tmp_path / "data", out=tmp_path / "wrong", **{**fields, "backbone": "compat"})


def test_info_lists_them():
    assert set(duchenne.info()["backbones"]) >= set(BACKBONES) >= {"compact", "resnet18", "resnet152"}
