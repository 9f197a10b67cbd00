"""Networks: torchvision's keys and sizes, the encoder's normalisation, split BatchNorm."""

import pytest
import torch
from torch import nn

from duchenne.errors import UsageError
from duchenne.modules.backbones.base import IMAGENET_MEAN, IMAGENET_STD
from duchenne.modules.backbones.build import build_backbone
from duchenne.modules.backbones.resnet import STAGES
from duchenne.modules.encoder import Encoder, EncoderSpec
from duchenne.modules.split_batchnorm import SplitBatchNorm2d, split_batchnorm

# torchvision's published counts without the classifier (11,689,512 - 513,000 and so on).
PARAMETERS = {"resnet18": 11_176_512, "resnet34": 21_284_672, "resnet50": 23_508_032, "resnet152": 58_143_808}


@pytest.mark.parametrize("name", PARAMETERS)
def test_sizes(name):
    backbone = build_backbone(name).eval()
    assert sum(parameter.numel() for parameter in backbone.parameters()) == PARAMETERS[name]
    with torch.no_grad():
        x = torch.rand(1, 3, 64, 64)
        assert backbone(x).shape == (1, backbone.feature_dim)
        for number, stage in enumerate(STAGES):
            assert backbone.feature_map(x, stage).shape[-1] == 16 // 2**number


def test_keys_are_those_of_torchvision():
    keys = build_backbone("resnet18").state_dict().keys()
    assert {"conv1.weight", "bn1.running_mean", "layer1.0.conv1.weight", "layer2.0.downsample.0.weight",
            "layer2.0.downsample.1.bias", "layer4.1.bn2.num_batches_tracked"} <= set(keys)  # fmt: skip
    assert len(keys) == 120
    assert "layer1.0.downsample.0.weight" in build_backbone("resnet50").state_dict()


def test_unknown_names():
    with pytest.raises(UsageError, match="no backbone `resnet19`; did you mean `resnet18`"):
        build_backbone("resnet19")
    with pytest.raises(ValueError, match="no stage"):
        build_backbone("resnet18").feature_map(torch.rand(1, 3, 32, 32), "layer5")


def test_a_backbone_may_end_early():
    whole, part = build_backbone("resnet50").eval(), build_backbone("resnet50", "layer3").eval()
    part.load_state_dict({key: value for key, value in whole.state_dict().items() if not key.startswith("layer4")})
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(part.feature_map(x), whole.feature_map(x, "layer3"))
        assert part(x).shape == (1, part.feature_dim) == (1, 1024)
    with pytest.raises(ValueError, match="no stage 'layer4'"):
        part.feature_map(x, "layer4")
    with pytest.raises(UsageError, match="no stage `layer5`"):
        build_backbone("resnet50", "layer5")
    assert Encoder(EncoderSpec(backbone="resnet18", last_stage="layer3"))(x).shape == (1, 256)


def test_encoder_normalises_inside():
    encoder = Encoder(EncoderSpec(embedding_dim=16, unit_rows=True)).eval()
    x = torch.rand(2, 3, 32, 32)
    normalised = (x - torch.tensor(IMAGENET_MEAN).view(3, 1, 1)) / torch.tensor(IMAGENET_STD).view(3, 1, 1)
    with torch.no_grad():
        pooled = encoder.backbone.feature_map(normalised).mean((2, 3))
        expected = nn.functional.normalize(encoder.embedding(pooled))
        assert torch.allclose(encoder(x), expected, atol=1e-6)
        assert torch.allclose(encoder.pooled(x), pooled, atol=1e-6)
        assert encoder(x).norm(dim=1).tolist() == pytest.approx([1, 1])
    assert encoder.feature_dim == 16
    assert {"mean", "std"} <= set(encoder.state_dict())


@pytest.mark.parametrize("rows", [4, 5, 7])
def test_split_batchnorm_is_batchnorm_of_the_parts(rows):
    torch.manual_seed(0)
    x = torch.randn(rows, 6, 3, 3) * 3 + 1
    split = SplitBatchNorm2d(6, 2)
    plain = [nn.BatchNorm2d(6) for _ in range(2)]
    parts = torch.tensor_split(x, 2)
    expected = torch.cat([norm(part) for norm, part in zip(plain, parts, strict=True)])
    assert torch.allclose(split(x), expected, atol=1e-6)
    assert torch.allclose(split.running_var, (plain[0].running_var + plain[1].running_var) / 2, atol=1e-6)
    assert torch.allclose(split.running_mean, (plain[0].running_mean + plain[1].running_mean) / 2, atol=1e-6)
    assert int(split.num_batches_tracked) == 1
    assert torch.equal(split.eval()(x), nn.functional.batch_norm(x, split.running_mean, split.running_var))


@pytest.mark.parametrize(
    "options",
    [{"momentum": 0.01}, {"momentum": 0.997}, {"momentum": None}, {"track_running_stats": False}, {"eps": 0.1}],
)
def test_splitting_keeps_the_settings_of_a_layer(options):
    """Two processes with half a batch each, by torch's own layer, for three steps."""
    torch.manual_seed(0)
    processes = [nn.BatchNorm2d(4, **options) for _ in range(2)]
    split = split_batchnorm(nn.Sequential(nn.BatchNorm2d(4, **options)), 2)
    assert type(split[0]) is SplitBatchNorm2d
    for _ in range(3):
        x = 3 + torch.randn(8, 4, 3, 3)
        expected = torch.cat([norm(part) for norm, part in zip(processes, x.chunk(2), strict=True)])
        assert torch.allclose(split(x), expected, atol=1e-6)
    for name in ("running_mean", "running_var"):
        own = getattr(split[0], name)
        if "track_running_stats" in options:
            assert own is None
        else:
            assert torch.allclose(own, sum(getattr(norm, name) for norm in processes) / 2, atol=1e-5)
    assert split[0].extra_repr() == processes[0].extra_repr()
    x = torch.randn(8, 4, 3, 3)
    if "track_running_stats" in options:
        assert torch.equal(split.eval()(x), processes[0].eval()(x))


def test_converting_keeps_the_state():
    backbone = build_backbone("resnet18")
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    split_batchnorm(backbone, 4)
    assert all(torch.equal(value, before[key]) for key, value in backbone.state_dict().items())
    assert sum(isinstance(module, SplitBatchNorm2d) for module in backbone.modules()) == 20
    assert split_batchnorm(nn.BatchNorm2d(2), 1).__class__ is nn.BatchNorm2d
