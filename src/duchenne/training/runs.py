"""Run folders and encoders on disk: what `pretrain` leaves behind and what every other command reads.

RUN/config.yaml            the resolved configuration
RUN/encoder.safetensors    weights of the last step; `encoder_best`: of the best validation, where the method has one
RUN/encoder.json           how to build the encoder, its input, and what it was trained on
RUN/checkpoint.pt          everything that exact resume needs
RUN/log.jsonl, methods.txt
"""

from __future__ import annotations

import hashlib
import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import pandas as pd
import safetensors.torch
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor

from duchenne.config import Range, from_mapping, load_json, load_mapping
from duchenne.errors import DuchenneError, InputError, UsageError
from duchenne.faces.resize import resized
from duchenne.files import file_hash, read_bytes, replacing
from duchenne.methods.base import Method, checked
from duchenne.methods.registry import method_class
from duchenne.modules.backbones.build import is_foreign
from duchenne.modules.backbones.transformers import PREFIX
from duchenne.modules.bounded import LARGEST_METHOD, Bounded
from duchenne.modules.encoder import Encoder, EncoderSpec
from duchenne.plugins import check_builder, check_named_code, others_code
from duchenne.training.config import LARGEST_PX, method_run_config
from duchenne.training.foreign import not_finite
from duchenne.training.weights import LARGEST_WEIGHTS, apply_weights, tensors_of

FORMAT_VERSION: Final = 1
_JOB_KEYS: Final = ("method", "data", "duchenne", "exclude_fold")
_TOGETHER: Final = 64
"""Crops that `encode` shows the network at a time, which bounds its memory."""
_LARGEST_TABLES: Final = 2**24
"""Numbers of tables that any network may hold beside its weights."""


@dataclass(frozen=True, kw_only=True)
class TrainedOn:
    """One data set that an encoder has seen.

    Attributes:
        dataset: its name.
        subjects: `dataset:subject` of every subject seen; empty where subjects are unknown.
        labels: whether labels were used.
        licence: of the data.
    """

    dataset: str
    subjects: tuple[str, ...]
    labels: bool
    licence: str


@dataclass(frozen=True, kw_only=True)
class EncoderRecord:
    """What `encoder.json` holds.

    Attributes:
        method: that trained it.
        spec: how to build it.
        size_px: side of the pictures that it was trained on.
        alignment: of the crops, in words.
        weights: where it started: `none` for random weights.
        steps: trained so far.
        validation: score on the clips held out, where the method validates.
        trained_on: the data it has seen.
        duchenne: version of this library.
        weights_sha256: of the file of weights beside it; empty in records of earlier versions.
        format_version: of this file.
    """

    method: str
    spec: EncoderSpec
    size_px: Annotated[int, Range(1, LARGEST_PX)]
    alignment: str
    weights: str
    steps: Annotated[int, Range(0, 10**9)]
    duchenne: str
    validation: Annotated[float, Range(-1e9, 1e9)] | None = None
    trained_on: tuple[TrainedOn, ...] = ()
    weights_sha256: str = ""
    format_version: int = FORMAT_VERSION


@dataclass(frozen=True, repr=False)
class LoadedEncoder:
    """An encoder in evaluation mode on the CPU, its record, and the file that its weights came from."""

    encoder: Encoder
    record: EncoderRecord
    path: Path = field(compare=False)

    def __repr__(self) -> str:
        """Short: the network is named."""
        own = self.record
        return f"<encoder {self.path}: {own.method}, {own.spec.backbone}, {own.size_px} px, {own.steps} steps>"

    def _repr_html_(self) -> str:
        """For notebooks: the same with a row per data set that it has seen."""
        seen = [(one.dataset, len(one.subjects), one.labels, one.licence) for one in self.record.trained_on]
        table = pd.DataFrame(seen, columns=["trained on", "people", "labels used", "licence"])
        return f"{html.escape(repr(self))}{table.to_html(index=False)}"

    def encode(self, crops: Sequence[NDArray[np.uint8]] | NDArray[np.uint8]) -> NDArray[np.float32]:
        """Features of aligned crops.

        Args:
            crops: one or several (H, H, 3) RGB uint8, as `prepare` and `Prepared.image` give them; resized to the side
                that the encoder was trained on.

        Returns:
            (N, D).

        Raises:
            UsageError: when something is no such crop.
        """
        several = [crops] if isinstance(crops, np.ndarray) and crops.ndim == 3 else list(crops)
        for crop in several:
            if not (isinstance(crop, np.ndarray) and crop.dtype == np.uint8 and crop.ndim == 3 and crop.shape[2] == 3):
                what = f"{crop.dtype} {crop.shape}" if isinstance(crop, np.ndarray) else type(crop).__name__
                raise UsageError(f"encode: takes crops (H, H, 3) of uint8 RGB, not {what}; convert it.")
            if crop.shape[0] != crop.shape[1] or not crop.size:
                raise UsageError(
                    f"encode: takes square crops of an aligned face, (H, H, 3), not {crop.shape}; cut one out first."
                )
        if not several:
            raise UsageError("encode: was given no crop; give one at least.")
        found = []
        for start in range(0, len(several), _TOGETHER):
            own = [resized(crop, self.record.size_px) for crop in several[start : start + _TOGETHER]]
            with torch.inference_mode():
                found.append(self.encoder(torch.from_numpy(np.stack(own)).permute(0, 3, 1, 2).float() / 255).numpy())
        return np.asarray(np.concatenate(found), dtype=np.float32)


def save_encoder(folder: str | Path, encoder: Encoder, record: EncoderRecord, *, name: str = "encoder") -> None:
    """Writes `NAME.json` and `NAME.safetensors` into a run folder, each knowing the other's checksum.

    Raises:
        DuchenneError: when a weight is not finite.
        InputError: when they cannot be written.
    """
    folder = Path(folder)
    tensors = {name: value.detach().cpu().contiguous() for name, value in encoder.state_dict().items()}
    broken = not_finite(tensors)
    if broken:
        raise DuchenneError(f"{folder / name}: {broken} holds NaN or infinite numbers; train again with a lower --lr.")
    with replacing(folder / f"{name}.json") as beside, replacing(folder / f"{name}.safetensors") as temporary:
        # Written here, as its library opens paths in UTF-8 alone.
        temporary.write_bytes(safetensors.torch.save(tensors, {"record": record_sum(asdict(record))}))
        values = asdict(record) | {"weights_sha256": file_hash(temporary)}
        beside.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def record_sum(values: Mapping[str, Any]) -> str:
    """SHA-256 of what a record says, but for the checksum in it."""
    own = {key: value for key, value in values.items() if key != "weights_sha256"}
    return hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()


def load_encoder(path: str | Path) -> LoadedEncoder:
    """Reads an encoder; nothing in the files is executed.

    Args:
        path: a run folder, of which `encoder_best` is taken where there is one, else `encoder` (`LoadedEncoder.path`
            says which); or an `encoder.safetensors` with its `encoder.json` beside it.

    Raises:
        InputError: when a file is missing, foreign or damaged.
    """
    path = Path(path)
    weights = path
    if path.is_dir():
        finished, best = path / "encoder.safetensors", path / "encoder_best.safetensors"
        weights = best if best.is_file() and finished.is_file() else finished
    if not weights.is_file():
        what = "is no finished run (it has no encoder.safetensors)" if path.is_dir() else "there is no such encoder"
        raise InputError(f"{path}: {what}; make one with `duchenne pretrain`.")
    where = weights.with_suffix(".json")
    record = read_record(where)
    check_builder(record.spec.backbone, where)
    state = _read_weights(weights, record)
    try:
        encoder = built_for(record.spec, state)
        encoder.load_state_dict(state)
    except (SafetensorError, RuntimeError, ValueError, OSError, UsageError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{weights}: does not fit its encoder.json or is damaged ({reason}).") from error
    return LoadedEncoder(encoder.eval().requires_grad_(False), record, weights)


def _read_weights(path: Path, record: EncoderRecord) -> dict[str, Tensor]:
    """The tensors of an encoder; refuses those of another record."""
    try:
        data = read_bytes(path, LARGEST_WEIGHTS)
        if record.weights_sha256 and hashlib.sha256(data).hexdigest() != record.weights_sha256:
            raise InputError(
                f"{path}: is not the file that {path.stem}.json belongs to, or is damaged; copy both again."
            )
        state, metadata = tensors_of(data)
        stated, beside = metadata.get("record"), path.with_suffix(".json")
        if stated is not None and (not record.weights_sha256 or stated != record_sum(load_json(beside))):
            raise InputError(f"{beside}: was changed since the training; copy both files again.")
    except SafetensorError as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: is damaged ({reason}).") from error
    broken = not_finite(state)
    if broken:
        raise InputError(f"{path}: its {broken} holds NaN or infinite numbers; train again.")
    return state


def built_for(spec: EncoderSpec, state: Mapping[str, Tensor]) -> Encoder:
    """An encoder of the shape that its weights have, before they are loaded: nothing larger is ever allocated.

    But for code of other people (`duchenne.plugins`), which may not know the meta device.

    Args:
        spec: from a file.
        state: its tensors, from another.

    Raises:
        UsageError: when there is no such encoder.
        InputError: when it is that of a folder, which cannot be read.
        ValueError: when the weights are those of another one.
    """
    if not is_foreign(spec.backbone) or spec.backbone.startswith(PREFIX):
        layers = {key.split(".")[3] for key in state if key.startswith("tokens.layers.layers.")}
        if spec.token_layers != len(layers):
            raise ValueError(f"token_layers is {spec.token_layers}, the file has {len(layers)}")
        with others_code("the encoder cannot be built"), torch.device("meta"):
            imagined = Encoder(spec)
        wanted = {key: value.shape for key, value in imagined.state_dict().items()}
        unfit = [key for key, shape in wanted.items() if key not in state or state[key].shape != shape]
        if unfit:
            there = list(state[unfit[0]].shape) if unfit[0] in state else "not there"
            raise ValueError(f"{unfit[0]} is {there}, not {list(wanted[unfit[0]])}")
        beside = sum(one.numel() for one in imagined.buffers())  # of places, above all, which files do not hold
        held = sum(one.numel() for one in state.values())
        if beside > 2 * held + _LARGEST_TABLES:
            raise ValueError(f"its network holds {beside} numbers beside the {held} of its weights")
    with others_code("the encoder cannot be built"):
        return Encoder(spec)


def read_record(path: str | Path) -> EncoderRecord:
    """Reads an `encoder.json`.

    Raises:
        InputError: when it is missing, not JSON, of another format version, or lacks a key.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: cannot be read (there is no such file); keep it beside encoder.safetensors.")
    values = load_json(path)
    if not isinstance(values, dict) or values.get("format_version") != FORMAT_VERSION:
        raise InputError(
            f"{path}: is not an encoder record of format version {FORMAT_VERSION}; train the encoder again."
        )
    try:
        spec = from_mapping(EncoderSpec, values.pop("spec", None), where=f"{path}: `spec`")
        items = values.pop("trained_on", ())
        if not isinstance(items, list | tuple):
            raise UsageError(f"{path}: `trained_on` must be a list.")
        seen = tuple(from_mapping(TrainedOn, item, where=f"{path}: `trained_on`") for item in items)
        plain = from_mapping(_PlainRecord, values, where=str(path))
    except UsageError as error:
        raise InputError(str(error)) from error
    return EncoderRecord(spec=spec, trained_on=seen, **vars(plain))


def seen_before(weights: str) -> tuple[TrainedOn, ...]:
    """What the weights that a training starts from have seen, where an encoder record lies beside their file.

    Weights of ours without one are refused by `build_method`; what other files have seen is not known.

    Args:
        weights: see `apply_weights`.

    Raises:
        InputError: when the record is damaged.
    """
    if not weights.endswith(".safetensors"):
        return ()
    record = Path(weights).with_suffix(".json")
    return read_record(record).trained_on if record.is_file() else ()


def random_encoder(record: EncoderRecord | None, seed: int) -> Encoder:
    """An untrained encoder: that of a record (its shape, not its weights), or a pooled ResNet-18, from a seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Encoder(record.spec if record else EncoderSpec()).eval().requires_grad_(False)


def initial_encoder(run: str | Path) -> LoadedEncoder:
    """The encoder of a run as it was before its first step.

    Raises:
        UsageError: when it names code that a file may not start by itself.
        InputError: when the folder is no finished run, or its files do not belong together.
    """
    run = Path(run)
    config, record = run / "config.yaml", read_record(run / "encoder.json")
    held = {key: value.shape for key, value in _read_weights(run / "encoder.safetensors", record).items()}
    method = stored_method(config)[1]
    spec = replace(method.encoder.spec, backbone_config=record.spec.backbone_config)  # its text is that of a version
    if spec != record.spec or {key: value.shape for key, value in method.encoder.state_dict().items()} != held:
        raise InputError(f"{config}: describes another encoder than encoder.json beside it; copy the run again.")
    return LoadedEncoder(method.encoder.eval().requires_grad_(False), record, run)


def stored_method(path: Path, **changed: Any) -> tuple[str, Method]:
    """The name and the method that a `config.yaml` describes, with its initial weights; no larger than any of ours.

    Args:
        path: of the file.
        **changed: fields of the configuration that are another here.

    Raises:
        UsageError: for an unknown method, key or value, or for code that the file may not start by itself.
        InputError: when it cannot be read or built.
    """
    values = load_mapping(path)
    check_named_code(values, path)
    name = str(values.get("method"))
    fields = {key: value for key, value in values.items() if key not in _JOB_KEYS}
    config: Any = from_mapping(method_run_config(name), fields, where=str(path))
    with others_code(f"{path}: its method cannot be built", kind=InputError), Bounded(LARGEST_METHOD):
        return name, build_method(name, replace(config, **changed))


def build_method(name: str, config: Any) -> Method:
    """A method with its initial weights: those that the configuration's seed gives, then those of `weights`.

    Raises:
        UsageError: when there are no such weights.
        InputError: when their file is missing, damaged or for another network, or is an encoder without its record.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        method = checked(method_class(name)(config))
    apply_weights(method.encoder, config.weights, method.other_encoders())
    _check_record(config.weights)
    return method


def _check_record(weights: str) -> None:
    """Refuses an encoder of ours without the record that `seen_before` reads: its history would be lost."""
    path = Path(weights)
    if path.suffix != ".safetensors":
        return
    record = path.with_suffix(".json")
    if record.is_file():
        _read_weights(path, read_record(record))
    elif "record" in tensors_of(read_bytes(path, LARGEST_WEIGHTS))[1]:
        raise InputError(
            f"{path}: {record.name}, which says whose faces and labels it has seen, is missing; copy both files."
        )


def check_side(method: Method, config: Any) -> None:
    """Refuses a side of the pictures that the backbone cannot take, before anything is trained."""
    name, backbone = method.encoder.spec.backbone, method.encoder.backbone
    if config.size_px < backbone.smallest_px or config.size_px != (backbone.side_px or config.size_px):
        takes = f"of {backbone.side_px} px only" if backbone.side_px else f"from {backbone.smallest_px} px"
        raise UsageError(f"--size-px {config.size_px}: {name} takes pictures {takes}.")
    if is_foreign(name):  # not ours: it says so itself, in its own words
        with others_code(f"--size-px {config.size_px}: {name} cannot take it"), torch.no_grad():
            method.encoder.eval()(torch.zeros(1, 3, config.size_px, config.size_px))
        method.train()


@dataclass(frozen=True, kw_only=True)
class _PlainRecord:
    """The scalar fields of `EncoderRecord`."""

    method: str
    size_px: Annotated[int, Range(1, LARGEST_PX)]
    alignment: str
    weights: str
    steps: Annotated[int, Range(0, 10**9)]
    duchenne: str
    format_version: int
    validation: Annotated[float, Range(-1e9, 1e9)] | None = None
    weights_sha256: str = ""
