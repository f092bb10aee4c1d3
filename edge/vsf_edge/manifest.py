"""The manifest of a bundle: what the model takes, what it gives, and the hash of every file beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from vsf_edge.errors import BundleError

FORMAT = "vsframework-bundle"
SCHEMA_VERSION = 1
MANIFEST_NAME = "manifest.json"
MAX_CHANNELS = 64

_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")  # names become file names and columns
_Kind = TypeVar("_Kind")


@dataclass(frozen=True, kw_only=True)
class FileRecord:
    """One file of the bundle: its size in bytes and its SHA-256 in hexadecimal."""

    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Stain:
    """One output channel; `full_scale` is the count that the generator's +1 stands for."""

    name: str
    full_scale: float


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """One value per image: its unit ("1" for a ratio), what it means, and the graph output that carries it."""

    name: str
    unit: str
    description: str
    output: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What stands in ``manifest.json``, checked.

    Attributes
    ----------
    input_name, stains_output
        Names of the graph's input and of its output of stains.
    in_channels
        Number of brightfield planes.
    input_full_scale
        The count of a saturated brightfield pixel; the graph normalises with it.
    height, width
        In pixels; None where the graph takes any multiple of `stride`.
    stride
        Height and width are multiples of this.
    models
        File of the graph per precision.
    files
        Every other file of the bundle.
    document
        The whole manifest as JSON values, for what this reader has no use for.
    """

    input_name: str
    in_channels: int
    input_full_scale: float
    height: int | None
    width: int | None
    stride: int
    stains_output: str
    stains: tuple[Stain, ...]
    quantities: tuple[Quantity, ...]
    models: Mapping[str, str]
    files: Mapping[str, FileRecord]
    document: Mapping[str, Any]


def parse_manifest(text: bytes, origin: str) -> Manifest:
    """Check the JSON `text` of a manifest; `origin` names the bundle in an error.

    Raises
    ------
    BundleError
        Not JSON, another format, a newer schema, or a missing or wrong entry.
    """
    try:
        document = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise BundleError(
            f"{origin} has a manifest that is not JSON ({type(error).__name__}): export it again"
        ) from error
    reader = _Reader(document, origin)
    if reader.take("format", str) != FORMAT:
        raise BundleError(f"{origin} is no model of vsframework: its manifest names another format")
    version = reader.take("schema_version", int)
    if version > SCHEMA_VERSION:
        raise BundleError(
            f"{origin} was written for schema {version} and this vsf-edge reads up to {SCHEMA_VERSION}: "
            "pip install --upgrade vsf-edge"
        )
    if version < 1:
        raise reader.wrong("schema_version", "is below 1")
    return _read(reader)


def _read(reader: _Reader) -> Manifest:
    channels = reader.take("input.channels", int)
    if not 1 <= channels <= MAX_CHANNELS:
        raise reader.wrong("input.channels", f"is not between 1 and {MAX_CHANNELS}")
    stains = tuple(
        Stain(name=item.name(), full_scale=item.positive("full_scale")) for item in reader.items("stains", minimum=1)
    )
    quantities = tuple(
        Quantity(
            name=item.name(),
            unit=item.take("unit", str),
            description=item.take("description", str),
            output=item.take("output", str),
        )
        for item in reader.items("quantities", minimum=0)
    )
    for kind, names in (("stains", [s.name for s in stains]), ("quantities", [q.name for q in quantities])):
        if len({name.lower() for name in names}) != len(names):
            raise reader.wrong(kind, "names one thing twice")
    files = {
        name: FileRecord(size=record.count("size"), sha256=record.digest("sha256"))
        for name, record in reader.table("files")
    }
    models = {precision: reader.take(f"model.files.{precision}", str) for precision in reader.keys("model.files")}
    for precision, name in models.items():
        if name not in files:
            raise reader.wrong(f"model.files.{precision}", f"names {name!r}, which is not among the files")
    if not models:
        raise reader.wrong("model.files", "is empty")
    return Manifest(
        input_name=reader.take("input.name", str),
        in_channels=channels,
        input_full_scale=reader.positive("input.full_scale"),
        height=reader.optional_count("input.height"),
        width=reader.optional_count("input.width"),
        stride=max(1, reader.count("input.stride")),
        stains_output=reader.take("output.name", str),
        stains=stains,
        quantities=quantities,
        models=models,
        files=files,
        document=reader.document,
    )


class _Reader:
    """Takes typed entries out of JSON, and says which one is missing or wrong."""

    def __init__(self, document: Any, origin: str, prefix: str = "") -> None:
        self.origin = origin
        self.prefix = prefix
        if not isinstance(document, dict):
            raise self.wrong("", "is not a table")
        self.document: dict[str, Any] = document

    def wrong(self, key: str, what: str) -> BundleError:
        where = f"{self.prefix}{key}".rstrip(".") or "the top"
        return BundleError(f"{self.origin} has a manifest whose entry {where} {what}: export it again")

    def _find(self, key: str) -> Any:
        value: Any = self.document
        for part in key.split("."):
            if not isinstance(value, dict) or part not in value:
                raise self.wrong(key, "is missing")
            value = value[part]
        return value

    def take(self, key: str, kind: type[_Kind]) -> _Kind:
        value = self._find(key)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.wrong(key, f"is not {'text' if kind is str else 'a whole number'}")
        return value

    def name(self) -> str:
        value = self.take("name", str)
        if not _NAME.fullmatch(value):
            raise self.wrong("name", f"is {value[:40]!r}, which cannot be part of a file name")
        return value

    def digest(self, key: str) -> str:
        value = self.take(key, str)
        if not _SHA256.fullmatch(value):
            raise self.wrong(key, "is not a SHA-256")
        return value

    def count(self, key: str) -> int:
        value = self.take(key, int)
        if value < 0:
            raise self.wrong(key, "is negative")
        return value

    def optional_count(self, key: str) -> int | None:
        return None if self._find(key) is None else self.count(key)

    def positive(self, key: str) -> float:
        value = self._find(key)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
            raise self.wrong(key, "is not a positive number")
        return float(value)

    def keys(self, key: str) -> list[str]:
        value = self._find(key)
        if not isinstance(value, dict):
            raise self.wrong(key, "is not a table")
        return list(value)

    def table(self, key: str) -> list[tuple[str, _Reader]]:
        value = self._find(key)
        return [(name, _Reader(value[name], self.origin, f"{key}.{name}.")) for name in self.keys(key)]

    def items(self, key: str, minimum: int) -> list[_Reader]:
        value = self._find(key)
        if not isinstance(value, list) or not minimum <= len(value) <= MAX_CHANNELS:
            raise self.wrong(key, f"is not a list of {minimum} to {MAX_CHANNELS}")
        return [_Reader(item, self.origin, f"{key}.{index}.") for index, item in enumerate(value)]
