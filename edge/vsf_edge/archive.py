"""Reads a stored zip and refuses everything that a bundle has no need for, before any of it is read.

Refused: compression (a stored zip cannot be a bomb that inflates), encryption, links, names that leave their folder,
duplicates, overlaps, too many files, and a directory that is too large to hold in memory. Declared sizes are compared
with the file's own size first. Nothing is unpacked to the disk.
"""

from __future__ import annotations

import hashlib
import re
import stat
import struct
import zipfile
from pathlib import Path, PurePosixPath

from vsf_edge.errors import BundleError, brief

MAX_FILES = 256
MAX_BUNDLE_BYTES = 16 << 30
MAX_DIRECTORY_BYTES = 1 << 18
"""Of the zip's directory, which is read at once: 256 files with names of 200 characters need a quarter of it."""

_CHUNK = 1 << 20
_READ_ERRORS = (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError, RuntimeError, struct.error)


class StoredZip:
    """An open zip whose directory was found safe. The content is not checked here; the manifest's hashes do that."""

    def __init__(self, path: Path) -> None:
        """Open `path`.

        Raises
        ------
        BundleError
            Missing, truncated or unsafe.
        """
        self.path = path
        self._archive = _open(path)
        try:
            self.sizes = {name: info.file_size for name, info in _safe_members(self._archive, path).items()}
        except BaseException:
            self._archive.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._archive.close()

    def read(self, name: str) -> bytes:
        """Give the content of one file."""
        try:
            return self._archive.read(name)
        except _READ_ERRORS as error:
            raise self._damaged(name, error) from error

    def sha256(self, name: str) -> str:
        """Give the SHA-256 of one file, hexadecimal; the file is never held in memory as a whole."""
        digest = hashlib.sha256()
        try:
            with self._archive.open(name) as file:
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
        except _READ_ERRORS as error:
            raise self._damaged(name, error) from error
        return digest.hexdigest()

    def _damaged(self, name: str, error: Exception) -> BundleError:
        return BundleError(f"{self.path}: {name} is damaged ({brief(error)}): copy it again, or export it again")


def _open(path: Path) -> zipfile.ZipFile:
    try:
        size = path.stat().st_size
        if size > MAX_BUNDLE_BYTES:
            raise BundleError(f"{path} has {size} bytes; at most {MAX_BUNDLE_BYTES} are read")
        directory = _directory_bytes(path, size)
        if directory > MAX_DIRECTORY_BYTES:
            raise BundleError(f"{path} has a directory of {directory} bytes; at most {MAX_DIRECTORY_BYTES} are read")
        return zipfile.ZipFile(path)
    except FileNotFoundError:
        raise BundleError(f"there is no model {path}") from None
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror or error}") from error
    except _READ_ERRORS as error:
        raise BundleError(
            f"{path} is not a whole zip file ({brief(error)}): copy it again, or export it again"
        ) from error


def _directory_bytes(path: Path, size: int) -> int:
    """Give the size of the zip's directory as the end of the file declares it, before anything reads it.

    A bundle has no comment after its directory, so that its end record is its last 22 bytes; over 4 GiB a locator
    (20 bytes) and a wide record (56 bytes) stand before it.
    """
    with path.open("rb") as file:
        file.seek(max(0, size - 98))
        end = file.read(98)
    if end[-22:-18] != b"PK\x05\x06" or end[-2:] != b"\0\0":
        raise zipfile.BadZipFile("its directory is not at its end")
    if end[-42:-38] == b"PK\x06\x07":
        if end[-98:-94] != b"PK\x06\x06":
            raise zipfile.BadZipFile("its wide directory is not at its end")
        return int(struct.unpack("<Q", end[-58:-50])[0])
    return int(struct.unpack("<L", end[-10:-6])[0])


def _safe_members(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
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
