"""Projection heads, and BatchNorm in parts inside of them."""

import pytest
import torch
from torch import nn

from duchenne.modules.heads import projection_head
from duchenne.modules.split_batchnorm import SplitBatchNorm1d, split_batchnorm


def test_layers():
    head = projection_head((6, 5, 4, 3))
    assert [type(layer).__name__ for layer in head] == ["Linear", "ReLU", "Linear", "ReLU", "Linear"]
    assert all(layer.bias is not None for layer in head if isinstance(layer, nn.Linear))
    x = torch.randn(7, 6)
    expected = head[4](head[2](head[0](x).clamp_min(0)).clamp_min(0))
    assert torch.allclose(head(x), expected)


def test_simsiam_projector():
    head = projection_head((6, 5, 5, 3), batchnorm=True, last="batchnorm")
    assert all(layer.bias is None for layer in head if isinstance(layer, nn.Linear))
    assert head[-1].affine is False
    rows = head(torch.randn(50, 6))
    assert torch.allclose(rows.mean(0), torch.zeros(3), atol=1e-5)
    assert torch.allclose(rows.var(0, unbiased=False), torch.ones(3), atol=1e-2)


def test_batchnorm_in_parts():
    torch.manual_seed(0)
    head = projection_head((6, 5, 3), batchnorm=True, last="batchnorm")
    torch.manual_seed(0)
    split = split_batchnorm(projection_head((6, 5, 3), batchnorm=True, last="batchnorm"), 2)
    assert sum(isinstance(layer, SplitBatchNorm1d) for layer in split) == 2
    assert head.state_dict().keys() == split.state_dict().keys()
    x = torch.randn(8, 6)
    assert torch.allclose(split(x), torch.cat([head(x[:4]), head(x[4:])]), atol=1e-5)


def test_too_few_widths():
    with pytest.raises(ValueError, match="widths"):
        projection_head((6,))
