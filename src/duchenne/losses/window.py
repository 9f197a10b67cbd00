"""The mean over a window of the sorted losses of a batch: a curriculum from easy samples to harder ones."""

from __future__ import annotations

from torch import Tensor

from duchenne.losses.precision import at_least_float32

ROUNDING = 1e-9
"""0.7 x 10 is a little less than 7 in floating point."""


@at_least_float32
def window_mean(losses: Tensor, low: float, high: float) -> Tensor:
    """Mean of the losses from the `low` to the `high` share of the batch, in order of size.

    Source: Wiles, Koepke & Zisserman, BMVC 2018, section on the curriculum; places are rounded down, as in the authors'
    code. Differs: one loss is always left, where a batch is too small for the window.

    Args:
        losses: (B,) of the samples.
        low: share of the batch that is too easy, at least 0.
        high: share up to which samples are not too hard, above `low`, at most 1.

    Returns:
        () mean over the window.

    Raises:
        ValueError: when the losses are no row of numbers, or the window is none.
    """
    if losses.ndim != 1 or not len(losses) or not 0 <= low < high <= 1:
        raise ValueError("need losses (B,) and 0 <= low < high <= 1")
    start = int(low * len(losses) + ROUNDING)
    stop = max(int(high * len(losses) + ROUNDING), start + 1)
    return losses.sort().values[start:stop].mean()
