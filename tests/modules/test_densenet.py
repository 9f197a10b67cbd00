"""DenseNet-121: size and keys of torchvision's, its maps, the old names in its weight file, and the registry."""

import importlib.util
import re

import pytest
import torch
from torch import nn

from duchenne.model_files import IMAGENET_FILES
from duchenne.modules.backbones.densenet import DEPTHS, DenseNet121
from duchenne.training.weights import encoder_state


@pytest.fixture(scope="module")
def network() -> DenseNet121:
    torch.manual_seed(0)
    return DenseNet121().eval()


def test_size_is_that_of_the_published_network(network: DenseNet121) -> None:
    """7,978,856 parameters (torchvision's documentation), of which the classifier has 1,024 x 1,000 + 1,000."""
    assert sum(p.numel() for p in network.parameters()) == 7_978_856 - 1_025_000


def test_keys_are_torchvisions(network: DenseNet121) -> None:
    keys = {key for key in network.state_dict() if not key.endswith("num_batches_tracked")}
    layer = r"denseblock[1-4]\.denselayer\d+\.(norm[12]\.(weight|bias|running_mean|running_var)|conv[12]\.weight)"
    norms = r"(norm0|norm5|transition[123]\.norm)\.(weight|bias|running_mean|running_var)"
    other = rf"(conv0\.weight|{norms}|transition[123]\.conv\.weight)"
    assert all(re.fullmatch(rf"features\.({layer}|{other})", key) for key in keys)
    assert len(keys) == 10 * sum(DEPTHS) + 5 + 3 * 5 + 4
    assert network.features.denseblock4.denselayer16.conv1.weight.shape == (128, 1024 - 32, 1, 1)


def test_maps(network: DenseNet121) -> None:
    x = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        shapes = [tuple(network.feature_map(x, stage).shape[1:]) for stage in network.stages]
        assert shapes == [(256, 16, 16), (512, 8, 8), (1024, 4, 4), (1024, 2, 2)]
        assert torch.equal(network(x), network.feature_map(x).mean((2, 3)))
        assert (network.feature_map(x) >= 0).all()
        part = DenseNet121("layer3").eval()
        whole = {k: v for k, v in network.state_dict().items() if not k.startswith(part.later)}
        part.load_state_dict(whole)
        assert torch.equal(part.feature_map(x), network.feature_map(x, "layer3"))
    with pytest.raises(ValueError, match="there is no stage"):
        part.feature_map(x, "layer4")


def test_a_layer_keeps_its_input_beside_what_it_adds(network: DenseNet121) -> None:
    layer = network.features.denseblock1.denselayer1
    x = torch.rand(1, 64, 8, 8)
    with torch.no_grad():
        y = layer(x)
        one = nn.functional.conv2d(nn.functional.relu(layer.norm1(x)), layer.conv1.weight)
        two = nn.functional.conv2d(nn.functional.relu(layer.norm2(one)), layer.conv2.weight, padding=1)
    assert torch.equal(y[:, :64], x)
    assert torch.equal(y[:, 64:], two)


def test_the_published_file_with_its_old_names_loads(network: DenseNet121) -> None:
    """torchvision's file names `norm.1` what its network names `norm1`, and holds the classifier."""
    assert "densenet121-a639ec97.pth" in IMAGENET_FILES
    old = {re.sub(r"(denselayer\d+\.(?:norm|conv))([12])", r"\1.\2", k): v for k, v in network.state_dict().items()}
    old |= {"classifier.weight": torch.zeros(1000, 1024), "classifier.bias": torch.zeros(1000)}
    named = encoder_state(old)
    assert {key.removeprefix("backbone.") for key in named} == set(network.state_dict())


@pytest.mark.skipif(
    importlib.util.find_spec("duchenne.modules.backbones.build") is None,
    reason="backbones are not registered by name yet",
)
def test_it_can_be_chosen_by_name() -> None:
    from duchenne.modules.backbones.build import build_backbone

    assert isinstance(build_backbone("densenet121"), DenseNet121)
    assert build_backbone("densenet121", "layer3").feature_dim == 1024
