"""What holds for every method of the registry."""

import copy
import dataclasses
import json
import sys

import numpy as np
import pytest
import torch
from tests.methods.made import SMALL, small_method
from tests.project.own_method import Brightness
from tests.training.agents import agents, together
from tests.training.made import moving_squares

from duchenne import testing
from duchenne.errors import UsageError
from duchenne.methods import registry
from duchenne.methods.base import RunFacts
from duchenne.methods.registry import METHODS, method_class


def test_every_method_is_tested():
    assert set(SMALL) == set(METHODS)


def builder(name):
    return lambda **fields: small_method(name, **fields)


@pytest.mark.parametrize("name", METHODS)
def test_configuration(name):
    testing.check_configuration(name)


@pytest.mark.parametrize("name", METHODS)
def test_builds_from_its_defaults(name):
    testing.check_default(name)


@pytest.mark.parametrize("name", METHODS)
def test_one_step_reaches_every_parameter(name):
    testing.check_gradients(builder(name))


@pytest.mark.parametrize("clips", [1, 3, 5])
@pytest.mark.parametrize("name", METHODS)
def test_any_batch_size(name, clips):
    testing.check_batch_size(builder(name), clips)


@pytest.mark.parametrize("name", METHODS)
def test_equal_batches_give_equal_losses(name):
    testing.check_repeatable(builder(name))


@pytest.mark.parametrize("name", METHODS)
def test_state_round_trip(name):
    testing.check_state(builder(name))


@pytest.mark.parametrize("name", METHODS)
def test_smallest_batch_follows_the_splits(name):
    testing.check_smallest_batch(builder(name))


@pytest.mark.parametrize("name", METHODS)
def test_after_step_takes_no_argument(name):
    """As other tools call it; only what keeps something of a step can miss it."""
    testing.check_after_step(builder(name))


class Dead(Brightness):
    """A parameter that the loss does not use."""

    def __init__(self, config):
        super().__init__(config)
        self.dead = torch.nn.Linear(2, 2)


class Forgetful(Brightness):
    """What a step changes is in no buffer."""

    def __init__(self, config):
        super().__init__(config)
        self.steps = 0

    def training_step(self, batch):
        self.steps += 1
        output = super().training_step(batch)
        return dataclasses.replace(output, loss=output.loss * self.steps)


class Restless(Brightness):
    """Draws from a generator that no seed reaches."""

    def augment(self, batch):
        batch = super().augment(batch)
        return dataclasses.replace(batch, images=batch.images * np.random.default_rng().random())


class Spoilt(Brightness):
    """The loss is not a number."""

    def training_step(self, batch):
        output = super().training_step(batch)
        return dataclasses.replace(output, loss=output.loss * torch.nan)


class Hungry(Brightness):
    """Wants an argument after a step."""

    def after_step(self, step):
        pass


class Chatty(Brightness):
    """Logs a number with its graph."""

    def training_step(self, batch):
        output = super().training_step(batch)
        return dataclasses.replace(output, logs={"same": output.loss})


@pytest.mark.usefixtures("own_methods")
@pytest.mark.parametrize(
    "method, said",
    [
        (Dead, "dead.weight: no gradient reaches it"),
        (Forgetful, "another instance with its `state_dict` goes on differently"),
        (Restless, "equal batches and seeds give different losses"),
        (Spoilt, "its gradient is not finite"),
        (Hungry, "after_step takes self, step; it takes `self` alone"),
        (Chatty, "logs: same still has a gradient"),
    ],
)
def test_a_method_that_breaks_the_contract_is_told(method, said):
    with pytest.raises(AssertionError, match=said):
        testing.check_method(method)


@pytest.mark.usefixtures("own_methods")
@pytest.mark.parametrize(
    "fields, said", [({"nope": 1}, "unknown key `nope`"), ({"bn_splits": "two"}, "`bn_splits` must be a whole number")]
)
def test_fields_that_a_method_has_not_are_refused(fields, said):
    with pytest.raises(UsageError, match=f"^fields of brightness: {said}"):
        testing.check_method(Brightness, **fields)


@pytest.mark.slow
@pytest.mark.usefixtures("own_methods")
def test_a_method_of_ones_own_holds():
    testing.check_method(Brightness, target=0.25)
    testing.check_method("simclr", backbone="resnet18")
    with pytest.raises(UsageError, match="has no `Config`, which every method needs"):
        testing.check_method(dict)


@pytest.fixture
def own_methods():
    before = dict(registry._OWN)
    yield
    registry._OWN.clear()
    registry._OWN.update(before)


def test_a_method_needs_nothing_of_the_job_but_its_facts(tmp_path):
    """`complete` takes the method's own configuration, which has neither batch size nor size of pictures."""
    data = moving_squares(tmp_path / "squares", clips=9, frames=18)
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
    testing.step(method, 4).loss.backward()
    copy.deepcopy(method).after_step()
    method.after_step()
    with pytest.raises(RuntimeError, match="follows a training_step"):
        method.after_step()


@pytest.mark.slow
@pytest.mark.parametrize("machines", [1, 2])
def test_two_processes_equal_one(machines):
    """Two gloo processes of B/2 give the gradients and statistics of one of B with two BatchNorm splits.

    They are started on one machine, or by two agents of torchrun.
    """
    worker = "tests.methods.distributed_worker"
    done = together([[sys.executable, "-m", worker]] if machines == 1 else agents([worker]))
    assert [status for status, _, _ in done] == [0] * machines, done
    (found,) = [json.loads(said.splitlines()[-1]) for _, said, _ in done if said]
    assert set(found) == set(METHODS)
    for name, (gradient, statistics) in found.items():
        assert gradient < 1e-5, name
        assert statistics < 1e-6, name


def test_unknown_method_names_the_nearest():
    with pytest.raises(UsageError, match="did you mean `temporal_ranking`"):
        method_class("temporal_rank")
