"""The page's server: answers requests of this computer with what the desk says."""

from __future__ import annotations

import json
import mimetypes
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import wraps
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Literal, cast

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from duchenne.errors import DuchenneError, UsageError
from duchenne.reviewing.codes import Conflict, codes_of, plain_text
from duchenne.reviewing.desk import Desk
from duchenne.reviewing.guard import Guard, new_token

_TYPES: Final = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".jpg": "image/jpeg"}
_VIDEO: Final = "video/mp4"
Endpoint = Callable[[Request], Awaitable[Response]]


def make_app(desk: Desk, token: str, hosts: frozenset[str]) -> Guard:
    """The application: every path begins with the token.

    Args:
        desk: what answers.
        token: see `Guard`.
        hosts: see `Guard`.
    """
    return Guard(Starlette(routes=_Routes(desk).routes()), token, hosts)


class Server:
    """Listens on the loopback interface alone."""

    def __init__(self, desk: Desk, port: int = 0, token: str | None = None) -> None:
        """Takes the port.

        Args:
            desk: what answers.
            port: 0 for any that is free.
            token: of the address; a new one by default.

        Raises:
            UsageError: when the port is taken.
        """
        self.token = token or new_token()
        self._desk = desk
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind(("127.0.0.1", port))
            self._socket.listen()  # before the address is told: who comes early waits
        except (OSError, OverflowError) as error:
            raise UsageError(f"--port {port}: cannot be taken ({error}); choose another, or leave it out.") from error
        self.port = int(self._socket.getsockname()[1])
        hosts = frozenset(f"{name}:{self.port}" for name in ("127.0.0.1", "localhost"))
        config = uvicorn.Config(
            make_app(desk, self.token, hosts), log_level="error", access_log=False, server_header=False,
            lifespan="off", ws="none", timeout_graceful_shutdown=1,
        )  # fmt: skip
        self._server = uvicorn.Server(config)

    @property
    def address(self) -> str:
        """Of the page, with the token."""
        return f"http://127.0.0.1:{self.port}/{self.token}/"

    def run(self) -> None:
        """Answers until Ctrl-C; then ends what the page has started."""
        try:
            with suppress(KeyboardInterrupt):  # the way in which it ends
                self._server.run(sockets=[self._socket])
        finally:
            self._desk.jobs.cancel()
            self._socket.close()


def _answer(endpoint: Endpoint) -> Endpoint:
    """Turns the errors of a user into a sentence for the page."""

    @wraps(endpoint)
    async def answering(request: Request) -> Response:
        try:
            return await endpoint(request)
        except DuchenneError as error:
            return JSONResponse({"error": error.on_command_line()}, 409 if isinstance(error, Conflict) else 400)

    return answering


class _Routes:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> Sequence[Route]:
        table: tuple[tuple[str, str, Callable[..., Awaitable[Response]]], ...] = (
            ("GET", "/", self.page),
            ("GET", "/page/{name}", self.page),
            ("GET", "/api/state", self.state),
            ("GET", "/api/recordings/{key}", self.recording),
            ("GET", "/api/recordings/{key}/video", self.video),
            ("GET", "/api/recordings/{key}/numbers", self.numbers),
            ("GET", "/api/recordings/{key}/codes", self.codes),
            ("PUT", "/api/recordings/{key}/codes", self.put_codes),
            ("GET", "/api/export/{form}", self.export),
            ("POST", "/api/import", self.take_in),
            ("GET", "/api/compare", self.compare),
            ("POST", "/api/fit", self.fit),
            ("POST", "/api/detect", self.detect),
            ("POST", "/api/recordings/{key}/copy", self.copy),
            ("GET", "/api/detector", self.detector),
            ("GET", "/api/next", self.next_stretches),
            ("GET", "/api/job", self.job),
            ("DELETE", "/api/job", self.cancel),
        )
        return [Route(path, _answer(endpoint), methods=[method]) for method, path, endpoint in table]

    async def page(self, request: Request) -> Response:
        name = request.path_params.get("name", "index.html")
        known = {path.name: path for path in files("duchenne.reviewing").joinpath("page").iterdir()}
        if name not in known or Path(name).suffix not in _TYPES:
            raise HTTPException(404)
        return Response(known[name].read_bytes(), media_type=_TYPES[Path(name).suffix])

    async def state(self, request: Request) -> Response:
        return await _json(self._desk.state)

    async def recording(self, request: Request) -> Response:
        return await _json(self._desk.recording, request.path_params["key"])

    async def video(self, request: Request) -> Response:
        path = await run_in_threadpool(self._desk.video, request.path_params["key"])
        kind = mimetypes.guess_type(path.name)[0] or ""
        return FileResponse(path, media_type=kind if kind.startswith("video/") else _VIDEO)

    async def numbers(self, request: Request) -> Response:
        key, query = request.path_params["key"], request.query_params
        face = _whole(query.get("face", "0"))
        described, body = await run_in_threadpool(self._desk.numbers, key, query.get("of", "table"), face)
        head = json.dumps(described).encode()
        head += b" " * (-len(head) % 8)
        return Response(len(head).to_bytes(8, "little") + head + body, media_type="application/octet-stream")

    async def codes(self, request: Request) -> Response:
        return await _json(self._desk.coded, request.path_params["key"], _coder(request))

    async def put_codes(self, request: Request) -> Response:
        source = self._desk.library.find(request.path_params["key"]).source
        given = await _body(request)
        codes = await run_in_threadpool(codes_of, given.get("codes"))
        mark = await run_in_threadpool(self._desk.codes.replace, source, _coder(request), codes, str(given.get("mark")))
        return JSONResponse({"mark": mark})

    async def export(self, request: Request) -> Response:
        name, text = await run_in_threadpool(self._desk.export, request.path_params["form"], _coder(request))
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        return Response(text, media_type="text/csv; charset=utf-8", headers=headers)

    async def take_in(self, request: Request) -> Response:
        data = await request.body()
        return await _json(self._desk.take_in, request.query_params.get("name", ""), data, _coder(request))

    async def compare(self, request: Request) -> Response:
        query = request.query_params
        return await _json(self._desk.compare, query.get("first", ""), query.get("second", ""), query.get("recording"))

    async def fit(self, request: Request) -> Response:
        given = await _body(request)
        await run_in_threadpool(self._desk.fit, plain_text(given.get("coder")), str(given.get("model", "blendshapes")))
        return JSONResponse(self._desk.jobs.status())

    async def detect(self, request: Request) -> Response:
        await run_in_threadpool(self._desk.detect)
        return JSONResponse(self._desk.jobs.status())

    async def copy(self, request: Request) -> Response:
        await run_in_threadpool(self._desk.copy, request.path_params["key"])
        return JSONResponse(self._desk.jobs.status())

    async def detector(self, request: Request) -> Response:
        return await _json(self._desk.detector)

    async def next_stretches(self, request: Request) -> Response:
        by = request.query_params.get("by", "rare")
        if by not in ("doubt", "rare"):
            raise UsageError(f"there is no order `{by}`; there are doubt and rare.")
        return await _json(self._desk.next_stretches, _coder(request), cast(Literal["doubt", "rare"], by))

    async def job(self, request: Request) -> Response:
        return JSONResponse(self._desk.jobs.status())

    async def cancel(self, request: Request) -> Response:
        await run_in_threadpool(self._desk.jobs.cancel)
        return JSONResponse(self._desk.jobs.status())


async def _json(function: Callable[..., Any], *arguments: Any) -> Response:
    return JSONResponse(await run_in_threadpool(function, *arguments))


async def _body(request: Request) -> dict[str, Any]:
    try:
        given = json.loads(await request.body())
    except ValueError as error:
        raise UsageError("what the page sent is no JSON; reload it.") from error
    if not isinstance(given, dict):
        raise UsageError("what the page sent is no object; reload it.")
    return given


def _coder(request: Request) -> str:
    return plain_text(request.query_params.get("coder", ""))


def _whole(text: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        raise UsageError(f"`{text}` is no number of a face.")
    return int(text)
