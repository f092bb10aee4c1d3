"""Lets in only whom the live view is for: checks Host, Origin and token of everything that arrives.

On this computer alone no token is needed, but a page of somebody else in the same browser must not get in: its Origin
is another, and a name that was made to point here (DNS rebinding) is no name of this computer.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import socket
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

OPEN_PATHS = ("/login", "/page/")
"""May be fetched without a token: the form that asks for it, and the files of the page, which hold nothing."""

LEAST_TOKEN = 16

_SAFE = ("GET", "HEAD")


class Guard:
    """What may come in, and the headers of what goes out; wraps the application.

    Parameters
    ----------
    app
        What is guarded.
    host
        The address that is bound.
    token
        What everybody must know; empty where nobody needs one.
    names
        Further names that this computer is reached by.
    """

    def __init__(self, app: ASGIApp, *, host: str, token: str, cookie: str, names: Iterable[str] = ()) -> None:
        self._app, self._token, self._cookie = app, token, cookie
        self._everywhere = not is_loopback(host)
        own = {"localhost"}
        if self._everywhere:
            name = socket.gethostname().lower()
            own |= {name, f"{name}.local", socket.getfqdn().lower()}
        self._names = own | {name.strip().lower() for name in names if name.strip()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let through or refuse one request."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        if refusal is None:
            await self._app(scope, receive, _with_headers(send, headers.get("host", "")))
            return
        status, text = refusal
        if scope["type"] == "websocket":
            answer = JSONResponse({"error": text}, status)
            del answer.headers["content-length"]  # the server adds it, and some versions do so twice
            await answer(scope, receive, send)
        elif status == 401 and scope["path"] == "/":
            await RedirectResponse("/login", 303)(scope, receive, _with_headers(send, ""))
        else:
            extra = {"WWW-Authenticate": "Bearer"} if status == 401 else None
            await JSONResponse({"error": text}, status, extra)(scope, receive, _with_headers(send, ""))

    def _refusal(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if not self._is_own(host):
            return 421, f"this is not {_printable(host)}: open the address that vsf-edge printed"
        origin = headers.get("origin")
        changes = scope["type"] == "websocket" or scope["method"] not in _SAFE
        if changes and origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return 403, f"a page of {_printable(origin)} may not use the live view of {_printable(host)}"
        if changes and headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return 403, "another page may not use this live view"
        if self._token and not scope["path"].startswith(OPEN_PATHS) and not self._knows_token(headers):
            return 401, "the token is missing or wrong: vsf-edge printed it when it started"
        return None

    def _is_own(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in self._names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return self._everywhere or address.is_loopback

    def _knows_token(self, headers: Headers) -> bool:
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return same(given.strip(), self._token)
        try:
            morsel = SimpleCookie(headers.get("cookie", "")).get(self._cookie)
        except CookieError:
            return False
        return morsel is not None and same(morsel.value, cookie_value(self._token))


def is_loopback(host: str) -> bool:
    """Say whether only this computer reaches what is bound to `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def same(given: str, token: str) -> bool:
    """Compare in a time that does not tell how much agrees."""
    return hmac.compare_digest(given.encode(), token.encode())


def cookie_value(token: str) -> str:
    """Give what the cookie holds: proves the token and does not tell it."""
    return hmac.new(token.encode(), b"vsf-edge live view", hashlib.sha256).hexdigest()


def content_security_policy(host: str) -> str:
    """Give the policy of a page that loads from nowhere but here; `host` for browsers that do not count ws: in."""
    connect = f"'self' ws://{host} wss://{host}" if host else "'self'"
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        f"connect-src {connect}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


def _with_headers(send: Send, host: str) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["Content-Security-Policy"] = content_security_policy(host)
            headers["X-Content-Type-Options"] = "nosniff"
            headers["Referrer-Policy"] = "same-origin"  # with "no-referrer" the Origin of a form would be "null"
            headers["Cross-Origin-Resource-Policy"] = "same-origin"
            headers["Cross-Origin-Opener-Policy"] = "same-origin"
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return sending


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text[:80]) or "an unnamed host"
