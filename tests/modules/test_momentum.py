"""The momentum copy: its update, its statistics, and the order in which keys are normalised."""

import pytest
import torch
from torch import nn

from duchenne.modules.momentum import MomentumCopy
from duchenne.modules.split_batchnorm import split_batchnorm


def network(splits=1):
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(1, 3, 2), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 2))
    return split_batchnorm(layers, splits)


def test_update_is_the_equation():
    source = network()
    copy = MomentumCopy(source, 0.9)
    before = [parameter.clone() for parameter in copy.network.parameters()]
    with torch.no_grad():
        for parameter in source.parameters():
            parameter.add_(torch.randn_like(parameter))
    copy.update()
    for old, new, followed in zip(before, copy.network.parameters(), source.parameters(), strict=True):
        assert torch.allclose(new, 0.9 * old + 0.1 * followed, atol=1e-6)
        assert not new.requires_grad


def test_update_follows_a_network_that_was_moved():
    source = network()
    holder = nn.ModuleList([source, MomentumCopy(source, 0.0)]).double()
    with torch.no_grad():
        source[0].weight.add_(1)
    holder[1].update()
    assert torch.equal(holder[1].network[0].weight, source[0].weight)


def test_statistics_are_its_own():
    source = network()
    copy = MomentumCopy(source, 0.5)
    source(torch.rand(8, 1, 3, 3))
    copy(10 + torch.rand(8, 1, 3, 3))
    seen = copy.network[1].running_mean.clone()
    assert not torch.allclose(seen, source[1].running_mean)
    copy.update()
    assert torch.equal(copy.network[1].running_mean, seen)
    copy.restart()
    assert torch.equal(copy.network[1].running_mean, source[1].running_mean)


def test_source_is_no_part_of_it():
    copy = MomentumCopy(network(), 0.5)
    assert all(key.startswith("network.") for key in copy.state_dict())
    assert not any(parameter.requires_grad for parameter in copy.parameters())


@pytest.mark.parametrize("rows", [4, 6, 7])
def test_keys_are_normalised_with_other_neighbours_than_queries(rows):
    source = network(splits=2)
    copy = MomentumCopy(source, 0.5, splits=2)
    x = torch.randn(rows, 1, 3, 3)
    found = copy(x)
    plain = network()
    for part in (slice(0, None, 2), slice(1, None, 2)):
        assert torch.allclose(found[part], plain(x[part]), atol=1e-5)
    assert not torch.allclose(found, source(x), atol=1e-3)  # the same network, but contiguous parts
    copy.eval(), source.eval()
    copy.restart()
    assert torch.allclose(copy(x), source(x), atol=1e-6)


def test_momentum_out_of_range():
    with pytest.raises(ValueError, match="between 0 and 1"):
        MomentumCopy(network(), 1.5)
