"""`transformers:NAME`: vision networks of Hugging Face transformers as backbones (the extra `backbones`).

NAME is a model type, built as its default configuration says with random weights (swin, convnext, efficientnet,
mobilenet_v2, vit, dinov2 ...), or a local folder with `config.json` and `model.safetensors`. Nothing is fetched, and no
code that comes with a model is run (see `transformers_guard`). Pictures are normalised with ImageNet's mean and
standard deviation, as for all backbones; transformers' image processors have no part here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from duchenne.config import load_json
from duchenne.errors import DuchenneError, InputError, UsageError, nearest
from duchenne.modules.backbones.base import Backbone
from duchenne.modules.backbones.transformers_guard import checked, sealed
from duchenne.modules.bounded import Bounded
from duchenne.plugins import RefusedError, others_code

PREFIX: Final = "transformers:"
_TRIED_PX: Final = 224
_LARGEST_TRIED_PX: Final = 1024
_CLASS_TOKENS: Final = 2
"""DeiT has one for the class and one for distillation."""


class TransformersBackbone(Backbone):
    """A vision model of transformers; its last map, or the cells of a vision transformer, are averaged.

    Of the maps of each size the last one is a stage, named as in a ResNet by its size: `layer1` (1/4 of the side) to
    `layer4` (1/32), the nearest power of two. Parts that have no bearing on the map that is averaged are frozen, such
    as a pooler, or the stages after `last_stage`.

    Made on torch's meta device, it has the shapes of the whole network and takes no memory; a folder's weights are not
    read then.

    Args:
        name: `transformers:NAME`.
        last_stage: name of a stage, whose map is then averaged instead of the last one.
        config: JSON of the model's configuration, from a record; None to make it from the name.

    Attributes:
        config: JSON of the model's configuration, where it is not the type's default.

    Raises:
        UsageError: when transformers is not installed, the name means no vision model, the record's configuration
            cannot be built, or the model gives another map at every look.
        InputError: when a folder cannot be read, or its network not be built.
    """

    def __init__(self, name: str, last_stage: str | None = None, config: str | None = None) -> None:
        super().__init__()
        self.name, self.config, self._last = name, config, last_stage
        self._lacking: set[str] = set()  # tensors that a folder's weights do not give
        self._kind: type[DuchenneError] = UsageError  # what a failure is: a folder's is one of its files
        try:
            transformers: Any = import_module("transformers")
        except ImportError as error:
            raise UsageError(
                f"--backbone {self.name}: needs transformers, which is not installed; "
                'install it with `pip install "duchenne[backbones]"`.'
            ) from error
        transformers.logging.set_verbosity_error()
        with sealed(), Bounded():
            self.network = self._build(transformers, name.removeprefix(PREFIX))
            self._options = {"interpolate_pos_encoding": True} if self._takes("interpolate_pos_encoding") else {}
            self._find_stages(transformers)

    def feature_map(self, x: Tensor, stage: str | None = None) -> Tensor:
        """See `Backbone`.

        Raises:
            ValueError: when there is no such stage.
        """
        return self._maps(x)[self._places[self.known_stage(stage)]]

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W), normalised -> (B, feature_dim)."""
        return self.feature_map(x).mean((2, 3))

    def _build(self, transformers: Any, name: str) -> Any:
        with others_code(f"--backbone {self.name}: cannot be built"):
            types = import_module("transformers.models.auto.configuration_auto").CONFIG_MAPPING_NAMES
            folder = Path(name)
            local = self.config is None and (folder / "config.json").is_file()
            if self.config is not None:
                made = _configuration(transformers, json.loads(self.config))
            elif not local and name not in types:
                near = nearest(name, types)
                hint = f"did you mean `{PREFIX}{near}`?" if near else "its documentation lists the types."
                raise UsageError(
                    f"--backbone {self.name}: is neither a model type of transformers nor a folder with a config.json; "
                    f"{hint}"
                )
            elif not local:
                made = transformers.AutoConfig.for_model(name)
            if not local:
                return _network(transformers, made)
        self._kind, advice = InputError, "; mend its files or fetch them again"
        with others_code(f"--backbone {self.name}: the folder's network cannot be built", advice, self._kind):
            if (folder / "adapter_config.json").exists():  # transformers would look for the network that it adapts
                raise RefusedError("it holds an adapter (adapter_config.json), not a network; merge the two first")
            made = _configuration(transformers, load_json(folder / "config.json"))
            self.config = json.dumps(checked(made.to_dict()), default=str)
            with torch.device("meta"):
                imagined = _network(transformers, made)
            if torch.get_default_device().type == "meta":
                return imagined
            # A number takes a byte at least. What weights lack is made up in memory before it can be refused below.
            numbers = sum(parameter.numel() for parameter in imagined.parameters())
            held = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
            if 0 < held < numbers:
                raise RefusedError(f"its config.json describes {numbers} numbers, its weights have {held} bytes")
            model, said = transformers.AutoModel.from_pretrained(
                folder, config=made, local_files_only=True, use_safetensors=True, trust_remote_code=False,
                dtype=torch.float32, output_loading_info=True,
            )  # fmt: skip
            self._lacking = set(said["missing_keys"])
            return model

    def _takes(self, option: str) -> bool:
        return option in signature(self.network.forward).parameters

    def _find_stages(self, transformers: Any) -> None:
        """Names the maps, and freezes what has no bearing on the one that is averaged.

        Shapes and gradients are looked at on the meta device, where a network of many cells takes no memory.
        """
        config = self.network.config
        side = _whole(getattr(config, "image_size", None))
        side = side if side is not None and side <= _LARGEST_TRIED_PX else _TRIED_PX
        self._patch = _whole(getattr(config, "patch_size", None))
        said = f"--backbone {self.name}: gives no maps of a picture of {side} px"
        with others_code(said, kind=self._kind), torch.enable_grad():
            real = next(self.network.parameters()).device.type != "meta"
            with torch.device("meta"):
                imagined = (_network(transformers, config) if real else self.network).eval()
                blank = torch.empty(1, 3, side, side)
            found = self._outputs(imagined, blank)
            self._layouts = _layouts(found, side, self._patch, config)
            maps = self._as_maps(found, blank)
            self._places = {
                f"layer{max(0, round(math.log2(side / one.shape[-1]) - 1))}": place for place, one in enumerate(maps)
            }
            last = next(name for name, place in self._places.items() if place == len(maps) - 1)
            self.stages = tuple(sorted(name for name in self._places if name <= last))
            if self._last is not None and self._last not in self.stages:
                raise UsageError(
                    f"--backbone {self.name}: has no stage `{self._last}`; it has {', '.join(self.stages)}."
                )
            self.stages = tuple(name for name in self.stages if name <= (self._last or last))
            chosen = maps[self._places[self.stages[-1]]]
            trained = {name: one for name, one in imagined.named_parameters() if one.requires_grad}
            used = torch.autograd.grad(chosen.sum(), list(trained.values()), allow_unused=True)
            if real:
                self._check_repeats(torch.linspace(-1, 1, 3 * side * side).view(1, 3, side, side))
        bearing = {name for name, gradient in zip(trained, used, strict=True) if gradient is not None}
        for name, parameter in self.network.named_parameters():
            parameter.requires_grad_(name in bearing)
        unused = {name for name, _ in self.network.named_parameters()} - bearing
        lacking = sorted(name for name in self._lacking - unused if not name.endswith(".num_batches_tracked"))
        if lacking:
            raise InputError(
                f"--backbone {self.name}: its weights lack {len(lacking)} tensors of the network, {lacking[0]} "
                "first; name a folder whose weights fit its config.json."
            )
        self.channels = self.feature_dim = chosen.shape[1]

    def _check_repeats(self, picture: Tensor) -> None:
        """Refuses what hides other parts of a picture at every look, such as a masked autoencoder."""
        training = self.network.training
        self.network.eval()
        with torch.no_grad():
            first, second = (self._outputs(self.network, picture) for _ in range(2))
        self.network.train(training)
        for one, other in zip(first, second, strict=True):
            same = one.shape == other.shape
            if same:  # but for rounding, which is relative to the largest of the numbers summed
                one, other = one.nan_to_num(), other.nan_to_num()
                same = bool((one - other).abs().max() <= 1e-3 * one.abs().max())
            if not same:
                raise UsageError(
                    f"--backbone {self.name}: gives another map of the same picture at every look, as networks do that "
                    "hide parts of it at random; name another model type."
                )

    def _maps(self, x: Tensor) -> list[Tensor]:
        return self._as_maps(self._outputs(self.network, x), x)

    def _outputs(self, network: Any, x: Tensor) -> list[Tensor]:
        """Maps or tokens as a network gives them, the last of its outputs after those of its layers."""
        out = network(x, output_hidden_states=True, **self._options)
        hidden = getattr(out, "reshaped_hidden_states", None) or out.hidden_states
        return [*hidden, out.last_hidden_state]

    def _as_maps(self, found: Sequence[Tensor], x: Tensor) -> list[Tensor]:
        return [layout.as_map(one, x, self._patch) for layout, one in zip(self._layouts, found, strict=True)]


@dataclass(frozen=True)
class _Layout:
    """Where the cells of a picture lie in what a network gives.

    Attributes:
        channels_last: whether a map is (B, h, w, C).
        before, after: tokens around those of the cells that stand for none: class, registers; detections.
    """

    channels_last: bool = False
    before: int = 0
    after: int = 0

    def as_map(self, found: Tensor, x: Tensor, patch: int | None) -> Tensor:
        """(B, C, h, w) of a map, or of tokens in rows of a picture x."""
        if found.ndim == 4:
            return found.permute(0, 3, 1, 2) if self.channels_last else found
        count = found.shape[1] - self.before - self.after
        rows, columns = (int(length) // patch for length in x.shape[-2:]) if patch else (0, 0)
        if rows * columns != count:  # a network that pads pictures, or one whose later stages are coarser
            rows = columns = math.isqrt(max(0, count))
        if not count or rows * columns != count:
            raise ValueError(f"{found.shape[1]} tokens of a picture of {x.shape[-2]} x {x.shape[-1]} px are no map")
        cells = found[:, self.before : self.before + count]
        return cells.transpose(1, 2).reshape(len(x), -1, rows, columns)


def _layouts(found: Sequence[Tensor], side: int, patch: int | None, config: Any) -> list[_Layout]:
    """Of everything that a network gives of a square picture, whose maps must be square, too."""
    known = {place: kind for place, one in enumerate(found) if (kind := _channels_last(one)) is not None}
    usual = next(iter(known.values()), False)  # where a map has as many channels as rows: as its neighbours
    last = [known.get(place, usual) for place in range(len(found))]
    sizes = [
        one.shape[1] ** 2 if last[place] else one.shape[2] ** 2 for place, one in enumerate(found) if one.ndim == 4
    ]
    after = _number(getattr(config, "num_detection_tokens", 0))
    most = sum(_number(getattr(config, key, 0)) for key in ("num_register_tokens", "n_cls_tokens")) + _CLASS_TOKENS
    layouts = []
    for place, one in enumerate(found):
        if one.ndim == 4:
            layouts.append(_Layout(channels_last=last[place]))
            continue
        # How many cells there are is known from the maps beside them, or from patches; else most tokens are cells.
        tokens = one.shape[1] - after
        counts = [*reversed(sizes), (side // patch) ** 2 if patch else 0, math.isqrt(max(0, tokens)) ** 2]
        before = next((tokens - count for count in counts if count and 0 <= tokens - count <= most), None)
        if before is None:
            raise RefusedError(f"its {one.shape[1]} tokens are not the cells of a square map and {most} more at most")
        layouts.append(_Layout(before=before, after=after))
    return layouts


def _channels_last(one: Tensor) -> bool | None:
    """Whether a map of a square picture is (B, h, w, C), not (B, C, h, w); None where its shape does not tell."""
    if one.ndim not in (3, 4):
        raise RefusedError(f"{tuple(one.shape)} is neither a map nor tokens")
    if one.ndim == 3:
        return None
    first, second, third = one.shape[1:]
    if first != second and second != third:
        raise RefusedError(f"{tuple(one.shape)} is no square map")
    return None if first == second == third else first == second


def _whole(value: Any) -> int | None:
    """A length of at least 1, given once or for both sides alike; None for anything else."""
    if isinstance(value, list | tuple) and len(value) == 2 and value[0] == value[1]:
        value = value[0]
    return value if _number(value) else None


def _number(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _configuration(transformers: Any, values: Any) -> Any:
    """What transformers makes of a configuration from elsewhere."""
    values = checked(values)
    if "model_type" not in values:
        raise RefusedError("its configuration names no `model_type`")
    return transformers.AutoConfig.for_model(**values)


def _network(transformers: Any, made: Any) -> Any:
    return transformers.AutoModel.from_config(made, trust_remote_code=False, dtype=torch.float32)
