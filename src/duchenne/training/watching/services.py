"""Loggers of Weights & Biases and of MLflow, with the interface of Lightning Fabric's, which has none of them.

Both write to the run's folder and send nothing, unless the environment says otherwise: `WANDB_MODE=online` sends to the
server of `WANDB_BASE_URL`, `MLFLOW_TRACKING_URI` names another store. Only numbers and the configuration are logged,
never pictures; what these packages would report of the computer and the program is turned off.
"""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning_fabric.loggers.logger import Logger

PROJECT = "duchenne"


class WandbLogger(Logger):
    """A run of Weights & Biases: `RUN/wandb`, to look at after `wandb sync RUN/wandb/offline-run-*`.

    Args:
        folder: `RUN/wandb`.

    Raises:
        ModuleNotFoundError: when wandb is not installed.
    """

    def __init__(self, folder: Path) -> None:
        import wandb

        settings = wandb.Settings(
            mode=os.environ.get("WANDB_MODE", "offline"), console="off", disable_git=True, disable_code=True,
            save_code=False, x_disable_meta=True, x_disable_stats=True, disable_job_creation=True, silent=True,
        )  # fmt: skip
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        folder.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(project=PROJECT, name=folder.parent.name, dir=str(folder.parent), settings=settings)

    @property
    def name(self) -> str:
        """Of the project."""
        return PROJECT

    @property
    def version(self) -> str:
        """The run's identifier."""
        return str(self._run.id)

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Adds numbers at a step."""
        self._run.log(metrics, step=step)

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Keeps the configuration."""
        self._run.config.update(dict(vars(params) if isinstance(params, Namespace) else params))

    def finalize(self, status: str) -> None:
        """Writes the rest."""
        self._run.finish()


class MlflowLogger(Logger):
    """A run of MLflow: in files below `RUN/mlflow`, or in the store that `MLFLOW_TRACKING_URI` names.

    Args:
        folder: `RUN/mlflow`.

    Raises:
        ModuleNotFoundError: when MLflow is not installed.
    """

    def __init__(self, folder: Path) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # a data base would need more than mlflow-skinny
        from mlflow import MlflowClient

        (folder / ".trash").mkdir(parents=True, exist_ok=True)  # a client of this process may know the folder already
        uri = os.environ.get("MLFLOW_TRACKING_URI") or folder.absolute().as_uri()
        self._client = MlflowClient(tracking_uri=uri)
        found = self._client.get_experiment_by_name(PROJECT)
        experiment = found.experiment_id if found else self._client.create_experiment(PROJECT)
        self._run = self._client.create_run(experiment, run_name=folder.parent.name).info.run_id

    @property
    def name(self) -> str:
        """Of the experiment."""
        return PROJECT

    @property
    def version(self) -> str:
        """The run's identifier."""
        return str(self._run)

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Adds numbers at a step."""
        for key, value in metrics.items():
            self._client.log_metric(self._run, key, value, step=step)

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Keeps the configuration."""
        values: Mapping[str, Any] = vars(params) if isinstance(params, Namespace) else params
        for key, value in values.items():
            self._client.log_param(self._run, key, value)

    def finalize(self, status: str) -> None:
        """Says that the run is over."""
        self._client.set_terminated(self._run)
