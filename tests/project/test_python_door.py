"""Python takes objects where the command line takes words and paths."""

import pickle
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from tests.detection.made import write_detector
from tests.project.own_method import Brightness, OwnSupervised
from tests.training.made import moving_squares
from torch import Tensor, nn

import duchenne
from duchenne.detectors.files import load_detector
from duchenne.errors import InputError, UsageError
from duchenne.features.columns import ColumnSource, PixelSource
from duchenne.features.resolve import source_of, sources_of
from duchenne.features.source import SingleSource
from duchenne.methods import registry
from duchenne.modules.encoder import Encoder, EncoderSpec
from duchenne.training.config import method_run_config
from duchenne.types import ClipBatch, StepOutput


class Means(nn.Module):
    """The mean of each colour."""

    size_px = 16

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 3)."""
        return images.mean((2, 3))


def small_encoder() -> Encoder:
    torch.manual_seed(1)
    return Encoder(EncoderSpec(backbone="resnet18", embedding_dim=6))


def features(path: Path) -> np.ndarray:
    return np.stack(pq.read_table(path)["feature"].to_numpy())


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> duchenne.Prepared:
    return duchenne.synth(
        out=tmp_path_factory.mktemp("door") / "drawn", subjects=6, clips=1, frames=6, size_px=32, quiet=True
    )


@pytest.fixture
def own_methods() -> Iterator[None]:
    yield
    registry._OWN.clear()


def test_embed_takes_a_module_and_open_data(tmp_path: Path) -> None:
    data = moving_squares(tmp_path / "squares", clips=2, frames=3)
    table = duchenne.embed(Means(), data=data, quiet=True)
    expected = data.images(np.arange(6), 16).mean(axis=(1, 2)) / 255
    np.testing.assert_allclose(np.stack(table["feature"]), expected, rtol=1e-5)
    assert list(table) == ["subject", "clip", "frame", "feature"]
    assert table["clip"].tolist() == ["clip 0"] * 3 + ["clip 1"] * 3
    out = duchenne.embed(Means(), data=data, out=tmp_path / "means.parquet", quiet=True)
    np.testing.assert_array_equal(features(out), np.stack(table["feature"]))
    for name, model in (("object", PixelSource()), ("word", "pixels")):
        duchenne.embed(model=model, data=data.paths, out=tmp_path / f"{name}.parquet", quiet=True)
    np.testing.assert_array_equal(features(tmp_path / "object.parquet"), features(tmp_path / "word.parquet"))


def test_data_may_be_a_list_of_paths_and_open_data(tmp_path: Path) -> None:
    squares = [moving_squares(tmp_path / name, clips=2, frames=3) for name in ("a", "b")]
    table = duchenne.embed(Means(), data=[squares[0], tmp_path / "b"], quiet=True)
    assert len(table) == 12
    both = duchenne.Prepared([tmp_path / "a", tmp_path / "b"])
    moving_squares(tmp_path / "c", clips=2, frames=3)
    assert len(duchenne.embed(Means(), data=[both, str(tmp_path / "c")], quiet=True)) == 18
    for one in (str(tmp_path / "a"), tmp_path / "a", squares[0], iter([tmp_path / "a"])):
        assert len(duchenne.Prepared(one)) == 6


def test_what_is_no_data_is_refused_and_so_is_a_folder_twice(tmp_path: Path) -> None:
    """Every face would count twice, and nothing in the scores would show it."""
    data, folder = moving_squares(tmp_path / "a", clips=2, frames=3), tmp_path / "a"
    (tmp_path / "link").symlink_to(folder)
    for twice in (
        [data, data],
        [data, str(folder)],
        [folder, tmp_path / "b" / ".." / "a"],
        [folder, tmp_path / "link"],
    ):
        with pytest.raises(UsageError, match=r"(a|link): is named twice; name each folder once\.$"):
            duchenne.embed("pixels", data=twice, quiet=True)
    for other, name in ((None, "NoneType"), (3, "int"), ([folder, 3], "int"), ([np.zeros(2)], "ndarray")):
        with pytest.raises(UsageError, match=f"^data {name}: is no prepared data; name a folder"):
            duchenne.embed("pixels", data=other, quiet=True)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no prepared data was given"):
        duchenne.Prepared([])


def test_evaluate_takes_modules_and_gives_more_than_a_table(drawn: duchenne.Prepared, tmp_path: Path) -> None:
    out = tmp_path / "result"
    found = duchenne.evaluate(
        "linear", model=[Means(), "pixels", Means()], data=drawn, out=out, folds=3, l2=1.0, baselines=False, quiet=True,
        sample_faces=0, maps="none",
    )  # fmt: skip
    assert isinstance(found, pd.DataFrame)
    written = pd.read_csv(out / "scores.csv")
    pd.testing.assert_frame_equal(found.table, written)
    assert set(found["model"]) == {"Means", "pixels", "Means (3)"}
    assert type(found[found["model"] == "pixels"]) is pd.DataFrame
    assert type(found.groupby("model").mean(numeric_only=True)) is pd.DataFrame
    intervals = found.intervals.set_index(["model", "item", "aggregate", "metric"])
    mean = found.summary["models"]["pixels"]["mean_of_folds"]["f1"]
    assert intervals.loc["pixels", "mean", "mean_of_folds", "f1"].tolist() == [mean["value"], mean["low"], mean["high"]]
    by_item = found[(found["model"] == "pixels") & (found["item"] == "AU01")]["f1"].mean()
    assert intervals.loc["pixels", "AU01", "mean_of_folds", "f1"]["value"] == pytest.approx(by_item, abs=1e-5)
    same = found.differences.query("first == 'Means' and second == 'Means (3)'")
    assert len(same)
    assert (same[["value", "low", "high"]].fillna(0) == 0).all(axis=None), "the two are alike"
    other = found.differences.query("first == 'Means' and second == 'pixels' and item == 'mean' and metric == 'f1'")
    apart = [intervals.loc[name, "mean", "mean_of_folds", "f1"]["value"] for name in ("Means", "pixels")]
    assert other.iloc[0]["value"] == pytest.approx(apart[0] - apart[1], abs=2e-6)
    again = pickle.loads(pickle.dumps(found))
    assert again.out == out
    assert again.summary == found.summary
    assert duchenne.EvaluationResult is type(again)


def test_an_encoder_keeps_what_it_has_seen(drawn: duchenne.Prepared, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = duchenne.pretrain("supervised", recipe="smoke/supervised", data=drawn, out=run, max_steps=1, quiet=True)
    assert source_of(done.load_encoder()).trained_on == source_of(run).trained_on != ()
    with pytest.raises(UsageError, match=r"^model PretrainResult: is a run; give its folder, `out`,"):
        source_of(done)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="was trained with the labels"):
        duchenne.evaluate("linear", model=done.load_encoder(), data=drawn, out=tmp_path / "result", quiet=True)


def test_models_are_named_apart_or_refused() -> None:
    first, second = Means(), Means()
    assert [source.name for source in sources_of([first, second])] == ["Means", "Means (2)"]
    assert [source.name for source in sources_of(Means())] == ["Means"]
    for twice in ([first, first], ["pixels", "pixels"], [PixelSource(), "pixels"]):
        with pytest.raises(UsageError, match="is there twice"):
            sources_of(twice)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="name at least one model"):
        sources_of([])
    with pytest.raises(UsageError, match="BlendshapeModel: is a detector"):
        source_of(duchenne.load_model("blendshapes"))  # type: ignore[arg-type]
    for name in ("", " ", "pixels+", "+pixels", "pixels++landmarks", "random:none+"):
        with pytest.raises(UsageError, match=r"has an empty name in it; name a model on each side of a `\+`"):
            source_of(name)
    with pytest.raises(UsageError, match="int: gives no features"):
        source_of(3)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"^model Means: is a class; give an object of it, Means\(\.\.\.\)\.$"):
        source_of(Means)  # type: ignore[arg-type]


def test_a_source_that_is_not_whole_is_told_what_it_lacks() -> None:
    """A subclass of the protocol has everything, and gives None."""

    class Half(duchenne.FeatureSource):
        name = "half"

        def features(self, data: Any, rows: Any, context: Any) -> Any:
            return data.images(rows, 4).reshape(len(rows), -1).astype(np.float32)

    class Whole(SingleSource):
        name, seeded, trained_on = "whole", False, ()
        features = Half.features

        def describe(self) -> dict[str, Any]:
            return {}

    with pytest.raises(UsageError, match=r"^model Half: has no `seeded`; see duchenne\.FeatureSource"):
        source_of(Half())  # type: ignore[abstract]
    whole = Whole()
    assert source_of(whole) is whole  # type: ignore[arg-type,comparison-overlap]
    lacking = type("Lacking", (), {"features_of": None, "name": "lacking", "seeded": False})()
    with pytest.raises(UsageError, match=r"^model Lacking: has no `trained_on`"):
        source_of(lacking)


@pytest.mark.slow
def test_a_detector_stores_an_encoder_but_no_foreign_code(drawn: duchenne.Prepared, tmp_path: Path) -> None:
    encoder = small_encoder().train()
    duchenne.fit(model=encoder, data=drawn, out=tmp_path / "d", quiet=True)
    assert all(weight.requires_grad for weight in encoder.parameters()), "it is the user's, and stays as it is"
    (stored,) = load_detector(tmp_path / "d").source.members
    assert stored.network is not None
    weights = stored.network.build(0).state_dict()
    assert weights.keys() == encoder.state_dict().keys()
    assert all(torch.equal(weights[name], value) for name, value in encoder.state_dict().items())
    with pytest.raises(UsageError, match="Means: is a torch module whose code a detector cannot hold; name a function"):
        duchenne.fit(model=Means(), data=drawn, out=tmp_path / "none", quiet=True)
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
def test_export_takes_what_is_open(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    with pytest.raises(UsageError, match="Encoder: says no `size_px`"):
        duchenne.export(model=small_encoder(), out=tmp_path / "a.onnx")
    session = onnxruntime.InferenceSession(str(duchenne.export(model=Means(), out=tmp_path / "a.onnx")))
    faces = np.random.default_rng(0).random((4, 3, 16, 16)).astype(np.float32)
    (found,) = session.run(["features"], {"faces": faces})
    np.testing.assert_allclose(found, faces.mean(axis=(2, 3)), rtol=1e-5)
    with pytest.raises(InputError, match="encoder without action units"):
        duchenne.load_model(str(tmp_path / "a.onnx"))
    folder = write_detector(tmp_path / "d", ColumnSource("blendshapes"), widths=(52,))
    out = duchenne.export(model=duchenne.load_model(str(folder)), out=tmp_path / "d.onnx")
    assert duchenne.load_model(str(out)).columns == duchenne.load_model(str(folder)).columns
    with duchenne.Detector(duchenne.load_model(str(folder))) as detector:
        again = duchenne.export(model=detector, out=tmp_path / "again.onnx")
    assert again.read_bytes() == out.read_bytes()
    for mediapipes in ("blendshapes", duchenne.load_model("blendshapes")):
        with pytest.raises(UsageError, match=r"^model blendshapes: is MediaPipe's"):
            duchenne.export(model=mediapipes, out=tmp_path / "b.onnx")
    with pytest.raises(UsageError, match=r"^model int: cannot be exported"):
        duchenne.export(model=3, out=tmp_path / "b.onnx")  # type: ignore[arg-type]


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


@pytest.mark.usefixtures("own_methods")
def test_pretrain_takes_a_method_of_ones_own(tmp_path: Path) -> None:
    data = moving_squares(tmp_path / "squares", clips=6, frames=8)
    how = {"data": data, "out": tmp_path / "run", "quiet": True}
    done = duchenne.pretrain(Brightness, size_px=32, batch_size=4, max_steps=2, target=0.25, **how)
    assert done.finished
    record = done.load_encoder().record
    assert (record.method, record.steps) == ("brightness", 2)
    assert "target: 0.25" in (tmp_path / "run" / "config.yaml").read_text()
    assert "A paper of one's own" in (tmp_path / "run" / "methods.txt").read_text()
    assert len(duchenne.embed(f"initial:{tmp_path / 'run'}", data=data, quiet=True)) == len(data)
    resumed = duchenne.pretrain("brightness", resume=True, size_px=32, batch_size=4, max_steps=3, target=0.25, **how)
    assert resumed.steps == 3
    registry._OWN.clear()  # as in another process
    assert duchenne.load_encoder(tmp_path / "run").record.method == "brightness"
    with pytest.raises(UsageError, match=r"no method `brightness`.*duchenne\.register_method"):
        source_of(f"initial:{tmp_path / 'run'}")


@pytest.mark.usefixtures("own_methods")
def test_names_of_methods() -> None:
    assert duchenne.register_method(OwnSupervised) == "own_supervised"
    assert duchenne.register_method(OwnSupervised) == "own_supervised", "twice is once"
    assert duchenne.register_method(Brightness, "light") == "light"
    assert registry.method_name(Brightness) == "light"
    assert registry.method_name(registry.method_class("clp")) == "clp"
    assert registry.config_class("light") is Brightness.Config
    with pytest.raises(UsageError, match="method `light` already"):
        duchenne.register_method(OwnSupervised, "light")
    with pytest.raises(UsageError, match="method `clp` in the package"):
        duchenne.register_method(Brightness, "clp")
    with pytest.raises(UsageError, match="cannot be called `Not so`"):
        duchenne.register_method(Brightness, "Not so")
    with pytest.raises(UsageError, match="Means: has no `Config`"):
        duchenne.register_method(Means)  # type: ignore[arg-type]


class Unfinished(duchenne.Method):
    Config = Brightness.Config
    CITATION = "None."

    def training_step(self, batch: ClipBatch) -> StepOutput:
        raise NotImplementedError


class Open(Brightness):
    @dataclass
    class Config:
        bn_splits: int = 1


class Whole(Brightness):
    @dataclass(frozen=True, kw_only=True)
    class Config:
        target: float = 0.5


class Rate(Brightness):
    @dataclass(frozen=True, kw_only=True)
    class Config(Brightness.Config):  # type: ignore[name-defined,misc]
        lr: float = 0.5


class Misspelt(Brightness):
    @dataclass(frozen=True, kw_only=True)
    class Config(Brightness.Config):  # type: ignore[name-defined,misc]
        TRAINING_DEFAULTS = {"batchsize": 4}  # noqa: RUF012


class Bare(Brightness):
    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.encoder = nn.Linear(3, 4)  # type: ignore[assignment]


class Gives(Brightness):
    """Its step gives `output`, of the loss as it should be."""

    output: Any = None

    def training_step(self, batch: ClipBatch) -> Any:
        return self.output(super().training_step(batch).loss)


def gives(output: Any) -> type[Gives]:
    return type("Gives", (Gives,), {"output": staticmethod(output)})


@pytest.mark.usefixtures("own_methods")
@pytest.mark.parametrize(
    ("method", "said"),
    [
        (3, "method int: is no class; give a subclass of duchenne.Method, or a name."),
        (None, "method NoneType: is no class"),
        (Brightness(Brightness.Config()), "method Brightness: is no class"),
        (Unfinished, "Unfinished: has no `augment`, which every method needs"),
        (Open, "Open: its `Config` is no dataclass that is frozen"),
        (Whole, "Whole: its `Config` has no field `bn_splits`"),
        (Rate, "has a field `lr`, and so has the training; give it another name"),
        (
            Misspelt,
            "TRAINING_DEFAULTS names `batchsize`, which is no field of the training; did you mean `batch_size`?",
        ),
        (Bare, "Bare: its `encoder` is a Linear, not an Encoder of duchenne.modules.encoder"),
        (gives(lambda loss: loss), "Gives: `training_step` gives a Tensor; return StepOutput(loss, {})."),
        (gives(lambda loss: StepOutput(loss.expand(4))), "gives `loss` of shape (4,); it must be one number."),
        (gives(lambda loss: StepOutput(loss.detach())), "gives a loss without a gradient"),
        (gives(lambda loss: StepOutput(0.5)), "gives a loss without a gradient"),  # type: ignore[arg-type]
        (gives(lambda loss: StepOutput(loss, {"most": torch.ones(2)})), "gives `most` of shape (2,)"),
        (gives(lambda loss: StepOutput(loss, {"kind": "a"})), "gives `kind` as a str; it must be"),  # type: ignore[dict-item]
    ],
)
def test_what_is_wrong_with_a_method_is_said_of_the_method(tmp_path: Path, method: Any, said: str) -> None:
    data = moving_squares(tmp_path / "squares", clips=4, frames=2)
    with pytest.raises(UsageError, match=re.escape(said)):
        duchenne.pretrain(method, data=data, out=tmp_path / "run", size_px=32, batch_size=4, max_steps=1, quiet=True)
    if not isinstance(method, type):
        for refused in (duchenne.register_method, lambda other: duchenne.evaluate(method=other, data=data, out="no")):
            with pytest.raises(UsageError, match="is no class"):
                refused(method)


@pytest.mark.usefixtures("own_methods")
def test_numbers_of_numpy_may_be_logged(tmp_path: Path) -> None:
    data = moving_squares(tmp_path / "squares", clips=4, frames=2)
    method, seen = gives(lambda loss: StepOutput(loss, {"a": np.float32(0.25), "b": 2, "c": loss.detach()[None]})), []
    duchenne.pretrain(
        method, data=data, out=tmp_path / "run", size_px=32, batch_size=4, max_steps=1, quiet=True, on_log=seen.append
    )
    assert (seen[0]["a"], seen[0]["b"], seen[0]["c"]) == (0.25, 2, seen[0]["loss"])


@pytest.mark.usefixtures("own_methods")
def test_training_defaults_may_stand_with_the_class_or_its_configuration() -> None:
    class Bare(Brightness):
        @dataclass(frozen=True, kw_only=True)
        class Config:
            bn_splits: int = 1

        TRAINING_DEFAULTS = {"batch_size": 7}  # noqa: RUF012

    assert method_run_config(duchenne.register_method(Bare))().batch_size == 7
    assert Bare.TRAINING_DEFAULTS == {"batch_size": 7}


class Fails(Means):
    def forward(self, images: Tensor) -> Tensor:
        """Does not."""
        raise ValueError("boom")


class Map(Means):
    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> the same."""
        return images


@pytest.mark.parametrize("protocol", ["finetune", "linear+bn"])
@pytest.mark.parametrize(
    ("model", "said"),
    [
        (Fails(), r"cannot look at pictures of 16 px \(ValueError: boom\)"),
        (Map(), r"gives shape \(1, 3, 16, 16\) for 1"),
    ],
)
def test_a_network_that_cannot_be_trained_further_is_told_why(
    drawn: duchenne.Prepared, tmp_path: Path, protocol: str, model: nn.Module, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        duchenne.evaluate(protocol, model=model, data=drawn, out=tmp_path / "out", baselines=False, quiet=True)


@pytest.mark.slow
@pytest.mark.usefixtures("own_methods")
@pytest.mark.parametrize("workers", [1, 2])
def test_finetune_trains_a_method_of_ones_own(drawn: duchenne.Prepared, tmp_path: Path, workers: int) -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    found = duchenne.evaluate(
        "finetune", method=OwnSupervised, model=module, data=drawn, out=tmp_path / "result",
        folds=2, epochs=1, baselines=False, sample_faces=0, quiet=True, workers=workers,
    )  # fmt: skip
    assert found.summary["models"]["own_supervised"]["settings"]["max_steps"] == 1
    assert set(found["model"]) == {"own_supervised", "Sequential"}


def test_losses_are_found_by_name() -> None:
    import duchenne.losses
    from duchenne.losses import triplet_loss

    rows = torch.eye(3)
    assert triplet_loss(rows[:1], rows[:1], rows[1:2], margin=2.5).item() == pytest.approx(0.5)
    for name in duchenne.losses.__all__:
        module = getattr(duchenne.losses, name).__module__
        assert re.fullmatch(r"duchenne\.(methods\.\w+\.loss|losses\.\w+)", module)
    with pytest.raises(ImportError):
        from duchenne.losses import no_such_loss  # noqa: F401
