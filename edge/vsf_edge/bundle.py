"""Opens a bundle ``model.vsf``: a stored zip in which every file is checked before any of it is used.

Checked in this order: it is a zip of safe, uncompressed, unencrypted, non-overlapping files; its manifest is of a
schema that this reader knows; the files are exactly those of the manifest; every size and SHA-256 agrees. Nothing is
unpacked to the disk and nothing is unpickled. The hashes find damage; they do not prove who wrote the file.
"""

from __future__ import annotations

import hashlib
import io
import re
import stat
import zipfile
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from vsf_edge.errors import BundleError
from vsf_edge.interfaces import Array
from vsf_edge.manifest import MANIFEST_NAME, Manifest, Stain, parse_manifest

MAX_FILES = 256
MAX_MANIFEST_BYTES = 1 << 20
MAX_BUNDLE_BYTES = 16 << 30

REFERENCE_INPUT = "reference/brightfield.npy"
_CHUNK = 1 << 20


class Bundle:
    """A verified bundle. Build it with :func:`open_bundle`; use it as a context manager or call `close`.

    Attributes
    ----------
    path
        Where it lies.
    manifest
        What it says about itself, checked.
    sha256
        Of the manifest, hexadecimal; since that lists the hash of every file, it names the whole bundle.
    """

    def __init__(self, path: Path, archive: zipfile.ZipFile, manifest: Manifest, sha256: str) -> None:
        self.path = path
        self.manifest = manifest
        self.sha256 = sha256
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
        content = _read_member(self._archive, name, self.path)
        if hashlib.sha256(content).hexdigest() != record.sha256:
            raise BundleError(f"{self.path} changed while it was open: start again")
        return content

    def model(self, precision: str = "fp32") -> bytes:
        """Give the ONNX graph of a `precision`."""
        name = self.manifest.models.get(precision)
        if name is None:
            known = ", ".join(sorted(self.manifest.models))
            raise BundleError(f"{self.path} has no model of precision {precision!r}; it has {known}")
        return self.read(name)

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
    archive = _open_archive(path)
    try:
        members = _safe_members(archive, path)
        head = members.pop(MANIFEST_NAME, None)
        if head is None:
            raise BundleError(f"{path} has no {MANIFEST_NAME}: it is not a model that 'vsf export' wrote")
        if head.file_size > MAX_MANIFEST_BYTES:
            raise BundleError(f"{path} has a manifest of {head.file_size} bytes; at most {MAX_MANIFEST_BYTES} are read")
        text = _read_member(archive, MANIFEST_NAME, path)
        manifest = parse_manifest(text, str(path))
        _verify(archive, members, manifest, path)
    except BaseException:
        archive.close()
        raise
    return Bundle(path, archive, manifest, hashlib.sha256(text).hexdigest())


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
        raise BundleError(f"{origin} cannot be read as an array: {error}") from error
    return values


# ------------------------------------------------------------------------------------------------------- the zip


def _open_archive(path: Path) -> zipfile.ZipFile:
    try:
        size = path.stat().st_size
        if size > MAX_BUNDLE_BYTES:
            raise BundleError(f"{path} has {size} bytes; at most {MAX_BUNDLE_BYTES} are read")
        return zipfile.ZipFile(path)
    except FileNotFoundError:
        raise BundleError(f"there is no model {path}") from None
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise BundleError(f"{path} is not a whole zip file ({error}): copy it again, or export it again") from error
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror or error}") from error


def _safe_members(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    """Refuse everything that a bundle has no need for: compression, links, escapes, duplicates, overlaps."""
    infos = archive.infolist()
    if len(infos) > MAX_FILES:
        raise BundleError(f"{path} holds {len(infos)} files; at most {MAX_FILES} are read")
    members: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        name = info.orig_filename
        if not _is_safe(name):
            raise BundleError(f"{path} holds the file name {name[:80]!r}, which leaves its folder: do not use it")
        if name in members:
            raise BundleError(f"{path} holds {name!r} twice: export it again")
        if stat.S_ISLNK(info.external_attr >> 16):
            raise BundleError(f"{path} holds a link ({name!r}): do not use it")
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
            raise BundleError(f"{path} holds {name!r} compressed, and a model is only ever stored: export it again")
        if info.flag_bits & 0x1:
            raise BundleError(f"{path} holds {name!r} encrypted: export it again")
        members[name] = info
    # stored files that together exceed the archive must overlap: the trick of a zip bomb without compression
    if sum(info.file_size for info in infos) > path.stat().st_size:
        raise BundleError(f"{path} claims files that are larger than itself: do not use it")
    return members


def _is_safe(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return (
        re.fullmatch(r"[A-Za-z0-9._+/-]{1,200}", name) is not None
        and not name.startswith("/")
        and not name.endswith("/")
        and ".." not in parts
        and name == "/".join(parts)
    )


def _verify(archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], manifest: Manifest, path: Path) -> None:
    for name in manifest.files:
        if name not in members:
            raise BundleError(f"{path} lacks its file {name!r}: copy it again, or export it again")
    for name in members:
        if name not in manifest.files:
            raise BundleError(f"{path} holds {name!r}, which its manifest does not list: export it again")
    for name, record in manifest.files.items():
        if members[name].file_size != record.size:
            raise BundleError(
                f"{path}: {name} has {members[name].file_size} bytes and should have {record.size}: copy it again"
            )
        if _digest(archive, name, path) != record.sha256:
            raise BundleError(f"{path}: {name} is not what was exported (its SHA-256 differs): copy it again")


def _digest(archive: zipfile.ZipFile, name: str, path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with archive.open(name) as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
        raise _damaged(path, name, error) from error
    return digest.hexdigest()


def _read_member(archive: zipfile.ZipFile, name: str, path: Path) -> bytes:
    try:
        return archive.read(name)
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
        raise _damaged(path, name, error) from error


def _damaged(path: Path, name: str, error: Exception) -> BundleError:
    return BundleError(f"{path}: {name} is damaged ({error}): copy it again, or export it again")
