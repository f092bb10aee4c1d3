"""Runs the application beside the loop: a socket that is bound at once, and a thread that serves it."""

from __future__ import annotations

import errno
import socket
import sys
from contextlib import suppress
from threading import Event, Thread

import uvicorn
from starlette.types import ASGIApp

from vsf_edge.errors import EdgeError, EdgeUsageError, brief
from vsf_edge.web.messages import MOST_BYTES

STARTS_WITHIN = 10.0
PING_EVERY, PONG_WITHIN = 10.0, 10.0
"""Seconds: a page that does not answer a ping is gone."""

MOST_CONNECTIONS = 200
UNREAD_FOR_MS = 30_000
"""Milliseconds after which TCP gives up a client that takes nothing (Linux)."""


def bind(host: str, port: int) -> socket.socket:
    """Bind and listen; port 0 is a free one.

    Raises
    ------
    EdgeUsageError
        When `host` is no address, or none of this computer.
    EdgeError
        When the port is taken or not allowed.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError, OverflowError) as error:
        raise EdgeUsageError(f"{host}:{port} is no address to listen on ({brief(error)}): try 127.0.0.1") from error
    listener = socket.socket(family, kind, protocol)
    try:
        if sys.platform == "win32":  # there, SO_REUSEADDR would let two processes share the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # accepted connections inherit it
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_FOR_MS)
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRNOTAVAIL:
            raise EdgeUsageError(
                f"{host} is no address of this computer: give --host one of its own, or 0.0.0.0 for all of them"
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM):
            raise EdgeError(f"port {port} of {host} is not for this user: choose one above 1023 with --port") from error
        raise EdgeError(
            f"port {port} of {host} cannot be used ({error.strerror or brief(error)}): stop what uses it (another "
            "vsf-edge live or serve?), or choose another with --port"
        ) from error
    return listener


class WebServer:
    """Serves an application on a bound socket from a thread of its own."""

    def __init__(self, app: ASGIApp, listener: socket.socket) -> None:
        self._listener = listener
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                loop="asyncio",
                http="h11",
                ws="websockets-sansio",
                lifespan="on",
                log_config=None,
                log_level="critical",  # what fails is told on the page
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=MOST_CONNECTIONS,
                timeout_keep_alive=10,
                timeout_graceful_shutdown=1,
                ws_max_size=MOST_BYTES,
                ws_ping_interval=PING_EVERY,
                ws_ping_timeout=PONG_WITHIN,
                ws_per_message_deflate=False,  # JPEGs do not get smaller
            )
        )
        self._thread = Thread(target=self._serve, name="vsf-live-web", daemon=True)

    def start(self, ready: Event) -> None:
        """Start, and wait until the application set `ready`."""
        self._thread.start()
        if not ready.wait(STARTS_WITHIN):
            self.stop()
            raise EdgeError(f"the live view did not start within {STARTS_WITHIN:g} s: start again")

    def stop(self) -> None:
        """Stop within a second."""
        self._server.should_exit = True
        self._thread.join(0.7)
        if self._thread.is_alive():
            self._server.force_exit = True
            self._thread.join(0.3)
        self._listener.close()

    def _serve(self) -> None:
        with suppress(SystemExit):
            self._server.run(sockets=[self._listener])
