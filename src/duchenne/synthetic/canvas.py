"""The canvas that faces are painted on: two half faces on a grid that is fine where the face is.

Everything is painted in face coordinates (see `anatomy`), shaded there, and then looked up for every pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

_FINE_X: Final = 0.80
_LAST_X: Final = 2.00
_FINE_TOP: Final = -0.42
_FINE_BOTTOM: Final = 1.12
_TOP: Final = -1.46
_BOTTOM: Final = 1.72
_COARSE: Final = 2.5
"""How much coarser the grid is away from the face."""


@dataclass
class Canvas:
    """A grid over the half face.

    Attributes:
        x: (W,) columns, from the midline outward.
        y: (H,) rows, downward.
        texel: distance of fine columns and rows, in face units.
        counts: columns of the fine part; rows above it, in it.
    """

    x: Tensor
    y: Tensor
    texel: float
    counts: tuple[int, int, int]

    @classmethod
    def make(cls, texel: float, device: torch.device | str) -> Canvas:
        """A canvas of the given fineness (face units)."""
        fine = round(_FINE_X / texel)
        coarse = _COARSE * texel
        columns = torch.arange(fine, device=device) * texel + 0.5 * texel
        outer = torch.arange(1, int((_LAST_X - _FINE_X) / coarse) + 2, device=device) * coarse + columns[-1]
        above = int((_FINE_TOP - _TOP) / coarse) + 1
        middle = int((_FINE_BOTTOM - _FINE_TOP) / texel) + 1
        below = int((_BOTTOM - _FINE_BOTTOM) / coarse) + 2
        rows = torch.arange(middle, device=device) * texel + _FINE_TOP
        top = torch.arange(-above, 0, device=device) * coarse + _FINE_TOP
        bottom = torch.arange(1, below + 1, device=device) * coarse + rows[-1]
        return cls(torch.cat([columns, outer]), torch.cat([top, rows, bottom]), texel, (fine, above, middle))

    def window(self, left: float, right: float, top: float, bottom: float) -> Window:
        """The part between `left` and `right` (outward) and `top` and `bottom`."""
        columns = torch.nonzero((self.x >= left) & (self.x <= right)).flatten()
        rows = torch.nonzero((self.y >= top) & (self.y <= bottom)).flatten()
        across = slice(int(columns[0]), int(columns[-1]) + 1)
        down = slice(int(rows[0]), int(rows[-1]) + 1)
        return Window(self.x[across].view(1, 1, 1, -1), self.y[down].view(1, 1, -1, 1), across, down)

    def whole(self) -> Window:
        """All of it."""
        everything = slice(None)
        return Window(self.x.view(1, 1, 1, -1), self.y.view(1, 1, -1, 1), everything, everything)

    def slopes(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Central differences of (B, 2, H, W) `values` outward and downward; zero across the midline."""
        gap_x = self.x[2:] - self.x[:-2]
        across = functional.pad((values[..., 2:] - values[..., :-2]) / gap_x, (1, 1, 0, 0), mode="replicate")
        across[..., 0] = (values[..., 1] - values[..., 0]) / (2 * self.x[0] + self.x[1] - self.x[0])
        gap_y = (self.y[2:] - self.y[:-2]).view(-1, 1)
        down = functional.pad((values[..., 2:, :] - values[..., :-2, :]) / gap_y, (0, 0, 1, 1), mode="replicate")
        return across, down

    def sheet(self, halves: Tensor) -> Tensor:
        """Joins (B, 2, C, H, W) halves (subject's right, left) to the (B, C, H, 2W) face."""
        return torch.cat([halves[:, 0].flip(-1), halves[:, 1]], dim=-1)

    def place(self, u: Tensor, v: Tensor) -> Tensor:
        """Where places (u, v) of any shape (B, ...) lie in a sheet, as coordinates for `grid_sample` (B, ..., 2)."""
        fine, above, middle = self.counts
        coarse = _COARSE * self.texel
        reach = u.abs()
        limit = float(self.x[fine - 1])
        column = torch.where(reach < limit, reach / self.texel - 0.5, fine - 1 + (reach - limit) / coarse)
        width = len(self.x)
        column = width - 0.5 + torch.sign(u) * (column + 0.5)
        first, last = float(self.y[above]), float(self.y[above + middle - 1])
        row = torch.where(
            v < first,
            above + (v - first) / coarse,
            torch.where(v > last, above + middle - 1 + (v - last) / coarse, above + (v - first) / self.texel),
        )
        return torch.stack([column / (2 * width - 1) * 2 - 1, row / (len(self.y) - 1) * 2 - 1], dim=-1)

    def look_up(self, sheet: Tensor, place: Tensor) -> Tensor:
        """Values (B, C, H', W') of a (B, C, H, 2W) sheet at `place` (B, H', W', 2)."""
        return functional.grid_sample(
            sheet.expand(len(place), -1, -1, -1), place, mode="bilinear", padding_mode="border", align_corners=True
        )


@dataclass
class Window:
    """A rectangle of a canvas: x (1, 1, 1, W'), y (1, 1, H', 1), and its slices of columns and rows."""

    x: Tensor
    y: Tensor
    across: slice
    down: slice

    def of(self, values: Tensor) -> Tensor:
        """The window's part of (..., H, W) values, as a view."""
        return values[..., self.down, self.across]
