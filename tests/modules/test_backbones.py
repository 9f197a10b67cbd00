"""Backbones from elsewhere: builders, and Hugging Face transformers; recorded, and opened again only where allowed."""

from __future__ import annotations

import json
import re
import sys

import numpy as np
import pytest
import torch
from tests.training.made import moving_squares
from torch import nn

import duchenne
from duchenne.errors import InputError, UsageError
from duchenne.features.encoder import EncoderSource
from duchenne.features.resolve import source_of
from duchenne.modules.backbones.build import build_backbone
from duchenne.modules.encoder import Encoder, EncoderSpec
from duchenne.modules.split_batchnorm import split_batchnorm
from duchenne.training.runs import initial_encoder, load_encoder
from duchenne.training.watching.figures import draw_figures
from duchenne.training.weights import apply_weights

HERE = "tests.modules.test_backbones"


class Tiny(nn.Module):
    """A map of one cell per 8 px."""

    size_px = 32

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 6, 8, stride=8)

    def feature_map(self, x, stage=None):
        if x.shape[-1] % 8:
            raise ValueError("the side must be a multiple of 8")
        return self.layer(x)

    def forward(self, x):
        return self.feature_map(x).mean((2, 3))


class Eighths(Tiny):
    """The same for any side that it can take."""

    size_px = None


class Blind(nn.Module):
    """No maps."""

    def forward(self, x):
        return x.mean((2, 3))


class Flat(Blind):
    """As many features as its map has cells."""

    def forward(self, x):
        return x[:, :, ::8, ::8].flatten(1)


class Lists(Blind):
    """Gives what it found in a tuple, or as NumPy's numbers, which nothing can be trained through."""

    def forward(self, x):
        return (super().forward(x),)


class Numbers(Blind):
    def forward(self, x):
        return super().forward(x).numpy()


class ListOfMaps(Blind):
    def feature_map(self, x, stage=None):
        return [x]


def tiny():
    return Tiny()


def blind():
    return Blind()


class Tokens(Blind):
    """Tokens in the place of a map."""

    def feature_map(self, x, stage=None):
        return torch.zeros(len(x), 16, 6)


class Picky(Blind):
    """Refuses a side in the usual way."""

    def forward(self, x):
        assert x.shape[-1] == 32, f"32 px, not {x.shape[-1]}"
        return super().forward(x)


def picky32():
    module = Picky()
    module.size_px = 32
    return module


def lost():
    raise FileNotFoundError("weights.pt")


def number():
    return 7


@pytest.fixture(scope="module")
def squares(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "squares"
    moving_squares(folder)
    return folder


def train(squares, out, method="simclr", **fields):
    options = {"recipe": f"smoke/{method}", "max_steps": 2, "size_px": 32, "quiet": True, **fields}
    return duchenne.pretrain(method, data=squares, out=out, **options)


def test_a_builder_is_trained_recorded_and_opened_only_where_allowed(squares, tmp_path, monkeypatch):
    train(squares, tmp_path / "run", backbone=f"{HERE}:tiny")
    assert json.loads((tmp_path / "run" / "encoder.json").read_text())["spec"]["backbone"] == f"{HERE}:tiny"
    monkeypatch.delenv("DUCHENNE_BUILDERS", raising=False)
    with pytest.raises(UsageError, match=r"encoder.json: needs the code .*:tiny.*set DUCHENNE_BUILDERS="):
        load_encoder(tmp_path / "run")
    monkeypatch.setenv("DUCHENNE_BUILDERS", f"{HERE}:tiny")
    encoder, x = load_encoder(tmp_path / "run").encoder, torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.allclose(encoder(x), encoder.backbone.network(x))  # it takes [0, 1] as it is
        assert encoder.feature_map(x).shape == (2, 6, 4, 4)


def test_a_recipe_may_not_start_code_by_itself(squares, tmp_path, monkeypatch):
    monkeypatch.delenv("DUCHENNE_BUILDERS", raising=False)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"method: simclr\nbackbone: {HERE}:tiny\n")
    with pytest.raises(UsageError, match=r"recipe.yaml: needs the code"):
        train(squares, tmp_path / "run", recipe=str(recipe))


@pytest.mark.parametrize(
    ("method", "fields", "said"),
    [
        ("simclr", {"backbone": f"{HERE}:nothing"}, "cannot be imported"),
        ("simclr", {"backbone": f"{HERE}:number"}, "returns a int, not a torch module"),
        ("simclr", {"backbone": f"{HERE}:Eighths", "size_px": 36}, r"size_px 36: .*multiple of 8"),
        ("simclr", {"backbone": f"{HERE}:lost"}, r"cannot be called \(FileNotFoundError: weights.pt\)"),
        ("simclr", {"backbone": f"{HERE}:Tokens"}, r"feature_map gives \(1, 16, 6\) of a picture, not \(B, C, h, w\)"),
        ("simclr", {"backbone": f"{HERE}:Picky"}, r"picture of 224 px .*32 px, not 224.*; name .* module's `size_px`"),
        ("simclr", {"backbone": f"{HERE}:Flat"}, "48 features of a picture of 32 px, 2352 of one of 224 px; .*size_px"),
        ("simclr", {"backbone": f"{HERE}:Lists"}, r"gives a tuple of a picture, no feature vector \(B, D\)"),
        ("simclr", {"backbone": f"{HERE}:Numbers"}, r"gives a ndarray of a picture, no feature vector \(B, D\)"),
        ("simclr", {"backbone": f"{HERE}:ListOfMaps"}, r"feature_map gives a list of a picture, not \(B, C, h, w\)"),
        ("simclr", {"backbone": f"{HERE}:picky32", "size_px": 48}, "size_px 48: .* takes pictures of 32 px only"),
        ("simclr", {"backbone": f"{HERE}:tiny", "size_px": 48}, "size_px 48: .*:tiny takes pictures of 32 px only"),
        ("knowledge_driven", {"backbone": f"{HERE}:blind", "validation_share": 0.0}, "no feature_map"),
    ],
)
def test_bad_builders_are_one_sentence(squares, tmp_path, method, fields, said):
    with pytest.raises(UsageError, match=said) as caught:
        train(squares, tmp_path / "run", method, **fields)
    assert "\n" not in str(caught.value)


class Odd(nn.Module):
    """A module whose attributes or features are not what they should be."""

    def __init__(self, features=None, **attributes):
        super().__init__()
        self.features = torch.zeros(1, 4) if features is None else features
        for name, value in attributes.items():
            setattr(self, name, value)

    def forward(self, x):
        return self.features.expand(len(x), -1)


@pytest.mark.parametrize(
    ("module", "said"),
    [
        *((Odd(size_px=side), "its size_px is .*, not the side of a picture") for side in ("big", -1, (64, 64), True)),
        (Odd(torch.zeros(1, 4, dtype=torch.int64)), "gives features of torch.int64, not of floating-point numbers"),
        (Odd(torch.zeros(1, 0)), r"gives \(1, 0\) of a picture, no feature vector \(B, D\)"),
    ],
)
def test_modules_that_say_or_give_odd_things(monkeypatch, module, said):
    """As a backbone, and what they say of themselves as an encoder, too."""
    monkeypatch.setattr(sys.modules[__name__], "odd", lambda: module, raising=False)
    with pytest.raises(UsageError, match=f"^backbone {HERE}:odd: {said}"):
        build_backbone(f"{HERE}:odd")
    if "size_px" in said:
        with pytest.raises(UsageError, match=f"^model {HERE}:odd: {said}"):
            source_of(f"{HERE}:odd")


def test_modules_may_call_their_layers_stages_and_give_numbers_of_any_kind(monkeypatch):
    odd = [Odd(stages=stages) for stages in (4, ("a", 1), nn.Sequential(nn.ReLU()))]
    odd += [Odd(size_px=side) for side in (np.int64(48), torch.tensor(48), 48.0)]
    for module in odd:
        monkeypatch.setattr(sys.modules[__name__], "odd", lambda module=module: module, raising=False)
        assert build_backbone(f"{HERE}:odd").stages == ()
        assert source_of(f"{HERE}:odd").size_px in (None, 48)
        assert type(source_of(f"{HERE}:odd").size_px) in (type(None), int)


@pytest.mark.slow
def test_a_run_of_somebody_elses_is_built_no_larger_than_any_of_ours(squares, tmp_path):
    """Its first weights, or its figures: what config.yaml asks for is refused before it takes memory."""
    run = tmp_path / "run"
    train(squares, run, "cl_ile", backbone="compact", size_px=64, validation_share=0.0)
    config = (run / "config.yaml").read_text()
    for field, most in (("hidden", 65_536), ("layers", 64)):
        config, changed = re.subn(rf"^{field}: \d+$", f"{field}: {most}", config, flags=re.MULTILINE)
        assert changed == 1
    (run / "config.yaml").write_text(config)
    for build in (lambda: initial_encoder(run), lambda: draw_figures(run, squares)):
        with pytest.raises(
            InputError, match=r"config.yaml: its method cannot be built \(it needs more than \d+ numbers"
        ):
            build()


def test_weights_of_a_whole_compact_start_a_method_that_ends_after_a_stage(squares, tmp_path):
    train(squares, tmp_path / "whole", backbone="compact", size_px=64)
    weights = tmp_path / "whole" / "encoder.safetensors"
    encoder = Encoder(EncoderSpec(backbone="compact", last_stage="layer3"))
    apply_weights(encoder, str(weights))
    whole = load_encoder(tmp_path / "whole").encoder
    x = torch.rand(1, 3, 64, 64)
    assert torch.equal(encoder.eval().feature_map(x), whole.feature_map(x))


def test_pictures_too_small_for_a_network_are_refused_before_it_looks(squares):
    """The squares have 32 px; `compact` takes pictures from 64 px."""
    small = Encoder(EncoderSpec(backbone="compact"))
    with pytest.raises(UsageError, match=r"Encoder: its backbone compact takes pictures from 64 px, not of \d+ px"):
        duchenne.embed(small, data=squares, quiet=True)


def test_heads_that_do_not_divide_the_channels():
    with pytest.raises(UsageError, match="heads 6: does not divide the 128 channels of the last map of compact"):
        Encoder(EncoderSpec(backbone="compact", token_layers=1, token_heads=6))


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"backbone": "compact", "token_layers": 64, "token_hidden": 65_536}, "token_layers is 64, the file has 0"),
        ({"backbone": "resnet152"}, r"backbone.conv1.weight is \[24, 3, 5, 5\], not \[64, 3, 7, 7\]"),
        ({"backbone": "compact", "embedding_dim": 65_536}, r"embedding.weight is not there, not \[65536, 128\]"),
    ],
)
def test_a_detector_is_built_no_larger_than_its_weights(spec, said):
    """Whoever wrote the file: it is refused before anything of that size is in memory."""
    held = Encoder(EncoderSpec(backbone="compact")).state_dict()
    detector = {"kind": "encoder", "input_px": 64, "spec": spec}
    with pytest.raises(InputError, match=rf"d/detector.json: does not fit its weights \({said}"):
        EncoderSource.from_spec(detector, held, "d/detector.json")
    detector["spec"] = {"backbone": "compact"}
    EncoderSource.from_spec(detector, held, "d/detector.json")
    with pytest.raises(InputError, match=r"`input_px` is 48, but compact takes pictures from 64 px"):
        EncoderSource.from_spec({**detector, "input_px": 48}, held, "d/detector.json")


def test_batchnorm_that_is_frozen_stays_so_in_parts():
    network = nn.Sequential(nn.BatchNorm2d(4), nn.BatchNorm2d(4))
    network[0].weight.requires_grad_(False)
    split_batchnorm(network, 2)
    assert [p.requires_grad for p in network.parameters()] == [False, True, True, True]


def test_the_first_weights_of_a_run_whose_files_do_not_belong_together(squares, tmp_path):
    run = tmp_path / "run"
    train(squares, run, backbone="resnet18")
    assert initial_encoder(run).record.spec.backbone == "resnet18"
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config.replace("backbone: resnet18", "backbone: resnet34"))
    with pytest.raises(InputError, match=r"config.yaml: describes another encoder than encoder.json"):
        initial_encoder(run)
    (run / "config.yaml").write_text(config)
    record = json.loads((run / "encoder.json").read_text())
    (run / "encoder.json").write_text(json.dumps(record | {"size_px": 48}))
    with pytest.raises(InputError, match=r"encoder.json: was changed since the training"):
        initial_encoder(run)


def test_transformers_that_are_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UsageError, match=r'not installed; install it with `pip install "duchenne\[backbones\]"`'):
        build_backbone("transformers:convnext")


@pytest.mark.slow
def test_networks_of_transformers(squares, tmp_path):
    transformers = pytest.importorskip("transformers")
    with pytest.raises(UsageError, match="did you mean `transformers:convnext`"):
        build_backbone("transformers:convnex")
    with pytest.raises(UsageError, match="gives no maps of a picture"):
        build_backbone("transformers:gpt2")
    config = transformers.ConvNextConfig(hidden_sizes=[8, 12, 16, 20], depths=[1, 1, 1, 1])
    transformers.ConvNextModel(config).save_pretrained(tmp_path / "small")
    name = f"transformers:{tmp_path / 'small'}"
    train(squares, tmp_path / "run", backbone=name, size_px=64)
    (tmp_path / "small").rename(tmp_path / "moved")  # the record is enough
    loaded, x = load_encoder(tmp_path / "run").encoder, torch.rand(2, 3, 64, 64)
    assert [loaded.feature_map(x, f"layer{n}").shape[1:] for n in (1, 2, 3, 4)] == [
        (8, 16, 16), (12, 8, 8), (16, 4, 4), (20, 2, 2),
    ]  # fmt: skip
    with torch.no_grad():
        assert torch.allclose(loaded(x), loaded.feature_map(x).mean((2, 3)))
    (tmp_path / "moved").rename(tmp_path / "small")
    fresh = Encoder(EncoderSpec(backbone=name)).eval()
    with torch.no_grad():
        want = transformers.ConvNextModel.from_pretrained(tmp_path / "small").eval()(fresh.normalise(x))
        assert torch.allclose(fresh(x), want.last_hidden_state.mean((2, 3)), atol=1e-6)
    short = Encoder(EncoderSpec(backbone=name, last_stage="layer3"))
    assert short(x).shape == (2, 16)
    values = json.loads((tmp_path / "small" / "config.json").read_text())  # as another version would have written it
    (tmp_path / "small" / "config.json").write_text(json.dumps({**values, "transformers_version": "4.0.0", "note": 1}))
    start = initial_encoder(tmp_path / "run").encoder
    assert start.state_dict().keys() == loaded.state_dict().keys()
    assert torch.equal(start.backbone.network.state_dict()["encoder.stages.0.layers.0.dwconv.bias"], torch.zeros(8))


@pytest.mark.parametrize("lost", ["encoder.stages.2", ""])
def test_weights_that_fill_a_network_only_in_part_are_refused(tmp_path, lost):
    transformers = pytest.importorskip("transformers")
    safetensors = pytest.importorskip("safetensors.torch")
    config = transformers.ConvNextConfig(hidden_sizes=[8, 12, 16, 20], depths=[1, 1, 1, 1])
    transformers.ConvNextModel(config).save_pretrained(tmp_path / "small")
    file = tmp_path / "small" / "model.safetensors"
    weights = {f"x.{key}" if key.startswith(lost) else key: value for key, value in safetensors.load_file(file).items()}
    safetensors.save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"its weights lack \d+ tensors of the network, e"):
        build_backbone(f"transformers:{tmp_path / 'small'}")
    whole = transformers.ConvNextModel(config).state_dict()
    kept = {key: value for key, value in whole.items() if not key.startswith("layernorm")}
    safetensors.save_file(kept, file, metadata={"format": "pt"})  # of the pooler, which maps do not go through
    build_backbone(f"transformers:{tmp_path / 'small'}")


def test_the_cells_of_a_vision_transformer():
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16, image_size=64
    )
    text = json.dumps(config.to_dict(), default=str)
    encoder = Encoder(EncoderSpec(backbone="transformers:vit", backbone_config=text)).eval()
    x = torch.rand(1, 3, 96, 96)
    with torch.no_grad():
        cells = encoder.feature_map(x)
        want = encoder.backbone.network(encoder.normalise(x), interpolate_pos_encoding=True).last_hidden_state
    assert cells.shape == (1, 8, 6, 6)
    assert torch.equal(cells[0, :, 2, 3], want[0, 1 + 2 * 6 + 3])  # after the class token, row by row
    frozen = {name for name, p in encoder.named_parameters() if not p.requires_grad}
    assert frozen == {"backbone.network.pooler.dense.weight", "backbone.network.pooler.dense.bias"}
