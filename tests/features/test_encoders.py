"""What --model may name, each against its definition, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch

from duchenne.data.prepared import Prepared
from duchenne.errors import InputError, UsageError
from duchenne.features.embed import embed
from duchenne.features.resolve import resolve
from duchenne.features.source import Context
from duchenne.modules.encoder import Encoder, EncoderSpec
from duchenne.training.runs import EncoderRecord, save_encoder

CPU = Context(device=torch.device("cpu"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "a+run"  # a plus sign in a path is no ensemble
    folder.mkdir()
    torch.manual_seed(3)
    spec = EncoderSpec(embedding_dim=16, unit_rows=True)
    record = EncoderRecord(
        method="temporal_ranking", spec=spec, size_px=32, alignment="drawn", weights="none", steps=1, duchenne="0"
    )
    save_encoder(folder, Encoder(spec), record)
    return folder


def features(name: str, data: Path, context: Context = CPU, rows: slice = slice(None)) -> np.ndarray:
    prepared = Prepared([data])
    return resolve(name).features(prepared, np.arange(len(prepared))[rows], context)


def test_an_encoder_sees_rgb_between_0_and_1_at_its_own_size(run: Path, faces: Path) -> None:
    from duchenne.training.runs import load_encoder

    prepared, encoder = Prepared([faces]), load_encoder(run).encoder
    picture = torch.from_numpy(prepared.image(150, 32)).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        expected, pooled = encoder(picture)[0], encoder.pooled(picture)[0]
    found = features(str(run), faces)
    assert found.shape == (168, 16)
    np.testing.assert_allclose(found[150], expected, atol=1e-5)
    np.testing.assert_allclose(features(str(run / "encoder.safetensors"), faces), found)
    more = features(str(run), faces, Context(device=CPU.device, feature="pooled"))
    np.testing.assert_allclose(more[150], pooled, atol=1e-4)


@pytest.mark.slow
def test_a_builder_draws_the_same_weights_in_every_process(
    faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers of a cluster, and folds in processes of their own, start from one network."""
    (tmp_path / "drawn_nets.py").write_text(
        "from torch import nn\n\n\ndef build():\n    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 48 * 48, 4))\n"
    )
    monkeypatch.chdir(tmp_path)
    code = (
        "import sys, numpy as np, torch, duchenne\n"
        "torch.manual_seed(int(sys.argv[2]))\n"
        "rows = duchenne.embed('drawn_nets:build', data=sys.argv[1], quiet=True)\n"
        "print(np.stack(rows['feature'])[0].tolist())"
    )
    said = [
        subprocess.run([sys.executable, "-c", code, str(faces), seed], capture_output=True, text=True, cwd=tmp_path)
        for seed in ("1", "2")
    ]
    assert [one.returncode for one in said] == [0, 0], said[0].stderr
    assert said[0].stdout == said[1].stdout


@pytest.mark.parametrize("frames", [["0000.png"] * 168, [0.5] * 168, [None, *[1.0] * 167]])
def test_frames_of_a_table_that_are_no_whole_numbers(frames: list[object], faces: Path, tmp_path: Path) -> None:
    table = Prepared([faces]).frames[["subject", "clip"]].assign(frame=frames, feature=[[1.0]] * 168)
    table.to_parquet(tmp_path / "f.parquet")
    with pytest.raises(InputError, match=r"f\.parquet: its column `frame` is not of whole numbers"):
        features(f"features:{tmp_path / 'f.parquet'}", faces)


def test_pixels_are_the_grey_crop(faces: Path) -> None:
    found = features("pixels", faces)
    grey = cv2.cvtColor(Prepared([faces]).image(7), cv2.COLOR_RGB2GRAY)
    np.testing.assert_allclose(
        found[7], cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA).ravel() / 255, atol=1e-6
    )
    assert 0 <= found.min() < 0.3 < 0.6 < found.max() <= 1


def test_columns_and_ensembles(faces: Path) -> None:
    prepared = Prepared([faces])
    np.testing.assert_allclose(features("landmarks", faces)[9], prepared.landmarks()[9].ravel() / 48, rtol=1e-6)
    with_blendshapes = slice(28, None)
    both = features("landmarks+blendshapes", faces, rows=with_blendshapes)
    assert both.shape == (140, 136 + 52)
    np.testing.assert_array_equal(both[:, 136:], prepared.blendshapes()[28:])
    with pytest.raises(InputError, match=r"28 of 168 faces .* have no blendshapes"):
        features("blendshapes", faces)


def test_random_weights_follow_the_seed_and_the_runs_shape(run: Path, faces: Path) -> None:
    few = slice(0, 3)
    first = features(f"random:{run}", faces, rows=few)
    assert first.shape == (3, 16)
    again = features(f"random:{run}", faces, Context(device=CPU.device, seed=0), rows=few)
    other = features(f"random:{run}", faces, Context(device=CPU.device, seed=1), rows=few)
    assert (first == again).all()
    assert np.abs(first - other).max() > 1e-3
    assert np.abs(first - features(str(run), faces, rows=few)).max() > 1e-3
    assert resolve("random").seeded
    assert not resolve(str(run)).seeded


def test_embedded_features_come_back_by_their_keys(run: Path, faces: Path, tmp_path: Path) -> None:
    table = tmp_path / "features.parquet"
    assert embed(model=str(run), data=faces, out=table, quiet=True) == table
    assert pq.read_schema(table).names == ["subject", "clip", "frame", "feature"]
    assert str(pq.read_schema(table).field("feature").type).startswith("fixed_size_list<")
    expected = features(str(run), faces)
    shuffled = pd.read_parquet(table).sample(frac=1, random_state=0)
    shuffled.to_parquet(tmp_path / "shuffled.parquet")
    np.testing.assert_allclose(features(f"features:{tmp_path / 'shuffled.parquet'}", faces), expected, atol=1e-6)
    shuffled.iloc[:100].to_parquet(tmp_path / "part.parquet")
    with pytest.raises(InputError, match="lacks 68 of 168"):
        features(f"features:{tmp_path / 'part.parquet'}", faces)
    pd.concat([shuffled, shuffled.iloc[:1]]).to_parquet(tmp_path / "twice.parquet")
    with pytest.raises(InputError, match="more than once"):
        features(f"features:{tmp_path / 'twice.parquet'}", faces)
    shuffled.drop(columns="clip").to_parquet(tmp_path / "lacks.parquet")
    with pytest.raises(InputError, match="no column `clip`"):
        features(f"features:{tmp_path / 'lacks.parquet'}", faces)


def test_builders(faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my_encoders.py").write_text(
        "import torch\n"
        "def build():\n    return torch.nn.Sequential(torch.nn.AvgPool2d(16), torch.nn.Flatten())\n"
        "def wrong():\n    return torch.nn.Identity()\n"
        "def empty():\n    return None\n"
        "class Two(torch.nn.Module):\n    def forward(self, x):\n        return x, x\n"
    )
    assert features("my_encoders:build", faces).shape == (168, 27)
    with pytest.raises(UsageError, match=r"shape .* not \(B, D\)"):
        features("my_encoders:wrong", faces)
    with pytest.raises(UsageError, match=r"my_encoders:Two: gives a tuple for 64 pictures, not \(B, D\)"):
        features("my_encoders:Two", faces)
    with pytest.raises(UsageError, match="no pooled features"):
        features("my_encoders:build", faces, Context(device=CPU.device, feature="pooled"))
    for name, sentence in {
        "my_encoders:empty": "returns a NoneType",
        "my_encoders:absent": "cannot be imported",
        "no_such_package:build": "cannot be imported",
    }.items():
        with pytest.raises(UsageError, match=sentence):
            resolve(name)


def test_what_means_nothing_is_refused(tmp_path: Path, faces: Path) -> None:
    with pytest.raises(UsageError, match="duchenne: finds action units in faces and has no features; use blendshapes"):
        resolve("duchenne")
    with pytest.raises(UsageError, match="runs/nowhere: is neither a run folder"):
        resolve("runs/nowhere")
    with pytest.raises(InputError, match="no finished run"):
        resolve(str(tmp_path))
    with pytest.raises(InputError, match="there is no such file"):
        resolve("features:nowhere.parquet")
    with pytest.raises(UsageError, match=r"\.parquet"):
        embed(model="pixels", data=faces, out=tmp_path / "features.csv", quiet=True)


def test_values_that_are_not_finite_are_refused(faces: Path, tmp_path: Path, make_faces: Callable[..., Path]) -> None:
    table = tmp_path / "features.parquet"
    embed(model="pixels", data=faces, out=table, quiet=True)
    frame = pd.read_parquet(table)
    frame.at[5, "feature"] = np.full(1024, np.nan, dtype=np.float32)
    frame.to_parquet(table)
    with pytest.raises(InputError, match="not finite for 1 of 168"):
        features(f"features:{table}", faces)
