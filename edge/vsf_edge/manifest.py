"""The manifest of a bundle: what the model takes, what it gives, and the hash of every file beside it.

Its schema stands in ``docs/bundle.schema.json``. A reader takes every manifest of its major version: keys that it does
not know are left alone, so that a newer minor version may add some.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vsf_edge.errors import BundleError
from vsf_edge.json_entries import Entries, is_name, parse_json

FORMAT = "vsframework-bundle"
SCHEMA_VERSION = "1.2"
"""1.1 added ``input.field_px`` and ``simulated``, 1.2 ``input.halo_px``; older bundles are read, without them."""
MANIFEST_NAME = "manifest.json"
MAX_CHANNELS = 64

DTYPES = ("float32", "uint8", "uint16")
"""Of the counts at the border of the graph. No parser for GPUs takes 16-bit integers, so ``uint16`` is handed over as
uint8 [N, C, H, W, 2]: the low byte, then the high byte."""

DOCUMENTS = ("licence", "card", "trust")
"""The optional files by role: what may be done with the weights, the model card, the table of intervals."""

_VERSION = re.compile(r"(\d{1,6})\.(\d{1,6})")


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
        In pixels; None where the graph takes any multiple of `stride` up to `max_height` and `max_width`.
    stride
        Height and width are multiples of this.
    models
        File of the graph per precision.
    files
        Every other file of the bundle.
    document
        The whole manifest as JSON values, for what this reader has no use for.
    input_dtype, stains_dtype
        One of `DTYPES`.
    training_patch
        Side of the square patches of training in pixels, where the graph takes other sizes too.
    max_batch, max_height, max_width
        What the graph was made for; None where nothing limits it.
    field_px
        Side in pixels of the square that was cut around a head out of a field of training, and resized to the patch.
    halo_px
        How far the network sees, in pixels of its input; None where that is its whole image, or not stated.
    pixel_size_um
        Side of a pixel of those fields in micrometres, where it is known.
    simulated
        Whether the model was trained on simulated images; None where the bundle does not say.
    drift_limit
        The largest drift from torch that the exporter allowed, and that an engine built here may have.
    documents
        File per role, see `DOCUMENTS`.
    intended_use
        In words.
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
    input_dtype: str = "float32"
    stains_dtype: str = "float32"
    training_patch: int | None = None
    max_batch: int | None = None
    max_height: int | None = None
    max_width: int | None = None
    field_px: int | None = None
    halo_px: int | None = None
    pixel_size_um: float | None = None
    simulated: bool | None = None
    drift_limit: float | None = None
    documents: Mapping[str, str] = field(default_factory=dict)
    intended_use: str = "not stated"

    @property
    def patch_size(self) -> int | None:
        """Side of the square patch that the crop of one cell is resized to; None where the bundle does not say."""
        if self.height is not None:
            return self.height if self.height == self.width else None
        return self.training_patch


def parse_manifest(text: bytes, origin: str) -> Manifest:
    """Check the JSON `text` of a manifest; `origin` names the bundle in an error.

    Raises
    ------
    BundleError
        Not JSON, another format, a newer major version, or a missing or wrong entry.
    """
    entries = Entries(parse_json(text, origin), origin)
    if entries.take("format", str) != FORMAT:
        raise BundleError(f"{origin} is no model of vsframework: its manifest names another format")
    version = _VERSION.fullmatch(entries.take("schema_version", str))
    if version is None or int(version[1]) < 1:
        raise entries.wrong("schema_version", "is not a version such as 1.0")
    if int(version[1]) > int(SCHEMA_VERSION.partition(".")[0]):
        raise BundleError(
            f"{origin} was written for schema {version[0]} and this vsf-edge reads {SCHEMA_VERSION}: "
            "pip install --upgrade vsf-edge"
        )
    return _read(entries)


def _read(entries: Entries) -> Manifest:
    channels = entries.count("input.channels", 1)
    if channels > MAX_CHANNELS:
        raise entries.wrong("input.channels", f"is not between 1 and {MAX_CHANNELS}")
    stains = tuple(
        Stain(name=item.name(), full_scale=item.positive("full_scale"))
        for item in entries.items("stains", 1, MAX_CHANNELS)
    )
    quantities = tuple(
        Quantity(
            name=item.name(), unit=item.text("unit"), description=item.text("description"), output=item.name("output")
        )
        for item in entries.items("quantities", 0, MAX_CHANNELS)
    )
    for kind, names in (("stains", [s.name for s in stains]), ("quantities", [q.name for q in quantities])):
        if len({name.lower() for name in names}) != len(names):
            raise entries.wrong(kind, "names one thing twice")
    files = {
        name: FileRecord(size=record.count("size"), sha256=record.digest("sha256"))
        for name, record in entries.table("files")
    }
    return Manifest(
        input_name=entries.name("input.name"),
        in_channels=channels,
        input_full_scale=entries.positive("input.full_scale"),
        height=entries.optional_count("input.height"),
        width=entries.optional_count("input.width"),
        stride=entries.count("input.stride", 1),
        stains_output=entries.name("output.name"),
        stains=stains,
        quantities=quantities,
        models=_listed(entries, "model.files", files, minimum=1),
        files=files,
        document=entries.document,
        input_dtype=entries.one_of("input.dtype", DTYPES, "float32"),
        stains_dtype=entries.one_of("output.dtype", DTYPES, "float32"),
        training_patch=entries.optional_count("input.patch_size"),
        max_batch=entries.optional_count("input.max_batch"),
        max_height=entries.optional_count("input.max_height"),
        max_width=entries.optional_count("input.max_width"),
        drift_limit=entries.optional_positive("parity_limit"),
        field_px=entries.optional_count("input.field_px"),
        halo_px=entries.optional_count("input.halo_px"),
        pixel_size_um=entries.optional_positive("input.pixel_size_um"),
        simulated=entries.optional_truth("simulated"),
        documents=_listed(entries, "documents", files, minimum=0),
        intended_use=entries.text("intended_use") if entries.has("intended_use") else "not stated",
    )


def _listed(entries: Entries, key: str, files: Mapping[str, FileRecord], minimum: int) -> dict[str, str]:
    """Give a table of file names, each of which must be among the bundle's `files`."""
    found = entries.names(key)
    if len(found) < minimum:
        raise entries.wrong(key, "is empty or missing")
    for role, name in found.items():
        if not is_name(role):
            raise entries.wrong(key, f"has the key {role[:40]!r}, which cannot be part of a file name")
        if name not in files:
            raise entries.wrong(f"{key}.{role}", f"names {name[:80]!r}, which is not among the files")
    return found
