"""Faces are as large in scoring as in training: the centre of the mean random crop, stored with the encoder."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.methods.made import small_method
from tests.training.made import moving_squares

import duchenne
from duchenne.features.resolve import resolve
from duchenne.features.source import Context
from duchenne.modules.encoder import Encoder, EncoderSpec
from duchenne.training.runs import load_encoder
from duchenne.types import ClipBatch

SIDE = 240


def width_of_square(pictures: torch.Tensor) -> torch.Tensor:
    """Pixels of a white square's side in (B, 3, H, W) pictures, from its area."""
    return pictures[:, 0].sum(dim=(1, 2)).sqrt()


@pytest.mark.parametrize("name", ["supervised", "cl_ile"])
def test_a_face_is_as_large_in_scoring_as_in_training(name: str) -> None:
    method = small_method(name, crop_min=224 / 240, crop_max=224 / 240, size_px=SIDE)
    face = torch.zeros(8, 1, 3, SIDE, SIDE, dtype=torch.uint8)
    face[..., 90:150, 90:150] = 255
    numbers = torch.arange(8)
    labels = {"aus": torch.randint(0, 2, (8, 1, 2), dtype=torch.int8)}
    batch = ClipBatch(face, numbers[:, None], numbers, numbers, labels)
    trained_on = width_of_square(method.augment(batch).images[:, 0])
    scored_on = width_of_square(method.encoder.look(face[:, 0].float() / 255))
    assert trained_on.mean().item() == pytest.approx(60 * 240 / 224, rel=0.01)
    assert scored_on.mean().item() == pytest.approx(trained_on.mean().item(), rel=0.005)
    centre = torch.nonzero(method.encoder.look(face[:1, 0].float() / 255)[0, 0] > 0.5).float().mean(0)
    assert centre.tolist() == pytest.approx([SIDE / 2 - 0.5] * 2, abs=0.5)


@pytest.mark.parametrize("name", ["supervised", "cl_ile"])
def test_whole_faces_are_judged_by_their_centre(name: str) -> None:
    method = small_method(name).eval()
    x = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(method.judge(x), method.scores(method.encoder.look(x)))
        assert not torch.equal(method.judge(x), method.scores(x))
        assert torch.equal(method.encoder(x), method.encoder.embed(method.encoder.look(x)))


def test_an_encoder_without_a_view_sees_the_whole_face() -> None:
    encoder = Encoder(EncoderSpec(backbone="resnet18")).eval()
    x = torch.rand(2, 3, 32, 32)
    assert encoder.look(x) is x


def test_the_view_is_stored_and_used_by_evaluations(tmp_path: Path) -> None:
    data = moving_squares(tmp_path / "squares")
    fields = {"size_px": 32, "max_steps": 1, "batch_size": 4, "validation_share": 0.0, "schedule": "constant",
              "device": "cpu", "quiet": True, "precision": "float32"}  # fmt: skip
    duchenne.pretrain("supervised", data=tmp_path / "squares", out=tmp_path / "run", **fields)
    loaded = load_encoder(tmp_path / "run")
    assert loaded.record.spec.view == pytest.approx(224 / 240)
    context = Context(device=torch.device("cpu"))
    rows = np.arange(6)
    found = resolve(str(tmp_path / "run")).features(data, rows, context)
    values = found if isinstance(found, np.ndarray) else found[0]
    x = torch.from_numpy(data.images(rows, 32)).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        expected = loaded.encoder.embed(torch.nn.functional.interpolate(
            x[..., 1:31, 1:31], (32, 32), mode="bilinear", align_corners=False
        ))  # fmt: skip
    assert np.allclose(values, expected.numpy(), atol=1e-5)
