"""Projection heads: small networks between the encoder and a loss, dropped after pretraining."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import nn


def projection_head(
    widths: Sequence[int], *, batchnorm: bool = False, last: Literal["plain", "batchnorm"] = "plain"
) -> nn.Sequential:
    """Linear layers with ReLU between them.

    Args:
        widths: of the input, the hidden layers and the output, e.g. (512, 256, 128).
        batchnorm: BatchNorm before every ReLU; those linear layers then have no bias.
        last: `batchnorm` ends with a BatchNorm without weights (SimSiam's projector).

    Returns:
        (B, widths[0]) -> (B, widths[-1]).

    Raises:
        ValueError: when there are fewer than two widths.
    """
    if len(widths) < 2:
        raise ValueError("a head needs the widths of its input and its output")
    layers: list[nn.Module] = []
    for place, width in enumerate(widths[1:-1]):
        layers.append(nn.Linear(widths[place], width, bias=not batchnorm))
        layers += [nn.BatchNorm1d(width)] if batchnorm else []
        layers.append(nn.ReLU(inplace=True))
    layers.append(nn.Linear(widths[-2], widths[-1], bias=last == "plain"))
    layers += [nn.BatchNorm1d(widths[-1], affine=False)] if last == "batchnorm" else []
    return nn.Sequential(*layers)
