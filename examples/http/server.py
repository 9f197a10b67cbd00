"""Action units over HTTP: the body of a POST is a picture, the answer is JSON.

    pip install "duchenne[review]"            # starlette and uvicorn
    uvicorn --app-dir examples/http server:app --port 8000
    curl --data-binary @portrait.jpg http://127.0.0.1:8000/detect

One `Detector` serves all requests: it is built once, and threads may share it. It listens to this computer alone; to
offer it to others, put a server in front of it that knows who they are and encrypts (pictures of faces are personal
data), and start several processes (`--workers`), as searching for faces takes turns within one.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(2**26))  # before cv2: larger pictures are not decoded

import cv2
import numpy as np
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

import duchenne

MOST_BYTES = 20 * 2**20
MOST_AT_ONCE = 4
"""Pictures in work; further requests wait before their body is read, so that memory is bounded."""
MOST_SECONDS = 20
"""For a body to arrive, as a slow sender keeps others waiting."""


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """Opens the models once, which takes about a second."""
    with duchenne.Detector("duchenne") as detector:
        app.state.detector, app.state.turns = detector, asyncio.Semaphore(MOST_AT_ONCE)
        yield


async def detect(request: Request) -> JSONResponse:
    """Faces of a picture, from left to right: box, score, flag and action units."""
    async with request.app.state.turns:
        try:
            body = await asyncio.wait_for(body_of(request), MOST_SECONDS)
        except TimeoutError:
            return JSONResponse({"error": f"the picture did not arrive in {MOST_SECONDS} s"}, status_code=408)
        if body is None:
            return JSONResponse({"error": f"pictures may have {MOST_BYTES >> 20} MB at most"}, status_code=413)
        return await run_in_threadpool(answer, request.app.state.detector, body)


async def body_of(request: Request) -> bytearray | None:
    """What was sent; None where that is too much."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            return None
    return body


def answer(detector: Any, data: bytearray) -> JSONResponse:
    """In a thread, so that other requests are served meanwhile."""
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    except cv2.error:  # too many pixels
        picture = None
    if picture is None:
        return JSONResponse({"error": "the body is no picture that can be read, or a very large one"}, status_code=400)
    return JSONResponse({"faces": [described(one) for one in detector(picture, channels="bgr").faces]})


def described(one: Any) -> dict[str, Any]:
    """A face as plain values; null where the model gives none."""
    au = {name: None if math.isnan(value) else round(value, 4) for name, value in one.au.items()}
    box = [round(float(value), 2) for value in one.face.box]
    return {"box": box, "score": round(float(one.face.score), 4), "flag": one.face.flag or None, "au": au}


async def about(_: Request) -> JSONResponse:
    """For whoever watches over it."""
    return JSONResponse({"duchenne": duchenne.__version__, "model": "duchenne"})


app = Starlette(
    routes=[Route("/", about, methods=["GET"]), Route("/detect", detect, methods=["POST"])], lifespan=lifespan
)
