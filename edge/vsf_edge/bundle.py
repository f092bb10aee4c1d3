"""Opens a bundle ``model.vsf``: a stored zip in which every file is checked before any of it is used.

Checked in this order: it is a zip of safe, uncompressed, unencrypted, non-overlapping files; its manifest is of a
schema that this reader knows; the files are exactly those of the manifest; every size and SHA-256 agrees. Nothing is
unpacked to the disk and nothing is unpickled. The hashes find damage; who wrote the file is told by its signature
(:mod:`vsf_edge.signature`).
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vsf_edge.archive import StoredZip
from vsf_edge.errors import BundleError, brief
from vsf_edge.interfaces import Array
from vsf_edge.manifest import MANIFEST_NAME, Manifest, Stain, parse_manifest
from vsf_edge.signature import SIGNATURE_BYTES, SIGNATURE_NAME

MAX_MANIFEST_BYTES = 1 << 20

REFERENCE_INPUT = "reference/brightfield.npy"


class Bundle:
    """A verified bundle. Build it with :func:`open_bundle`; use it as a context manager or call `close`.

    Attributes
    ----------
    path
        Where it lies.
    manifest
        What it says about itself, checked.
    manifest_bytes
        The manifest as it stands in the file: what a signature signs.
    sha256
        Of the manifest, hexadecimal; since that lists the hash of every file, it names the whole bundle.
    signature
        64 bytes, not yet verified; None where it is not signed.
    """

    def __init__(self, archive: StoredZip, manifest: Manifest, manifest_bytes: bytes, signature: bytes | None) -> None:
        self.path = archive.path
        self.manifest = manifest
        self.manifest_bytes = manifest_bytes
        self.sha256 = hashlib.sha256(manifest_bytes).hexdigest()
        self.signature = signature
        self._archive = archive

    def __enter__(self) -> Bundle:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._archive.close()

    @property
    def stains(self) -> tuple[Stain, ...]:
        """The output channels in order."""
        return self.manifest.stains

    @property
    def precisions(self) -> tuple[str, ...]:
        """The precisions it has a graph for, by name."""
        return tuple(sorted(self.manifest.models))

    def read(self, name: str) -> bytes:
        """Give the content of one file, checked again.

        Raises
        ------
        BundleError
            When there is none of that `name`, or it changed since the bundle was opened.
        """
        record = self.manifest.files.get(name)
        if record is None:
            raise BundleError(f"{self.path} has no file {name!r}: export it again")
        content = self._archive.read(name)
        if hashlib.sha256(content).hexdigest() != record.sha256:
            raise BundleError(f"{self.path} changed while it was open: start again")
        return content

    def model(self, precision: str = "fp32") -> bytes:
        """Give the ONNX graph of a `precision`.

        Raises
        ------
        BundleError
            When there is none; names those that there are.
        """
        name = self.manifest.models.get(precision)
        if name is None:
            raise BundleError(
                f"{self.path} has no model of precision {precision!r}; it has {', '.join(self.precisions)}"
            )
        return self.read(name)

    def document(self, role: str) -> bytes | None:
        """Give the optional file of a `role` (``licence``, ``card``, ``trust``), or None where there is none."""
        name = self.manifest.documents.get(role)
        return None if name is None else self.read(name)

    def reference(self) -> tuple[Array, dict[str, Array]]:
        """Give the reference input [N, C, H, W] and the expected outputs by graph output name, as torch gave them."""
        names = [self.manifest.stains_output, *(quantity.output for quantity in self.manifest.quantities)]
        return self._array(REFERENCE_INPUT), {name: self._array(reference_output(name)) for name in names}

    def _array(self, name: str) -> Array:
        return read_npy(self.read(name), f"{self.path}: {name}")


def reference_output(output: str) -> str:
    """Give the name of the file that holds the expected values of a graph output."""
    return f"reference/expected_{output}.npy"


def open_bundle(path: Path) -> Bundle:
    """Open and verify the bundle at `path`.

    Raises
    ------
    BundleError
        Missing, truncated, changed, unsafe, too large, or of a newer schema.
    """
    archive = StoredZip(path)
    try:
        size = archive.sizes.get(MANIFEST_NAME)
        if size is None:
            raise BundleError(f"{path} has no {MANIFEST_NAME}: it is not a model that 'vsf export' wrote")
        if size > MAX_MANIFEST_BYTES:
            raise BundleError(f"{path} has a manifest of {size} bytes; at most {MAX_MANIFEST_BYTES} are read")
        text = archive.read(MANIFEST_NAME)
        manifest = parse_manifest(text, str(path))
        _verify(archive, manifest)
        signature = _signature(archive)
    except BaseException:
        archive.close()
        raise
    return Bundle(archive, manifest, text, signature)


def _verify(archive: StoredZip, manifest: Manifest) -> None:
    """Compare the files with the manifest: the same names, then sizes, then hashes."""
    path = archive.path
    present = archive.sizes.keys() - {MANIFEST_NAME, SIGNATURE_NAME}
    outputs = [manifest.stains_output, *(quantity.output for quantity in manifest.quantities)]
    _require(present, [*manifest.files, REFERENCE_INPUT, *map(reference_output, outputs)], path)
    for name in sorted(present):
        if name not in manifest.files:
            raise BundleError(f"{path} holds {name!r}, which its manifest does not list: export it again")
    for name, record in manifest.files.items():
        if archive.sizes[name] != record.size:
            raise BundleError(
                f"{path}: {name} has {archive.sizes[name]} bytes and should have {record.size}: copy it again"
            )
    for name, record in manifest.files.items():
        if archive.sha256(name) != record.sha256:
            raise BundleError(f"{path}: {name} is not what was exported (its SHA-256 differs): copy it again")


def _require(present: set[str], needed: Sequence[str], path: Path) -> None:
    for name in needed:
        if name not in present:
            raise BundleError(f"{path} lacks its file {name[:80]!r}: copy it again, or export it again")


def _signature(archive: StoredZip) -> bytes | None:
    size = archive.sizes.get(SIGNATURE_NAME)
    if size is None:
        return None
    if size != SIGNATURE_BYTES:
        raise BundleError(f"{archive.path} has a signature of {size} bytes instead of {SIGNATURE_BYTES}: copy it again")
    return archive.read(SIGNATURE_NAME)


def read_npy(content: bytes, origin: str) -> Array:
    """Read a float32 array from the bytes of an ``.npy`` file, without pickle and without believing its header.

    Raises
    ------
    BundleError
        When it is something else, or its size is not what its header says.
    """
    stream = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(stream)
        if version != (1, 0):
            raise ValueError("not version 1.0")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
        if fortran or dtype != np.dtype("<f4"):
            raise ValueError("not a float32 array in C order")
        values: npt.NDArray[np.float32] = np.frombuffer(content, dtype, offset=stream.tell()).reshape(shape)
    except (ValueError, TypeError, OverflowError, MemoryError, RecursionError, SyntaxError) as error:
        raise BundleError(f"{origin} cannot be read as an array: {brief(error)}") from error
    return values
