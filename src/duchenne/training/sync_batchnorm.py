"""BatchNorm over the batches of all processes, where several train on CUDA: torch's SyncBatchNorm."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from duchenne.errors import UsageError
from duchenne.methods.base import Method


def check_sync_batchnorm(config: Any, device: torch.device) -> None:
    """Refuses `sync_batchnorm` where it cannot be.

    Args:
        config: of the job.
        device: resolved.

    Raises:
        UsageError: on another device than CUDA, or together with parts of a batch that have statistics of their own.
    """
    if config.sync_batchnorm and device.type != "cuda":
        raise UsageError(f"--sync-batchnorm: exists on CUDA only, and this training is on {device.type}; leave it out.")
    if config.sync_batchnorm and config.bn_splits > 1:
        raise UsageError(
            f"--sync-batchnorm: BatchNorm statistics over all processes exclude --bn-splits {config.bn_splits}, parts "
            "of a batch with statistics of their own; add --bn-splits 1."
        )


def synchronised(method: Method, processes: int) -> Method:
    """The method with every BatchNorm layer of its networks, heads and momentum copies included, made synchronous.

    Parameters and buffers stay the same tensors, under the same names.

    Args:
        method: changed in place.
        processes: of the whole job.

    Raises:
        UsageError: with one process, where nothing would change.
    """
    if processes == 1:
        raise UsageError("--sync-batchnorm: there is only one process; leave it out, or ask for more --devices.")
    converted: Method = nn.SyncBatchNorm.convert_sync_batchnorm(method)  # type: ignore[no-untyped-call]
    return converted
