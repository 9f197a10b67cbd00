"""`duchenne review FILES|FOLDER`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from duchenne.cli.parsing import parse
from duchenne.plain import tell as print


@dataclass(frozen=True, kw_only=True)
class ReviewArguments:
    """A local page: recordings beside their curves, coding, comparing, and fitting a detector to the codes.

    Only this computer can open it, at the address that is printed. Needs the extra: pip install 'duchenne[review]'.
    """

    inputs: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="FILE|FOLDER ...")]
    """recordings or a folder of them; and tables of `detect` that do not lie beside their recordings as NAME_aus.csv"""
    codes: Annotated[Path | None, tyro.conf.arg(metavar="FILE.csv")] = None
    """where codes are stored (codes.csv beside the recordings)"""
    port: int = 0
    """of 127.0.0.1 to listen on; 0 takes one that is free"""
    browser: bool = True
    """open the page in the browser, or only print its address"""


def main(arguments: list[str]) -> int:
    """Parses the arguments and shows the page until Ctrl-C."""
    parsed = parse(ReviewArguments, args=arguments, prog="duchenne review")

    from duchenne.reviewing.review import review  # heavy; not needed for --help

    review(
        parsed.inputs, codes=parsed.codes, port=parsed.port, browser=parsed.browser,
        tell=lambda line: print(line, flush=True),
    )  # fmt: skip
    return 0
