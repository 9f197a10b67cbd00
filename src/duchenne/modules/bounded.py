"""Bounds for networks that a file describes: whoever wrote it, building one takes neither all memory nor all time."""

from __future__ import annotations

from typing import Any, Final

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from duchenne.plugins import RefusedError

_MOST_CALLS: Final = 50_000
"""Of torch's functions in building a network and trying it on a picture; known ones need 20,000 at most."""
_MOST_NUMBERS: Final = 2**29
"""In one tensor. The most that a known network needs are 2**28.7: attention of 16 heads between cells of 1008 px."""
LARGEST_METHOD: Final = 2**30
"""Numbers of all tensors that a method is built of, its memories included; the papers' need 2**27.5 at most."""


class Bounded(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Inside, a network that grows without end is stopped, on the meta device as on any other.

    A tensor that is too large is stopped when it is made, before it is filled, so that it takes no memory yet.

    Args:
        most: numbers of all tensors together that are made inside; None where what is made is also given up again.

    Raises:
        RefusedError: after more calls of torch, or by a larger tensor, than any vision network needs.
    """

    def __init__(self, most: int | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._calls, self._numbers, self._most = 0, 0, most

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """As without it, but counted."""
        self._calls += 1
        if self._calls > _MOST_CALLS:
            raise RefusedError(f"its network has more layers than any that is known, {_MOST_CALLS} calls of torch")
        out = func(*args, **(kwargs or {}))
        if isinstance(out, Tensor):
            if out.numel() > _MOST_NUMBERS:
                raise RefusedError(f"its network needs a tensor {tuple(out.shape)}, larger than any that is known")
            if func._schema.returns[0].alias_info is None:  # neither a view nor what was there before
                self._numbers += out.numel()
            if self._most is not None and self._numbers > self._most:
                raise RefusedError(f"it needs more than {self._most} numbers, more than any that is known")
        return out
