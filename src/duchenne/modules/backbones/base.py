"""What an encoder needs of a backbone, whatever it is."""

from __future__ import annotations

from typing import Final

from torch import Tensor, nn

IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)
IMAGENET_STD: Final = (0.229, 0.224, 0.225)


class Backbone(nn.Module):
    """A network that gives maps and, from the last one, a feature vector; takes normalised pictures.

    Attributes:
        stages: names of the stages whose maps can be asked for, in order.
        channels: of the last map.
        feature_dim: width of what `forward` gives.
        smallest_px: side of the smallest picture it takes.
        side_px: the only side it takes, by what it says of itself; None for any.
        input_mean, input_std: of the three channels, taken out of pictures in [0, 1] before it sees them.
    """

    stages: tuple[str, ...]
    channels: int
    feature_dim: int
    smallest_px: int = 1
    side_px: int | None = None
    input_mean: tuple[float, float, float] = IMAGENET_MEAN
    input_std: tuple[float, float, float] = IMAGENET_STD

    def known_stage(self, stage: str | None) -> str:
        """The name of a stage that there is, None being the last.

        Raises:
            ValueError: when there is no such stage.
        """
        stage = stage or self.stages[-1]
        if stage not in self.stages:
            raise ValueError(f"there is no stage {stage!r}; choose one of {', '.join(self.stages)}")
        return stage

    def feature_map(self, x: Tensor, stage: str | None = None) -> Tensor:
        """The map after a stage, None for the last: (B, 3, H, W), normalised -> (B, C, h, w)."""
        raise NotImplementedError
