"""Who may talk to the page's server: whoever knows the token, from this computer, from this page."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MOST_BYTES: Final = 20 * 2**20
"""Of what a browser may send at once: the codes of many hours have a few megabytes."""
_HEADERS: Final = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self'; "
        b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
)


def new_token() -> str:
    """A token that nobody can guess (256 bits), as it stands in the address."""
    return secrets.token_urlsafe(32)


class Guard:
    """Refuses, before anything is read, whatever does not come from the page itself.

    Checked are the `Host` header (a name of this computer: a foreign name that resolves to it is DNS rebinding), the
    token at the beginning of the path (compared in constant time), the `Origin` and `Sec-Fetch-Site` headers where
    there are any, and the size of what is sent. The application below sees paths without the token.
    """

    def __init__(self, app: App, token: str, hosts: frozenset[str]) -> None:
        """Wraps an application.

        Args:
            app: what answers, with a root path.
            token: without which nothing is answered.
            hosts: allowed values of the `Host` header, with port.
        """
        self._app, self._token, self._hosts = app, token.encode(), hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            raise RuntimeError(f"the page has no {scope['type']}")
        refusal, path = self._refusal(scope)
        if refusal:
            await _refuse(send, *refusal)
            return
        inner = {**scope, "path": path, "raw_path": path.encode(), "root_path": ""}
        await self._app(inner, _limited(receive), _with_headers(send))

    def _refusal(self, scope: Scope) -> tuple[tuple[int, str] | None, str]:
        headers: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.lower(), []).append(value)
        hosts = headers.get(b"host", [])
        if len(hosts) != 1 or hosts[0].decode("latin-1").lower() not in self._hosts:
            return (421, "This address is not one of this page."), ""
        _, _, rest = scope["path"].partition("/")
        token, slash, path = rest.partition("/")
        if not secrets.compare_digest(token.encode(), self._token) or not slash:
            return (
                403,
                "The token in the address is missing or wrong; use the address that duchenne review printed.",
            ), ""
        own = {f"http://{host}".encode() for host in self._hosts}
        if any(origin not in own for origin in headers.get(b"origin", [])):
            return (403, "Another page may not ask this one."), ""
        if any(site not in (b"same-origin", b"none") for site in headers.get(b"sec-fetch-site", [])):
            return (403, "Another page may not ask this one."), ""
        length = headers.get(b"content-length", [b"0"])[0]
        if not length.isdigit() or int(length) > MOST_BYTES:
            return (413, f"That is more than the {MOST_BYTES >> 20} MB that may be sent at once."), ""
        return None, f"/{path}"


def _limited(receive: Receive) -> Receive:
    """What comes, with an end to what has no stated length."""
    taken = 0

    async def limited() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > MOST_BYTES:
            return {"type": "http.disconnect"}
        return message

    return limited


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = [(name, value) for name, value in message.get("headers", []) if name.lower() != b"cache-control"]
            message = {**message, "headers": [*kept, *_HEADERS, (b"cache-control", b"no-store")]}
        await send(message)

    return sending


async def _refuse(send: Send, status: int, sentence: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close"), *_HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": sentence.encode()})
