"""BatchNorm with separate statistics for parts of a batch, as several devices would have them.

On one device this is what keeps keys from leaking through batch statistics, and it makes one
process with a large batch compute exactly what several processes with parts of it compute.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm


class _SplitBatchNorm(_BatchNorm):
    """Normalises each of `splits` equal parts of the batch with its own statistics while training.

    The running statistics, where there are any, move by the mean of the parts' statistics, with the layer's momentum
    or, where that is None, as their mean over all batches. Parts are contiguous; where the batch is not divisible, the
    first ones hold one row more.

    Args:
        channels: as `nn.BatchNorm2d`.
        splits: number of parts.
        **options: of torch's layer.
    """

    def __init__(self, channels: int, splits: int, **options: Any) -> None:
        super().__init__(channels, **options)
        self.splits = splits

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, ...) -> the same shape. In evaluation mode this is plain BatchNorm."""
        if not self.training or self.splits == 1:
            return super().forward(x)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        momentum = 1 / float(self.num_batches_tracked or 1) if self.momentum is None else self.momentum
        running = [old for old in (self.running_mean, self.running_var) if old is not None]
        parts, moved = [], []
        for part in torch.tensor_split(x, self.splits):
            own = [old.clone() for old in running]
            mean, variance = own or (None, None)
            parts.append(functional.batch_norm(part, mean, variance, self.weight, self.bias, True, momentum, self.eps))
            moved.append(own)
        with torch.no_grad():
            for old, new in zip(running, zip(*moved), strict=True):
                old.copy_(torch.stack(new).mean(0))
        return torch.cat(parts)


class SplitBatchNorm1d(_SplitBatchNorm, nn.BatchNorm1d):
    """`nn.BatchNorm1d` in parts."""


class SplitBatchNorm2d(_SplitBatchNorm, nn.BatchNorm2d):
    """`nn.BatchNorm2d` in parts."""


_SPLIT: Final[dict[type, type[_SplitBatchNorm]]] = {nn.BatchNorm1d: SplitBatchNorm1d, nn.BatchNorm2d: SplitBatchNorm2d}


def split_batchnorm(module: nn.Module, splits: int) -> nn.Module:
    """Replaces `nn.BatchNorm1d` and `2d` inside a module, in place, keeping settings, weights, statistics and keys.

    Args:
        module: any network.
        splits: number of parts per batch; 1 leaves the module as it is.

    Returns:
        The module.
    """
    if splits == 1:
        return module
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d) and type(child) in _SPLIT:
            replacement = _SPLIT[type(child)](
                child.num_features, splits, eps=child.eps, momentum=child.momentum, affine=child.affine,
                track_running_stats=child.track_running_stats,
            )  # fmt: skip
            replacement.load_state_dict(child.state_dict())
            for own, kept in zip(replacement.parameters(), child.parameters(), strict=True):
                own.requires_grad_(kept.requires_grad)  # what is frozen stays so
            setattr(module, name, replacement)
        else:
            split_batchnorm(child, splits)
    return module
