"""`transformers:NAME`: vision networks of Hugging Face transformers as backbones (the extra `backbones`).

NAME is a model type, built as its default configuration says with random weights (swin, convnext, efficientnet,
mobilenet_v2, vit, dinov2 ...), or a local folder with `config.json` and `model.safetensors`. Nothing is fetched, and no
code that comes with a model is run. Pictures are normalised with ImageNet's mean and standard deviation, as for all
backbones; transformers' image processors have no part here.
"""

from __future__ import annotations

import json
import math
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from duchenne.config import parse_json
from duchenne.errors import InputError, UsageError, nearest
from duchenne.modules.backbones.base import Backbone

PREFIX: Final = "transformers:"
_TRIED_PX: Final = 224


class TransformersBackbone(Backbone):
    """A vision model of transformers; its last map, or the cells of a vision transformer, are averaged.

    Of the maps of each size the last one is a stage, named as in a ResNet by its size: `layer1` (1/4 of the side) to
    `layer4` (1/32), the nearest power of two. Parts that have no bearing on the maps, such as a pooler, are frozen.

    Args:
        name: `transformers:NAME`.
        last_stage: name of a stage, whose map is then averaged instead of the last one.
        config: JSON of the model's configuration, from a record; None to make it from the name.

    Attributes:
        config: JSON of the model's configuration, where it is not the type's default.

    Raises:
        UsageError: when transformers is not installed, or the name means no vision model.
        InputError: when a folder's weights cannot be read.
    """

    def __init__(self, name: str, last_stage: str | None = None, config: str | None = None) -> None:
        super().__init__()
        self.name, self.config, self._last = name, config, last_stage
        self._lacking: set[str] = set()  # tensors that a folder's weights do not give
        self.network = self._build(name.removeprefix(PREFIX))
        self._options = {"interpolate_pos_encoding": True} if self._takes("interpolate_pos_encoding") else {}
        self._find_stages()
        if last_stage is not None and last_stage not in self.stages:
            raise UsageError(f"--backbone {name}: has no stage `{last_stage}`; it has {', '.join(self.stages)}.")

    def feature_map(self, x: Tensor, stage: str | None = None) -> Tensor:
        """See `Backbone`.

        Raises:
            ValueError: when there is no such stage.
        """
        return self._maps(x)[self._places[self.known_stage(stage or self._last)]]

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W), normalised -> (B, feature_dim)."""
        return self.feature_map(x).mean((2, 3))

    def _build(self, name: str) -> Any:
        try:
            transformers: Any = import_module("transformers")
            types = import_module("transformers.models.auto.configuration_auto").CONFIG_MAPPING_NAMES
        except ImportError as error:
            raise UsageError(
                f"--backbone {self.name}: needs transformers, which is not installed; "
                'install it with `pip install "duchenne[backbones]"`.'
            ) from error
        transformers.logging.set_verbosity_error()
        folder = Path(name)
        local = self.config is None and (folder / "config.json").is_file()
        try:
            if self.config is not None:
                made: Any = transformers.AutoConfig.for_model(**parse_json(self.config, f"--backbone {self.name}"))
            elif local:
                made = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
                self.config = json.dumps(made.to_dict(), default=str)
            elif name in types:
                made = transformers.AutoConfig.for_model(name)
            else:
                near = nearest(name, types)
                hint = f"did you mean `{PREFIX}{near}`?" if near else "its documentation lists the types."
                raise UsageError(
                    f"--backbone {self.name}: is neither a model type of transformers nor a folder with a config.json; "
                    f"{hint}"
                )
            if local:
                model, said = transformers.AutoModel.from_pretrained(
                    folder, config=made, local_files_only=True, use_safetensors=True, trust_remote_code=False,
                    output_loading_info=True,
                )  # fmt: skip
                self._lacking = set(said["missing_keys"])
                return model
            return transformers.AutoModel.from_config(made, trust_remote_code=False)
        except (OSError, ValueError, TypeError, KeyError, ImportError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:160]
            kind = InputError if local else UsageError
            raise kind(f"--backbone {self.name}: cannot be built ({reason}).") from error

    def _takes(self, option: str) -> bool:
        return option in signature(self.network.forward).parameters

    def _find_stages(self) -> None:
        side = getattr(self.network.config, "image_size", None)
        side = side if isinstance(side, int) else _TRIED_PX
        training, blank = self.network.training, torch.zeros(1, 3, side, side)
        try:
            maps = self.eval()._maps(blank)
            parameters = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
            used = torch.autograd.grad(maps[-1].sum(), parameters, allow_unused=True)
        except (RuntimeError, ValueError, TypeError, AttributeError, IndexError) as error:
            reason = " ".join(str(error).split())[:160]
            raise UsageError(f"--backbone {self.name}: gives no maps of a picture of {side} px ({reason}).") from error
        for parameter, gradient in zip(parameters, used, strict=True):
            parameter.requires_grad_(gradient is not None)
        unused = {name for name, parameter in self.network.named_parameters() if not parameter.requires_grad}
        lacking = sorted(name for name in self._lacking - unused if not name.endswith(".num_batches_tracked"))
        if lacking:
            raise InputError(
                f"--backbone {self.name}: its weights lack {len(lacking)} tensors of the network, {lacking[0]} "
                "first; name a folder whose weights fit its config.json."
            )
        self.train(training)
        self._places: dict[str, int] = {}
        for place, found in enumerate(maps):
            self._places[f"layer{max(0, round(math.log2(side / found.shape[-1]) - 1))}"] = place
        last = next(name for name, place in self._places.items() if place == len(maps) - 1)
        self.stages = tuple(sorted(name for name in self._places if name <= last))
        chosen = maps[self._places[self._last]] if self._last in self._places else maps[-1]
        self.channels = self.feature_dim = chosen.shape[1]

    def _maps(self, x: Tensor) -> list[Tensor]:
        out = self.network(x, output_hidden_states=True, **self._options)
        hidden = getattr(out, "reshaped_hidden_states", None) or out.hidden_states
        last = out.last_hidden_state
        return [self._as_map(found, x) for found in (*hidden, last)]

    def _as_map(self, found: Tensor, x: Tensor) -> Tensor:
        """(B, C, h, w) of a map, or of tokens in rows of a square picture after a few that stand for no cell."""
        if found.ndim == 4:
            return found
        cells = math.isqrt(found.shape[1])
        grid = found[:, found.shape[1] - cells**2 :]
        return grid.transpose(1, 2).reshape(len(x), -1, cells, cells)
