"""A network that follows another one slowly: the momentum encoder of MoCo (He et al., CVPR 2020, Eq. 2)."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from duchenne.modules.gather import gather_rows, world


class MomentumCopy(nn.Module):
    """A copy of a network whose weights are w_k <- m w_k + (1 - m) w_q; no gradient reaches it.

    Only parameters follow. BatchNorm statistics are the copy's own: like the original it normalises by the batch while
    training, and its running statistics are those of the keys that it has seen (as in MoCo's code).

    Keys pass in another order than their queries, so that a key and its query are not normalised together with the
    same neighbours: with one order, a network can tell a pair by their shared batch statistics. This is MoCo's shuffled
    BatchNorm with one fixed permutation: of P parts with statistics of their own (processes x `splits`), part i takes
    rows i, i + P, i + 2P, ... of the whole batch. On one device without splits it has no effect.

    Args:
        source: followed; its state is copied now and whenever `restart` is called.
        momentum: m, from 0 to 1.
        splits: parts of a process's batch with statistics of their own, as `split_batchnorm` made them in `source`.

    Raises:
        ValueError: when momentum is out of range.
    """

    def __init__(self, source: nn.Module, momentum: float, *, splits: int = 1) -> None:
        super().__init__()
        if not 0 <= momentum <= 1:
            raise ValueError("momentum must be between 0 and 1")
        self.momentum, self.splits = momentum, splits
        self.network = copy.deepcopy(source).requires_grad_(False)
        self._source = [source]  # in a list, so that it does not become a part of this module
        self._own: list[Tensor] = list(self.network.parameters())
        self._followed: list[Tensor] = list(source.parameters())

    @torch.no_grad()
    def restart(self) -> None:
        """Starts again as an exact copy, statistics included; for when the source was given other weights."""
        self.network.load_state_dict(self._source[0].state_dict())

    @torch.no_grad()
    def update(self) -> None:
        """One step towards the source, for all parameters at once."""
        torch._foreach_lerp_(self._own, self._followed, 1 - self.momentum)

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Embeds the rows of this process, (B, ...), without gradient; every process gives the same number."""
        rank, processes = world()
        parts = processes * self.splits
        if parts == 1 or not self.training:
            return torch.as_tensor(self.network(x))
        everything = gather_rows(x)
        number = len(everything)
        order = torch.cat([torch.arange(part, number, parts) for part in range(parts)]).to(x.device)
        own = slice(rank * len(x), (rank + 1) * len(x))
        keys = gather_rows(torch.as_tensor(self.network(everything[order[own]])))
        back = torch.empty_like(keys)
        back[order] = keys
        return back[own]
