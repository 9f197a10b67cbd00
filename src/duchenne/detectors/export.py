"""`duchenne export`: a detector or an encoder as one ONNX file, checked against torch before it is written."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from duchenne.data.stored.frames import BLENDSHAPES_LENGTH
from duchenne.detectors.base import BLENDSHAPES, DUCHENNE, AuModel
from duchenne.detectors.calibrating.calibration import Curve, log_odds
from duchenne.detectors.files import JSON, LoadedDetector, load_detector
from duchenne.detectors.onnx_model import DETECTOR_KEY, ENCODER_KEY, STANDARD_KEY, input_names, open_session
from duchenne.detectors.packaged.measures import MESH_POINTS
from duchenne.detectors.standard import StandardModel, parts, scores_of
from duchenne.detectors.trained import TrainedModel
from duchenne.errors import DuchenneError, UsageError
from duchenne.files import locked_beside, replacing
from duchenne.training.runs import LoadedEncoder, load_encoder

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGEST_DIFFERENCE: Final = 1e-3
"""Between the file and torch, of a probability; for features, as a share of their largest value."""
_TRIED: Final = 8
_MEDIAPIPES: Final = (
    "--model blendshapes: is MediaPipe's, and a file of its own already (face_landmarker.task); export `duchenne`, a "
    "detector or an encoder."
)


class DetectorGraph(nn.Module):
    """A detector as one module: one input per part -> `probability` (N, A)."""

    low: Tensor
    high: Tensor
    mean: Tensor
    factor: Tensor
    weight: Tensor
    bias: Tensor
    slope: Tensor
    start: Tensor
    by_curve: Tensor
    order: Tensor
    knots: Tensor
    widths: Tensor
    slopes: Tensor
    lowest: Tensor

    def __init__(self, loaded: LoadedDetector) -> None:
        super().__init__()
        heads = loaded.heads
        networks = [member.network for member in loaded.source.members]
        self.parts = nn.ModuleList(network.build(0) if network else nn.Identity() for network in networks)
        for name in ("low", "high", "mean", "factor", "weight", "bias"):
            self.register_buffer(name, torch.from_numpy(getattr(heads.head, name).astype(np.float32)))
        self.register_buffer("slope", torch.from_numpy(heads.slope.astype(np.float32)))
        self.register_buffer("start", torch.from_numpy((log_odds(heads.prior) + heads.offset).astype(np.float32)))
        self._register_curves(heads.curves, len(heads.prior))

    def _register_curves(self, curves: Mapping[int, Curve], count: int) -> None:
        """Curves as sums of ramps; shorter ones end in ramps of no height."""
        longest = max((len(curve.log_odds) for curve in curves.values()), default=1) + 1
        knots, values = np.zeros((2, len(curves), longest))
        for place, curve in enumerate(curves.values()):
            own = len(curve.log_odds)
            knots[place, :own], values[place, :own] = curve.log_odds, curve.probability
            knots[place, own:] = curve.log_odds[-1] + np.arange(1, longest - own + 1)
            values[place, own:] = curve.probability[-1]
        order = np.arange(count)
        order[list(curves)] = count + np.arange(len(curves))
        widths = np.diff(knots, axis=1)
        self.register_buffer("by_curve", torch.tensor(list(curves), dtype=torch.int64))
        self.register_buffer("order", torch.from_numpy(order))
        ramps = {"knots": knots, "widths": widths, "slopes": np.diff(values, axis=1) / np.where(widths, widths, 1)}
        for name, array in (*ramps.items(), ("lowest", values[:, 0])):
            self.register_buffer(name, torch.from_numpy(array.astype(np.float32)))

    def forward(self, *inputs: Tensor) -> Tensor:
        """The inputs as `onnx_model.part_input` gives them."""
        x = torch.cat([part(one) for part, one in zip(self.parts, inputs, strict=True)], dim=1)
        rows = (torch.minimum(torch.maximum(x, self.low), self.high) - self.mean) * self.factor
        total = self.start + self.slope * (rows @ self.weight + self.bias)
        chance = torch.sigmoid(total)
        if not len(self.by_curve):
            return chance
        beyond = total[:, self.by_curve, None] - self.knots[:, :-1]
        inside = torch.minimum(beyond.clamp(min=0), self.widths) * self.slopes
        read = self.lowest + inside.sum(dim=2)
        return torch.cat([chance, read], dim=1)[:, self.order]


class StandardGraph(nn.Module):
    """The package's own detector as one module: `mesh` (N, 478, 3) and `blendshapes` (N, 52) -> `scores` (N, A)."""

    def __init__(self) -> None:
        super().__init__()
        for name, array in parts().items():
            self.register_buffer(name, torch.from_numpy(array.astype(np.float32)))

    def forward(self, mesh: Tensor, blendshapes: Tensor) -> Tensor:
        """All coordinates of the mesh in one unit, as `duchenne.detectors.base.FaceBatch` has them."""
        sides: Tensor = scores_of(mesh, blendshapes, dict(self.named_buffers()), torch)
        return sides.mean(1)


class Holder(Protocol):
    """What holds an open model, as a `duchenne.Detector` does, which belongs to a room below."""

    model: AuModel


Exported = str | Path | nn.Module | LoadedEncoder | AuModel | Holder


def export(*, model: Exported, out: str | Path) -> Path:
    """Writes a detector (`fit`, or `duchenne`) or an encoder (`pretrain`) as one ONNX file.

    A detector's graph goes from pictures, blendshapes or landmarks to calibrated probabilities, an encoder's from
    `faces` (N, 3, side, side) RGB in [0, 1] to `features` (N, D); that of `duchenne` from MediaPipe's `mesh`
    (N, 478, 3) and `blendshapes` (N, 52) to `scores` (N, A), of all its action units. Mean and standard deviation are
    inside. The metadata hold the detector's or encoder's record as JSON, and nothing of the computer: torch's exporter
    would put the paths of source files, which often have the user's name in them, to every operation. Before the file
    is written, ONNX Runtime computes it on random inputs and must give what torch gives.

    Args:
        model: `duchenne`, a detector's folder, a run, or an `encoder.safetensors`; or an open one of these: what
            `load_model` and `load_encoder` return, a `Detector`, or a torch module that says `size_px`, the side of
            its pictures.
        out: the file; ends in `.onnx`.

    Returns:
        The file.

    Raises:
        UsageError: when `out` has another suffix, the model cannot be exported, or the extra `[onnx]` is missing.
        InputError: when the model cannot be read, or the file not be written.
        DuchenneError: when the file would not give what torch gives.
    """
    out = Path(out)
    if out.suffix.lower() != ".onnx":
        raise UsageError(f"--out {out}: the file ends in .onnx; rename it.")
    try:
        import onnx
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UsageError("export needs the extra: pip install 'duchenne[onnx]'.") from error
    plan = _plan(model)
    module = plan.module.eval()
    draw = torch.Generator().manual_seed(0)
    tried = [torch.rand((_TRIED, *shape), generator=draw) for shape in plan.shapes]
    with locked_beside(out), replacing(out) as temporary:
        graph = _graph(module, tried, plan.inputs, plan.output)
        onnx.helper.set_model_props(graph, plan.metadata)
        temporary.write_bytes(graph.SerializeToString())
        with torch.inference_mode():
            wanted = module(*tried).numpy()
        _check(temporary, dict(zip(plan.inputs, (one.numpy() for one in tried), strict=True)), wanted, plan.output)
    return out


@dataclass(frozen=True)
class _Plan:
    """What is exported: a module, its inputs by name with the shapes of one face, its output, what the file says."""

    module: nn.Module
    inputs: list[str]
    shapes: list[tuple[int, ...]]
    output: str
    metadata: dict[str, str]


def _plan(model: Exported) -> _Plan:
    """What a model is exported as; see `export`."""
    if isinstance(model, str | Path):
        if str(model) == DUCHENNE:
            return _standard()
        if str(model) == BLENDSHAPES and not Path(model).exists():
            raise UsageError(_MEDIAPIPES)
        if (Path(model) / JSON).is_file():
            return _detector(load_detector(model))
        return _encoder(load_encoder(model))
    if isinstance(model, LoadedEncoder):
        return _encoder(model)
    if isinstance(model, nn.Module):
        side = getattr(model, "size_px", None)
        if not isinstance(side, int):
            raise UsageError(
                f"--model {type(model).__name__}: says no `size_px`, the side of the pictures that it is shown; set "
                "it, or export what duchenne.load_encoder returns."
            )
        about = {"class": type(model).__qualname__, "size_px": side}
        return _Plan(deepcopy(model).cpu(), ["faces"], [(3, side, side)], "features", {ENCODER_KEY: json.dumps(about)})
    opened = getattr(model, "model", model)  # a `Detector` holds what `load_model` returns
    if isinstance(opened, StandardModel):
        return _standard()
    if isinstance(opened, TrainedModel):
        return _detector(opened.loaded)
    if getattr(opened, "name", None) == BLENDSHAPES:
        raise UsageError(_MEDIAPIPES)
    raise UsageError(f"--model {type(model).__name__}: cannot be exported; give a detector or an encoder.")


def _standard() -> _Plan:
    about = StandardModel(all_aus=True, decisions=False)
    metadata = {STANDARD_KEY: json.dumps({"columns": about.columns, **about.describe()}, allow_nan=False)}
    shapes: list[tuple[int, ...]] = [(MESH_POINTS, 3), (BLENDSHAPES_LENGTH,)]
    return _Plan(StandardGraph(), ["mesh", "blendshapes"], shapes, "scores", metadata)


def _detector(loaded: LoadedDetector) -> _Plan:
    shapes = [member.input_shape() for member in loaded.source.members]
    metadata = {DETECTOR_KEY: json.dumps(asdict(loaded.record), allow_nan=False)}
    return _Plan(DetectorGraph(loaded), input_names(loaded.record), shapes, "probability", metadata)


def _encoder(loaded: LoadedEncoder) -> _Plan:
    side = loaded.record.size_px
    metadata = {ENCODER_KEY: json.dumps(asdict(loaded.record), allow_nan=False)}
    return _Plan(loaded.encoder, ["faces"], [(3, side, side)], "features", metadata)


def _graph(module: nn.Module, examples: Sequence[Tensor], names: list[str], output: str) -> Any:
    """The module as an ONNX model of any number of faces."""
    faces = torch.export.Dim("faces")
    shapes = tuple({0: faces} for _ in examples)
    with _quiet_exporter():
        program = torch.onnx.export(
            module, tuple(examples), dynamo=True, verbose=False, input_names=names, output_names=[output],
            dynamic_shapes=(shapes,) if isinstance(module, DetectorGraph) else shapes, external_data=False,
        )  # fmt: skip
    assert program is not None
    model = program.model_proto
    _strip(model.graph)
    return model


def _strip(graph: Any) -> None:
    """Takes away what the exporter notes of its work, see `export`."""
    for one in (graph, *graph.node, *graph.input, *graph.output, *graph.initializer, *graph.value_info):
        one.ClearField("metadata_props")
        one.ClearField("doc_string")
    for node in graph.node:
        for attribute in node.attribute:
            for inner in attribute.graphs or ([attribute.g] if attribute.HasField("g") else []):
                _strip(inner)


def _check(path: Path, inputs: dict[str, NDArray[np.float32]], wanted: NDArray[np.float32], output: str) -> None:
    (found,) = open_session(path).run([output], inputs)
    largest = 1.0 if output == "probability" else max(1.0, float(np.abs(wanted).max()))
    difference = float(np.abs(found - wanted).max()) / largest
    if not difference < LARGEST_DIFFERENCE:
        raise DuchenneError(
            f"ONNX Runtime's {output} differs from torch's by {difference:.2g}, so nothing was written; "
            "please report this with the versions that `duchenne info --all` shows."
        )


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Keeps torch's exporter from speaking of packages that are not needed here."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
