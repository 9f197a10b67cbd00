"""The losses of the twin-cycle autoencoder, one number for each sample: pure functions."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from duchenne.losses.precision import at_least_float32


class Codes(NamedTuple):
    """The two codes of a batch of pictures.

    Attributes:
        pose: (B, D).
        au: (B, D).
    """

    pose: Tensor
    au: Tensor


@at_least_float32
def merge_flows(flows: Tensor, attention: Tensor) -> Tensor:
    """Mixes the pose flow and the AU flow, pixel by pixel, by a softmax over their attention.

    Args:
        flows: (B, 2, 2, H, W): of each kind, then x and y.
        attention: (B, 2, H, W): of each kind.

    Returns:
        (B, 2, H, W).

    Raises:
        ValueError: when the shapes do not fit.
    """
    if flows.ndim != 5 or attention.shape != (*flows.shape[:2], *flows.shape[3:]):
        raise ValueError("need flows (B, K, 2, H, W) and attention (B, K, H, W)")
    return (flows * attention.softmax(1)[:, :, None]).sum(1)


@at_least_float32
def code_distance(code: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared difference of two codes: (B, D) twice -> (B,). Both get a gradient, as in the authors' code.

    Raises:
        ValueError: when the shapes differ.
    """
    if code.shape != wanted.shape or code.ndim != 2:
        raise ValueError("need two batches of codes of one shape (B, D)")
    return (code - wanted).square().mean(1)


def feature_consistency(source: Codes, target: Codes, pose_moved: Codes, au_moved: Codes, merged: Codes) -> Tensor:
    """The six terms that say what each picture's codes should be.

    Args:
        source, target: codes of the two frames.
        pose_moved: of the source moved by the pose flow alone: the target's pose, the source's AUs.
        au_moved: of the source moved by the AU flow alone: the source's pose, the target's AUs.
        merged: of the source moved by both: the target's pose and AUs.

    Returns:
        (6, B) squared distances.
    """
    pairs = (
        (pose_moved.pose, target.pose), (pose_moved.au, source.au),
        (au_moved.pose, source.pose), (au_moved.au, target.au),
        (merged.pose, target.pose), (merged.au, target.au),
    )  # fmt: skip
    return torch.stack([code_distance(code, wanted) for code, wanted in pairs])


@at_least_float32
def flow_size(flow: Tensor) -> Tensor:
    """Mean absolute value of each flow: (B, 2, H, W) -> (B,)."""
    return flow.abs().flatten(1).mean(1)
