"""The training loop: one step after another, on Lightning Fabric, interruptible at any of them."""

from __future__ import annotations

import json
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from itertools import accumulate
from numbers import Real
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from duchenne.config import from_mapping, to_mapping
from duchenne.data.loaders import ClipLoader
from duchenne.errors import DuchenneError, InputError, UsageError
from duchenne.files import write_text
from duchenne.methods.base import Method
from duchenne.plain import note
from duchenne.progress import progress_bar
from duchenne.training.checkpoints import check_optimiser, load_checkpoint, save_checkpoint
from duchenne.training.config import TrainingConfig
from duchenne.training.launching.fabric import average_buffers
from duchenne.training.log import read_log
from duchenne.training.schedules import Plateau, build_optimisers, rate_factor
from duchenne.training.watching.loggers import LoggerName, Mirror
from duchenne.training.watching.measures import COLLAPSED, Meter, Seen, gradient_norm, watched
from duchenne.training.watching.views import VIEWS_NAME, write_views
from duchenne.types import StepOutput

_MOST_THREADS: Final = 1024


class Trainer:
    """Trains one method in one run folder.

    Args:
        fabric: launched already.
        method: on the CPU, with its initial weights.
        config: of the job.
        loader: gives the batches of this process.
        steps: of each of the method's stages.
        out: the run folder.
        data: the checksum of what is trained on, see `data_sum`.
        bf16: whether training steps autocast to bfloat16.
        validation: gives batches of the clips held out; None for no validation.
        validate_every: steps between validations.
        save_best: called with the step and the score whenever a validation of the last stage was the best so far.
        logger: of another program, that is to hold the log, too.
        tell: called with a sentence that a user should know at once.
        on_log: called with every line of the log.
    """

    def __init__(
        self,
        fabric: Fabric,
        method: Method,
        config: TrainingConfig,
        loader: ClipLoader,
        steps: Sequence[int],
        out: Path,
        *,
        data: str,
        bf16: bool = False,
        validation: ClipLoader | None = None,
        validate_every: int = 1,
        save_best: Callable[[int, float], None] | None = None,
        logger: LoggerName | None = None,
        tell: Callable[[str], None] = note,
        on_log: Callable[[dict[str, Any]], None] = lambda line: None,
    ) -> None:
        self.mirrored, self.tell, self.on_log = logger, tell, on_log
        self.mirror: Mirror | None = None
        self.notes: list[str] = []
        self.fabric, self.method, self.config, self.bf16 = fabric, method, config, bf16
        self.validation, self.validate_every, self.save_best = validation, validate_every, save_best
        self.loader, self.out, self.data = loader, out, data
        self.stages, self.ends = method.stages(), list(accumulate(steps))
        self.total = self.ends[-1]
        if config.channels_last:
            method.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.step = 0
        self._begin(0)

    def _begin(self, number: int) -> None:
        """Starts a stage: what is trained, its optimisers, and the wrapping that several processes need."""
        self.stage, self.plateau = number, Plateau()
        self.method.start_stage(number)
        self.module: Any = None  # of the stage before: its hooks on the gradients go with it
        optimisers = build_optimisers(self.method, self.config, self.stages[number])
        self.module, *self.optimisers = self.fabric.setup(self.method, *optimisers)
        self.module.mark_forward_method("training_step")

    def resume(self) -> list[str]:
        """Takes up the state of `checkpoint.pt`; later lines of the log are dropped.

        Returns:
            What a user should know of the log.

        Raises:
            InputError: when there is none, it is damaged, or it belongs to another network.
            UsageError: when the training was begun with other data, or is further than it was asked to go.
        """
        state = load_checkpoint(self.out / "checkpoint.pt")
        if state.get("data", self.data) != self.data:  # checkpoints of earlier versions do not say
            raise UsageError(
                f"{self.out}: was begun with other data: a folder was prepared anew or changed since; resume with the "
                "data as they were, or name another --out."
            )
        try:
            number = _whole(state["stage"], "stage", 0, len(self.stages) - 1)
            ends = [_whole(end, "ends", 1, 10**9) for end in state["ends"]]
            if len(ends) != len(self.ends) or ends[:number] != self.ends[:number]:
                raise ValueError("its earlier stages had other numbers of steps")
            step = _whole(state["step"], "step", ends[number - 1] if number else 0, ends[number])
            threads = _whole(state["threads"], "threads", 1, _MOST_THREADS)
            plateau = from_mapping(Plateau, state["plateau"], where="`plateau`")
            if number:
                self._begin(number)
            self.method.load_state_dict(state["method"])
            for optimiser, own in zip(self.optimisers, state["optimisers"], strict=True):
                parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
                shapes = {place: parameter.shape for place, parameter in enumerate(parameters)}
                check_optimiser(optimiser.state_dict(), own, shapes)
                optimiser.load_state_dict(own)
            self.step, self.plateau = step, plateau
            torch.set_num_threads(threads)
        except (LookupError, RuntimeError, TypeError, ValueError, AttributeError, UsageError) as error:
            reason = " ".join(str(error).split())[:160]
            raise InputError(f"{self.out / 'checkpoint.pt'}: is not of this run ({reason}).") from error
        if step > self.ends[number]:
            raise UsageError(
                f"{self.out}: has trained {step} steps, more than the {self.ends[number]} that are asked for; raise "
                "--max-steps (or --epochs)."
            )
        return self._shorten_log() if self.fabric.is_global_zero else []

    def _shorten_log(self) -> list[str]:
        """Drops the lines of the log after the checkpoint, and those that cannot be read, of which it tells."""
        log = self.out / "log.jsonl"
        lines = read_log(log) if log.exists() else []
        kept = [text for text, line in lines if line is not None and line["step"] <= self.step]
        write_text(log, "".join(f"{text}\n" for text in kept))
        damaged = sum(line is None for text, line in lines[:-1])  # the last one was perhaps being written
        return [f"{damaged} lines of {log} could not be read and were dropped."] if damaged else []

    def save(self) -> None:
        """Writes `checkpoint.pt`."""
        average_buffers(self.fabric, self.method)
        if self.fabric.is_global_zero:
            state = {
                "step": self.step,
                "stage": self.stage,
                "ends": self.ends,
                "plateau": asdict(self.plateau),
                "threads": torch.get_num_threads(),
                "data": self.data,
                "method": self.method.state_dict(),
                "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            }
            save_checkpoint(self.out / "checkpoint.pt", state)
        self.fabric.barrier()

    def run(self, *, quiet: bool = False) -> bool:
        """Trains to the last step, saving on the way; returns False where it was interrupted (and saved).

        Raises:
            DuchenneError: when the loss is no longer finite.
        """
        if self.mirrored and self.fabric.is_global_zero:
            log = self.out / "log.jsonl"
            before = [line for _, line in read_log(log) if line] if log.exists() else []
            self.mirror = Mirror(self.mirrored, self.out, before, to_mapping(self.config))
        try:
            return self._run(quiet=quiet or not self.fabric.is_global_zero)
        finally:
            if self.mirror:
                self.mirror.close()

    def _run(self, *, quiet: bool) -> bool:
        config, meter = self.config, Meter()
        with stop_requests() as stop, progress_bar(quiet=quiet) as bar:
            task = bar.add_task("pretraining", total=self.total, completed=self.step, note="")
            batches = self.loader.batches(self.step, self.total)
            while self.step < self.total:
                while self.step == self.ends[self.stage]:
                    self._begin(self.stage + 1)
                if len(self.stages) > 1:
                    bar.update(task, description=self.stages[self.stage].name)
                asked = time.perf_counter()
                batch = next(batches)
                meter.waited_s += time.perf_counter() - asked
                lr = self._train_step(batch, meter)
                self.step += 1
                stopping, ended = self._agree(stop.is_set()), self.step == self.ends[self.stage]
                if stopping or ended or self.step % config.log_every == 0:
                    line = self._log(meter, lr)
                    meter = Meter()
                    speed = f"{line['images_per_s']:.0f} images/s  waiting {line['waiting']:.0%}"
                    bar.update(task, note=f"loss {line['loss']:.4f}  {speed}")
                bar.advance(task)
                start = self.ends[self.stage - 1] if self.stage else 0
                if ended or (self.step - start) % self.validate_every == 0:
                    self._validate()
                if stopping or ended or self.step % config.save_every == 0:
                    self.save()
                if stopping:
                    batches.close()
                    return self.step == self.total
        return True

    def _train_step(self, batch: Any, meter: Meter) -> float:
        seed = np.random.SeedSequence([self.config.seed, 2, self.step, self.fabric.global_rank])
        torch.manual_seed(int(seed.generate_state(1)[0]))
        start = self.ends[self.stage - 1] if self.stage else 0
        factor = rate_factor(self.config, self.step - start, self.ends[self.stage] - start) * self.plateau.factor
        groups = [group for optimiser in self.optimisers for group in optimiser.param_groups]
        for group in groups:
            group["lr"] = group["base_lr"] * (factor if group["scheduled"] else 1)
        batch = batch.to(self.fabric.device)
        with torch.no_grad():
            batch = self.method.augment(batch)
        if self.mirror and self.step == 0:
            write_views(batch.images, self.out / VIEWS_NAME)
        self.module.train()
        wanted = (self.step + 1) % self.config.log_every == 0 or self.step + 1 == self.ends[self.stage]
        with (
            watched(self.method, wanted=wanted) as seen,
            torch.autocast(self.fabric.device.type, torch.bfloat16, enabled=self.bf16),
        ):
            output = _checked(self.module.training_step(batch), self.method)
        self.fabric.backward(output.loss)
        if wanted:
            self._measure(meter, seen)
        for optimiser in self.optimisers:
            optimiser.step()
            optimiser.zero_grad()
        self.method.after_step()
        for name, value in {"loss": output.loss, **output.logs}.items():
            meter.values.setdefault(name, []).append(value.detach() if isinstance(value, Tensor) else value)
        meter.images += batch.images.shape[0] * batch.images.shape[1] * self.fabric.world_size
        return float(groups[0]["lr"])

    def _measure(self, meter: Meter, seen: Seen) -> None:
        """What is measured in the step before a line of the log alone, as it takes time."""
        meter.last["gradient_norm"] = gradient_norm(self.method)
        spread = seen.spread
        if spread is None:
            return
        meter.last["embedding_spread"] = spread
        if spread < COLLAPSED and not self.notes and self.fabric.is_global_zero:
            self.notes.append(
                f"Step {self.step + 1}: the embedding has collapsed: it gives all faces of a batch almost the same "
                f"direction (spread {spread:.4f}; 1 is everywhere), so it hardly tells them apart."
            )
            self.tell(self.notes[0])

    def _validate(self) -> None:
        """Scores the clips held out, logs that, and in the last stage keeps the encoder where it is the best so far."""
        if self.validation is None:
            return
        average_buffers(self.fabric, self.method)
        self.method.eval()
        loader, total = self.validation, torch.zeros(())
        with torch.no_grad():
            for number, batch in enumerate(loader.batches(0, math.ceil(len(loader.clips) / loader.batch_size))):
                left = len(loader.clips) - number * loader.batch_size - loader.share.start  # the last batch begins anew
                part = batch.select(slice(0, max(1, left))).to(self.fabric.device)
                counts = self.method.validation_counts(part)
                if counts is None:
                    return
                total = total + counts.cpu() * (left > 0)
        if self.fabric.world_size > 1:  # Fabric moves it to the device, and MPS has no float64
            total = torch.as_tensor(self.fabric.all_reduce(total, reduce_op="sum"))
        score = self.method.validation_of(total)
        if self.fabric.is_global_zero:
            self._write_log({"step": self.step, **self._stage_name(), "validation": score})
        best = self.plateau.take(score, self.config)
        self.method.after_validation(score)
        if best and self.save_best and self.fabric.is_global_zero and self.stage == len(self.stages) - 1:
            self.save_best(self.step, score)

    def _stage_name(self) -> dict[str, str]:
        return {"stage": self.stages[self.stage].name} if len(self.stages) > 1 else {}

    def _write_log(self, line: dict[str, Any]) -> None:
        log = self.out / "log.jsonl"
        try:
            with log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise InputError(f"{log}: cannot be written ({error.strerror}); free some place, then --resume.") from error
        if self.mirror:
            self.mirror.write(line)
        self.on_log(line)

    def _log(self, meter: Meter, lr: float) -> dict[str, float]:
        line = meter.line(self.step, lr)
        if not math.isfinite(line["loss"]):
            raise DuchenneError(
                f"{self.out}: the loss is {line['loss']} at step {self.step}; lower --lr. The last checkpoint is kept."
            )
        if self.fabric.is_global_zero:
            self._write_log({"step": line.pop("step"), **self._stage_name(), **line})
        return line

    def _agree(self, stop: bool) -> bool:
        """Whether any process was asked to stop, so that all stop after the same step."""
        if self.fabric.world_size == 1:
            return stop
        asked = self.fabric.all_reduce(torch.tensor(float(stop)), reduce_op="sum")
        return bool(torch.as_tensor(asked) > 0)


def _whole(value: object, name: str, low: int, high: int) -> int:
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{name} is {value!r:.40}, not from {low} to {high}")
    return value


@contextmanager
def stop_requests() -> Iterator[threading.Event]:
    """An event that Ctrl-C or SIGTERM sets, so that the step in hand is finished first; a second one interrupts."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return

    def handle(number: int, frame: object) -> None:
        if event.is_set():
            raise KeyboardInterrupt
        event.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _checked(output: Any, method: Method) -> StepOutput:
    """What a step gave; refused where torch would say of another place that something is wrong."""
    name = f"{type(method).__name__}: `training_step`"
    if not isinstance(output, StepOutput):
        raise UsageError(f"{name} gives a {type(output).__name__}; return StepOutput(loss, {{}}).")
    for key, value in {"loss": output.loss, **output.logs}.items():
        if isinstance(value, Tensor) and value.numel() != 1:
            raise UsageError(f"{name} gives `{key}` of shape {tuple(value.shape)}; it must be one number.")
        if not isinstance(value, Tensor | Real):
            raise UsageError(f"{name} gives `{key}` as a {type(value).__name__}; it must be one number.")
    if not isinstance(output.loss, Tensor) or not output.loss.requires_grad:
        raise UsageError(f"{name} gives a loss without a gradient; compute it from the encoder, and do not detach it.")
    return output
