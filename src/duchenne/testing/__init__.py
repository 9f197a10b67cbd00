"""What holds for every method, as checks that anyone can run on a method of their own: `check_method(MyMethod)`.

The package's own methods are held to the same functions. Each raises `AssertionError`, saying what does not hold.
"""

from __future__ import annotations

import copy
import dataclasses
import inspect
from collections.abc import Callable
from typing import Any, Final

import torch

from duchenne.config import from_mapping
from duchenne.methods.base import Method
from duchenne.methods.registry import config_class, method_class, method_name
from duchenne.training.config import TrainingConfig, method_run_config
from duchenne.training.runs import build_method
from duchenne.types import ClipBatch, StepOutput

SIZE_PX: Final = 32
"""Side of the pictures of the checks."""


def check_method(method: str | type[Method], **fields: Any) -> None:
    """Holds a method to the contract of `duchenne.Method`: each `check_...` of this module, one after another.

    Args:
        method: the class, or a name that `duchenne pretrain` takes.
        **fields: of its configuration that make it small, and what `complete` would fill in. Pictures have 32 px.

    Raises:
        AssertionError: for the first thing that does not hold.
        UsageError: when it is no method, or has no such field.
    """
    name = method_name(method)

    def build(**more: Any) -> Method:
        return small_method(name, **{**fields, **more})

    check_configuration(name)
    check_default(name)
    check_after_step(build)
    check_gradients(build)
    for clips in (1, 3, 5):
        check_batch_size(build, clips)
    check_repeatable(build)
    check_state(build)
    check_smallest_batch(build)


def small_method(name: str, **fields: Any) -> Method:
    """A method with random weights for pictures of 32 px, of the seed `seed` (0).

    Raises:
        UsageError: when it has no such field, or a field cannot have such a value.
    """
    config: Any = from_mapping(method_run_config(name), {"size_px": SIZE_PX, **fields}, where=f"fields of {name}")
    return build_method(name, config)


def random_batch(method: Method, clips: int, seed: int = 0) -> ClipBatch:
    """A batch of noise, (clips, frames, 3, 32, 32), as the loader gives it, with the labels that a method asks for."""
    frames = method.sampler(method.config).frames
    generator = torch.Generator().manual_seed(seed)
    shape = (clips, frames, 3, SIZE_PX, SIZE_PX)
    images = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    rows = torch.arange(clips * frames).view(clips, frames)
    labels = random_labels(method, clips, frames, generator)
    return ClipBatch(images, rows, torch.arange(clips), torch.arange(clips) // 2, labels)


def random_labels(method: Method, clips: int, frames: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """All known, as the method asks for them; landmarks lie well inside the picture."""
    wanted = method.labels(method.config)
    found: dict[str, torch.Tensor] = {}
    if wanted.aus:
        found["aus"] = torch.randint(0, 2, (clips, frames, len(wanted.aus)), generator=generator, dtype=torch.int8)
    if wanted.emotions:
        found["emotion"] = torch.randint(0, len(wanted.emotions), (clips, frames), generator=generator)
    if wanted.landmarks:
        found["landmarks"] = 4 + 24 * torch.rand(clips, frames, 68, 2, generator=generator)
    return found


def step(method: Method, clips: int, seed: int = 0) -> StepOutput:
    """One training step on a random batch; the seed is that of the augmentation."""
    torch.manual_seed(seed)
    return method.training_step(method.augment(random_batch(method, clips)))


def check_configuration(name: str) -> None:
    """The configuration is a dataclass that the training's fields can be added to, with the training's defaults."""
    own = {field.name for field in dataclasses.fields(config_class(name))}
    twice = sorted(own & {field.name for field in dataclasses.fields(TrainingConfig)})
    assert not twice, f"{name}: its configuration has fields of the training: {', '.join(twice)}"
    assert method_class(name).Config is config_class(name), f"{name}: `Config` is not its configuration"
    defaults = dataclasses.asdict(method_run_config(name)())
    wrong = [key for key, value in method_class(name).TRAINING_DEFAULTS.items() if defaults[key] != value]
    assert not wrong, f"{name}: these TRAINING_DEFAULTS do not arrive: {', '.join(wrong)}"


def check_default(name: str) -> None:
    """The method can be built from its configuration's defaults."""
    method = method_class(name)(config_class(name)())
    assert method.encoder.feature_dim > 0, f"{name}: its encoder gives no features"
    assert method.sampler(method.config).frames >= 1, f"{name}: its sampler takes no frames"


def check_gradients(build: Callable[..., Method]) -> None:
    """The loss is a finite float32 number, and its gradient reaches every parameter that is trained, and no other."""
    method = build()
    output = step(method, max(4, method.smallest_batch()))
    assert output.loss.shape == (), f"the loss has shape {tuple(output.loss.shape)}, not ()"
    assert output.loss.dtype == torch.float32, f"the loss is {output.loss.dtype}, not float32"
    output.loss.backward()  # type: ignore[no-untyped-call]
    grouped = [id(parameter) for group in method.parameter_groups() for parameter in group["params"]]
    assert len(grouped) == len(set(grouped)), "a parameter is in two groups of `parameter_groups`"
    for key, parameter in method.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, f"{key}: no gradient reaches it"
            assert torch.isfinite(parameter.grad).all(), f"{key}: its gradient is not finite"
            assert id(parameter) in grouped, f"{key}: is in no group of `parameter_groups`"
        else:
            assert parameter.grad is None, f"{key}: needs no gradient and has one"
    for key, value in output.logs.items():
        assert isinstance(value, float) or not value.requires_grad, f"logs: {key} still has a gradient; detach it"


def check_batch_size(build: Callable[..., Method], clips: int) -> None:
    """A batch of any size from `smallest_batch` on gives a finite loss."""
    method = build()
    clips = max(clips, method.smallest_batch())
    try:
        output = step(method, clips)
    except (RuntimeError, ValueError) as error:
        smallest = method.smallest_batch()
        raise AssertionError(f"a batch of {clips} fails ({error}); smallest_batch() is {smallest}") from error
    output.loss.backward()  # type: ignore[no-untyped-call]
    method.after_step()
    assert torch.isfinite(output.loss), f"the loss of a batch of {clips} is {float(output.loss)}"


def check_repeatable(build: Callable[..., Method]) -> None:
    """Equal weights, batches and seeds give equal losses; other weights, another one."""
    clips = max(3, build().smallest_batch())
    loss = step(build(), clips).loss
    assert torch.equal(loss, step(build(), clips).loss), "equal batches and seeds give different losses"
    assert not torch.equal(loss, step(build(seed=1), clips).loss), "the loss does not depend on the weights"


def check_state(build: Callable[..., Method]) -> None:
    """After a step, `state_dict` holds all that another instance needs to go on alike."""
    method, other = build(), build(seed=7)
    clips = max(3, method.smallest_batch())
    step(method, clips).loss.backward()  # type: ignore[no-untyped-call]
    method.after_step()
    other.load_state_dict(method.state_dict())
    same = torch.equal(step(method, clips, seed=5).loss, step(other, clips, seed=5).loss)
    assert same, "another instance with its `state_dict` goes on differently: keep what a step changes in buffers"


def check_smallest_batch(build: Callable[..., Method]) -> None:
    """`smallest_batch` follows `bn_splits`: two clips for each part."""
    found = build(bn_splits=4).smallest_batch()
    assert found == 8, f"smallest_batch() is {found} for bn_splits 4, not 8"


def check_after_step(build: Callable[..., Method]) -> None:
    """`after_step` takes no argument, and works on a copy of the method too."""
    method = build()
    named = list(inspect.signature(type(method).after_step).parameters)
    assert named == ["self"], f"after_step takes {', '.join(named)}; it takes `self` alone"
    step(method, max(4, method.smallest_batch())).loss.backward()  # type: ignore[no-untyped-call]
    copy.deepcopy(method).after_step()
    method.after_step()
