"""Backbones by name, open to every method but those with a network of their own (FAb-Net, twin-cycle).

resnet18 | resnet34 | resnet50 | resnet152   with torchvision's state-dict keys; their last map is averaged
densenet121                                  with torchvision's state-dict keys; its last map is averaged
stridedN | stridedN_bn                       N convolutions of stride 2 down to one cell: FAb-Net's and TCAE's
compact                                      small, for pictures from 64 px; its last map is flattened
transformers:NAME                            a vision model of Hugging Face transformers, by its type or a local folder
package.module:builder                       a function without arguments that returns a torch module
the names of `duchenne.backbones`             such functions of installed packages, see `duchenne.plugins`

Adding one: a subclass of `Backbone`, a line in `BACKBONES` and one in `build_backbone`.
"""

from __future__ import annotations

from typing import Final

from duchenne.errors import UsageError, did_you_mean
from duchenne.modules.backbones import compact, densenet, resnet
from duchenne.modules.backbones.base import Backbone
from duchenne.modules.backbones.builders import BuiltBackbone
from duchenne.modules.backbones.strided import build_strided, is_strided
from duchenne.modules.backbones.transformers import PREFIX, TransformersBackbone
from duchenne.plugins import is_builder, plugins

BACKBONES: Final[dict[str, str]] = {
    "resnet18": "11.2 million parameters, 512 features",
    "resnet34": "21.3 million parameters, 512 features",
    "resnet50": "23.5 million parameters, 2048 features",
    "resnet152": "58.1 million parameters, 2048 features",
    "densenet121": "7.0 million parameters, 1024 features",
    "compact": "0.68 million parameters, 128 features, pictures from 64 px; keeps where things are",
}
"""Name -> what it is, in words."""


def build_backbone(name: str, last_stage: str | None = None, config: str | None = None) -> Backbone:
    """A backbone with random weights, or those that its code or folder gives it.

    Args:
        name: one of `BACKBONES`, or one of the other forms (see the module's first lines).
        last_stage: name of the stage after which it ends; later ones are not built. None for the whole network.
        config: of a `transformers:` backbone that came from a folder, see `TransformersBackbone`.

    Raises:
        UsageError: when there is no such backbone, or it has no such stage.
        InputError: when the weights of a folder cannot be read.
    """
    if name.startswith(PREFIX):
        return TransformersBackbone(name, last_stage, config)
    if is_strided(name):
        return build_strided(name, last_stage)
    if is_builder(name):
        return BuiltBackbone(name, last_stage)
    if name not in BACKBONES:
        others = plugins("backbones")
        if name in others:
            return BuiltBackbone(name, last_stage)
        names = [*BACKBONES, *(other for other in others if other not in BACKBONES)]
        meant = did_you_mean(name.lower(), names, "choose one.")
        raise UsageError(
            f"there is no backbone `{name}`; {meant} Backbones: {', '.join(names)}, "
            f"stridedN, {PREFIX}NAME, package.module:builder."
        )
    stages = {"compact": compact.STAGES, "densenet121": densenet.STAGES}.get(name, resnet.STAGES)
    if last_stage is not None and last_stage not in stages:
        raise UsageError(f"backbone {name} has no stage `{last_stage}` to end after; it has {', '.join(stages)}.")
    if name == "compact":
        return compact.Compact(last_stage)
    if name == "densenet121":
        return densenet.DenseNet121(last_stage)
    return resnet.build_resnet(name, last_stage or stages[-1])


def is_foreign(name: str) -> bool:
    """Whether a backbone is not the package's own: a builder, a model of transformers, or one of another package."""
    return ":" in name or (name not in BACKBONES and not is_strided(name))


def cell_px(name: str) -> int:
    """How many pixels of the picture's side one cell of the last map stands for; 32 where it is not known."""
    return 16 if name == "compact" else 32
