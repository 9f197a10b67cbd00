"""What a configuration from elsewhere may ask of transformers, and how its networks are built: offline, within bounds.

A record (`encoder.json`, `detector.json`) or a folder can come from anybody, and some fields of a configuration have
transformers fetch another network, or code that computes attention. What is refused here is never handed on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from threading import RLock
from typing import Any, Final

from duchenne.config import shortened
from duchenne.plugins import RefusedError

_ELSEWHERE: Final = ("backbone", "backbone_config", "backbone_kwargs", "use_pretrained_backbone", "use_timm_backbone")
"""Name a network inside of the network, which transformers looks up on its hub or has timm fetch."""
_REFUSED: Final = (*_ELSEWHERE, "attribute_map", "fusion_config", "quantization_config", "transformers_weights")
"""`attribute_map` would let a field of any name stand for one of these; the rest choose code or files to be loaded."""
_ATTENTION: Final = ("eager", "sdpa")
"""Attention that torch itself has; any other name may be that of a kernel on the hub."""
_DROPPED: Final = (
    "auto_map", "configuration_files", "dtype", "experts_implementation", "id2label", "label2id", "name_or_path",
    "num_labels", "torch_dtype", "transformers_version",
)  # fmt: skip
"""Has no bearing on maps in single precision: names of classes, where the model lay, and code that lies beside it."""
_LARGEST: Final = 2**20
"""No width or side of a vision network comes near it."""
_DEEPEST: Final = 1000
"""Layers of a network, or of one of its stages; known ones have 152 at most."""
_DEPTHS: Final = ("layers", "depth", "depths", "blocks", "repeats")
"""How the names of fields end that count layers."""
_LOCK: Final = RLock()


def checked(values: Any, where: str = "") -> dict[str, Any]:
    """The fields of a configuration that may be handed to transformers.

    Args:
        values: what its JSON holds; nested configurations are checked alike.
        where: the place of a nested one, `vision_config.`.

    Returns:
        The same without what has no bearing here, such as code that came with it (`auto_map`), which is never run.

    Raises:
        RefusedError: when it names a network or code to be fetched, or a number that no network has.
    """
    if not isinstance(values, Mapping):
        raise RefusedError(f"the configuration must be a mapping, not {shortened(values)}")
    kept = {}
    none_inside = values.get("backbone", "unknown") is None  # then "not pretrained, not timm's" says nothing more
    for key, value in values.items():
        said = f"`{where}{key}: {shortened(value)}`"
        if key.startswith("_") or key in _DROPPED:  # transformers notes such fields for itself; none is handed on
            continue
        if key in _REFUSED:
            if value is not None and not (value is False and none_inside):
                raise RefusedError(f"nothing is fetched or loaded from elsewhere, and its configuration says {said}")
            continue
        if key.startswith("attn_implementation") and value is not None and value not in _ATTENTION:
            raise RefusedError(f"attention is {' or '.join(_ATTENTION)}, and its configuration says {said}")
        if key == "model_type" and str(value).startswith("timm_"):
            raise RefusedError(f"nothing is fetched by timm, and its configuration says {said}")
        kept[key] = _checked_value(value, f"{where}{key}")
    return kept


def _checked_value(value: Any, where: str) -> Any:
    if isinstance(value, Mapping):
        return checked(value, f"{where}.")
    if isinstance(value, list):
        return [_checked_value(item, where) for item in value]
    most = _DEEPEST if where.endswith(_DEPTHS) else _LARGEST
    if isinstance(value, int) and abs(value) > most:
        raise RefusedError(f"no network has more than {most}, and its configuration says `{where}: {shortened(value)}`")
    return value


@contextmanager
def sealed() -> Iterator[None]:
    """Inside, transformers fetches nothing (whatever a configuration makes it ask for) and draws no progress bar.

    What was set before is set again afterwards. The settings are the process's: threads that build wait for one
    another, and one that downloads from the hub meanwhile fails.
    """
    constants: Any = import_module("huggingface_hub.constants")
    hub: Any = import_module("huggingface_hub.utils")
    logging: Any = import_module("transformers").logging
    with _LOCK:
        offline, bars = constants.HF_HUB_OFFLINE, logging.is_progress_bar_enabled()
        hub_bars = not hub.are_progress_bars_disabled()
        constants.HF_HUB_OFFLINE = True
        logging.disable_progress_bar()
        try:
            yield
        finally:
            constants.HF_HUB_OFFLINE = offline
            if bars:
                logging.enable_progress_bar()  # the hub's, too
            if not hub_bars:
                hub.disable_progress_bars()
