"""The example of a service answers what `Detector` says, and refuses what is no picture."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import pytest

import duchenne

uvicorn = pytest.importorskip("uvicorn")
FILE = Path(__file__).parents[2] / "examples" / "http" / "server.py"


@pytest.fixture(scope="module")
def served(shared: Path) -> Iterator[tuple[str, Any]]:
    """The address of the example, and its module."""
    spec = importlib.util.spec_from_file_location("duchenne_http_example", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    server = uvicorn.Server(uvicorn.Config(module.app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 60
    while not server.started:
        assert thread.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", module
    server.should_exit = True
    thread.join(30)
    assert not thread.is_alive()
    del sys.modules[spec.name]


@pytest.fixture
def address(served: tuple[str, Any]) -> str:
    return served[0]


def post(address: str, data: bytes) -> tuple[int, dict[str, object]]:
    request = urllib.request.Request(f"{address}/detect", data=data, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_it_answers_what_the_detector_says(address: str, shared: Path) -> None:
    pictures = sorted((shared / "data" / "london").glob("*_smiling.jpg"))[:2]
    with duchenne.Detector() as detector:
        wanted = [detector(cv2.imread(str(path)), channels="bgr").faces[0] for path in pictures]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda path: post(address, path.read_bytes()), pictures * 2))
    for (status, answer), face in zip(found, wanted * 2, strict=True):
        assert status == 200
        (one,) = answer["faces"]
        assert one["au"]["AU12"] == pytest.approx(face.au["AU12"], abs=1e-3)
        assert one["au"]["AU04"] is None, "not judged on real faces"
        assert one["box"] == pytest.approx(face.face.box, abs=0.01)
        assert one["flag"] is None


def test_what_is_no_picture_is_refused(address: str) -> None:
    for data in (b"", b"no picture", b"\xff\xd8\xff\xe0 the start of one"):
        status, answer = post(address, data)
        assert status == 400
        assert "no picture" in str(answer["error"])
    status, _ = post(address, bytes(21 * 2**20))
    assert status == 413
    with urllib.request.urlopen(address, timeout=60) as answer:
        assert json.load(answer) == {"duchenne": duchenne.__version__, "model": "duchenne"}


class Turns:
    """Nobody's turn until `free`."""

    free = False

    async def __aenter__(self) -> None:
        while not self.free:
            await asyncio.sleep(0.01)

    async def __aexit__(self, *_: object) -> None:
        """Nothing is held."""


@pytest.fixture
def turns(served: tuple[str, Any]) -> Iterator[Turns]:
    state = served[1].app.state
    before, state.turns = state.turns, Turns()
    yield state.turns
    state.turns.free = True
    state.turns = before


def test_whoever_waits_is_not_read(served: tuple[str, Any], turns: Turns) -> None:
    """A body of 20 MB stays with its sender until it is its turn, but for what the sockets hold."""
    address, module = served
    body, sent = memoryview(bytes(module.MOST_BYTES)), 0
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=3) as sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**16)
        sender.sendall(f"POST /detect HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        with suppress(TimeoutError):
            while sent < len(body):
                sent += sender.send(body[sent : sent + 2**16])
        assert sent < len(body) / 2
        turns.free = True
        sender.settimeout(60)
        sender.sendall(body[sent:])
        assert sender.recv(4096).startswith(b"HTTP/1.1 400")


def test_a_body_that_does_not_arrive_is_given_up(served: tuple[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    address, module = served
    monkeypatch.setattr(module, "MOST_SECONDS", 0.2)
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as sender:
        sender.sendall(f"POST /detect HTTP/1.1\r\nHost: {host}\r\nContent-Length: 100\r\n\r\nabc".encode())
        assert sender.recv(4096).startswith(b"HTTP/1.1 408")
