"""`duchenne review`: shows recordings beside their curves and codes until it is interrupted."""

from __future__ import annotations

import tempfile
import webbrowser
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

from duchenne.errors import UsageError
from duchenne.reviewing.library import open_library


def review(
    inputs: str | Path | Sequence[str | Path],
    *,
    codes: str | Path | None = None,
    port: int = 0,
    browser: bool = True,
    tell: Callable[[str], None] = print,
) -> None:
    """Shows a local page and answers it until Ctrl-C.

    Args:
        inputs: a folder, recordings, and tables of `detect` that lie elsewhere.
        codes: the file that codes are stored in; `codes.csv` beside the recordings by default.
        port: to listen on, at 127.0.0.1; 0 for any that is free.
        browser: open the page in the browser.
        tell: takes lines for the user.

    Raises:
        UsageError: when the extra is not installed, or an argument makes no sense.
        InputError: when an input or the codes cannot be read.
    """
    try:
        from duchenne.reviewing.server import Server
    except ImportError as error:
        raise UsageError(
            f"review needs its extra: pip install 'duchenne[review]' ({error.name} is missing)."
        ) from error
    from duchenne.reviewing.desk import Desk

    library = open_library([inputs] if isinstance(inputs, str | Path) else inputs, codes)
    for sentence in library.skipped:
        tell(sentence)
    server = Server(Desk(library), port)
    tell(f"{len(library.recordings)} recordings; codes are stored in {library.codes}")
    tell(f"open {server.address}   (only on this computer; Ctrl-C ends it)")
    with tempfile.TemporaryDirectory() as folder:
        if browser:
            # The address is handed over in a file that only this user can read: arguments of programs are public.
            page = Path(folder) / "review.html"
            page.touch(mode=0o600)
            page.write_text(f'<meta http-equiv="refresh" content="0;url={escape(server.address)}">', encoding="utf-8")
            webbrowser.open(page.as_uri())
        server.run()
