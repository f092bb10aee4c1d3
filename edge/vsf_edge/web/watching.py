"""One page on its WebSocket: it gets a frame, says that it has shown it, and gets the newest one then."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from vsf_edge.errors import EdgeError
from vsf_edge.web.messages import MOST_BYTES, parse_request
from vsf_edge.web.view import View

NOT_UNDERSTOOD, ENDED, TOO_SLOW, FULL = 1008, 1001, 1008, 1013
"""Close codes of RFC 6455 (and 1013, try again later)."""

WAITING_TEXTS = 100
CLOSE_WITHIN = 1.0


class CutError(Exception):
    """A client is let go, with a code and a sentence for it."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Page:
    """A page that looks on."""

    def __init__(self, socket: WebSocket, view: View) -> None:
        self._socket, self._view = socket, view
        self._patience = view.settings.patience
        self._ready = asyncio.Event()
        self._resting = False
        self._texts: asyncio.Queue[dict[str, Any]] = asyncio.Queue(WAITING_TEXTS)

    def tell(self, text: dict[str, Any]) -> None:
        """Take a text to be sent soon; where too many wait, the page is too slow anyway and will be cut."""
        if not self._texts.full():
            self._texts.put_nowait(text)

    async def serve(self) -> None:
        """Serve it until it goes, the session ends, or it is cut."""
        await self._socket.accept()
        view = self._view
        if view.places <= 0:
            await self._close(FULL, f"{view.settings.clients} others look on already: close one of them")
            return
        view.places -= 1
        self.tell(view.hello())
        view.watchers.add(self)
        try:
            async with asyncio.TaskGroup() as tasks:
                for work in (self._listen(), self._send_texts(), self._send_frames(), self._until_the_end()):
                    tasks.create_task(work)
        except* CutError as cuts:
            cut = cuts.exceptions[0]
            assert isinstance(cut, CutError)
            await self._close(cut.code, str(cut))
        except* (WebSocketDisconnect, OSError, EdgeError):
            pass
        finally:
            view.places += 1
            view.watchers.discard(self)
            view.page.select(self, None)

    async def _listen(self) -> None:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code", 1005))
            text = message.get("text")
            if text is None or len(text) > MOST_BYTES:
                raise CutError(NOT_UNDERSTOOD, f"a page may only send texts of at most {MOST_BYTES} characters")
            try:
                request = parse_request(text)
            except EdgeError as error:
                raise CutError(NOT_UNDERSTOOD, str(error)) from error
            self._view.page.select(self, request.selected)
            if request.ready is not None:
                self._resting = not request.ready
                self._ready.set()

    async def _until_the_end(self) -> None:
        await self._view.ended.wait()
        raise CutError(ENDED, "the session has ended")

    async def _send_texts(self) -> None:
        while True:
            text = await self._texts.get()
            await self._within(self._socket.send_text(json.dumps(text, allow_nan=False)))

    async def _send_frames(self) -> None:
        serial = 0
        while True:
            await self._until_ready()
            serial, message = await self._view.page.next(serial)
            self._ready.clear()
            await self._within(self._socket.send_bytes(message))

    async def _until_ready(self) -> None:
        """Wait until it has shown the last frame; without limit where it said that it rests."""
        while not self._ready.is_set() or self._resting:
            self._ready.clear()
            await self._within(self._ready.wait(), endless=self._resting)

    async def _within(self, work: Awaitable[object], *, endless: bool = False) -> None:
        # not wait_for: that of Python 3.11 loses a cancellation which comes as the work ends
        try:
            async with asyncio.timeout(None if endless else self._patience):
                await work
        except TimeoutError:
            raise CutError(TOO_SLOW, f"nothing was heard of the page for {self._patience:g} s") from None

    async def _close(self, code: int, reason: str) -> None:
        try:
            async with asyncio.timeout(CLOSE_WITHIN):
                await self._socket.close(code, reason[:120])
        except (TimeoutError, OSError, RuntimeError, WebSocketDisconnect):
            return  # it is gone, or reads nothing: its connection goes with TCP's own time limit
