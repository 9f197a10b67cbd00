"""Loggers of other programs, through Lightning Fabric; each holds what `log.jsonl` holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final, Literal

from lightning_fabric.loggers.csv_logs import CSVLogger
from lightning_fabric.loggers.logger import Logger
from lightning_fabric.loggers.tensorboard import TensorBoardLogger

from duchenne.errors import InputError, UsageError

LoggerName = Literal["tensorboard", "csv"]
LOGGERS: Final[Mapping[str, str]] = {"tensorboard": "events.out.tfevents.*", "csv": "metrics.csv"}
"""Name, which is also that of the folder below the run's -> pattern of the files that it writes there."""


def is_mirror(path: Path) -> bool:
    """Whether a path is the folder of a logger with nothing in it but what the logger wrote."""
    wrote = LOGGERS.get(path.name)
    return wrote is not None and path.is_dir() and all(fnmatch(file.name, wrote) for file in path.iterdir())


def clear(folder: Path) -> None:
    """Removes what a logger wrote to its folder, and nothing else."""
    for file in folder.glob(LOGGERS[folder.name]):
        file.unlink()


class Mirror:
    """Writes the lines of the log for another program, too: `RUN/tensorboard/` or `RUN/csv/metrics.csv`.

    It begins with the lines that the log has already, in place of what was written before, so that a run that was
    resumed reads as one that never stopped.

    Args:
        name: of the logger.
        out: the run folder.
        before: lines of the log so far.

    Raises:
        UsageError: when its package is not installed.
        InputError: when the folder cannot be written.
    """

    def __init__(self, name: LoggerName, out: Path, before: Iterable[Mapping[str, Any]] = ()) -> None:
        self.folder = out / name
        self.logger = self._opened(name)
        for line in before:
            self._log(line)
        self._save()

    def _opened(self, name: LoggerName) -> Logger:
        try:
            clear(self.folder)
            kind: type[CSVLogger | TensorBoardLogger] = CSVLogger if name == "csv" else TensorBoardLogger
            return kind(self.folder.parent, name=None, version=self.folder.name)
        except ModuleNotFoundError as error:
            raise UsageError(
                f'--logger {name}: needs a package that is not here; pip install "duchenne[{name}]".'
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
        numbers = {key: value for key, value in line.items() if key != "step" and isinstance(value, int | float)}
        try:
            self.logger.log_metrics(numbers, step=line["step"])
        except OSError as error:
            raise self._unwritable(error) from error

    def _save(self) -> None:
        try:
            self.logger.save()
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> InputError:
        return InputError(f"{self.folder}: cannot be written ({error.strerror}); free some place, then --resume.")
