"""The structured log of a session: one JSON line per event, through the standard library's logging."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vsf_edge.errors import EdgeError
from vsf_edge.frames import Notice

LOGGER = logging.getLogger("vsf_edge.live")
LOGGER.setLevel(logging.INFO)
LOGGER.propagate = False
LOGGER.addHandler(logging.NullHandler())

LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class JsonLines(logging.Formatter):
    """Formats an event as one JSON line: time (UTC), level, event, and its further values."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the line."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        values = {"time": time, "level": record.levelname.lower(), "event": record.getMessage()}
        return json.dumps({**values, **getattr(record, "values", {})}, ensure_ascii=False)


def open_log(path: Path) -> logging.Handler:
    """Let events be appended to the file `path`; close the handler with :func:`close_log`.

    Raises
    ------
    EdgeError
        When it cannot be written.
    """
    try:
        handler = logging.FileHandler(path, encoding="utf-8")
    except OSError as error:
        raise EdgeError(f"the log {path} cannot be written: {error.strerror or error}") from error
    handler.setFormatter(JsonLines())
    LOGGER.addHandler(handler)
    return handler


def close_log(handler: logging.Handler) -> None:
    """Write no more events to it."""
    LOGGER.removeHandler(handler)
    handler.close()


def log(event: str, values: Mapping[str, Any], level: str = "info") -> None:
    """Log one event with JSON values."""
    LOGGER.log(LEVELS[level], event, extra={"values": dict(values)})


def log_notice(notice: Notice) -> None:
    """Log a notice."""
    log(notice.kind, {"text": notice.text}, notice.level)
