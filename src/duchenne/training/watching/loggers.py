"""Loggers of other programs, with Lightning Fabric's interface; each holds what `log.jsonl` holds."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final, Literal

from lightning_fabric.loggers.csv_logs import CSVLogger
from lightning_fabric.loggers.logger import Logger
from lightning_fabric.loggers.tensorboard import TensorBoardLogger

from duchenne.errors import InputError, UsageError
from duchenne.training.watching.services import MlflowLogger, WandbLogger

LoggerName = Literal["tensorboard", "csv", "wandb", "mlflow"]
LOGGERS: Final[Mapping[str, tuple[str, ...]]] = {
    "tensorboard": ("events.out.tfevents.*",),
    "csv": ("metrics.csv",),
    "wandb": ("run-*", "offline-run-*", "latest-run", "debug*.log", "wandb-resume.json", "settings"),
    "mlflow": ("[0-9]*", ".trash", "models"),
}
"""Name, which is also that of the folder below the run's -> patterns of what it writes there."""
_PACKAGES: Final = {"tensorboard": '"duchenne[tensorboard]"', "wandb": '"duchenne[wandb]"', "mlflow": "mlflow-skinny"}


def is_mirror(path: Path) -> bool:
    """Whether a path is the folder of a logger with nothing in it but what the logger wrote."""
    wrote = LOGGERS.get(path.name)
    return wrote is not None and path.is_dir() and all(_wrote(file.name, wrote) for file in path.iterdir())


def clear(folder: Path) -> None:
    """Removes what a logger wrote to its folder, and nothing else."""
    for path in list(folder.iterdir()) if folder.is_dir() else []:
        if not _wrote(path.name, LOGGERS[folder.name]):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _wrote(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)


class Mirror:
    """Writes the lines of the log for another program, too: `RUN/tensorboard/`, `RUN/csv/metrics.csv` ...

    It begins with the lines that the log has already, in place of what was written before, so that a run that was
    resumed reads as one that never stopped. CSV holds the name of a stage, the others its number, from 1.

    Args:
        name: of the logger.
        out: the run folder.
        before: lines of the log so far.
        settings: configuration of the run, for loggers of services.

    Raises:
        UsageError: when its package is not installed.
        InputError: when the folder cannot be written.
    """

    def __init__(
        self,
        name: LoggerName,
        out: Path,
        before: Iterable[Mapping[str, Any]] = (),
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = out / name
        self._stages: list[str] = []
        self.logger = self._opened(name, settings or {})
        for line in before:
            self._log(line)
        self._save()

    def _opened(self, name: LoggerName, settings: Mapping[str, Any]) -> Logger:
        try:
            clear(self.folder)
            if name in ("csv", "tensorboard"):
                kind: type[CSVLogger | TensorBoardLogger] = CSVLogger if name == "csv" else TensorBoardLogger
                return kind(self.folder.parent, name=None, version=self.folder.name)
            made = WandbLogger(self.folder) if name == "wandb" else MlflowLogger(self.folder)
            made.log_hyperparams(dict(settings))
            return made
        except ModuleNotFoundError as error:
            raise UsageError(
                f"--logger {name}: needs a package that is not here; pip install {_PACKAGES[name]}."
            ) from error
        except OSError as error:
            raise self._unwritable(error) from error

    def write(self, line: Mapping[str, Any]) -> None:
        """Adds a line of the log, and writes it.

        Raises:
            InputError: when it cannot be written.
        """
        self._log(line)
        self._save()

    def close(self) -> None:
        """Writes the rest and closes the files.

        Raises:
            InputError: when it cannot be written.
        """
        try:
            self.logger.finalize("success")
        except OSError as error:
            raise self._unwritable(error) from error

    def _log(self, line: Mapping[str, Any]) -> None:
        values = {key: value for key, value in line.items() if key != "step" and value is not None}
        stage = values.get("stage")
        if stage is not None and not isinstance(self.logger, CSVLogger):  # the others take numbers alone
            self._stages += [stage] if stage not in self._stages else []
            values["stage"] = 1 + self._stages.index(stage)
        try:
            self.logger.log_metrics(values, step=line["step"])
        except OSError as error:
            raise self._unwritable(error) from error

    def _save(self) -> None:
        try:
            self.logger.save()
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> InputError:
        return InputError(f"{self.folder}: cannot be written ({error.strerror}); free some place, then --resume.")
