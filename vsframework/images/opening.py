"""Which reader opens a file: told from its first bytes, not from its name."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from vsframework.errors import VsfError
from vsframework.images.numpy_file import NUMPY_SIGNATURE, open_numpy
from vsframework.images.ome_zarr import is_zarr, open_ome_zarr
from vsframework.images.raster import JPEG_SIGNATURE, PNG_SIGNATURE, read_jpeg, read_png
from vsframework.images.stored import whole_planes
from vsframework.images.tiff import TIFF_SIGNATURES, open_tiff
from vsframework.plugins import Entry, registry
from vsframework.readers import Reader, StoredPlanes

HEAD_BYTES = 512


def open_planes(path: Path, scene: int | None = None) -> StoredPlanes:
    """Open a TIFF, OME-Zarr, PNG, JPEG, NumPy array, or whatever a plugin's reader accepts.

    Raises
    ------
    VsfError
        When nothing opens it, or it is damaged.
    """
    with one_sentence(path):
        head = _head(path)
        if path.is_dir() and is_zarr(path):
            planes = open_ome_zarr(path)
        elif head[:4] in TIFF_SIGNATURES:
            return open_tiff(path, scene)
        elif head.startswith(PNG_SIGNATURE):
            planes = whole_planes(read_png(path))
        elif head.startswith(JPEG_SIGNATURE):
            planes = whole_planes(read_jpeg(path))
        elif head.startswith(NUMPY_SIGNATURE):
            planes = open_numpy(path)
        else:
            return _by_plugin(path, head).open(path, scene)
        if scene not in (None, 0):
            raise VsfError(f"{path} holds one image, so there is no scene {scene}: leave it out")
        return planes


@contextlib.contextmanager
def one_sentence(path: Path) -> Iterator[None]:
    """Turn whatever a decoder raises over a damaged file into one sentence that names it."""
    try:
        yield
    except VsfError:
        raise
    except OSError as error:
        raise VsfError(f"{path} cannot be read: {error.strerror or one_line(error)}") from error
    except MemoryError as error:
        raise VsfError(f"{path} needs more memory than there is: it is damaged, or has to be split") from error
    except Exception as error:  # decoders of damaged files raise nearly anything
        raise VsfError(
            f"{path} is damaged, or stored in a way that cannot be read ({one_line(error)}): copy or save it anew"
        ) from error


def one_line(error: BaseException) -> str:
    """Give an error of another library in one short line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__


def _head(path: Path) -> bytes:
    """Give the first bytes of a regular, non-empty file; none of a folder."""
    try:
        if not path.exists():
            raise VsfError(f"{path} does not exist: check the name and the folder")
        if path.is_dir():
            return b""
        if not path.is_file():
            raise VsfError(f"{path} is a device, not an image file: name a file")
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except ValueError as error:  # a NUL in the name
        raise VsfError(f"{path} cannot be read: {one_line(error)}") from error
    if not head:
        raise VsfError(f"{path} is empty (0 bytes): copy it again from where it was recorded")
    return head


def _by_plugin(path: Path, head: bytes) -> Reader:
    accepting: list[tuple[Entry, Reader]] = []
    for entry in registry().entries("reader"):
        try:
            reader = entry.component.create()
            if reader.accepts(path, head):
                accepting.append((entry, reader))
        except Exception as error:  # a broken reader must not keep the others from a file
            entry.plugin.note(f"its reader {entry.component.name!r} failed on {path.name}: {one_line(error)}")
    if len(accepting) > 1:
        names = " and ".join(entry.qualified_name for entry, _ in accepting)
        raise VsfError(f"{path} is accepted by {names}: switch one of the plugins off with VSF_DISABLED_PLUGINS")
    if accepting:
        return accepting[0][1]
    if path.is_dir():
        raise VsfError(f"{path} is a folder and no OME-Zarr: name a file in it")
    raise VsfError(
        f"{path} is not a TIFF, PNG or JPEG, nor of a kind that an installed reader opens (vsf plugins list --kind "
        "reader): convert it to OME-TIFF with the microscope's software"
    )
