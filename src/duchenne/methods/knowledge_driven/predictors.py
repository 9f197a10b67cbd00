"""One small network per arrow between related areas, all computed together."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Predictors(nn.Module):
    """Predicts the embedding of each area from those of its related areas (Chang & Wang, CVPR 2022, Eq. 7).

    One network of two layers per directed edge; what several predict of one area is averaged. The weights lie in
    stacks, so that all edges are two batched products; each starts as `nn.Linear` does.

    Args:
        edges: (source, target) areas from 0; every area is a target.
        dim: width of an embedding.
        hidden: width of the hidden layers.
    """

    sources: Tensor
    mean: Tensor

    def __init__(self, edges: Sequence[tuple[int, int]], dim: int, hidden: int) -> None:
        super().__init__()
        number, targets = len(edges), torch.tensor([target for _, target in edges])
        self.register_buffer("sources", torch.tensor([source for source, _ in edges]), persistent=False)
        into = nn.functional.one_hot(targets).T.float()
        self.register_buffer("mean", into / into.sum(1, keepdim=True), persistent=False)
        self.weight_in = nn.Parameter(torch.empty(number, dim, hidden))
        self.bias_in = nn.Parameter(torch.empty(number, 1, hidden))
        self.weight_out = nn.Parameter(torch.empty(number, hidden, dim))
        self.bias_out = nn.Parameter(torch.empty(number, 1, dim))
        for tensors, fan_in in (((self.weight_in, self.bias_in), dim), ((self.weight_out, self.bias_out), hidden)):
            for tensor in tensors:
                nn.init.uniform_(tensor, -1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in))

    def forward(self, embeddings: Tensor) -> Tensor:
        """(N, A, D) embeddings of the areas -> (N, A, D) what their related areas predict of them."""
        given = embeddings.transpose(0, 1)[self.sources]
        hidden = torch.relu(torch.baddbmm(self.bias_in, given, self.weight_in))
        each = torch.baddbmm(self.bias_out, hidden, self.weight_out)
        return torch.einsum("ae,end->nad", self.mean.to(each.dtype), each)
