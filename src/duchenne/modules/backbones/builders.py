"""`package.module:builder`, and backbones of installed packages: networks from other people's code.

A function without arguments that returns a torch module, (B, 3, H, W) RGB in [0, 1] -> (B, D); `feature_map(x, stage)`
beside it where maps are needed. See `duchenne.plugins` for when such code is started.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor, nn

from duchenne.config import SIDES, shortened
from duchenne.errors import UsageError
from duchenne.modules.backbones.base import Backbone
from duchenne.plugins import import_builder, is_builder, load_plugin, others_code

_TRIED_PX: Final = 224


def call_builder(name: str, flag: str) -> nn.Module:
    """The module that a builder returns.

    Args:
        name: `package.module:builder`, or what an installed package calls it.
        flag: that named it, for errors.

    Raises:
        UsageError: when it cannot be called or returns something else.
    """
    builder: Any = import_builder(name, flag) if is_builder(name) else load_plugin("backbones", name)
    with others_code(f"{flag} {name}: cannot be called", "; check the name, it takes no argument"):
        module = builder()
    if not isinstance(module, nn.Module):
        raise UsageError(f"{flag} {name}: returns a {type(module).__name__}, not a torch module.")
    return module


def stated_side(module: nn.Module, said: str) -> int | None:
    """The side of the pictures that a module says it takes, its `size_px`; None where it says nothing.

    Args:
        module: of other people.
        said: what the user calls it, for errors.

    Raises:
        UsageError: when that is no side.
    """
    side = getattr(module, "size_px", None)
    if side is None:
        return None
    value = side.tolist() if hasattr(side, "tolist") else side  # NumPy's numbers and torch's
    if isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1 and SIDES.holds(value):
        return int(value)
    raise UsageError(f"{said}: its size_px is {shortened(side)}, not the side of a picture (a whole number, {SIDES}).")


class BuiltBackbone(Backbone):
    """What a builder returns, as a backbone; tried once with a black picture to learn its widths.

    Args:
        name: `package.module:builder`, or what an installed package calls it.
        last_stage: of its `feature_map`, whose average is then the feature vector; None for what it gives itself.

    Raises:
        UsageError: when it cannot be used, e.g. because a stage is asked for and it has no `feature_map`.
    """

    def __init__(self, name: str, last_stage: str | None = None) -> None:
        super().__init__()
        self.name, self.last_stage = name, last_stage
        self.input_mean, self.input_std = (0.0,) * 3, (1.0,) * 3  # it takes [0, 1] itself
        self.network = call_builder(name, "--backbone")
        self.side_px = stated_side(self.network, f"--backbone {name}")
        side = self.side_px or _TRIED_PX
        self.feature_dim = 0  # not known yet
        stages = getattr(self.network, "stages", ())  # many networks call their layers so
        named = isinstance(stages, list | tuple) and all(isinstance(stage, str) for stage in stages)
        self.stages = (last_stage,) if last_stage else tuple(stages) if named else ()
        training, blank = self.network.training, torch.zeros(1, 3, side, side)
        advice = "; name the side that it takes in the module's `size_px`" if side == _TRIED_PX else ""
        with others_code(f"--backbone {name}: cannot look at a picture of {side} px", advice), torch.no_grad():
            maps = self.eval().feature_map(blank) if hasattr(self.network, "feature_map") else None
            if maps is not None and not _is_of_one(maps, 4):
                raise UsageError(f"--backbone {name}: feature_map gives {_said(maps)} of a picture, not (B, C, h, w).")
            features = self(blank)
        self.train(training)
        if not _is_of_one(features, 2):
            raise UsageError(f"--backbone {name}: gives {_said(features)} of a picture, no feature vector (B, D).")
        for what, values in (("features", features), ("maps", maps)):
            if values is not None and not values.is_floating_point():
                raise UsageError(f"--backbone {name}: gives {what} of {values.dtype}, not of floating-point numbers.")
        self.feature_dim = features.shape[1]
        self.channels = self.feature_dim if maps is None else maps.shape[1]

    def feature_map(self, x: Tensor, stage: str | None = None) -> Tensor:
        """See `Backbone`.

        Raises:
            UsageError: when what was built has no `feature_map`.
        """
        if not hasattr(self.network, "feature_map"):
            raise UsageError(f"--backbone {self.name}: has no feature_map(x, stage), which is needed here; add one.")
        maps: Tensor = self.network.feature_map(x, stage or self.last_stage)  # type: ignore[operator]
        return maps

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) RGB in [0, 1] -> (B, feature_dim).

        Raises:
            UsageError: when the number of features depends on the side, as of a map that is flattened.
        """
        if self.last_stage is not None:
            return self.feature_map(x).mean((2, 3))
        features: Tensor = self.network(x)
        if self.feature_dim and features.shape[1] != self.feature_dim:
            raise UsageError(
                f"--backbone {self.name}: gives {features.shape[1]} features of a picture of {x.shape[-1]} px, "
                f"{self.feature_dim} of one of {self.side_px or _TRIED_PX} px; train it on pictures of that side, "
                "or name another in the module's `size_px`."
            )
        return features


def _is_of_one(value: Any, dimensions: int) -> bool:
    """Whether it is a tensor of so many dimensions that holds something of one picture."""
    return isinstance(value, Tensor) and value.ndim == dimensions and len(value) == 1 and value.numel() > 0


def _said(value: Any) -> str:
    return str(tuple(value.shape)) if isinstance(value, Tensor) else f"a {type(value).__name__}"
