"""What only a CUDA GPU can show: training, resuming, evaluating and detecting there give what a processor gives.

Skipped without one; `python -m pytest tests/cuda` on a machine with one takes about a minute.
"""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from tests.methods.made import SMALL
from tests.training.made import moving_squares

import duchenne
from duchenne.methods.registry import METHODS
from duchenne.modules.backbones.compact import to_cells
from duchenne.modules.roi_align import roi_align
from duchenne.training.config import method_run_config
from duchenne.training.runs import load_encoder

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU here")


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faces")
    options = {"clips": 2, "frames": 24, "size_px": 64, "quiet": True}
    duchenne.synth(folder / "learned", subjects=8, seed=1, **options)
    duchenne.synth(folder / "tested", subjects=6, seed=2, **options)
    return folder


@pytest.fixture(scope="module")
def squares(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "squares"
    moving_squares(folder)
    return folder


def losses_of(run):
    """What the log says of every step."""
    return [json.loads(line)["loss"] for line in (run / "log.jsonl").read_text().splitlines()]


def with_networks():
    """Every method with two networks, or with its own where it has one."""
    for name in sorted(METHODS):
        chosen = "backbone" in method_run_config(name).__dataclass_fields__
        yield from ((name, backbone) for backbone in (("compact", "resnet18") if chosen else (None,)))


@pytest.mark.parametrize(("name", "backbone"), list(with_networks()))
def test_every_method_trains(name, backbone, faces, tmp_path):
    fields = {k: v for k, v in SMALL[name].items() if k not in ("aus", "positive_shares", "subject_numbers")}
    options = {**fields, "size_px": 64, "max_steps": 3, "batch_size": 8, "device": "cuda"}
    options |= {"backbone": backbone} if backbone else {"layers": 6}
    options |= {"validation_share": 0.0, "schedule": "constant", "log_every": 1, "weights": "none", "quiet": True}
    duchenne.pretrain(name, data=faces / "learned", out=tmp_path / "run", **options)
    losses = losses_of(tmp_path / "run")
    assert len(losses) >= 3
    assert all(math.isfinite(loss) for loss in losses)


def test_float32_on_both_gives_the_same_losses(squares, tmp_path):
    """The draws are made on the processor from the same seed, so that only rounding differs."""
    found = {}
    for device in ("cpu", "cuda"):
        options = {"recipe": "smoke/temporal_ranking", "precision": "float32", "device": device, "log_every": 1}
        duchenne.pretrain("temporal_ranking", data=squares, out=tmp_path / device, quiet=True, **options)
        found[device] = losses_of(tmp_path / device)
    np.testing.assert_allclose(found["cuda"], found["cpu"], rtol=2e-2)
    assert found["cuda"][0] == pytest.approx(found["cpu"][0], rel=1e-3)


def test_a_stopped_training_goes_on_as_if_it_had_not_been_stopped(squares, tmp_path):
    options = {"recipe": "smoke/moco", "device": "cuda", "precision": "float32", "schedule": "constant", "log_every": 1}
    options |= {"data": squares, "quiet": True}
    duchenne.pretrain("moco", out=tmp_path / "whole", max_steps=6, **options)
    duchenne.pretrain("moco", out=tmp_path / "run", max_steps=3, **options)
    result = duchenne.pretrain("moco", out=tmp_path / "run", max_steps=6, resume=True, **options)
    assert (result.steps, result.finished) == (6, True)
    np.testing.assert_allclose(losses_of(tmp_path / "run"), losses_of(tmp_path / "whole"), rtol=1e-3)
    found, expected = (load_encoder(tmp_path / name).encoder.state_dict() for name in ("run", "whole"))
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-2, atol=1e-3, msg=key)


def test_an_encoder_sees_the_same_on_both(squares, tmp_path):
    duchenne.pretrain(
        "simclr", data=squares, out=tmp_path / "run", recipe="smoke/simclr", backbone="compact", size_px=64,
        max_steps=2, device="cuda", quiet=True,
    )  # fmt: skip
    encoder, x = load_encoder(tmp_path / "run").encoder, torch.rand(4, 3, 80, 80)
    with torch.no_grad():
        here, there = encoder(x), encoder.cuda()(x.cuda()).cpu()
    assert torch.allclose(here, there, atol=5e-2)


def test_operations_of_our_own_are_the_same_on_both():
    maps, boxes = torch.randn(2, 3, 7, 7), torch.tensor([[[4.0, 8.0, 40.0, 60.0]]]).repeat(2, 1, 1)
    assert torch.allclose(to_cells(maps), to_cells(maps.cuda()).cpu(), atol=1e-5)
    here = roi_align(maps, boxes, output=2, scale=7 / 64)
    assert torch.allclose(here, roi_align(maps.cuda(), boxes.cuda(), output=2, scale=7 / 64).cpu(), atol=1e-5)


def test_evaluation_and_a_detector(faces, tmp_path):
    data = faces / "tested"
    scores = {
        device: duchenne.evaluate(
            "linear", model="random", data=data, out=tmp_path / device, device=device, baselines=False, quiet=True
        )["auc"].mean()
        for device in ("cpu", "cuda")
    }
    assert scores["cuda"] == pytest.approx(scores["cpu"], abs=0.02)
    fitted = {
        device: duchenne.fit(model="random", data=data, out=tmp_path / f"detector {device}", device=device, quiet=True)
        for device in ("cpu", "cuda")
    }
    assert fitted["cuda"]["auc"].notna().any()
    np.testing.assert_allclose(fitted["cuda"]["auc"], fitted["cpu"]["auc"], atol=0.05, equal_nan=True)
