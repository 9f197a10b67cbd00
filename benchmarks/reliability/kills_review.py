"""Somebody who codes in the page of `review`, over its interface, while `kills.py` ends it."""

from __future__ import annotations

import http.client
import json
import re
import threading
import time
from pathlib import Path
from typing import Any, Final

from benchmarks.reliability.kills_processes import Process

REVIEW: Final = ("review", "OUT", "--no-browser")
CODES: Final = 40
PAUSE_S: Final = 0.1


class Page:
    """Asks for action units of all recordings, then stores one code more each time, until nobody answers.

    Attributes:
        stored: how many codes the page was told to be stored.
        asked: how many it had asked to store.
        done: set when it has stored all, or nobody answers any more.
        found: what was coded when the page was opened; None where it was not.

    Args:
        said: the file that takes the command's standard output.
        process: the command.
        only_look: open the page and store nothing.
    """

    def __init__(self, said: Path, process: Process, *, only_look: bool = False) -> None:
        self.stored = self.asked = 0
        self.done = threading.Event()
        self.found: int | None = None
        self._said, self._process, self._only_look = said, process, only_look
        threading.Thread(target=self._use, daemon=True).start()

    def _use(self) -> None:
        try:
            address = None
            while address is None and self._process.poll() is None:
                address = re.search(r"http://127\.0\.0\.1:(\d+)(/[^/]+/)", self._said.read_text())
                time.sleep(0.02)
            if address is not None:
                self._code(int(address[1]), address[2])
        except (OSError, http.client.HTTPException):
            pass  # it was ended
        finally:
            self.done.set()

    def _code(self, port: int, base: str) -> None:
        def ask(method: str, path: str, body: Any = None) -> Any:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            connection.request(method, f"{base}api/{path}", None if body is None else json.dumps(body))
            answer = connection.getresponse()
            text = answer.read()
            connection.close()
            if answer.status != 200:
                raise RuntimeError(f"{method} {path}: {text!r}")
            return json.loads(text)

        before = ask("GET", "recordings/r0/codes?coder=me")
        self.found, mark = len(before["codes"]), before["mark"]
        if self._only_look:
            return
        ask("POST", "detect", {})
        codes: list[dict[str, Any]] = []
        for number in range(CODES):
            codes.append({"kind": "au", "au": 12, "onset_s": number / 50, "offset_s": (number + 1) / 50})
            self.asked = len(codes)
            mark = ask("PUT", "recordings/r0/codes?coder=me", {"codes": codes, "mark": mark})["mark"]
            self.stored = len(codes)
            time.sleep(PAUSE_S)
