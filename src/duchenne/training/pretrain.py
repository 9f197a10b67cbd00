"""The `pretrain` job: prepared data in, a run folder out."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from duchenne._version import __version__
from duchenne.config import from_mapping, load_mapping, save_mapping, to_mapping
from duchenne.data.clip_samplers import Clip
from duchenne.data.epochs import epoch_units, recording_ids
from duchenne.data.labels import LabelSpec
from duchenne.data.loaders import ClipLoader
from duchenne.data.prepared import Data, Prepared, open_prepared
from duchenne.devices import computes_bf16, resolve_device
from duchenne.errors import UsageError
from duchenne.facs import au_column
from duchenne.files import LOCK_NAME, is_leftover, locked, write_text
from duchenne.methods.base import Method, RunFacts, Stage
from duchenne.methods.registry import method_class, method_name
from duchenne.plain import note
from duchenne.published.settings import compare_settings
from duchenne.training.config import method_run_config
from duchenne.training.held_out import (
    data_sum,
    folder_notes,
    labelled_rows,
    sample_clips,
    seen,
    split_clips,
    split_subjects,
    training_rows,
)
from duchenne.training.launching.fabric import (
    average_buffers,
    check_same,
    make_fabric,
    process_kept,
    processes_of,
    seen_here,
    together,
)
from duchenne.training.loop import Trainer
from duchenne.training.methods_text import methods_text
from duchenne.training.recipes import load_recipe, recipe_names
from duchenne.training.runs import (
    EncoderRecord,
    LoadedEncoder,
    build_method,
    check_side,
    load_encoder,
    save_encoder,
    seen_before,
)
from duchenne.training.sync_batchnorm import check_sync_batchnorm, synchronised
from duchenne.training.watching.curves import PAGE_NAME
from duchenne.training.watching.figures import write_figures
from duchenne.training.watching.loggers import LOGGERS, LoggerName, clear, is_mirror
from duchenne.training.watching.views import VIEWS_NAME


@dataclass(frozen=True, repr=False)
class PretrainResult:
    """What came out of `pretrain`.

    Attributes:
        out: the run folder.
        steps: trained.
        finished: False where it was interrupted; `resume=True` goes on.
        notes: what a user should know about data and training, one sentence each.
    """

    out: Path
    steps: int
    finished: bool
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        """Short: the notes are counted."""
        state = "" if self.finished else ", interrupted"
        return f"<run {self.out}: {self.steps} steps{state}, {len(self.notes)} notes>"

    def _repr_html_(self) -> str:
        """For notebooks: the same with its notes."""
        notes = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in self.notes)
        return f"{html.escape(repr(self))}<ul>{notes}</ul>"

    def load_encoder(self) -> LoadedEncoder:
        """The encoder that was trained, see `duchenne.load_encoder`.

        Raises:
            InputError: when the training is not finished.
        """
        return load_encoder(self.out)


def pretrain(
    method: str | type[Method],
    *,
    data: Data,
    out: str | Path,
    recipe: str | None = None,
    exclude_fold: str | None = None,
    resume: bool = False,
    quiet: bool = False,
    logger: LoggerName | None = None,
    tell: Callable[[str], None] = note,
    on_log: Callable[[Mapping[str, Any]], None] = lambda line: None,
    **fields: Any,
) -> PretrainResult:
    """Learns a representation from prepared data. Rows whose split is `test` are never used.

    Args:
        method: name, see `duchenne info`; or the class of a method, which is registered by the name of its class where
            it has none, see `duchenne.register_method`.
        data: prepared folders, or prepared data that is open; one or several.
        out: the run folder to make.
        recipe: name of a shipped recipe or path of a YAML file; its values replace the method's defaults.
        exclude_fold: `I/K`: leave out the subjects that `evaluate --folds K` tests in its fold I (from 0; first seed);
            `I/bp4d:jaa` likewise for a published partition, `I/parts` for the data's own.
        resume: go on from `out/checkpoint.pt`, bit for bit as if never interrupted (same machine, versions, threads).
        quiet: show no progress.
        logger: keep the log for TensorBoard (`out/tensorboard`), as a CSV (`out/csv/metrics.csv`), or for Weights &
            Biases or MLflow (offline, `out/wandb`, `out/mlflow`), too, and the first batch's views as `out/views.png`.
        tell: called before the first step with each of the result's `notes` (by the first process alone), and at once
            where the embedding collapses; without, they go to the logger `duchenne` at the level INFO.
        on_log: called with each line of `log.jsonl` when it is written (by the first process alone).
        **fields: any field of the method's or the training configuration; they take precedence over the recipe.

    Returns:
        A summary; the run folder holds everything else.

    Raises:
        UsageError: for an unknown method, recipe or field, or when `out` is in use.
        InputError: when the data cannot be read, or no clip is long enough.
        DuchenneError: when the loss is no longer finite.
    """
    if logger is not None and logger not in LOGGERS:
        raise UsageError(f"--logger {logger}: there are {', '.join(LOGGERS)}.")
    out, method = Path(out), method_name(method)
    kind = method_run_config(method)
    values = load_recipe(recipe, method) if recipe else {}
    config: Any = from_mapping(kind, {**values, **fields}, where=f"recipe {recipe}" if recipe else f"pretrain {method}")
    prepared = open_prepared(data)
    job = {"exclude_fold": exclude_fold} if exclude_fold else {}
    rows = training_rows(prepared, exclude_fold)
    of = (recipe, values) if recipe in recipe_names() else None
    result, _ = train_on(
        method, config, prepared, rows, out, job=job, recipe=of, resume=resume, quiet=quiet, logger=logger, tell=tell,
        on_log=on_log,
    )  # fmt: skip
    return result


def train_on(
    method: str,
    config: Any,
    prepared: Prepared,
    rows: NDArray[np.int64],
    out: Path,
    *,
    job: Mapping[str, Any],
    recipe: tuple[str | None, Mapping[str, Any]] | None = None,
    resume: bool = False,
    quiet: bool = False,
    logger: LoggerName | None = None,
    tell: Callable[[str], None] = note,
    alone: bool = False,
    on_log: Callable[[Mapping[str, Any]], None] = lambda line: None,
) -> tuple[PretrainResult, Method]:
    """Trains a method on some rows of prepared data; what `pretrain` does once it knows which.

    Args:
        method: its name.
        config: of the job, resolved.
        prepared: the data.
        rows: those that may be used.
        out: the run folder to make.
        job: what else `config.yaml` says of the job.
        recipe: the shipped recipe that the configuration comes from, and its values, to be held to its paper.
        resume: see `pretrain`.
        quiet: show no progress.
        tell: see `pretrain`.
        alone: this process trains by itself, whatever started it.

    Returns:
        What `pretrain` returns, and the method with its weights after the last step.

    Raises:
        UsageError, InputError, DuchenneError: see `pretrain`.
    """
    with process_kept(), ExitStack() as held:
        return _train_on(
            method, config, prepared, rows, out, job=job, recipe=recipe, resume=resume, quiet=quiet, logger=logger,
            tell=tell, alone=alone, on_log=on_log, held=held,
        )  # fmt: skip


def _train_on(
    method: str,
    config: Any,
    prepared: Prepared,
    rows: NDArray[np.int64],
    out: Path,
    *,
    job: Mapping[str, Any],
    recipe: tuple[str | None, Mapping[str, Any]] | None,
    resume: bool,
    quiet: bool,
    logger: LoggerName | None,
    tell: Callable[[str], None],
    alone: bool,
    on_log: Callable[[Mapping[str, Any]], None],
    held: ExitStack,
) -> tuple[PretrainResult, Method]:
    chosen = method_class(method)
    if config.validation_share and not chosen.validates():
        raise UsageError(
            f"--validation-share {config.validation_share}: {method} has no validation score; set it to 0."
        )
    facts = RunFacts(
        batch_size=config.batch_size, size_px=config.size_px, processes=config.devices * config.num_nodes,
        holds_out=bool(config.validation_share),
    )  # fmt: skip
    papers = _papers(recipe, config, prepared)  # what was asked, not what is filled in from the data
    rows_trained, rows_held = rows, rows[:0]
    if config.validation_by == "subject" and config.validation_share:
        labelled = labelled_rows(chosen, chosen.complete(config, prepared, rows, facts), prepared, rows)
        rows_trained, rows_held = split_subjects(prepared, rows, config.validation_share, config.seed, labelled)
    config = chosen.complete(config, prepared, rows_trained, facts)
    device = resolve_device(config.device)
    bf16 = config.precision == "bf16" or (config.precision == "auto" and computes_bf16(device))
    stored = {"method": method, "duchenne": __version__, "data": [str(path) for path in prepared.paths]}
    stored |= {**job, **to_mapping(config)}
    check_sync_batchnorm(config, device)
    _check_out(out, stored, resume=resume)
    sampler, labels = chosen.sampler(config), chosen.labels(config)
    clips, short = sampler.usable_clips(prepared, rows_trained)
    if len(rows_held):
        training, (held_out, _) = clips, sampler.usable_clips(prepared, rows_held)
    else:
        recordings = partial(recording_ids, prepared) if config.validation_by == "video" else None
        training, held_out = split_clips(clips, config.validation_share, config.seed, recordings)
    held_out = sample_clips(held_out, config.validation_clips, config.seed)
    training = epoch_units(training, config.epoch_of, prepared, sampler.frames)
    notes = (
        *papers, *folder_notes(prepared), *sampler.notes(clips, short), *chosen.notes(config, prepared, rows_trained),
        *_repeated(config.batch_size, len(training)), *_notes(config.size_px, prepared), *_left_out(labels, prepared),
    )  # fmt: skip

    fabric = make_fabric(config, device, alone=alone)
    held.enter_context(together(out))
    data = data_sum(prepared, rows)
    check_same(fabric, {**stored, **seen_here(data, out, resume=resume)})
    if config.batch_size % fabric.world_size:
        raise UsageError(f"--batch-size {config.batch_size} is not divisible by the {fabric.world_size} processes.")
    built = build_method(method, config)
    check_side(built, config)
    if config.sync_batchnorm:
        built = synchronised(built, fabric.world_size)
    smallest = built.smallest_batch() * fabric.world_size
    if config.batch_size < smallest:
        raise UsageError(f"--batch-size {config.batch_size} is too small for {method}; it needs at least {smallest}.")
    steps = [stage_steps(stage, config, len(training)) for stage in built.stages()]
    if fabric.is_global_zero:  # after all that may be refused, which leaves no folder behind
        held.enter_context(locked(out))
        _check_out(out, stored, resume=resume)  # once more: another process may just have finished

    def load(some: Sequence[Clip]) -> ClipLoader:
        return ClipLoader(
            prepared, some, sampler, labels=labels, batch_size=config.batch_size, size_px=config.size_px,
            seed=config.seed, rank=fabric.global_rank, processes=fabric.world_size, threads=config.loader_threads,
        )  # fmt: skip

    own = seen(prepared, rows, labels=bool(labels.aus or labels.emotions))
    earlier = seen_before(config.weights)

    def record(step: int, score: float | None = None) -> EncoderRecord:
        return EncoderRecord(
            method=method,
            spec=built.encoder.spec,
            size_px=config.size_px,
            alignment=", ".join(sorted({info.alignment for info in prepared.infos})),
            weights=config.weights,
            steps=step,
            validation=score,
            duchenne=__version__,
            trained_on=(*own, *earlier),
        )

    def save(name: str, own: EncoderRecord) -> None:
        save_encoder(out, built.encoder, own, name=name)
        for which, encoder in built.other_encoders().items():
            save_encoder(out, encoder, replace(own, spec=encoder.spec), name=f"{name}_{which}")

    def save_best(step: int, score: float) -> None:
        save(_BEST, record(step, score))

    trainer = Trainer(
        fabric, built, config, load(training), steps, out, data=data, bf16=bf16,
        validation=load(held_out) if len(held_out) else None, save_best=save_best,
        validate_every=config.validate_every or math.ceil(len(training) / config.batch_size),
        logger=logger, tell=tell, on_log=on_log,
    )  # fmt: skip
    notes += tuple(trainer.resume()) if resume else ()
    if fabric.is_global_zero:
        save_mapping(out / "config.yaml", stored)
        for path in [] if resume else list(out.iterdir()):
            if is_mirror(path):
                clear(path)
            elif _leftover(path) and path.name not in ("config.yaml", LOCK_NAME):
                path.unlink(missing_ok=True)
        for sentence in notes:
            tell(sentence)
    finished = trainer.run(quiet=quiet)
    average_buffers(fabric, built)
    if fabric.is_global_zero and finished:
        save("encoder", record(trainer.step))
        write_figures(out, built.eval(), prepared, rows_trained)
        done = replace(record(trainer.step), trained_on=own)
        write_text(out / "methods.txt", methods_text(built, config, done, steps, len(training), papers))
    return PretrainResult(out, trainer.step, finished, (*notes, *trainer.notes)), built


def stage_steps(stage: Stage, config: Any, clips: int) -> int:
    """Steps of a stage: what the stage says itself, then what the job says; steps before epochs."""
    steps: int | None = stage.max_steps or (config.max_steps if stage.epochs is None else None)
    epochs = config.epochs if stage.epochs is None else stage.epochs
    return steps or math.ceil(epochs * clips / config.batch_size)


def _check_out(out: Path, stored: dict[str, Any], *, resume: bool) -> None:
    """Refuses a folder in use, and a resume whose configuration is another one."""
    if not resume:
        if (out / "checkpoint.pt").exists() or (out / "encoder.safetensors").exists():
            raise UsageError(f"{out}: holds a run already; add --resume to go on with it, or name another --out.")
        if out.exists() and (not out.is_dir() or any(not _leftover(path) for path in out.iterdir())):
            raise UsageError(f"{out}: is in use by something else; name another --out.")
        return
    before = load_mapping(out / "config.yaml")
    before = {**to_mapping(method_run_config(stored["method"])()), **before}  # a field that it lacks is newer than it
    free = {"max_steps", "epochs", "log_every", "save_every", "validate_every", "loader_threads", "duchenne"}
    free |= {"devices", "num_nodes"} if processes_of(before) == processes_of(stored) else set()
    changed = [key for key in {**before, **stored} if key not in free and before.get(key) != stored.get(key)]
    if changed:
        raise UsageError(
            f"{out}: was begun with another {', '.join(changed)}; resume with the same settings or name another --out."
        )


def _papers(recipe: tuple[str | None, Mapping[str, Any]] | None, config: Any, data: Prepared) -> list[str]:
    """What the training differs in from the paper of its recipe, where that is one of a paper."""
    if recipe is None or recipe[0] is None:
        return []
    names = sorted({str(info.settings.get("reader", info.name)) for info in data.infos})
    alignment = ", ".join(sorted({info.alignment for info in data.infos}))
    prepared = [info.settings for info in data.infos]
    found = compare_settings(recipe[0], config, recipe[1], data=names, alignment=alignment, prepared=prepared)
    return found.sentences() if found else []


def _repeated(batch: int, clips: int) -> list[str]:
    """That a batch holds clips more than once, where there are fewer."""
    return [f"A batch of {batch} holds some of the {clips} clips or frames more than once."] if batch > clips else []


def _left_out(labels: LabelSpec, data: Prepared) -> list[str]:
    """Action units that are coded but not learned, where any are learned."""
    missing = [au_column(au) for au in data.aus if au not in labels.aus] if labels.aus else []
    return [f"Coded, but not learned: {', '.join(missing)}."] if missing else []


_BEST = "encoder_best"


def _leftover(path: Path) -> bool:
    """Whether a run that was interrupted before its first checkpoint leaves such a file or folder."""
    ours = ("config.yaml", "log.jsonl", "checkpoint.json", PAGE_NAME, VIEWS_NAME)
    return is_leftover(path.name) or path.name in ours or path.name.startswith(_BEST) or is_mirror(path)


def _notes(size_px: int, data: Prepared) -> list[str]:
    small = [info for info in data.infos if info.size_px < size_px]
    return [f"The crops of {small[0].name} ({small[0].size_px} px) are enlarged to {size_px} px."] if small else []
