"""Methods by name, imported when first asked for: every folder beside this module that has a `config.py`.

Adding one: docs/architecture.md, "A method". One of another package is named by an entry point of `duchenne.methods` or
as `package.module:Name`, see `duchenne.plugins`, or given to `register_method`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from duchenne.errors import UsageError, did_you_mean
from duchenne.plugins import import_builder, is_builder, load_plugin, plugins

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from duchenne.data.prepared import Prepared
    from duchenne.methods.base import Method

METHODS: Final = tuple(sorted(path.parent.name for path in Path(__file__).parent.glob("*/config.py")))
"""Names of the methods that come with the package."""
_OWN: Final[dict[str, type[Method]]] = {}
"""Those that this process was given by `register_method`."""


def register_method(method: type[Method], name: str | None = None) -> str:
    """Makes a method of one's own known by a name in this process.

    Its runs can then be resumed and named as `initial:RUN`; whoever reads nothing but their encoder needs it not.

    Args:
        method: a subclass of `Method`, with `Config` and `CITATION`.
        name: lower-case letters, digits and underscores; None: from that of the class, `my_method` of `MyMethod`.

    Returns:
        The name.

    Raises:
        UsageError: when the class is no method, or another one has that name.
    """
    _check(method)
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", method.__name__).lower() if name is None else name
    if re.fullmatch(r"[a-z][a-z0-9_]*", name) is None:
        raise UsageError(f"a method cannot be called `{name}`; use lower-case letters, digits and underscores.")
    if name in METHODS and method is not method_class(name):
        raise UsageError(f"there is a method `{name}` in the package; register {method.__name__} by another name.")
    before = _OWN.get(name)
    if before is not None and (before.__module__, before.__qualname__) != (method.__module__, method.__qualname__):
        raise UsageError(f"there is a method `{name}` already ({before.__module__}); register it by another name.")
    if name not in METHODS:
        _OWN[name] = method
    return name


def _check(method: Any, named: str | None = None) -> None:
    """Refuses what cannot be trained while the cause can still be named; imports no torch."""
    if not isinstance(method, type):
        raise UsageError(
            f"{named or f'method {type(method).__name__}'}: is no class; give a subclass of duchenne.Method, or a name."
        )
    config: Any = getattr(method, "Config", None)
    named = named or method.__name__
    lacking = [wanted for wanted in ("Config", "CITATION", "training_step") if not hasattr(method, wanted)]
    lacking += sorted(getattr(method, "__abstractmethods__", ()))
    if lacking:
        raise UsageError(f"{named}: has no `{lacking[0]}`, which every method needs; derive it from duchenne.Method.")
    stated: Any = getattr(config, "__dataclass_params__", None)
    if stated is None or not stated.frozen:
        raise UsageError(
            f"{named}: its `Config` is no dataclass that is frozen; add @dataclass(frozen=True, kw_only=True)."
        )
    if "bn_splits" not in {field.name for field in dataclasses.fields(config)}:
        raise UsageError(f"{named}: its `Config` has no field `bn_splits`; add `bn_splits: int = 1`.")


def method_name(method: str | type[Method]) -> str:
    """The name of a method; a class that has none yet is registered by its own.

    Raises:
        UsageError: when it is neither a name nor a class that can be a method.
    """
    if isinstance(method, str):
        return method
    _check(method)
    for name in METHODS:
        if method.__module__ == f"duchenne.methods.{name}.method" and method is method_class(name):
            return name
    for name, points in plugins("methods").items():  # so that a run is found again in another process
        if name not in METHODS and [point.value for point in points] == [f"{method.__module__}:{method.__qualname__}"]:
            return name
    return next((name for name, known in _OWN.items() if known is method), None) or register_method(method)


def registered_methods() -> Mapping[str, type[Method]]:
    """What `register_method` was given, by name; another process does not know of them."""
    return dict(_OWN)


def config_class(name: str) -> type:
    """The configuration dataclass of a method; imports no torch.

    Raises:
        UsageError: when there is no such method.
    """
    if name not in METHODS:
        return _foreign(name).Config
    (found,) = _classes(f"duchenne.methods.{name}.config")
    return found


def method_class(name: str) -> type[Method]:
    """The class of a method.

    Raises:
        UsageError: when there is no such method.
    """
    if name not in METHODS:
        return _foreign(name)
    (found,) = (kind for kind in _classes(f"duchenne.methods.{name}.method") if hasattr(kind, "CITATION"))
    return found


def figures_of(method: Method, data: Prepared, rows: NDArray[np.int64]) -> Mapping[str, Figure]:
    """Figures of what a trained method learned, by name: those of the module `figures` beside it, where it has one.

    Looked for beside the package's own methods: what lies beside another one is not ours to start.

    Args:
        method: trained, in evaluation mode.
        data: trained on.
        rows: those that were used.
    """
    package = type(method).__module__.rpartition(".")[0]
    if not package.startswith("duchenne.methods.") or find_spec(f"{package}.figures") is None:
        return {}
    figures: Mapping[str, Figure] = import_module(f"{package}.figures").figures_of(method, data, rows)
    return figures


def _classes(module: str) -> list[type]:
    """The classes that a module defines."""
    return [
        kind for kind in vars(import_module(module)).values() if isinstance(kind, type) and kind.__module__ == module
    ]


def _foreign(name: str) -> type[Method]:
    """A method that does not come with the package: registered, installed, or anywhere as `package.module:Name`."""
    if name in _OWN:
        return _OWN[name]
    found: Any = import_builder(name, "method") if is_builder(name) else load_plugin("methods", name)
    if found is None:
        names = sorted({*METHODS, *_OWN, *plugins("methods")})
        raise UsageError(
            f"there is no method `{name}`; {did_you_mean(name, names, 'choose one.')} Methods: {', '.join(names)}. "
            "One of your own is made known by duchenne.register_method, or named as package.module:Name."
        )
    _check(found, f"method {name}")
    kept: type[Method] = found
    return kept
