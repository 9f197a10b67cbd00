"""`duchenne info`: versions, devices, methods, data sets and model files, for people and for error reports."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import tyro

from duchenne._version import __version__
from duchenne.errors import DuchenneError, UsageError
from duchenne.plain import tell as print
from duchenne.plugins import NAME, Kind, package_of, plugins


@dataclass(kw_only=True)
class InfoArguments:
    """Versions, devices, methods, data sets and model files; what a model costs; a run's curves. Nothing is fetched."""

    model: tuple[str, ...] = ()
    """Encoders, as `evaluate --model` takes them: say what each costs (parameters, multiply-adds, time)."""
    device: str = "auto"
    """Where the time is taken: auto, cpu, cuda, cuda:N or mps."""
    run: Path | None = None
    """Draw what a run of `pretrain` has logged so far, as RUN/curves.html."""


def main(arguments: list[str]) -> int:
    """Runs `duchenne info`; returns its exit status."""
    parsed = tyro.cli(InfoArguments, prog="duchenne info", args=arguments)
    if parsed.run is not None:
        if parsed.model:
            raise UsageError("--run: draws curves, --model says what a model costs; give one of them.")
        from duchenne.training.watching.curves import write_curves

        print(write_curves(parsed.run))
        return 0
    sections = info(model=parsed.model, device=parsed.device)
    width = max(len(key) for values in sections.values() for key in values)
    for title, values in sections.items():
        print(title if parsed.model else title.replace("_", " "))
        print("".join(f"  {key:<{width}}  {value}\n" for key, value in values.items()))
    return 0


def info(*, model: str | Sequence[str] = (), device: str = "auto") -> dict[str, dict[str, str]]:
    """What this installation is and has, or what models cost; fetches nothing.

    Args:
        model: encoders, as `evaluate` takes them; then only what each costs is said.
        device: where the time is taken.

    Returns:
        Section -> name -> what is known of it, in plain words:
        `versions` (of duchenne, Python, the platform and every package that duchenne requires), `devices` (those that
        `--device` takes), `methods` (of `duchenne pretrain`), `backbones` (that methods take), `recipes` (with
        the method each is for), `data_sets` (the readers of `duchenne prepare`, and `synth`), `model_files` (where
        each lies, or where it would come from) and, where other packages offer something, `plug_ins`.
        With `model`: each model -> input, features, parameters, multiply-adds, time.

    Raises:
        UsageError: when a model is no network, or `device` is not there.
        InputError: when a model cannot be read.
    """
    names = [model] if isinstance(model, str) else list(model)
    if names:
        from duchenne.evaluation.cost import model_cost

        return {name: model_cost(name, device=device).lines() for name in names}
    trains = _trains()
    lacking = {"torch": 'not installed; pip install "duchenne[train]"'}
    found = {
        "versions": _versions(),
        "devices": _devices() if trains else {"cpu": f"{_processor()}, {os.cpu_count()} cores", **lacking},
        "methods": _methods() if trains else lacking,
        "backbones": _backbones() if trains else lacking,
        "recipes": _recipes(),
        "data_sets": _data_sets(),
        "model_files": _model_files(),
    }
    others = _plugins() if trains else {}
    return {**found, "plug_ins": others} if others else found


def _plugins() -> dict[str, str]:
    """What other packages offer; a broken one is said to be, and costs nothing else."""
    from duchenne.augment.views import VIEWS, view_function
    from duchenne.methods.registry import METHODS, method_class
    from duchenne.modules.backbones.build import BACKBONES, build_backbone
    from duchenne.preparing.arguments import READERS
    from duchenne.preparing.datasets.registry import data_set_of

    kinds: tuple[tuple[Kind, Collection[str], Callable[[str], object]], ...] = (
        ("methods", METHODS, method_class),
        ("backbones", BACKBONES, build_backbone),
        ("datasets", READERS, data_set_of),
        ("augmentations", VIEWS, view_function),
    )
    found = {}
    for kind, taken, load in kinds:
        for name, points in plugins(kind).items():
            said = f"{points[0].value} of {package_of(points[0])}"
            if NAME.fullmatch(name) is None:
                said += "; not used: a name has lower-case letters, digits and underscores"
            elif name in taken:
                said += "; not used: the name is duchenne's own"
            else:
                try:
                    load(name)
                except UsageError as error:
                    said = f"broken: {error}"
            found[f"{kind}: {name}"] = said
    return found


def _versions() -> dict[str, str]:
    versions = {"duchenne": __version__, "python": platform.python_version(), "platform": platform.platform()}
    for line in importlib.metadata.requires("duchenne") or []:
        name = re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0]
        extra = re.search(r"extra == .(\w+)", line)
        if extra and extra[1] != "train":
            continue
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = (
                'not installed; pip install "duchenne[train]"' if extra else "missing; install duchenne again"
            )
    return versions


def _trains() -> bool:
    try:
        import torch  # noqa: F401
    except ModuleNotFoundError:
        return False
    return True


def _devices() -> dict[str, str]:
    import torch

    used = f"torch uses {torch.get_num_threads()} threads and {torch.backends.cpu.get_cpu_capability()}"
    devices = {"cpu": f"{_processor()}, {os.cpu_count()} cores; {used}"}
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            found: Any = torch.cuda.get_device_properties(number)
            devices[f"cuda:{number}"] = f"{found.name}, {found.total_memory / 2**30:.0f} GiB"
    if torch.backends.mps.is_available():
        devices["mps"] = "Apple graphics processor"
    return devices


def _processor() -> str:
    try:
        found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:  # not Linux
        found = None
    return found[1] if found else platform.processor() or platform.machine()


def _methods() -> dict[str, str]:
    from duchenne.methods.registry import METHODS, method_class

    return {name: method_class(name).CITATION for name in METHODS}


def _backbones() -> dict[str, str]:
    from duchenne.modules.backbones.build import BACKBONES

    try:
        found = f"version {importlib.metadata.version('transformers')}"
    except importlib.metadata.PackageNotFoundError:
        found = 'not installed; pip install "duchenne[backbones]"'
    others = {
        "transformers:NAME": f"a vision model of Hugging Face transformers, by its type or a local folder; {found}",
        "package.module:builder": "a function without arguments that returns a torch module",
    }
    return {**BACKBONES, **others}


def _recipes() -> dict[str, str]:
    from duchenne.config import load_mapping
    from duchenne.training.recipes import recipe_names

    folder = Path(str(files("duchenne") / "recipes"))
    return {name: f"for {load_mapping(folder / f'{name}.yaml').get('method')}" for name in recipe_names()}


def _data_sets() -> dict[str, str]:
    from duchenne.preparing.arguments import READERS

    return {**READERS, "synth": "procedural faces with exact action units, made by `duchenne synth`"}


def _model_files() -> dict[str, str]:
    from duchenne.model_files import MODEL_FILES, local_model

    found = {}
    for name, file in MODEL_FILES.items():
        try:
            path = local_model(name)
            found[name] = str(path) if path else f"not here yet; fetched when first needed, from {file.url}"
        except DuchenneError as error:
            found[name] = str(error)
    return found
