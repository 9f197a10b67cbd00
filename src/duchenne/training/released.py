"""The tensors of released networks under this library's names.

A convolution before a BatchNorm has no bias here: the released one goes into the running mean, which subtracts it
again, so that the network computes the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Literal

from torch import Tensor

Released = Literal["fab_net", "twin_cycle"]
_FAB_NET_LAYERS: Final = 8
_TWIN_CYCLE: Final = {
    "shared": (("conv1", "batch_norm"), ("conv2", "batch_norm2_0"), ("conv3", "batch_norm4_0"),
               ("conv4", "batch_norm8_0"), ("conv5", "batch_norm8_1")),
    "pose": (("conv6", "batch_norm8_2"), ("conv7", "batch_norm8_3"), ("conv8", None)),
    "au": (("conv6_1", "batch_norm8_2_1"), ("conv7_1", "batch_norm8_3_1"), ("conv8_1", None)),
}  # fmt: skip
"""Convolutions of TCAE's encoder in order, and the BatchNorm after each."""


def which_released(state: Mapping[str, Tensor]) -> Released | None:
    """Whose network a state dict is; None: neither FAb-Net's nor TCAE's."""
    if "encoder.20.weight" in state and "decoder.2.weight" in state:
        return "fab_net"
    return "twin_cycle" if "encoder.conv8_1.weight" in state else None


def released_state(state: Mapping[str, Tensor], code: Literal["au", "pose"] = "au") -> dict[str, Tensor]:
    """The encoder of FAb-Net or TCAE, named as `Encoder` does.

    Args:
        state: of the whole network, see `which_released`.
        code: of TCAE's two.

    Returns:
        The tensors of the layers that are complete.
    """
    layers: list[tuple[str, str | None]]
    if (
        which_released(state) == "fab_net"
    ):  # a Sequential: convolution, LeakyReLU, then (convolution, BatchNorm, LeakyReLU)
        middle = [(str(3 * number - 4), str(3 * number - 3)) for number in range(2, _FAB_NET_LAYERS)]
        layers = [("0", None), *middle, (str(3 * _FAB_NET_LAYERS - 4), None)]
    else:
        layers = [*_TWIN_CYCLE["shared"], *_TWIN_CYCLE[code]]
    return dict(_renamed(state, layers))


def _renamed(state: Mapping[str, Tensor], layers: list[tuple[str, str | None]]) -> Iterator[tuple[str, Tensor]]:
    for number, (convolution, norm) in enumerate(layers, start=1):
        here = f"backbone.layer{number}"
        names = [f"encoder.{convolution}.{name}" for name in ("weight", "bias")]
        names += [f"encoder.{norm}.{name}" for name in ("weight", "bias", "running_var", "running_mean") if norm]
        found = [state[name] for name in names if name in state]
        if len(found) < len(names):
            continue
        yield f"{here}.0.weight", found[0]
        if norm is None:
            yield f"{here}.0.bias", found[1]
        else:
            for name, tensor in zip(("weight", "bias", "running_var"), found[2:5], strict=True):
                yield f"{here}.1.{name}", tensor
            yield f"{here}.1.running_mean", found[5] - found[1]
