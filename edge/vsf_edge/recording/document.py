"""``session.json``: what made a recording, and how it ended."""

from __future__ import annotations

import json
import platform
import sys
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from vsf_edge import __version__
from vsf_edge.frames import LiveSession, Notice
from vsf_edge.recording import FORMAT, SCHEMA_VERSION, SESSION
from vsf_edge.recording.placing import place

PACKAGES = ("numpy", "onnxruntime", "openvino", "opencv-python-headless", "zarr", "tifffile")


class SessionDocument:
    """The document of the recording in `folder`; `images` says how the pixels are written.

    Attributes
    ----------
    frames, cells
        How many were recorded.
    not_recorded
        How many frames could not be written, by reason.
    """

    def __init__(self, folder: Path, session: LiveSession, images: Mapping[str, object]) -> None:
        self._path = folder / SESSION
        self._fixed = {**_made_by(session), "images": dict(images)}
        self._started = _now()
        self._notices: Counter[str] = Counter()
        self._written = ""
        self.frames = 0
        self.cells = 0
        self.not_recorded: Counter[str] = Counter()

    def line(self, notice: Notice) -> str:
        """Give the line of ``notices.jsonl`` for `notice`, and count it."""
        self._notices[notice.kind] += 1
        entry = {"time": notice.time, "level": notice.level, "kind": notice.kind, "text": notice.text}
        return json.dumps(entry, ensure_ascii=False) + "\n"

    def write(self, ended: bool = False) -> None:
        """Write it where what it says has changed: as of a recording that grows, or that `ended`."""
        document: dict[str, Any] = {
            "format": FORMAT,
            "schema_version": SCHEMA_VERSION,
            "state": "ended" if ended else "recording",
            "started": self._started,
            "ended": _now() if ended else None,
            "frames": self.frames if ended else None,
            "cells": self.cells if ended else None,
            "frames_not_recorded": dict(self.not_recorded),
            "notices": dict(self._notices),
            **self._fixed,
        }
        text = json.dumps(document, indent=1, ensure_ascii=False, default=str) + "\n"
        if text != self._written:
            place(self._path, text.encode("utf-8"))
            self._written = text


def _made_by(session: LiveSession) -> dict[str, Any]:
    manifest = session.manifest
    return {
        "bundle": {
            "sha256": session.bundle_sha256,
            "simulated": session.simulated,
            "intended_use": manifest.intended_use,
            "stains": [{"name": stain.name, "full_scale": stain.full_scale} for stain in manifest.stains],
            "quantities": [
                {"name": quantity.name, "unit": quantity.unit, "description": quantity.description}
                for quantity in manifest.quantities
            ],
        },
        "engine": session.engine,
        "source": session.source,
        "mode": session.mode,
        "policy": session.policy,
        "settings": dict(session.settings),
        "versions": {
            "vsf-edge": __version__,
            "python": platform.python_version(),
            "system": sys.platform,
            **_packages(),
        },
    }


def _packages() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="milliseconds")
