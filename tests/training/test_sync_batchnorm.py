"""BatchNorm over all processes: refused where it cannot be, and what becomes of a method. No CUDA is needed."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.methods.made import SMALL, random_batch, small_config, small_method
from tests.training.made import moving_squares
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

import duchenne
from duchenne.cli.main import main
from duchenne.errors import UsageError
from duchenne.training.sync_batchnorm import check_sync_batchnorm, synchronised

CUDA = torch.device("cuda")


def norms(method: nn.Module) -> dict[str, nn.Module]:
    return {name: module for name, module in method.named_modules() if isinstance(module, _BatchNorm)}


def same(state: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether all entries are equal, tensors or not."""
    return all(torch.equal(torch.as_tensor(value), torch.as_tensor(other[key])) for key, value in state.items())


@pytest.mark.parametrize("name", SMALL)
def test_every_batchnorm_becomes_synchronous_and_keeps_its_tensors(name: str) -> None:
    method = small_method(name, sync_batchnorm=True)
    before, tensors = norms(method), {**dict(method.named_parameters()), **dict(method.named_buffers())}
    state = copy.deepcopy(method.state_dict())
    converted = synchronised(method, 2)
    assert converted is method
    found = norms(method)
    assert found.keys() == before.keys()
    assert found
    assert all(isinstance(layer, nn.SyncBatchNorm) for layer in found.values())
    after = {**dict(method.named_parameters()), **dict(method.named_buffers())}
    assert after.keys() == tensors.keys()
    trained = [parameter for group in method.parameter_groups() for parameter in group["params"]]
    assert {id(value) for value in after.values()} >= {id(parameter) for parameter in trained}
    for key, value in after.items():
        if isinstance(value, nn.Parameter):
            assert value is tensors[key], key  # momentum copies hold lists of them
    assert method.state_dict().keys() == state.keys()
    assert same(method.state_dict(), state)


@pytest.mark.parametrize("name", ["emoco", "simsiam", "supervised"])
def test_in_one_process_the_step_is_the_same(name: str) -> None:
    """Without a process group torch's layer is plain BatchNorm, so a step shows that nothing else was changed."""
    losses = []
    for method in (small_method(name), synchronised(small_method(name), 2)):
        torch.manual_seed(0)
        output = method.training_step(method.augment(random_batch(method, 4)))
        output.loss.backward()
        method.after_step()
        losses.append((output.loss.detach(), method.state_dict()))
    (plain, state), (synchronous, other) = losses
    assert torch.equal(plain, synchronous)
    assert same(state, other)


def test_what_is_refused() -> None:
    config = small_config("supervised", sync_batchnorm=True)
    check_sync_batchnorm(config, CUDA)
    check_sync_batchnorm(dataclasses.replace(config, sync_batchnorm=False, bn_splits=2), torch.device("cpu"))
    for kind in ("cpu", "mps"):
        with pytest.raises(UsageError, match=f"exists on CUDA only, and this training is on {kind}; leave it out"):
            check_sync_batchnorm(config, torch.device(kind))
    with pytest.raises(UsageError, match=r"exclude bn_splits 2, .* add bn_splits 1"):
        check_sync_batchnorm(dataclasses.replace(config, bn_splits=2), CUDA)
    with pytest.raises(UsageError, match="there is only one process; leave it out"):
        synchronised(small_method("supervised"), 1)


def test_on_the_processor_it_is_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moving_squares(tmp_path / "squares")
    words = ["pretrain", "temporal_ranking", "--data", str(tmp_path / "squares"), "--out", str(tmp_path / "run")]
    words += ["--size-px", "32", "--batch-size", "4", "--max-steps", "1", "--quiet", "--device", "cpu"]
    assert main([*words, "--devices", "2", "--sync-batchnorm"]) == 2
    complaint = capsys.readouterr().err
    assert complaint.count("\n") == 1
    assert "--sync-batchnorm: exists on CUDA only" in complaint
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_the_job_makes_it_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with two CUDA processes: the job hands the method over and trains what it gets back."""
    moving_squares(tmp_path / "squares")
    seen: list[int] = []

    def convert(method: nn.Module, processes: int) -> nn.Module:
        seen.append(processes)
        return synchronised(method, 2)

    monkeypatch.setattr("duchenne.training.pretrain.check_sync_batchnorm", lambda config, device: None)
    monkeypatch.setattr("duchenne.training.pretrain.synchronised", convert)
    fields = {"size_px": 32, "batch_size": 4, "max_steps": 2, "quiet": True, "device": "cpu", "precision": "float32"}
    runs = [tmp_path / name for name in ("plain", "synchronous")]
    for run in runs:
        duchenne.pretrain(
            "temporal_ranking", data=tmp_path / "squares", out=run, sync_batchnorm=run is runs[1], **fields
        )
    assert seen == [1]
    plain, synchronous = ((run / "encoder.safetensors").read_bytes() for run in runs)
    assert plain == synchronous
