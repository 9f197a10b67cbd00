"""Model files: fetched once to the user's cache, checked by SHA-256, or served offline from DUCHENNE_MODELS."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final, NamedTuple

from duchenne.errors import InputError, UsageError


class ModelFile(NamedTuple):
    """A model file: where it is fetched from, its SHA-256, what it is and its licence."""

    url: str
    sha256: str
    what: str
    licence: str


FACE_FILES: Final[dict[str, ModelFile]] = {
    "face_landmarker.task": ModelFile(
        "https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/face_landmarker.task",
        "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
        "MediaPipe Face Landmarker, float16, version 1: 478 landmarks and 52 blendshapes",
        "Apache-2.0",
    ),
    "face_detection_yunet_2026may.onnx": ModelFile(
        "https://media.githubusercontent.com/media/opencv/opencv_zoo/main/models/face_detection_yunet/"
        "face_detection_yunet_2026may.onnx",
        "ebafce4e3c118d6554634be5c27ab333b4c047a9a8c3faf1d7cf93101c22f0f0",
        "YuNet face detector, OpenCV Zoo",
        "MIT",
    ),
}
"""The two files that find faces, by name."""

# torchvision's file names end in the first eight digits of the SHA-256; the whole one is checked.
IMAGENET_FILES: Final[dict[str, ModelFile]] = {
    f"{backbone}-{sha256[:8]}.pth": ModelFile(
        f"https://download.pytorch.org/models/{backbone}-{sha256[:8]}.pth",
        sha256,
        f"{backbone} trained on ImageNet-1k (torchvision's IMAGENET1K_V1)",
        "BSD-3-Clause; trained on ImageNet, whose pictures are for non-commercial research",
    )
    for backbone, sha256 in (
        ("resnet18", "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec"),
        ("resnet34", "b627a593bcbe140c234610266fe4f8ae95ea42fc881d091c9b6052e6b1d0590f"),
        ("resnet50", "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a"),
        ("resnet152", "394f9c45966e3651a89bbb78a48410a6755854ce4a5ab64927cf1c7247f85e58"),
        ("densenet121", "a639ec97d7c33b07ae66f0b5fb7d0192f95a3b11b7576c66c0126c2a727c4395"),
    )
}
"""Weights that training can start from, by name; fetched only when asked for."""

MODEL_FILES: Final = {**FACE_FILES, **IMAGENET_FILES}
"""All files by name."""


def model_path(name: str) -> Path:
    """The path of a model file, fetched into the user's cache where it is not there yet.

    The folder that `DUCHENNE_MODELS` names is looked at first; nothing is fetched when it holds the file.

    Args:
        name: a key of `MODEL_FILES`.

    Raises:
        UsageError: for an unknown name, or when DUCHENNE_MODELS names no folder.
        InputError: when the file cannot be had or is not the one it should be.
    """
    found = local_model(name)
    if found is not None:
        return found
    import pooch

    wanted = MODEL_FILES[name]
    pooch.get_logger().setLevel("WARNING")
    folder = _cache()
    if folder is None:
        raise InputError(
            f"{name}: cannot be kept, because this user has no home folder; set HOME, or put the file into a folder "
            f"and set DUCHENNE_MODELS to that folder."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).unlink(missing_ok=True)  # there only where it is damaged
    except OSError as error:
        raise InputError(
            f"{name}: cannot be kept in {folder} ({error.strerror}); put the file into another folder and set "
            f"DUCHENNE_MODELS to that folder."
        ) from error
    try:
        path = Path(pooch.retrieve(wanted.url, None, fname=name, path=folder))
        if not _is_wanted(path, wanted):
            path.unlink()
            raise ValueError("its SHA-256 differs")
        return path
    except (OSError, ValueError) as error:  # requests' errors are OSErrors
        raise InputError(
            f"{name}: could not be fetched ({type(error).__name__} from {wanted.url}); connect to the network once, "
            f"or put the file into a folder and set DUCHENNE_MODELS to that folder."
        ) from error


def local_model(name: str) -> Path | None:
    """The path of a model file that is on this computer already, in `DUCHENNE_MODELS` or the user's cache.

    Args:
        name: a key of `MODEL_FILES`.

    Returns:
        The path; None where the file would have to be fetched.

    Raises:
        UsageError: for an unknown name, or when DUCHENNE_MODELS names no folder.
        InputError: when the file in DUCHENNE_MODELS is not the one it should be.
    """
    if name not in MODEL_FILES:
        raise UsageError(f"there is no model file `{name}`; the known ones are {', '.join(MODEL_FILES)}.")
    wanted = MODEL_FILES[name]
    folder = os.environ.get("DUCHENNE_MODELS")
    if folder:
        if not Path(folder).is_dir():
            raise UsageError(f"DUCHENNE_MODELS: {folder} is not a folder; unset it or name the folder of model files.")
        path = Path(folder) / name
        if path.is_file():
            if not _is_wanted(path, wanted):
                raise InputError(f"{path}: is not the expected file (its SHA-256 differs); replace it or remove it.")
            return path
    cache = _cache()
    cached = None if cache is None else cache / name
    return cached if cached is not None and cached.is_file() and _is_wanted(cached, wanted) else None


def _cache() -> Path | None:
    """The user's folder for what can be fetched again; None for a user without a home, as in many containers."""
    import pooch

    try:
        return Path(pooch.os_cache("duchenne"))
    except RuntimeError:
        return None


def _is_wanted(path: Path, wanted: ModelFile) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == wanted.sha256
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check its permissions.") from error
