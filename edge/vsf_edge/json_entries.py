"""Takes typed entries out of JSON that somebody else wrote, and says which one is missing or wrong."""

from __future__ import annotations

import json
import re
from typing import Any, TypeVar

from vsf_edge.errors import BundleError

MAX_TEXT = 4000
MAX_COUNT = 2**53  # whole numbers beyond it are not the same in every JSON reader

_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")  # names become file names and columns
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")  # would steer a terminal
_Kind = TypeVar("_Kind")


def parse_json(text: bytes, origin: str) -> Any:
    """Give the values of JSON `text` in UTF-8; `origin` names the bundle in an error.

    Raises
    ------
    BundleError
        Not JSON, nested too deeply, or a key that stands twice in one table.
    """
    try:
        return json.loads(text.decode("utf-8"), object_pairs_hook=_table)
    except (ValueError, RecursionError) as error:
        raise BundleError(
            f"{origin} has a manifest that is not JSON ({type(error).__name__}): export it again"
        ) from error


def is_name(text: str) -> bool:
    """Say whether `text` can be part of a file name on every system."""
    return _NAME.fullmatch(text) is not None


def _table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a key stands twice")  # readers differ in which one they take
    return table


class Entries:
    """One table of the document; `prefix` is where it stands, for errors."""

    def __init__(self, document: Any, origin: str, prefix: str = "") -> None:
        self.origin = origin
        self.prefix = prefix
        if not isinstance(document, dict):
            raise self.wrong("", "is not a table")
        self.document: dict[str, Any] = document

    def wrong(self, key: str, what: str) -> BundleError:
        """Give the error that entry `key` is wrong; `what` is the verb and the reason."""
        where = f"{self.prefix}{key}".rstrip(".") or "the top"
        where = _UNPRINTABLE.sub("?", where[:200])
        return BundleError(f"{self.origin} has a manifest whose entry {where} {what}: export it again")

    def _find(self, key: str) -> Any:
        value: Any = self.document
        for part in key.split("."):
            if not isinstance(value, dict) or part not in value:
                raise self.wrong(key, "is missing")
            value = value[part]
        return value

    def has(self, key: str) -> bool:
        """Say whether `key` is there and not null; for what may be left out."""
        try:
            return self._find(key) is not None
        except BundleError:
            return False

    def take(self, key: str, kind: type[_Kind]) -> _Kind:
        """Give an entry that must be of `kind`."""
        value = self._find(key)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.wrong(key, f"is not {'text' if kind is str else 'a whole number'}")
        return value

    def text(self, key: str) -> str:
        """Give text that may be shown on a terminal."""
        value = self.take(key, str)
        if len(value) > MAX_TEXT or _UNPRINTABLE.search(value):
            raise self.wrong(key, f"is not one line of plain text of at most {MAX_TEXT} characters")
        return value

    def name(self, key: str = "name") -> str:
        """Give text that may be part of a file name."""
        value = self.take(key, str)
        if not is_name(value):
            raise self.wrong(key, f"is {value[:40]!r}, which cannot be part of a file name")
        return value

    def one_of(self, key: str, known: tuple[str, ...], default: str) -> str:
        """Give one of the `known` words, the `default` where the entry is left out."""
        if not self.has(key):
            return default
        value = self.take(key, str)
        if value not in known:
            raise self.wrong(key, f"is {value[:40]!r} and this vsf-edge knows {', '.join(known)}")
        return value

    def digest(self, key: str) -> str:
        """Give a SHA-256 in hexadecimal."""
        value = self.take(key, str)
        if not _SHA256.fullmatch(value):
            raise self.wrong(key, "is not a SHA-256")
        return value

    def count(self, key: str, minimum: int = 0) -> int:
        """Give a whole number from `minimum` to 2^53."""
        value = self.take(key, int)
        if not minimum <= value <= MAX_COUNT:
            raise self.wrong(key, f"is not a whole number from {minimum} to 2^53")
        return value

    def optional_count(self, key: str) -> int | None:
        """Give a whole number of at least 1, or None where it is null or left out."""
        return self.count(key, 1) if self.has(key) else None

    def positive(self, key: str) -> float:
        """Give a positive, finite number."""
        value = self._find(key)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 1e30:
            raise self.wrong(key, "is not a positive number")
        return float(value)

    def optional_positive(self, key: str) -> float | None:
        """Give a positive number, or None where it is null or left out."""
        return self.positive(key) if self.has(key) else None

    def optional_truth(self, key: str) -> bool | None:
        """Give true or false, or None where it is null or left out."""
        if not self.has(key):
            return None
        value = self._find(key)
        if not isinstance(value, bool):
            raise self.wrong(key, "is not true or false")
        return value

    def names(self, key: str) -> dict[str, str]:
        """Give a table of texts; empty where it is left out."""
        if not self.has(key):
            return {}
        value = self._find(key)
        if not isinstance(value, dict):
            raise self.wrong(key, "is not a table")
        inner = Entries(value, self.origin, f"{self.prefix}{key}.")
        for name, item in value.items():
            if not isinstance(item, str):
                raise inner.wrong(name, "is not text")
        return dict(value)

    def table(self, key: str) -> list[tuple[str, Entries]]:
        """Give a table of tables."""
        value = self._find(key)
        if not isinstance(value, dict):
            raise self.wrong(key, "is not a table")
        return [(name, Entries(item, self.origin, f"{self.prefix}{key}.{name}.")) for name, item in value.items()]

    def items(self, key: str, minimum: int, maximum: int) -> list[Entries]:
        """Give a list of tables."""
        value = self._find(key)
        if not isinstance(value, list) or not minimum <= len(value) <= maximum:
            raise self.wrong(key, f"is not a list of {minimum} to {maximum}")
        return [Entries(item, self.origin, f"{self.prefix}{key}.{index}.") for index, item in enumerate(value)]
