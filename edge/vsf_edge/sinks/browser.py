"""Shows the results in a browser: the sink ``browser``, which `vsf-edge live` adds unless told not to."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, Any

from vsf_edge.errors import EdgeError, EdgeUsageError
from vsf_edge.frames import FrameResult, LiveSession, Notice
from vsf_edge.settings import read_settings, setting

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from vsf_edge.web.server import WebServer
    from vsf_edge.web.view import View

HOST, PORT = "127.0.0.1", 8765

INSTALL = "the live view needs some packages that are not here ({}): pip install 'vsf-edge[live]', or --no-browser-view"


@dataclass(frozen=True, kw_only=True)
class BrowserSettings:
    """Settings of the sink ``browser``."""

    token: str = setting("", "What everybody must know who looks on; made and printed where other computers can reach.")
    names: str = setting("", "Further names of this computer in the browser's address line, with commas.")
    fps: float = setting(15.0, "Frames shown per second at most.", low=0.5, high=60)
    side: int = setting(1024, "Pictures are at most this wide and high, in pixels.", low=64, high=4096)
    clients: int = setting(16, "Pages that may look on at once.", low=1, high=100)
    patience: float = setting(20.0, "Seconds after which a page that does not answer is let go.", low=0.5, high=600)
    low: float = setting(0.0, "Lower end of the colour scale of a ratio such as the DFI.")
    high: float = setting(0.3, "Upper end of it.")


class BrowserView:
    """Serves the live view on an address such as ``127.0.0.1:8765`` (where nothing is given), ``0.0.0.0`` or ``:9000``.

    On any address that other computers can reach, a token is needed. Port 0 is a free one.

    Attributes
    ----------
    settings
        What may be set.
    url
        Where to open it; with the token after a ``#``, which a browser sends nobody. Empty before `start`.
    """

    settings = BrowserSettings
    every = False

    def __init__(
        self,
        address: str = "",
        *,
        registry: CollectorRegistry | None = None,
        announce: Callable[[str], None] | None = None,
        **given: Any,
    ) -> None:
        self._host, self._port = parse_address(address)
        self._set = read_settings(BrowserSettings, given, "sink browser")
        if not self._set.low < self._set.high:
            raise EdgeUsageError(f"sink browser cannot show from {self._set.low:g} to {self._set.high:g}: low < high")
        self._registry, self._announce = registry, announce or _print
        self.url = ""
        self._view: View | None = None
        self._server: WebServer | None = None

    def start(self, session: LiveSession) -> None:
        """Bind the address and serve.

        Raises
        ------
        EdgeUsageError
            When the token is too short or the address is none of this computer.
        EdgeError
            When the port is taken, or packages are missing.
        """
        try:
            from prometheus_client import CollectorRegistry

            from vsf_edge.web.app import Access, make_app
            from vsf_edge.web.guard import LEAST_TOKEN, is_loopback
            from vsf_edge.web.metrics import ViewMetrics
            from vsf_edge.web.server import WebServer, bind
            from vsf_edge.web.view import View, ViewSettings
        except ModuleNotFoundError as error:
            raise EdgeError(INSTALL.format(error.name)) from error
        chosen = self._set
        token = chosen.token or ("" if is_loopback(self._host) else secrets.token_urlsafe(24))
        if token and len(token) < LEAST_TOKEN:
            raise EdgeUsageError(f"the token has {len(token)} characters: give at least {LEAST_TOKEN}, or none")
        listener = bind(self._host, self._port)
        port = listener.getsockname()[1]
        view = View(
            session,
            ViewSettings(
                side=chosen.side,
                fps=chosen.fps,
                clients=chosen.clients,
                patience=chosen.patience,
                ratio=(chosen.low, chosen.high),
            ),
        )
        metrics = ViewMetrics(view, self._registry or CollectorRegistry())
        access = Access(host=self._host, token=token, cookie=f"vsf-live-{port}", names=tuple(chosen.names.split(",")))
        ready = Event()
        server = WebServer(make_app(view, access, metrics.text, ready.set), listener)
        server.start(ready)
        self._view, self._server = view, server
        self.url = f"http://{_shown(self._host)}:{port}/" + (f"#token={token}" if token else "")
        self._announce(f"live view: {self.url}")

    def take(self, result: FrameResult) -> None:
        """Show it to whoever waits for the next frame."""
        if self._view is not None:
            self._view.take(result)

    def notice(self, notice: Notice) -> None:
        """Show it on every page."""
        if self._view is not None:
            self._view.notice(notice)

    def stop(self) -> None:
        """Let everybody go and stop serving."""
        if self._server is not None and self._view is not None:
            self._view.end()
            self._server.stop()
            self._server = None


def parse_address(address: str) -> tuple[str, int]:
    """Read ``HOST:PORT``, ``HOST``, ``:PORT`` or nothing; an IPv6 address stands in brackets.

    Raises
    ------
    EdgeUsageError
        When it is none of these.
    """
    if address.endswith("]") or ":" not in address:
        host, port = address, ""
    else:
        host, _, port = address.rpartition(":")
    number = int(port) if port.isascii() and port.isdigit() else PORT if not port else -1
    if not 0 <= number <= 65535 or (":" in host and not (host.startswith("[") and host.endswith("]"))):
        raise EdgeUsageError(f"{address} is no address for the live view: give HOST:PORT, such as {HOST}:{PORT}")
    return host.strip("[]") or HOST, number


def _shown(host: str) -> str:
    """Give the host as it stands in a URL; where every address is bound, this computer's name."""
    if host in ("0.0.0.0", "::"):  # noqa: S104  # compared, not bound
        import socket

        return socket.gethostname()
    return f"[{host}]" if ":" in host else host


def _print(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
