"""Weights to start from: torchvision's, our own, and those that the authors of temporal ranking released."""

import argparse
import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

import duchenne
from duchenne import model_files
from duchenne.errors import InputError, UsageError
from duchenne.modules.encoder import Encoder, EncoderSpec
from duchenne.training.config import method_run_config
from duchenne.training.runs import build_method, load_encoder
from duchenne.training.weights import apply_weights

SPEC = EncoderSpec(backbone="resnet18", embedding_dim=256, unit_rows=True)


@pytest.fixture(scope="module")
def source():
    torch.manual_seed(3)
    encoder = Encoder(SPEC)
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean)
    return encoder.eval()


def released(encoder):
    """The state dict as the authors' code saves it: children of torchvision's ResNet in a Sequential, in parallel."""
    backbone = encoder.backbone
    children = [backbone.conv1, backbone.bn1, nn.ReLU(), nn.MaxPool2d(3), backbone.layer1, backbone.layer2,
                backbone.layer3, backbone.layer4, nn.AdaptiveAvgPool2d(1)]  # fmt: skip
    network = nn.Module()
    network.resnet18 = nn.Sequential(*children)
    network.fc1 = encoder.embedding
    return {f"module.{key}": value for key, value in network.state_dict().items()}


def test_converts_the_released_network(source, tmp_path):
    torch.save(released(source), tmp_path / "tc.pth")
    out = duchenne.convert(tmp_path / "tc.pth", out=tmp_path / "encoder")
    loaded = load_encoder(out)
    x = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(loaded.encoder(x), source(x), atol=1e-6)
    assert "released" in loaded.record.weights
    assert loaded.record.trained_on[0].dataset == "voxceleb2"
    with pytest.raises(UsageError, match="holds an encoder already"):
        duchenne.convert(tmp_path / "tc.pth", out=out)


def test_torchvision_weights_leave_the_embedding(source, tmp_path):
    state = {key.removeprefix("backbone."): value for key, value in source.state_dict().items() if "backbone" in key}
    torch.save({**state, "fc.weight": torch.rand(1000, 512), "fc.bias": torch.rand(1000)}, tmp_path / "resnet18.pth")
    encoder = Encoder(SPEC)
    before = encoder.embedding.weight.clone()
    apply_weights(encoder, str(tmp_path / "resnet18.pth"))
    assert torch.equal(encoder.backbone.layer3[0].conv1.weight, source.backbone.layer3[0].conv1.weight)
    assert torch.equal(encoder.backbone.bn1.running_mean, source.backbone.bn1.running_mean)
    assert torch.equal(encoder.embedding.weight, before)


def test_stages_that_an_encoder_does_not_have_are_left_out(source, tmp_path):
    state = {key.removeprefix("backbone."): value for key, value in source.state_dict().items() if "backbone" in key}
    torch.save(state, tmp_path / "resnet18.pth")
    encoder = Encoder(EncoderSpec(backbone="resnet18", last_stage="layer3")).eval()
    apply_weights(encoder, str(tmp_path / "resnet18.pth"))
    x = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(encoder.feature_map(x), source.feature_map(x, "layer3"))


def test_files_are_checked_by_the_whole_checksum():
    """torchvision's names hold its first eight digits: another file is made to begin with them in minutes."""
    for name, file in model_files.MODEL_FILES.items():
        assert len(bytes.fromhex(file.sha256)) == 32
        if file in model_files.IMAGENET_FILES.values():
            assert name.endswith(f"-{file.sha256[:8]}.pth")


def test_imagenet_comes_from_the_models_folder_and_is_checked(source, tmp_path, monkeypatch):
    state = {key.removeprefix("backbone."): value for key, value in source.state_dict().items() if "backbone" in key}
    name = "resnet18-f37072fd.pth"
    torch.save(state, tmp_path / name)
    monkeypatch.setenv("DUCHENNE_MODELS", str(tmp_path))
    with pytest.raises(InputError, match="SHA-256 differs"):
        apply_weights(Encoder(SPEC), "imagenet")
    import hashlib

    digest = hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
    monkeypatch.setitem(model_files.MODEL_FILES, name, model_files.MODEL_FILES[name]._replace(sha256=digest))
    encoder = Encoder(SPEC)
    apply_weights(encoder, "imagenet")
    assert torch.equal(encoder.backbone.conv1.weight, source.backbone.conv1.weight)


def test_what_is_refused(source, tmp_path):
    torch.save(Encoder(EncoderSpec(backbone="resnet34")).state_dict(), tmp_path / "34.pth")
    with pytest.raises(InputError, match="is not for resnet18"):
        apply_weights(Encoder(SPEC), str(tmp_path / "34.pth"))
    with pytest.raises(InputError, match="no such file"):
        apply_weights(Encoder(SPEC), str(tmp_path / "nothing.pth"))
    (tmp_path / "text.pth").write_text("not weights")
    with pytest.raises(InputError, match="read safely"):
        apply_weights(Encoder(SPEC), str(tmp_path / "text.pth"))
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(InputError, match="no state dict"):
        apply_weights(Encoder(SPEC), str(tmp_path / "list.pth"))
    state = {key.removeprefix("backbone."): value for key, value in source.state_dict().items() if "backbone" in key}
    torch.save(state, tmp_path / "plain.pth")
    with pytest.raises(InputError, match="none of the released networks"):
        duchenne.convert(tmp_path / "plain.pth", out=tmp_path / "out")


def prefixed(state, prefix, *, numbered=False):
    places = {"conv1": "0", "bn1": "1", "layer1": "4", "layer2": "5", "layer3": "6", "layer4": "7"}
    named = {}
    for key, value in state.items():
        first, _, rest = key.partition(".")
        named[f"{prefix}{places[first] if numbered else first}.{rest}"] = value
    return named


def other(state):
    return {key: value + 1 for key, value in state.items()}


OPTIONS = argparse.Namespace(arch="resnet18", lr=0.03, place=Path("x"))
FOREIGN = {
    "moco": lambda s: {"epoch": 200, "arch": "resnet18", "optimizer": {"x": torch.rand(2)}, "state_dict": {
        **other(prefixed(s, "module.encoder_k.")), **prefixed(s, "module.encoder_q."),
        "module.encoder_q.fc.0.weight": torch.rand(512, 512), "module.queue": torch.rand(128, 8),
    }},
    "moco v3": lambda s: {"state_dict": {
        **other(prefixed(s, "module.momentum_encoder.")), **prefixed(s, "module.base_encoder."),
        "module.base_encoder.fc.0.weight": torch.rand(9, 512), "module.predictor.0.weight": torch.rand(2, 2),
    }},
    "lightly": lambda s: {"state_dict": {
        **prefixed(s, "backbone.", numbered=True), "projection_head.layers.0.weight": torch.rand(2, 512),
        **other(prefixed(s, "backbone_momentum.", numbered=True)),
    }},
    "solo-learn": lambda s: {"hyper_parameters": OPTIONS, "state_dict": {
        **prefixed(s, "backbone."), "classifier.weight": torch.rand(9, 512), "projector.0.weight": torch.rand(2, 512),
        **other(prefixed(s, "momentum_backbone.")),
    }},
    "solo-learn, old": lambda s: {"state_dict": {**prefixed(s, "encoder."), "projector.0.weight": torch.rand(2, 512)}},
    "DINO": lambda s: {
        "student": {**other(prefixed(s, "module.backbone.")), "module.head.mlp.0.weight": torch.rand(2, 2)},
        "teacher": {**prefixed(s, "backbone."), "head.mlp.0.weight": torch.rand(2, 2)}, "args": OPTIONS, "epoch": 100,
    },
    "torch.compile": lambda s: {"model": prefixed(s, "_orig_mod.module.")},
    "compiled inside": lambda s: prefixed(s, "module.encoder._orig_mod."),
    "net": lambda s: {"net": {**prefixed(s, "model."), "linear.weight": torch.rand(7, 512)}, "acc": 91.2},
    "plain with a head": lambda s: {**prefixed(s, "backbone."), "fc.weight": torch.rand(7, 512)},
    "deep": lambda s: {"callbacks": {}, "model": {"state_dict": {"ema": torch.rand(1), **prefixed(s, "net.encoder.")}}},
}  # fmt: skip


@pytest.mark.parametrize("name", FOREIGN)
def test_resnets_in_foreign_checkpoints(source, tmp_path, name):
    state = {key.removeprefix("backbone."): value for key, value in source.state_dict().items() if "backbone" in key}
    torch.save(FOREIGN[name](state), tmp_path / "foreign.pth")
    encoder = Encoder(SPEC)
    before = encoder.embedding.weight.clone()
    apply_weights(encoder, str(tmp_path / "foreign.pth"))
    own = source.backbone.state_dict()
    assert all(torch.equal(value, own[key]) for key, value in encoder.backbone.state_dict().items())
    assert torch.equal(encoder.embedding.weight, before)


def test_what_a_checkpoint_is_not_for_is_named(source, tmp_path):
    state = {key.removeprefix("backbone."): value for key, value in source.state_dict().items() if "backbone" in key}
    torch.save({"state_dict": prefixed(state, "module.encoder_q.")}, tmp_path / "18.pth")
    with pytest.raises(InputError, match=r"is not for resnet50 \(it is a resnet18\); choose another file or backbone"):
        apply_weights(Encoder(EncoderSpec(backbone="resnet50")), str(tmp_path / "18.pth"))
    torch.save({"model": {"blocks.0.attn.qkv.weight": torch.rand(3, 3)}}, tmp_path / "vit.pth")
    with pytest.raises(InputError, match=r"vit\.pth: holds no resnet18 \(its first tensor is called blocks\.0\.attn"):
        apply_weights(Encoder(SPEC), str(tmp_path / "vit.pth"))
    for number in (float("nan"), float("inf")):
        broken = {key: value.clone() for key, value in state.items()}
        broken["layer2.0.bn1.running_var"][3] = number
        torch.save({"state_dict": prefixed(broken, "module.")}, tmp_path / "nan.pth")
        with pytest.raises(
            InputError, match=r"its backbone\.layer2\.0\.bn1\.running_var holds NaN or infinite numbers"
        ):
            apply_weights(Encoder(SPEC), str(tmp_path / "nan.pth"))


def test_weights_beside_something_evil_are_read_and_it_is_not(source, tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    torch.save({"args": Evil(), "state_dict": source.state_dict()}, tmp_path / "evil.pth")
    apply_weights(Encoder(SPEC), str(tmp_path / "evil.pth"))
    torch.save({"conv1.weight": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(InputError, match="holds no state dict"):
        apply_weights(Encoder(SPEC), str(tmp_path / "evil.pth"))
    assert not (tmp_path / "owned").exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_weights_execute_nothing(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    (tmp_path / "evil.pth").write_bytes(pickle.dumps({"conv1.weight": Evil()}))
    with pytest.raises(InputError, match="read safely"):
        apply_weights(Encoder(SPEC), str(tmp_path / "evil.pth"))
    assert not (tmp_path / "owned").exists()


def released_fab_net(wide: int = 32):
    """A network with the names and shapes of the released FAb-Net, whose convolutions all have a bias."""
    widths = [3, wide, 2 * wide, 4 * wide, *[8 * wide] * 5]
    layers = []
    for number in range(8):
        layers.append(nn.Conv2d(widths[number], widths[number + 1], 4, 2, 1))
        layers += [nn.BatchNorm2d(widths[number + 1])] if 0 < number < 7 else []
        layers += [nn.LeakyReLU(0.2)] if number < 7 else []
    network = nn.Module()
    network.encoder = nn.Sequential(*layers)
    parts = [nn.ReLU(), nn.Upsample(scale_factor=2)]
    network.decoder = nn.Sequential(*parts, nn.Conv2d(16 * wide, 8 * wide, 3, 1, 1), nn.BatchNorm2d(8 * wide))
    network.mask = nn.Sequential(*parts, nn.Conv2d(16 * wide, 8 * wide, 3, 1, 1), nn.BatchNorm2d(8 * wide))
    return settled(network)


def settled(network):
    torch.manual_seed(5)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.bias)
    return network.eval()


@pytest.mark.parametrize("wrapped", ["state_dict", "state_dict_model", "module"])
def test_converts_the_released_fab_net(wrapped, tmp_path):
    network = released_fab_net()
    state = network.state_dict()
    saved = {
        "state_dict": {"state_dict": state, "opts": argparse.Namespace(lr=1e-4), "epoch": 3},
        "state_dict_model": {"state_dict_model": state, "state_dict": {"0.weight": torch.rand(256)}},
        "module": {f"module.{key}": value for key, value in state.items()},
    }[wrapped]
    torch.save(saved, tmp_path / "fabnet.pth")
    loaded = load_encoder(duchenne.convert(tmp_path / "fabnet.pth", out=tmp_path / "encoder"))
    x = torch.rand(2, 3, 256, 256)
    with torch.no_grad():
        assert torch.allclose(loaded.encoder(x), network.encoder(x).flatten(1), atol=1e-5)
    assert loaded.record.method == "fab_net"
    assert loaded.record.size_px == 256
    assert [item.dataset for item in loaded.record.trained_on] == ["voxceleb1", "voxceleb2"]


def test_a_released_network_that_lacks_a_layer_is_named(tmp_path):
    state = released_fab_net().state_dict()
    del state["encoder.8.weight"]
    torch.save(state, tmp_path / "fabnet.pth")
    with pytest.raises(InputError, match=r"backbone\.layer4\.0\.weight"):
        duchenne.convert(tmp_path / "fabnet.pth", out=tmp_path / "encoder")


class ReleasedTwins(nn.Module):
    """Names and shapes of the encoder of the released TCAE."""

    def __init__(self):
        super().__init__()
        widths = [3, 32, 64, 128, 256, 256, 256, 256, 256]
        norms = ["", "2_0", "4_0", "8_0", "8_1", "8_2", "8_3"]
        for number in range(8):
            setattr(self, f"conv{number + 1}", nn.Conv2d(widths[number], widths[number + 1], 4, 2, 1))
            if number < 7:
                setattr(self, f"batch_norm{norms[number]}", nn.BatchNorm2d(widths[number + 1]))
        for number in (6, 7, 8):
            setattr(self, f"conv{number}_1", nn.Conv2d(256, 256, 4, 2, 1))
        self.batch_norm8_2_1, self.batch_norm8_3_1 = nn.BatchNorm2d(256), nn.BatchNorm2d(256)

    def forward(self, x):
        leaky = nn.LeakyReLU(0.2)
        for number, norm in enumerate(["", "2_0", "4_0", "8_0", "8_1"], start=1):
            x = leaky(getattr(self, f"batch_norm{norm}")(getattr(self, f"conv{number}")(x)))
        pose = leaky(self.batch_norm8_3(self.conv7(leaky(self.batch_norm8_2(self.conv6(x))))))
        au = leaky(self.batch_norm8_3_1(self.conv7_1(leaky(self.batch_norm8_2_1(self.conv6_1(x))))))
        return self.conv8(pose).flatten(1), self.conv8_1(au).flatten(1)


def test_converts_both_codes_of_the_released_tcae(tmp_path):
    encoder = settled(ReleasedTwins())
    torch.save(
        {"state_dict": {f"encoder.{key}": value for key, value in encoder.state_dict().items()}}, tmp_path / "t.pth"
    )
    out = duchenne.convert(tmp_path / "t.pth", out=tmp_path / "encoder")
    x = torch.rand(2, 3, 256, 256)
    with torch.no_grad():
        pose, au = encoder(x)
        assert torch.allclose(load_encoder(out).encoder(x), au, atol=1e-5)
        assert torch.allclose(load_encoder(out / "encoder_pose.safetensors").encoder(x), pose, atol=1e-5)


@pytest.mark.parametrize("code", ["au", "pose"])
def test_both_codes_of_the_released_tcae_are_started_from(tmp_path, code):
    """The AU code was put where the pose code belongs, and the other stayed random."""
    encoder = settled(ReleasedTwins())
    torch.save({f"encoder.{key}": value for key, value in encoder.state_dict().items()}, tmp_path / "t.pth")
    config = method_run_config("twin_cycle")(code=code, weights=str(tmp_path / "t.pth"))
    method = build_method("twin_cycle", config).eval()
    x = torch.rand(2, 3, 256, 256)
    with torch.no_grad():
        pose, au = encoder(x)
        found = method.codes(x)
    assert torch.allclose(found.pose, pose, atol=1e-5)
    assert torch.allclose(found.au, au, atol=1e-5)
