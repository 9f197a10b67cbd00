"""Apple's GPUs (MPS) have no float64: nothing of a validation asks for it there."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from tests.training.made import moving_squares
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import duchenne
from duchenne.methods.base import Method
from duchenne.methods.families.labelled_method import LabelledMethod
from duchenne.types import ClipBatch


class MetaAsMps(TorchDispatchMode):
    """The device `meta` refuses float64, as MPS does, and lets tensors be copied from it, as `meta` does not."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        leaves = func is torch.ops.aten._to_copy.default and str(kwargs.get("device")) == "cpu"
        if leaves and kwargs.get("dtype") != torch.float64:
            return torch.full(args[0].shape, 2, dtype=kwargs.get("dtype", args[0].dtype))
        out = func(*args, **kwargs)
        if isinstance(out, Tensor) and out.device.type == "meta" and out.dtype == torch.float64:
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
        return out


def batch() -> ClipBatch:
    numbers = torch.zeros(4, 1, dtype=torch.long, device="meta")
    labels = {"aus": torch.zeros(4, 1, 3, dtype=torch.int8, device="meta")}
    pictures = torch.zeros(4, 1, 3, 8, 8, dtype=torch.uint8, device="meta")
    return ClipBatch(pictures, numbers, numbers[:, 0], numbers[:, 0], labels=labels)


@pytest.mark.parametrize(
    ("counts_of", "expected"), [(Method, [2 * 4.0, 4.0]), (LabelledMethod, [2.0] * 12)], ids=["score", "labels"]
)
def test_counts_of_a_validation_are_summed_on_the_processor(counts_of: type[Method], expected: list[float]) -> None:
    method: Any = SimpleNamespace(
        validation_score=lambda batch: torch.zeros((), device="meta"),
        judge=lambda faces: torch.zeros(len(faces), 3, device="meta"),
    )
    with MetaAsMps():
        counts = counts_of.validation_counts(method, batch())
    assert counts is not None
    assert (counts.device.type, counts.dtype) == ("cpu", torch.float64)
    assert counts.tolist() == expected
    with MetaAsMps(), pytest.raises(TypeError, match="float64"):
        torch.zeros(3, device="meta").double()


def test_one_process_moves_no_float64_to_its_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def all_reduce(self: Fabric, data: Tensor, **_: object) -> Tensor:
        """As Fabric's, which moves everything to the device first."""
        assert data.dtype != torch.float64
        return data

    monkeypatch.setattr(Fabric, "all_reduce", all_reduce)
    moving_squares(tmp_path / "squares")
    fields: dict[str, Any] = {"size_px": 64, "backbone": "compact", "batch_size": 4, "max_steps": 1, "quiet": True}
    for name, share in (("temporal_ranking", 0.3), ("supervised", 0.5)):
        run = duchenne.pretrain(name, data=tmp_path / "squares", out=tmp_path / name, validation_share=share, **fields)
        assert (run.out / "encoder_best.safetensors").is_file()
