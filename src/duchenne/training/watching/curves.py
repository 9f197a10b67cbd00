"""The curves of a run's `log.jsonl` as a page, with the figures that its method drew."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any, Final

from duchenne.errors import InputError
from duchenne.files import read_bytes, write_text
from duchenne.pages import png_uri, render_page
from duchenne.plots import colour, curves
from duchenne.training.log import read_log
from duchenne.training.watching.figures import figures_in
from duchenne.training.watching.measures import COLLAPSED
from duchenne.training.watching.views import VIEWS_NAME

PAGE_NAME: Final = "curves.html"
"""In the run's folder."""
_FIRST: Final = ("loss", "validation", "embedding_spread", "gradient_norm", "lr", "images_per_s", "waiting")
_MEANING: Final = {
    "loss": "of training, mean since the line before",
    "validation": "score of the clips held out; higher is better",
    "embedding_spread": "of the embedding's directions in one batch: 1 everywhere, 0 collapsed",
    "gradient_norm": "of one step, over all parameters",
    "lr": "learning rate",
    "images_per_s": "pictures trained on, over all processes",
    "waiting": "share of the time spent waiting for data",
}


def write_curves(run: str | Path) -> Path:
    """Draws what a run has logged so far, finished or not, as `RUN/curves.html`; below it what is in `RUN/figures`.

    Args:
        run: the folder that `duchenne pretrain` made.

    Returns:
        The page.

    Raises:
        InputError: when the folder holds no log, or the page cannot be written.
    """
    folder = Path(run)
    log = folder / "log.jsonl"
    if not log.is_file():
        raise InputError(f"{folder}: holds no log.jsonl; name the folder of a run of `duchenne pretrain`.")
    entries = read_log(log)
    lines = [line for _, line in entries if line is not None]
    if not lines:
        raise InputError(f"{log}: holds no line that can be read; wait for the first one, or train again.")
    keys = dict.fromkeys(key for line in lines for key, value in line.items() if not isinstance(value, str))
    ordered = sorted(keys.keys() - {"step"}, key=lambda key: (_rank(key), [*keys].index(key)))
    figures = [_figure(key, lines) for key in ordered]
    spreads = [(line["step"], line["embedding_spread"]) for line in lines if "embedding_spread" in line]
    values = {
        "title": f"{folder.name}: curves",
        "name": folder.name,
        "steps": lines[-1]["step"],
        "damaged": sum(line is None for _, line in entries),
        "collapsed": next((step for step, spread in spreads if spread < COLLAPSED), None),
        "figures": figures,
        "pictures": [(name, png_uri(png)) for name, png in figures_in(folder)],
        "views": _picture(folder / VIEWS_NAME),
    }
    page = folder / PAGE_NAME
    write_text(page, render_page("duchenne.training.watching", "curves.jinja", values))
    return page


def _picture(path: Path) -> str | None:
    return base64.b64encode(read_bytes(path)).decode() if path.is_file() else None


def _rank(key: str) -> int:
    return _FIRST.index(key) if key in _FIRST[:4] else _FIRST.index(key) + 100 if key in _FIRST else 50


def _figure(key: str, lines: list[dict[str, Any]]) -> dict[str, Any]:
    """One figure, with a line per stage."""
    stages: dict[str, tuple[list[float], list[float]]] = {}
    for line in lines:
        if key in line:
            steps, values = stages.setdefault(str(line.get("stage", key)), ([], []))
            steps.append(line["step"])
            values.append(line[key])
    last = [values[-1] for _, values in stages.values()][-1]
    colours = {name: colour(number) for number, name in enumerate(stages)}
    return {
        "key": key,
        "about": _MEANING.get(key, "logged by the method"),
        "last": f"{last:.4g}",
        "svg": curves(stages, label=key, colours=colours),
    }
