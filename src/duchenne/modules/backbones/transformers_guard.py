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

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from duchenne.config import shortened
from duchenne.errors import DuchenneError

_ELSEWHERE: Final = ("backbone", "backbone_config", "backbone_kwargs", "use_pretrained_backbone", "use_timm_backbone")
"""Name a network inside of the network, which transformers looks up on its hub or has timm fetch."""
_REFUSED: Final = (*_ELSEWHERE, "attribute_map", "fusion_config", "quantization_config", "transformers_weights")
"""`attribute_map` would let a field of any name stand for one of these; the rest choose code or files to be loaded."""
_ATTENTION: Final = ("eager", "sdpa")
"""Attention that torch itself has; any other name may be that of a kernel on the hub."""
_DROPPED: Final = (
    "auto_map", "configuration_files", "dtype", "experts_implementation", "id2label", "label2id", "name_or_path",
    "num_labels", "torch_dtype",
)  # fmt: skip
"""Has no bearing on maps in single precision: names of classes, where the model lay, and code that lies beside it."""
_LARGEST: Final = 2**20
"""No width or side of a vision network comes near it."""
_DEEPEST: Final = 1000
"""Layers of a network, or of one of its stages; known ones have 152 at most."""
_DEPTHS: Final = ("layers", "depth", "depths", "blocks", "repeats")
"""How the names of fields end that count layers."""
_MOST_CALLS: Final = 50_000
"""Of torch's functions in building a network and trying it on a picture; the default ones of all types need 20,000."""
_MOST_NUMBERS: Final = 2**29
"""In one tensor. The most that a known network needs are 2**28.7: attention of 16 heads between cells of 1008 px."""
_LOCK: Final = RLock()


class RefusedError(ValueError):
    """A configuration that asks for what is not done here; `told` makes a sentence of it."""


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
    for key, value in values.items():
        plain, said = key.lstrip("_").lower(), f"`{where}{key}: {shortened(value)}`"
        if plain in _REFUSED and value is not None:
            raise RefusedError(f"nothing is fetched or loaded from elsewhere, and its configuration says {said}")
        if plain.startswith("attn_implementation") and value is not None and value not in _ATTENTION:
            raise RefusedError(f"attention is {' or '.join(_ATTENTION)}, and its configuration says {said}")
        if plain == "model_type" and str(value).startswith("timm_"):
            raise RefusedError(f"nothing is fetched by timm, and its configuration says {said}")
        # transformers itself writes the fields that begin with a line; they would overwrite its own attributes.
        if not key.startswith("_") and plain not in (*_DROPPED, *_REFUSED):
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

    What was set before is set again afterwards; threads wait for one another, as the settings are the process's.
    """
    constants: Any = import_module("huggingface_hub.constants")
    logging: Any = import_module("transformers").logging
    with _LOCK:
        offline, bars = constants.HF_HUB_OFFLINE, logging.is_progress_bar_enabled()
        constants.HF_HUB_OFFLINE = True
        logging.disable_progress_bar()
        try:
            yield
        finally:
            constants.HF_HUB_OFFLINE = offline
            if bars:
                logging.enable_progress_bar()


class Bounded(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Inside, a network that grows without end is stopped, on the meta device as on any other.

    Raises:
        RefusedError: after more calls of torch, or by a larger tensor, than any vision network needs.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._calls = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """As without it, but counted."""
        self._calls += 1
        if self._calls > _MOST_CALLS:
            raise RefusedError(f"its network has more layers than any that is known, {_MOST_CALLS} calls of torch")
        out = func(*args, **(kwargs or {}))
        if isinstance(out, Tensor) and out.numel() > _MOST_NUMBERS:
            raise RefusedError(f"its network needs a tensor {tuple(out.shape)}, larger than any that is known")
        return out


@contextmanager
def told(said: str, kind: type[DuchenneError], advice: str = "") -> Iterator[None]:
    """Runs code of transformers: whatever it raises becomes one sentence, `said (reason)advice.`

    Args:
        said: what failed, and of which backbone.
        kind: of the error: an `InputError` where files are at fault.
        advice: what to do.

    Raises:
        DuchenneError: of that kind, with that sentence; one of ours passes as it is.
    """
    try:
        yield
    except DuchenneError:
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:160]
        reason = str(error) if isinstance(error, RefusedError) else reason
        raise kind(f"{said} ({reason}){advice}.") from error
