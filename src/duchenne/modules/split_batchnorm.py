"""BatchNorm with separate statistics for parts of a batch, as several devices would have them.

On one device this is what keeps keys from leaking through batch statistics, and it makes one
process with a large batch compute exactly what several processes with parts of it compute.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class SplitBatchNorm2d(nn.BatchNorm2d):
    """Normalises each of `splits` equal parts of the batch with its own statistics while training.

    The running statistics move by the mean of the parts' statistics, each with torch's usual momentum. Parts are
    contiguous; where the batch is not divisible, the first ones hold one row more.

    Args:
        channels: as `nn.BatchNorm2d`.
        splits: number of parts.
    """

    def __init__(self, channels: int, splits: int) -> None:
        super().__init__(channels)
        self.splits = splits

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape. In evaluation mode this is plain BatchNorm."""
        if not self.training or self.splits == 1:
            return super().forward(x)
        if self.running_mean is None or self.running_var is None or self.momentum is None:
            raise ValueError("SplitBatchNorm2d needs running statistics and a momentum")
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


def split_batchnorm(module: nn.Module, splits: int) -> nn.Module:
    """Replaces every `nn.BatchNorm2d` inside a module, in place, keeping weights, statistics and state-dict keys.

    Args:
        module: any network.
        splits: number of parts per batch; 1 leaves the module as it is.

    Returns:
        The module.
    """
    if splits == 1:
        return module
    for name, child in module.named_children():
        if type(child) is nn.BatchNorm2d:
            replacement = SplitBatchNorm2d(child.num_features, splits)
            replacement.load_state_dict(child.state_dict())
            setattr(module, name, replacement)
        else:
            split_batchnorm(child, splits)
    return module
