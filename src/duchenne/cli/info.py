"""`duchenne info`: versions, devices, methods, data sets and model files, for people and for error reports."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import tyro

from duchenne._version import __version__
from duchenne.errors import DuchenneError


@dataclass
class InfoArguments:
    """Versions, devices, methods, data sets and model files; nothing is fetched."""


def main(arguments: list[str]) -> int:
    """Runs `duchenne info`; returns its exit status."""
    tyro.cli(InfoArguments, prog="duchenne info", args=arguments)
    sections = info()
    width = max(len(key) for values in sections.values() for key in values)
    for title, values in sections.items():
        print(title.replace("_", " "))
        print("".join(f"  {key:<{width}}  {value}\n" for key, value in values.items()))
    return 0


def info() -> dict[str, dict[str, str]]:
    """What this installation is and has; fetches nothing.

    Returns:
        Section -> name -> what is known of it, in plain words:
        `versions` (of duchenne, Python, the platform and every package that duchenne requires), `devices` (those that
        `--device` takes), `methods` (of `duchenne pretrain`), `recipes` (with the method each is for), `data_sets` (the
        readers of `duchenne prepare`, and `synth`) and `model_files` (where each lies, or where it would come from).
    """
    return {
        "versions": _versions(),
        "devices": _devices(),
        "methods": _methods(),
        "recipes": _recipes(),
        "data_sets": _data_sets(),
        "model_files": _model_files(),
    }


def _versions() -> dict[str, str]:
    versions = {"duchenne": __version__, "python": platform.python_version(), "platform": platform.platform()}
    for line in importlib.metadata.requires("duchenne") or []:
        name = re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0]
        if "extra ==" in line:
            continue
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "missing; install duchenne again"
    return versions


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
