"""What holds for every method of the registry."""

import copy
import dataclasses
import inspect
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from tests.methods.made import SMALL, random_batch, small_method
from tests.training.made import moving_squares

from duchenne.errors import UsageError
from duchenne.methods.base import RunFacts
from duchenne.methods.registry import METHODS, config_class, method_class
from duchenne.training.config import TrainingConfig, method_run_config


def step(method, clips, seed=0):
    torch.manual_seed(seed)
    return method.training_step(method.augment(random_batch(method, clips)))


def test_every_method_is_tested():
    assert set(SMALL) == set(METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_configuration(name):
    own = {field.name for field in dataclasses.fields(config_class(name))}
    assert not own & {field.name for field in dataclasses.fields(TrainingConfig)}
    assert method_run_config(name)() is not None
    assert method_class(name).Config is config_class(name)
    assert method_class(name).TRAINING_DEFAULTS.items() <= dataclasses.asdict(method_run_config(name)()).items()


@pytest.mark.parametrize("name", METHODS)
def test_builds_from_its_defaults(name):
    method = method_class(name)(config_class(name)())
    assert method.encoder.feature_dim > 0
    assert method.sampler(method.config).frames >= 1


@pytest.mark.parametrize("name", METHODS)
def test_one_step_reaches_every_parameter(name):
    method = small_method(name)
    output = step(method, 4)
    assert output.loss.shape == ()
    assert output.loss.dtype == torch.float32
    output.loss.backward()
    grouped = [id(parameter) for group in method.parameter_groups() for parameter in group["params"]]
    assert len(grouped) == len(set(grouped))
    for key, parameter in method.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, key
            assert torch.isfinite(parameter.grad).all(), key
            assert id(parameter) in grouped, key
        else:
            assert parameter.grad is None, key
    assert all(isinstance(value, float) or not value.requires_grad for value in output.logs.values())


@pytest.mark.parametrize("clips", [1, 3, 5])
@pytest.mark.parametrize("name", METHODS)
def test_any_batch_size(name, clips):
    method = small_method(name)
    output = step(method, max(clips, method.smallest_batch()))
    output.loss.backward()
    method.after_step()
    assert torch.isfinite(output.loss)


@pytest.mark.parametrize("name", METHODS)
def test_equal_batches_give_equal_losses(name):
    assert torch.equal(step(small_method(name), 3).loss, step(small_method(name), 3).loss)
    assert not torch.equal(step(small_method(name), 3).loss, step(small_method(name, seed=1), 3).loss)


@pytest.mark.parametrize("name", METHODS)
def test_state_round_trip(name):
    method, other = small_method(name), small_method(name, seed=7)
    output = step(method, 3)
    output.loss.backward()
    method.after_step()
    other.load_state_dict(method.state_dict())
    assert torch.equal(step(method, 3, seed=5).loss, step(other, 3, seed=5).loss)


@pytest.mark.parametrize("name", METHODS)
def test_smallest_batch_follows_the_splits(name):
    assert small_method(name, bn_splits=4).smallest_batch() == 8


@pytest.mark.parametrize("name", METHODS)
def test_after_step_takes_no_argument(name):
    """As other tools call it; only what keeps something of a step can miss it."""
    assert list(inspect.signature(type(small_method(name)).after_step).parameters) == ["self"]


def test_a_method_needs_nothing_of_the_job_but_its_facts(tmp_path):
    """`complete` takes the method's own configuration, which has neither batch size nor size of pictures."""
    data = moving_squares(tmp_path / "squares", clips=9, frames=8)
    rows = np.arange(len(data))
    facts = {"batch_size": 4, "size_px": 64, "holds_out": True}
    for name in METHODS:
        chosen = method_class(name)
        config = chosen.Config(**({"layers": 6} if name in ("fab_net", "twin_cycle") else {}))
        found = chosen.complete(config, data, rows, RunFacts(**facts))
        assert type(found) is chosen.Config
        if name == "cl_ile":  # a ResNet's last map has a cell for 32 px, those at the edge included
            assert found.token_side == 2
            assert chosen.complete(config, data, rows, RunFacts(**{**facts, "size_px": 80})).token_side == 3
    with pytest.raises(UsageError, match="memory 12 is smaller than the 13 keys of one step"):
        method_class("moco").complete(
            method_class("moco").Config(memory=12), data, rows, RunFacts(batch_size=13, size_px=64)
        )


def test_a_step_is_kept_once():
    method = small_method("moco")
    with pytest.raises(RuntimeError, match="follows a training_step"):
        method.after_step()
    step(method, 4).loss.backward()
    copy.deepcopy(method).after_step()
    method.after_step()
    with pytest.raises(RuntimeError, match="follows a training_step"):
        method.after_step()


def test_two_processes_equal_one():
    """Two gloo processes of B/2 give the gradients and statistics of one of B with two BatchNorm splits."""
    command = [sys.executable, "-m", "tests.methods.distributed_worker"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert set(found) == set(METHODS)
    for name, (gradient, statistics) in found.items():
        assert gradient < 1e-5, name
        assert statistics < 1e-6, name


def test_unknown_method_names_the_nearest():
    with pytest.raises(UsageError, match="did you mean `temporal_ranking`"):
        method_class("temporal_rank")
