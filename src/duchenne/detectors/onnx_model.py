"""A detector in an ONNX file, computed by ONNX Runtime; needs the extra `[onnx]` and no torch.

The file is one graph from what its parts read (one input each, in order, called `KIND_N`) to `probability` (N, A). Its
metadata holds, under `duchenne_detector`, what detector.json holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from duchenne.detectors.fitted import FittedModel
from duchenne.detectors.records import DetectorRecord, parse_record
from duchenne.errors import InputError, UsageError
from duchenne.faces.batch import FaceBatch
from duchenne.faces.find import usable_cores
from duchenne.features.source import new_pictures
from duchenne.features.weightless import weightless

DETECTOR_KEY: Final = "duchenne_detector"
ENCODER_KEY: Final = "duchenne_encoder"
STANDARD_KEY: Final = "duchenne_standard"
_MOST_THREADS: Final = 4


class OnnxModel(FittedModel):
    """`--model FILE.onnx`."""

    def __init__(self, path: str | Path, *, device: str = "auto") -> None:
        """Opens the file; nothing in it is executed but the operations of its graph.

        Args:
            path: written by `duchenne export`.
            device: `auto` or `cpu`.

        Raises:
            UsageError: when ONNX Runtime is not installed, or another device is asked for.
            InputError: when the file is no detector, or damaged.
        """
        if device not in ("auto", "cpu"):
            raise UsageError(f"--device {device}: ONNX files are computed on the processor; use the detector's folder.")
        self._path = Path(path)
        self._session = open_session(self._path)
        stored = self._session.get_modelmeta().custom_metadata_map
        if STANDARD_KEY in stored:
            raise InputError(f"{path}: is the detector of the package for other programs; here use --model duchenne.")
        if DETECTOR_KEY not in stored:
            what = "an encoder without action units" if ENCODER_KEY in stored else "no detector of this library"
            raise InputError(f"{path}: is {what}; make a detector with `duchenne fit` and export that.")
        record = parse_record(stored[DETECTOR_KEY], str(path))
        foreign = [spec.get("kind") for spec in record.parts if weightless(spec) is None and "input_px" not in spec]
        if foreign:
            raise InputError(
                f"{path}: reads `{foreign[0]}`, which an ONNX file cannot hold; use the detector's folder."
            )
        needs_crops = any(_sees_pictures(spec) for spec in record.parts)
        super().__init__(str(path), record, needs_crops=needs_crops)
        given = [one.name for one in self._session.get_inputs()]
        outputs = [(one.name, one.shape[-1]) for one in self._session.get_outputs()]
        if given != input_names(record) or outputs != [("probability", len(record.aus))]:
            raise InputError(f"{path}: its graph does not fit its metadata; export the detector again.")

    def __reduce__(self) -> tuple[type[OnnxModel], tuple[Path]]:
        return OnnxModel, (self._path.absolute(),)  # a session cannot be sent to another process

    def probability(self, batch: FaceBatch) -> NDArray[np.float32]:
        """See `FittedModel`."""
        given = [part_input(spec, batch) for spec in self.record.parts]
        readable = np.all([np.isfinite(values).reshape(len(batch), -1).all(axis=1) for values in given], axis=0)
        chance = np.full((len(batch), len(self.record.aus)), np.nan, dtype=np.float32)
        if readable.any():
            names = input_names(self.record)
            feeds = {name: values[readable] for name, values in zip(names, given, strict=True)}
            chance[readable] = self._session.run(["probability"], feeds)[0]
        return chance

    def computed_by(self) -> str:
        """See `FittedModel`."""
        return "ONNX Runtime, cpu"


def open_session(path: Path) -> Any:
    """An ONNX Runtime session on the processor.

    It gets half of the cores, because faces are found at the same time, and its threads sleep while they wait.

    Raises:
        UsageError: when ONNX Runtime is not installed.
        InputError: when the file cannot be read.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise UsageError("ONNX files need ONNX Runtime: pip install 'duchenne[onnx]'.") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = min(_MOST_THREADS, max(1, usable_cores() // 2))
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        # Bytes rather than a path: then the graph cannot name other files as its weights.
        return onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions.") from error
    except Exception as error:  # its errors have no class of their own below this
        raise InputError(
            f"{path}: is not an ONNX file that ONNX Runtime can open; export the detector again."
        ) from error


def input_names(record: DetectorRecord) -> list[str]:
    """The graph's inputs, one per part."""
    return [f"{part.get('kind')}_{number}" for number, part in enumerate(record.parts)]


def part_input(spec: Mapping[str, Any], batch: FaceBatch) -> NDArray[np.float32]:
    """What the graph is given for one part: its features where it has no weights, else pictures.

    Pictures are (N, 3, side, side) RGB in [0, 1].
    """
    source = weightless(spec)
    if source is not None:
        return source.read(batch).astype(np.float32)
    pictures = new_pictures(batch, int(spec["input_px"]))
    return np.ascontiguousarray(pictures.transpose(0, 3, 1, 2).astype(np.float32) / 255)


def _sees_pictures(spec: Mapping[str, Any]) -> bool:
    source = weightless(spec)
    return source is None or source.sees_pictures
