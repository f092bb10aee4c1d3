"""The paths of the service: ``POST /stain``, ``GET /stain.tif?path=...`` and ``GET /stain.json?path=...``."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vsf_edge.errors import EdgeError, brief
from vsf_edge.service.encoding import imagej_tiff, ome_tiff
from vsf_edge.service.folders import Folders, NotAllowedError
from vsf_edge.service.staining import ImageStaining, Kind, Stained
from vsf_edge.web.guard import Guard

MOST_WAITING = 8
"""Images that wait their turn at most."""

CAUTION = "where a field shows no head, a model that was trained on heads draws what is not there"

HELP = """vsf-edge serve: stains images. Research use only.

POST /stain              body: a TIFF or PNG (or multipart/form-data with one file)
GET  /stain.tif?path=P   P: an image in a folder that was given with --folder
GET  /stain.json?path=P  its quantities

?kind=field|cell   a field of any size (default), or the square crop of one cell, which has quantities
?format=imagej|ome the TIFF that is answered; Accept: application/json gives the quantities instead
?dtype=float32|uint16
?field_px=N        how many pixels of a field one training patch showed
"""


@dataclass(frozen=True, kw_only=True)
class Service:
    """What is served, and to whom: see :class:`vsf_edge.web.guard.Guard`."""

    staining: ImageStaining
    folders: Folders
    bundle_sha256: str
    simulated: bool | None
    most_bytes: int
    host: str
    token: str = ""
    waiting: list[object] = field(default_factory=list)


def make_service(service: Service) -> ASGIApp:
    """Make the application."""
    paths = _Paths(service)
    app = Starlette(
        routes=[
            Route("/", paths.help),
            Route("/healthz", paths.health),
            Route("/stain", paths.stain, methods=["POST"]),
            Route("/stain.tif", paths.stain_file),
            Route("/stain.json", paths.stain_file),
        ],
        exception_handlers={HTTPException: _wrong, EdgeError: _failed, Exception: _broken},
    )
    limited = _Limited(app, service.most_bytes)
    return Guard(limited, host=service.host, token=service.token, cookie="vsf-serve")


class _Paths:
    def __init__(self, service: Service) -> None:
        self._service = service

    async def help(self, _: Request) -> Response:
        return PlainTextResponse(HELP)

    async def health(self, _: Request) -> Response:
        return JSONResponse({"status": "ok", "bundle_sha256": self._service.bundle_sha256})

    async def stain(self, request: Request) -> Response:
        if request.headers.get("content-type", "").startswith("multipart/form-data"):
            async with request.form(max_files=1, max_fields=1) as form:
                files = [item for item in form.values() if isinstance(item, UploadFile)]
                if len(files) != 1:
                    raise HTTPException(400, "the form has no file")
                name, content = files[0].filename or "the image", await files[0].read()
        else:
            name, content = "the image", await request.body()
        as_json = "application/json" in request.headers.get("accept", "")
        return await self._answer(request, content, _printable(name), as_json)

    async def stain_file(self, request: Request) -> Response:
        # an <img> of somebody else's page could not see the answer, but would keep this computer busy
        if request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            raise HTTPException(403, "another page may not use this service")
        wanted = request.query_params.get("path", "")
        path, content = await run_in_threadpool(self._service.folders.read, wanted, self._service.most_bytes)
        return await self._answer(request, content, path.name, request.url.path.endswith(".json"))

    async def _answer(self, request: Request, content: bytes, name: str, as_json: bool) -> Response:
        service = self._service
        chosen = _Chosen.of(request)
        if len(service.waiting) >= MOST_WAITING:
            raise HTTPException(503, f"{MOST_WAITING} images wait already: try again")
        ticket = object()
        service.waiting.append(ticket)
        try:
            return await run_in_threadpool(self._stained, content, name, chosen, as_json)
        finally:
            service.waiting.remove(ticket)

    def _stained(self, content: bytes, name: str, chosen: _Chosen, as_json: bool) -> Response:
        service, manifest = self._service, self._service.staining.manifest
        stained = service.staining.stain(content, name, chosen.kind, chosen.field_px)
        document = {"image": name, **self._document(stained, chosen.kind)}
        if as_json:
            return JSONResponse(document)
        info = f"{json.dumps(document, indent=1)}\n"
        encode = ome_tiff if chosen.format == "ome" else imagej_tiff
        return Response(encode(stained, manifest, chosen.dtype, info), media_type="image/tiff")

    def _document(self, stained: Stained, kind: Kind) -> dict[str, Any]:
        manifest = self._service.staining.manifest
        document: dict[str, Any] = {
            "kind": kind,
            "intended_use": manifest.intended_use,
            "bundle_sha256": self._service.bundle_sha256,
            "simulated": self._service.simulated,
            "pixel_size_um": stained.pixel_size_um,
            "quantities": None,
        }
        if kind == "field":
            document["why"] = "a field holds many cells: quantities are of a crop of one cell (kind=cell)"
            document["caution"] = CAUTION
            return document
        document["abstained"] = stained.judgement.abstained or None
        document["quantities"] = {
            item.name: {
                "value": _number(stained.quantities[item.name]),
                "unit": item.unit,
                "low": _number(stained.judgement.columns.get(f"{item.name}_low")),
                "high": _number(stained.judgement.columns.get(f"{item.name}_high")),
            }
            for item in manifest.quantities
        }
        return document


@dataclass(frozen=True, kw_only=True)
class _Chosen:
    """What stands after the question mark."""

    kind: Kind
    format: str
    dtype: str
    field_px: int | None

    @classmethod
    def of(cls, request: Request) -> _Chosen:
        given = request.query_params
        side = given.get("field_px")
        if side is not None and not (side.isascii() and side.isdecimal() and 8 <= int(side[:6]) <= 4096):
            raise HTTPException(400, "field_px is a whole number from 8 to 4096")
        kind: Kind = "cell" if _one_of(given.get("kind", "field"), "kind", "field", "cell") == "cell" else "field"
        return cls(
            kind=kind,
            format=_one_of(given.get("format", "imagej"), "format", "imagej", "ome"),
            dtype=_one_of(given.get("dtype", "float32"), "dtype", "float32", "uint16"),
            field_px=None if side is None else int(side),
        )


class _Limited:
    """Refuses bodies of more than `most` bytes, whatever their header says."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app, self._most = app, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        taken = 0

        async def receiving() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._most:
                raise HTTPException(413, f"the image is larger than {self._most >> 20} MiB, which --max-mb allows")
            return message

        await self._app(scope, receiving, send)


def _one_of(value: str, name: str, *known: str) -> str:
    if value not in known:
        raise HTTPException(400, f"{name} is {' or '.join(known)}")
    return value


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text[:80])


async def _wrong(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code)


async def _failed(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 403 if isinstance(error, NotAllowedError) else 422)


async def _broken(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": f"unexpected {type(error).__name__}: {brief(error)}"}, 500)
