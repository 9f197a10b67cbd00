"""A recording whose frames say in black and white bars which one they are, its table, and a server of the page."""

from __future__ import annotations

import contextlib
import csv
import http.client
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tests.faces.media import write_video

from duchenne.reviewing.desk import Desk
from duchenne.reviewing.library import open_library
from duchenne.reviewing.server import Server

BITS = 8
SIZE = (160, 96)


def numbered(number: int) -> NDArray[np.uint8]:
    """(96, 160, 3): eight bars, white where the bit of the number is set, the highest one on the left."""
    bars = [255 * (number >> (BITS - 1 - bit) & 1) for bit in range(BITS)]
    return np.repeat(np.repeat(np.array(bars, np.uint8)[None, :, None], SIZE[0] // BITS, 1), SIZE[1], 0).repeat(3, 2)


def film(path: Path, times_ms: Sequence[int]) -> Path:
    """A recording of numbered frames at the given times, as browsers play it."""
    images = [numbered(number) for number in range(len(times_ms))]
    return write_video(
        path, images, times_ms=times_ms, codec="libvpx-vp9", options={"deadline": "realtime", "crf": "10", "b": "0"}
    )


def table(path: Path, source: str, times_s: Sequence[float], *, first: int = 0, **columns: Sequence[float]) -> Path:
    """A table of one face as `detect` writes it, from the frame `first` on."""
    number = len(times_s)
    rows = pd.DataFrame(
        {
            "source": source, "frame": range(first, first + number), "time_s": np.round(times_s, 6),
            "face": 0, "score": 0.9,
            "x": np.linspace(10, 60, number).round(2), "y": 20.0, "width": 40.0, "height": 48.0, "flag": None,
            **columns,
        }
    )  # fmt: skip
    rows.to_csv(path, index=False)
    return path


UNEVEN_MS = np.cumsum([0, *([40, 80, 33, 120, 40, 47] * 12)])[:64].tolist()
"""Times of 64 frames of a recording with a variable rate."""


def recordings(folder: Path) -> Path:
    """A folder with one numbered recording and its table."""
    folder.mkdir(parents=True, exist_ok=True)
    film(folder / "film.webm", UNEVEN_MS)
    times = [one / 1000 for one in UNEVEN_MS]
    place = np.arange(len(times))
    smile = np.clip(np.sin(place / 8), 0, 1).round(5)
    table(
        folder / "film_aus.csv", "film.webm", times, AU06_s=(0.5 * smile).round(5), AU12_p=smile,
        AU12_c=(smile >= 0.5).astype(int),
    )  # fmt: skip
    return folder


class Site:
    """A running page.

    Attributes:
        address: with the token.
        port: of 127.0.0.1.
        token: of the address.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        found = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/([^/]+)/", address)
        assert found
        self.port, self.token = int(found[1]), found[2]

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Sends exactly this; `path` begins behind the host."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        given = {"Host": f"127.0.0.1:{self.port}", **(headers or {})}
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in given.items():
            connection.putheader(name, value)
        if body is not None and "Content-Length" not in given:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        with contextlib.closing(connection):
            answer = connection.getresponse()
            return answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read()

    def get(self, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Asks behind the token."""
        return self.request(
            "GET", f"/{self.token}/{path}", headers={k.replace("_", "-"): v for k, v in headers.items()}
        )

    def json(self, path: str, method: str = "GET", body: Any = None) -> Any:
        """What is answered, which must be well."""
        sent = None if body is None else json.dumps(body).encode()
        status, _, data = self.request(method, f"/{self.token}/api/{path}", sent)
        assert status == 200, data
        return json.loads(data)


@contextlib.contextmanager
def serving(*inputs: Path, codes: Path | None = None) -> Iterator[Site]:
    """The page in this process."""
    server = Server(Desk(open_library(inputs, codes)))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield Site(server.address)
    finally:
        server._server.should_exit = True
        thread.join(10)


def start(folder: Path, *words: str) -> tuple[subprocess.Popen[str], Site]:
    """The command in a process of its own, once it has printed its address."""
    command = [sys.executable, "-m", "duchenne.cli.main", "review", str(folder), "--no-browser", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ})
    assert process.stdout is not None
    for line in process.stdout:
        found = re.search(r"http://\S+", line)
        if found:
            return process, Site(found[0])
    raise AssertionError(f"ended with {process.wait()}")


def eventually(check: Any, seconds: float = 10) -> Any:
    """What `check` gives once it gives something."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = check()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come to that")


def rows(path: Path) -> list[dict[str, str]]:
    """Of a file of codes; none where there is no file."""
    return list(csv.DictReader(path.open(newline=""))) if path.exists() else []
