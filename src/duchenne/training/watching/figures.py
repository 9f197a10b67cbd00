"""The figures that a method draws of what it learned, such as what a flow makes of a face, as `RUN/figures/*.png`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from duchenne.data.prepared import Data, Prepared, open_prepared
from duchenne.devices import resolve_device
from duchenne.errors import InputError, UsageError
from duchenne.files import replacing
from duchenne.methods.base import Method
from duchenne.methods.registry import figures_of
from duchenne.training.checkpoints import load_checkpoint
from duchenne.training.runs import stored_method

FIGURES: Final = "figures"
"""In the run's folder."""


def write_figures(run: Path, method: Method, data: Prepared, rows: NDArray[np.int64]) -> list[Path]:
    """Draws a method's own figures, if it has any.

    Args:
        run: its folder.
        method: in evaluation mode.
        data: faces to draw from.
        rows: of those that are used.

    Returns:
        The files, none where the method draws nothing.
    """
    written = []
    for name, figure in figures_of(method, data, rows).items():
        written.append(run / FIGURES / f"{name}.png")
        written[-1].parent.mkdir(exist_ok=True)
        with replacing(written[-1]) as temporary:
            figure.savefig(temporary, format="png", dpi=150)
    return written


def draw_figures(run: str | Path, data: Data, *, device: str = "auto") -> list[Path]:
    """Draws the figures of a run's last checkpoint anew from other faces; those of before are replaced.

    Args:
        run: the folder that `duchenne pretrain` made; its `config.yaml` and `checkpoint.pt` are read.
        data: prepared folders, or prepared data that is open; one or several.
        device: auto, cpu, cuda, cuda:N or mps.

    Returns:
        The files.

    Raises:
        UsageError: when the method draws no figures, or `device` is not there.
        InputError: when the folder holds no run, its checkpoint is of another network, or the faces cannot be drawn
            from.
    """
    folder = Path(run)
    if not (folder / "config.yaml").is_file():
        raise InputError(f"{folder}: holds no config.yaml; name the folder of a run of `duchenne pretrain`.")
    name, method = stored_method(folder / "config.yaml", weights="none")  # all of them are in the checkpoint
    chosen, prepared = resolve_device(device), open_prepared(data)
    try:
        method.load_state_dict(load_checkpoint(folder / "checkpoint.pt")["method"])
    except (LookupError, RuntimeError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"{folder / 'checkpoint.pt'}: is not of this run ({reason}).") from error
    written = write_figures(folder, method.to(chosen).eval(), prepared, np.arange(len(prepared)))
    if not written:
        raise UsageError(f"--data: {name} draws no figures of its own; leave it out.")
    return written


def figures_in(run: Path) -> Sequence[tuple[str, bytes]]:
    """Name and PNG of every figure of a run, in order of the names."""
    return [(path.stem, path.read_bytes()) for path in sorted((run / FIGURES).glob("*.png"))]
