"""The paths of the live view: the page, its frames, the stream without JavaScript, controls, metrics and health."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from vsf_edge.errors import EdgeError, brief
from vsf_edge.frames import Notice
from vsf_edge.web.guard import Guard, cookie_value, same
from vsf_edge.web.messages import MOST_BYTES
from vsf_edge.web.view import View
from vsf_edge.web.watching import Page

PAGE = Path(__file__).parent / "page"
BOUNDARY = "vsf-frame"
WRONG_TOKEN_TAKES = 0.5
"""Seconds before a wrong token is answered: guessing is slow."""


@dataclass(frozen=True, kw_only=True)
class Access:
    """Who may come in: see :class:`vsf_edge.web.guard.Guard`."""

    host: str
    token: str
    cookie: str
    names: tuple[str, ...] = ()


def make_app(view: View, access: Access, metrics: Callable[[], bytes], ready: Callable[[], None]) -> ASGIApp:
    """Make the application: `metrics` gives Prometheus' text, `ready` is called when results are taken."""
    paths = _Paths(view, access, metrics)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        running = asyncio.create_task(view.run(ready))
        try:
            yield
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    app = Starlette(
        routes=[
            Route("/", paths.page),
            Route("/login", paths.ask_token),
            Route("/login", paths.take_token, methods=["POST"]),
            Route("/stream.mjpg", paths.stream),
            Route("/snapshot", paths.picture),
            Route("/snapshot", paths.snapshot, methods=["POST"]),
            Route("/pause", paths.pause, methods=["POST"]),
            Route("/record", paths.record, methods=["POST"]),
            Route("/metrics", paths.metrics),
            Route("/healthz", paths.health),
            WebSocketRoute("/frames", paths.frames),
            Mount("/page", StaticFiles(directory=PAGE)),
        ],
        lifespan=lifespan,
        exception_handlers={HTTPException: _wrong, EdgeError: _failed, Exception: paths.broken},
    )
    return Guard(app, host=access.host, token=access.token, cookie=access.cookie, names=access.names)


class _Paths:
    def __init__(self, view: View, access: Access, metrics: Callable[[], bytes]) -> None:
        self._view, self._access, self._metrics = view, access, metrics

    async def page(self, _: Request) -> Response:
        return FileResponse(PAGE / "index.html")

    async def ask_token(self, _: Request) -> Response:
        return FileResponse(PAGE / "login.html")

    async def take_token(self, request: Request) -> Response:
        given = (await _form(request)).get("token", "")
        if not same(given.strip(), self._access.token):
            await asyncio.sleep(WRONG_TOKEN_TAKES)
            form = (PAGE / "login.html").read_text(encoding="utf-8")
            return HTMLResponse(form.replace('role="alert" hidden', 'role="alert"'), 401)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(self._access.cookie, cookie_value(self._access.token), httponly=True, samesite="strict")
        return answer

    async def frames(self, socket: WebSocket) -> None:
        await Page(socket, self._view).serve()

    async def stream(self, _: Request) -> Response:
        view = self._view
        if view.places <= 0:
            return PlainTextResponse(f"{view.settings.clients} others look on already: close one of them\n", 503)
        return _Motion(view)

    async def picture(self, _: Request) -> Response:
        return Response(await self._view.picture(), media_type="image/jpeg")

    async def snapshot(self, request: Request) -> Response:
        await _form(request)
        return await self._answer(request, self._view.session.controls.snapshot)

    async def record(self, request: Request) -> Response:
        on = _switch(await _form(request))
        return await self._answer(request, lambda: self._view.session.controls.record(on))

    async def pause(self, request: Request) -> Response:
        on = _switch(await _form(request))

        def pause() -> str:
            self._view.session.controls.pause(on)
            return "Paused: frames are taken and dropped." if on else "Staining goes on."

        return await self._answer(request, pause)

    async def _answer(self, request: Request, ask: Callable[[], str]) -> Response:
        text = await asyncio.to_thread(ask)
        self._view.tell_state()
        if "text/html" in request.headers.get("accept", ""):  # a form without JavaScript
            return RedirectResponse("/", 303)
        return JSONResponse({"text": text, **self._view.state()})

    async def metrics(self, _: Request) -> Response:
        return Response(self._metrics(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def health(self, _: Request) -> Response:
        status, why = self._view.health()
        return JSONResponse({"status": status, "why": why}, 200 if status == "ok" else 503)

    async def broken(self, request: Request, error: Exception) -> Response:
        text = f"{request.url.path} of the live view failed ({type(error).__name__}: {brief(error)})"
        self._view.notice(Notice(level="error", kind="view-failed", text=text, time=time.time()))
        return JSONResponse({"error": text}, 500)


class _Motion(StreamingResponse):
    """Pictures one after the other, each as soon as the client took the last; one that takes nothing is let go."""

    def __init__(self, view: View) -> None:
        self._view = view
        super().__init__(self._parts(), media_type=f"multipart/x-mixed-replace; boundary={BOUNDARY}")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            async with asyncio.timeout(self._view.settings.patience):
                await send(message)

        self._view.places -= 1
        try:
            await super().__call__(scope, receive, sending)
        except TimeoutError:
            return
        finally:
            self._view.places += 1

    async def _parts(self) -> AsyncIterator[bytes]:
        serial = 0
        try:
            while True:
                serial, picture = await self._view.motion.next(serial)
                head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
                yield head.encode() + picture + b"\r\n"
        except EdgeError:
            return


async def _form(request: Request) -> dict[str, str]:
    """Read the fields of a form, at most `MOST_BYTES` long."""
    content = b""
    async for chunk in request.stream():
        content += chunk
        if len(content) > MOST_BYTES:
            raise HTTPException(413, f"at most {MOST_BYTES} bytes are taken")
    try:
        fields = parse_qs(content.decode("utf-8"), max_num_fields=8)
    except ValueError:
        raise HTTPException(400, "this is not the content of a form") from None
    return {name: values[-1] for name, values in fields.items()}


def _switch(fields: dict[str, str]) -> bool:
    on = fields.get("on", "")
    if on not in ("true", "false"):
        raise HTTPException(400, "say on=true or on=false")
    return on == "true"


async def _wrong(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def _failed(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 503)
