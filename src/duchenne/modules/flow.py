"""Flow fields: a decoder that draws them from codes, and pictures sampled by them.

A flow (B, 2, H, W) says for every pixel of the output how far from it the source is read: channel 0 to the right,
channel 1 down, in halves of the picture's side (2 / (W - 1) is one pixel). (-1, -1) and (1, 1) are the centres of the
corner pixels (`align_corners=True`), so that a flow of zeros gives the source itself; what would be read outside is
read at the border.

Source: Wiles, Koepke & Zisserman, BMVC 2018, and Li, Zeng, Shan & Chen, CVPR 2019, as in the authors' codes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from duchenne.losses.precision import at_least_float32
from duchenne.modules.backbones.strided import WIDTHS


class FlowDecoder(nn.Sequential):
    """Codes to a map of the picture's size: (ReLU, bilinear upsampling by 2, convolution 3 x 3, BatchNorm) x layers.

    256 channels, then 128, 64, 32 before the last convolution, which has no BatchNorm but a tanh.

    Differs: a convolution before a BatchNorm has no bias, see `duchenne.modules.backbones.strided`.

    Args:
        width: of the codes.
        layers: 2^layers is the side of the map in pixels.
        channels: of the map.
    """

    def __init__(self, width: int, layers: int, channels: int) -> None:
        widths = [WIDTHS[min(number, len(WIDTHS) - 1)] for number in reversed(range(layers - 1))]
        parts: list[nn.Module] = []
        for before, after in zip([width, *widths], [*widths, None], strict=True):
            parts += [nn.ReLU(), nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)]
            parts += [nn.Conv2d(before, after or channels, 3, padding=1, bias=after is None)]
            parts += [nn.BatchNorm2d(after) if after else nn.Tanh()]
        super().__init__(*parts)

    def forward(self, codes: Tensor) -> Tensor:
        """(B, width) -> (B, channels, H, H) between -1 and 1."""
        maps = codes[:, :, None, None]
        for part in self:
            maps = part(maps)
        return maps


def identity_grid(flow: Tensor) -> Tensor:
    """(2, H, W) where every pixel of a flow (B, 2, H, W) lies: x, then y, from -1 to 1."""
    y, x = (torch.linspace(-1, 1, side, device=flow.device, dtype=flow.dtype) for side in flow.shape[-2:])
    return torch.stack(torch.meshgrid(x, y, indexing="xy"))


@at_least_float32
def clamped(flow: Tensor) -> Tensor:
    """(B, 2, H, W) the flow that is really used: shortened where it would leave the picture."""
    grid = identity_grid(flow)
    return (flow + grid).clamp(-1, 1) - grid


@at_least_float32
def polynomial(flow: Tensor, degree: int) -> Tensor:
    """The polynomial in x and y nearest to a flow (least squares), each channel by itself: smooth movement only.

    Args:
        flow: (B, 2, H, W).
        degree: of the polynomial, x and y together; 1 is what shifts, turns, zooms and shears.

    Returns:
        (B, 2, H, W).
    """
    x, y = identity_grid(flow).flatten(1)
    powers = [x**i * y**j for i in range(degree + 1) for j in range(degree + 1 - i)]
    basis = torch.linalg.qr(torch.stack(powers, dim=1)).Q
    smooth: Tensor = flow.flatten(2) @ basis @ basis.T
    return smooth.view_as(flow)


@at_least_float32
def sample(source: Tensor, flow: Tensor) -> Tensor:
    """Reads a picture where a flow says.

    Args:
        source: (B, C, H, W); gets no gradient, as in the authors' codes.
        flow: (B, 2, H, W), see the module's first lines.

    Returns:
        (B, C, H, W).
    """
    places = (flow + identity_grid(flow)).clamp(-1, 1).permute(0, 2, 3, 1)
    return nn.functional.grid_sample(
        source.detach().to(flow.dtype), places, mode="bilinear", padding_mode="border", align_corners=True
    )
