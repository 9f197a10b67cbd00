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

    The running statistics move by the mean of the parts' statistics, each with torch's usual momentum. Parts are
    contiguous; where the batch is not divisible, the first ones hold one row more.

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
        if self.running_mean is None or self.running_var is None or self.momentum is None:
            raise ValueError("split BatchNorm needs running statistics and a momentum")
        parts, means, variances = [], [], []
        for part in torch.tensor_split(x, self.splits):
            mean, variance = self.running_mean.clone(), self.running_var.clone()
            parts.append(
                functional.batch_norm(part, mean, variance, self.weight, self.bias, True, self.momentum, self.eps)
            )
            means.append(mean)
            variances.append(variance)
        with torch.no_grad():
            self.running_mean.copy_(torch.stack(means).mean(0))
            self.running_var.copy_(torch.stack(variances).mean(0))
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.add_(1)
        return torch.cat(parts)


class SplitBatchNorm1d(_SplitBatchNorm, nn.BatchNorm1d):
    """`nn.BatchNorm1d` in parts."""


class SplitBatchNorm2d(_SplitBatchNorm, nn.BatchNorm2d):
    """`nn.BatchNorm2d` in parts."""


_SPLIT: Final[dict[type, type[_SplitBatchNorm]]] = {nn.BatchNorm1d: SplitBatchNorm1d, nn.BatchNorm2d: SplitBatchNorm2d}


def split_batchnorm(module: nn.Module, splits: int) -> nn.Module:
    """Replaces `nn.BatchNorm1d` and `2d` inside a module, in place, keeping weights, statistics and state-dict keys.

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
            replacement = _SPLIT[type(child)](child.num_features, splits, eps=child.eps, affine=child.affine)
            replacement.load_state_dict(child.state_dict())
            for own, kept in zip(replacement.parameters(), child.parameters(), strict=True):
                own.requires_grad_(kept.requires_grad)  # what is frozen stays so
            setattr(module, name, replacement)
        else:
            split_batchnorm(child, splits)
    return module
