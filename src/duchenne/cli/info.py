"""`duchenne info`: versions, devices, methods, data sets and model files, for people and for error reports."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import textwrap
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import tyro

from duchenne._version import __version__
from duchenne.cli.parsing import parse
from duchenne.devices import processor_name
from duchenne.errors import DuchenneError, UsageError
from duchenne.plain import tell as print
from duchenne.plugins import NAME, Kind, package_of, plugins

_MAIN: Final = (
    "duchenne",
    "python",
    "platform",
    "torch",
    "numpy",
    "mediapipe",
    "opencv-contrib-python",
    "av",
    "pandas",
)
"""What decides what comes out; `--all` has the others."""
_NOT_HERE: Final = "not here yet; fetched when first needed,"
_COLUMNS: Final = 110
_NARROWEST: Final = 40


@dataclass(kw_only=True)
class InfoArguments:
    """Versions, devices and model files; what there is to choose from; what a model costs; a run's curves.

    Nothing is fetched.
    """

    all: tyro.conf.FlagCreatePairsOff[bool] = False
    """Every package's version, and every method, backbone, recipe and data set with a line about it."""
    model: tuple[str, ...] = ()
    """Encoders, as `evaluate --model` takes them: say what each costs (parameters, multiply-adds, time)."""
    device: str = "auto"
    """With --model or --data: where the time is taken, or the figures are drawn: auto, cpu, cuda, cuda:N or mps."""
    run: Path | None = None
    """Draw what a run of `pretrain` has logged so far, as RUN/curves.html."""
    data: tuple[Path, ...] = ()
    """With --run: prepared folders from whose faces the method draws its figures anew, in RUN/figures, such as what the
    two flows of twin_cycle make of a face."""


def main(arguments: list[str]) -> int:
    """Runs `duchenne info`; returns its exit status."""
    parsed = parse(InfoArguments, prog="duchenne info", args=arguments)
    if parsed.all and (parsed.model or parsed.run is not None):
        raise UsageError("--all: is about this installation; leave it out beside --model and --run.")
    if parsed.run is not None:
        if parsed.model:
            raise UsageError("--run: draws curves, --model says what a model costs; give one of them.")
        if parsed.device != "auto" and not parsed.data:
            raise UsageError(
                "--device: is where figures from --data are drawn; name prepared folders, or leave it out."
            )
        from duchenne.training.watching.curves import write_curves

        if parsed.data:
            from duchenne.training.watching.figures import draw_figures

            for figure in draw_figures(parsed.run, parsed.data, device=parsed.device):
                print(figure)
        print(write_curves(parsed.run))
        return 0
    if parsed.data:
        raise UsageError("--data: is for the figures of a --run; name one.")
    sections = info(model=parsed.model, device=parsed.device)
    is_short = not parsed.model and not parsed.all
    if is_short:
        sections = _short(sections)
    width = max(len(key) for values in sections.values() for key in values)
    for title, values in sections.items():
        print(title if parsed.model else title.replace("_", " "))
        print("".join(f"  {key:<{width}}  {value}\n" for key, value in values.items()))
    if is_short:
        print("`duchenne info --all` says more of each.")
    return 0


def _short(sections: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """What fits on a screen: versions that matter, names without what is said of them, model files that are here."""
    versions, files = sections["versions"], sections["model_files"]
    missing = [name for name, where in versions.items() if where.startswith("missing")]
    recipes = Counter(name.partition("/")[0] for name in sections["recipes"])
    choices = {
        "methods": ", ".join(sections["methods"]),
        "backbones": ", ".join(sections["backbones"]),
        "recipes": ", ".join(f"{folder}/ ({number})" for folder, number in recipes.items()),
        "data sets": ", ".join(sections["data_sets"]),
    }
    waiting = [name for name, where in files.items() if where.startswith(_NOT_HERE)]
    here = {name: where for name, where in files.items() if name not in waiting}
    later = {"fetched when needed": ", ".join(waiting)} if waiting else {}
    width = max(map(len, (*_MAIN, *missing, *sections["devices"], *choices, *here, *later)))
    return {
        "versions": {name: versions[name] for name in (*_MAIN, *missing) if name in versions},
        "devices": sections["devices"],
        "to_choose_from": {name: _wrapped(text, width) for name, text in choices.items()},
        "model_files": {**here, **{name: _wrapped(text, width) for name, text in later.items()}},
        **({"plug_ins": sections["plug_ins"]} if "plug_ins" in sections else {}),
    }


def _wrapped(text: str, indent: int) -> str:
    lines = textwrap.wrap(text, max(_NARROWEST, _COLUMNS - indent), break_long_words=False, break_on_hyphens=False)
    return f"\n{' ' * (indent + 4)}".join(lines)


def info(*, model: str | Sequence[str] = (), device: str = "auto") -> dict[str, dict[str, str]]:
    """What this installation is and has, or what models cost; fetches nothing.

    Args:
        model: encoders, as `evaluate` takes them; then only what each costs is said.
        device: where the time is taken; only with `model`.

    Returns:
        Section -> name -> what is known of it, in plain words:
        `versions` (of duchenne, Python, the platform and every package that duchenne requires), `devices` (those that
        `--device` takes), `methods` (of `duchenne pretrain`), `backbones` (that methods take), `recipes` (with
        the method each is for), `data_sets` (the readers of `duchenne prepare`, and `synth`), `model_files` (where
        each lies, or where it would come from) and, where other packages offer something, `plug_ins`.
        With `model`: each model -> input, features, parameters, multiply-adds, time.

    Raises:
        UsageError: when a model is no network, or `device` is not there or given without a model.
        InputError: when a model cannot be read.
    """
    names = [model] if isinstance(model, str) else list(model)
    if names:
        from duchenne.evaluation.cost import model_cost

        return {name: model_cost(name, device=device).lines() for name in names}
    if device != "auto":
        raise UsageError("--device: is where the time of a --model is taken; name one, or leave it out.")
    trains = _trains()
    lacking = {"torch": 'not installed; pip install "duchenne[train]"'}
    found = {
        "versions": _versions(),
        "devices": _devices() if trains else {"cpu": f"{processor_name()}, {os.cpu_count()} cores", **lacking},
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
    from duchenne.modules.backbones.build import build_backbone, is_foreign
    from duchenne.preparing.arguments import READERS
    from duchenne.preparing.datasets.registry import data_set_of

    kinds: tuple[tuple[Kind, Callable[[str], bool], Callable[[str], object]], ...] = (
        ("methods", METHODS.__contains__, method_class),
        ("backbones", lambda name: not is_foreign(name), build_backbone),
        ("datasets", READERS.__contains__, data_set_of),
        ("augmentations", VIEWS.__contains__, view_function),
    )
    found = {}
    for kind, is_ours, load in kinds:
        for name, points in plugins(kind).items():
            said = f"{points[0].value} of {package_of(points[0])}"
            if NAME.fullmatch(name) is None:
                said += "; not used: a name has lower-case letters, digits and underscores"
            elif is_ours(name):
                said += "; not used: the name is duchenne's own"
            else:
                try:
                    load(name)
                except DuchenneError as error:  # a file that its code reads may be missing, too
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
    devices = {"cpu": f"{processor_name()}, {os.cpu_count()} cores; {used}"}
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            found: Any = torch.cuda.get_device_properties(number)
            devices[f"cuda:{number}"] = f"{found.name}, {found.total_memory / 2**30:.0f} GiB"
    if torch.backends.mps.is_available():
        devices["mps"] = "Apple graphics processor"
    return devices


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
        "stridedN, stridedN_bn": "N convolutions of stride 2 (4 to 9) down to one cell, as FAb-Net and twin-cycle have",
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
            found[name] = str(path) if path else f"{_NOT_HERE} from {file.url}"
        except DuchenneError as error:
            found[name] = str(error)
    return found
