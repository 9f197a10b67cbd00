"""Python takes objects where the command line takes words and paths."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from tests.training.made import moving_squares
from torch import Tensor, nn

import duchenne
from duchenne.features.columns import PixelSource


class Means(nn.Module):
    """The mean of each colour."""

    size_px = 16

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 3)."""
        return images.mean((2, 3))


def features(path: Path) -> np.ndarray:
    return np.stack(pq.read_table(path)["feature"].to_numpy())


def test_embed_takes_a_module_and_open_data(tmp_path: Path) -> None:
    data = moving_squares(tmp_path / "squares", clips=2, frames=3)
    assert duchenne.embed(model=Means(), data=data, out=tmp_path / "means.parquet", quiet=True) == 6
    expected = data.images(np.arange(6), 16).mean(axis=(1, 2)) / 255
    np.testing.assert_allclose(features(tmp_path / "means.parquet"), expected, rtol=1e-5)
    for name, model in (("object", PixelSource()), ("word", "pixels")):
        duchenne.embed(model=model, data=data.paths, out=tmp_path / f"{name}.parquet", quiet=True)
    np.testing.assert_array_equal(features(tmp_path / "object.parquet"), features(tmp_path / "word.parquet"))


def test_pretrain_takes_open_data_and_gives_its_encoder(tmp_path: Path) -> None:
    data = moving_squares(tmp_path / "squares", clips=6, frames=8)
    done = duchenne.pretrain(
        "simclr", data=data, out=tmp_path / "run", size_px=32, batch_size=4, max_steps=1, backbone="resnet18",
        validation_share=0.0, quiet=True,
    )  # fmt: skip
    loaded, again = done.load_encoder(), duchenne.load_encoder(tmp_path / "run")
    assert loaded.record == again.record
    assert loaded.record.steps == 1
    pictures = torch.rand(2, 3, 32, 32)
    assert torch.equal(loaded.encoder(pictures), again.encoder(pictures))
    assert isinstance(data, duchenne.Prepared)
