"""Microscope vendors' own files (Zeiss CZI, Nikon ND2, Leica LIF), by bioio: ``pip install 'vsf-plugins[vendor]'``."""

from __future__ import annotations

import importlib
import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vsframework import Component, NoParams, VsfError
from vsframework.interfaces import StoredPlanes

FORMATS: dict[str, Callable[[bytes], bool]] = {
    "bioio_czi": lambda head: head.startswith(b"ZISRAWFILE"),
    "bioio_nd2": lambda head: head.startswith(b"\xda\xce\xbe\x0a"),
    "bioio_lif": lambda head: head.startswith(b"\x70\0\0\0") and head[8:9] == b"\x2a",
}
"""Modules of bioio, and how the files that they read begin."""

SAME_SIDES = 1e-3


class Vendor:
    """Opens CZI, ND2 and LIF."""

    def __init__(self, params: NoParams) -> None:
        self._lock = threading.Lock()  # not every reader of bioio may be used from several threads

    def accepts(self, path: Path, head: bytes) -> bool:
        """Tell the kind by its first bytes."""
        return any(begins(head) for begins in FORMATS.values())

    def open(self, path: Path, scene: int | None = None) -> StoredPlanes:
        """Describe one image of `path`, the only one or the one numbered `scene`."""
        with path.open("rb") as file:
            head = file.read(16)
        module = next(name for name, begins in FORMATS.items() if begins(head))
        try:
            reader = importlib.import_module(module).Reader
            image = importlib.import_module("bioio").BioImage(path, reader=reader)
        except ModuleNotFoundError as error:
            raise VsfError(
                f"{path} needs {error.name} to be read: pip install 'vsf-plugins[vendor]', or save it as OME-TIFF"
            ) from error
        except Exception as error:  # every reader has its own errors for a damaged file
            raise _damaged(path, error) from error
        scenes = image.scenes
        if scene is None and len(scenes) > 1:
            names = ", ".join(map(str, scenes[:5])) + (" ..." if len(scenes) > 5 else "")
            raise VsfError(f"{path} holds {len(scenes)} images ({names}): say which one by its number, from 0 (scene)")
        if not 0 <= (scene or 0) < len(scenes):
            raise VsfError(f"{path} has no scene {scene}: it holds {len(scenes)}, counted from 0")
        try:
            image.set_scene(scenes[scene or 0])
            tiles = image.mosaic_tile_dims if module == "bioio_lif" else None
            data = image.get_image_dask_data("TCZYX")
            names, sizes = image.channel_names, image.physical_pixel_sizes
        except Exception as error:
            raise _damaged(path, error) from error
        if tiles is not None:
            # bioio-lif 2.0 sets tiles side by side, one pixel over the next, wherever the stage was: in real tile scans
            # what two tiles share would be there twice, and its cells counted twice
            raise VsfError(
                f"{path} is a scan of several tiles, which bioio does not put together by where they lie: merge them "
                "in Leica's software and save the merged image"
            )

        def read(t: int, c: int, z: int, rows: slice, columns: slice) -> npt.NDArray[np.generic]:
            with self._lock:
                try:
                    return np.asarray(data[t, c, z, rows, columns].compute(scheduler="synchronous"))
                except Exception as error:
                    raise _damaged(path, error) from error

        return StoredPlanes(
            shape=tuple(map(int, data.shape)),  # type: ignore[arg-type]
            dtype=np.dtype(data.dtype),
            read=read,
            channels=tuple(map(str, names or ())),
            pixel_size_um=_side(path, sizes),
            chunk=(int(data.shape[3]), int(data.shape[4])),
        )


def _side(path: Path, sizes: Any) -> float | None:
    x, y = sizes.X, sizes.Y
    if not x or not y or not math.isfinite(x) or not math.isfinite(y):
        return None
    if abs(x - y) > SAME_SIDES * min(x, y):
        raise VsfError(f"{path} has pixels of {x:g} x {y:g} µm, but only square ones can be measured")
    return float(x)


def _damaged(path: Path, error: Exception) -> VsfError:
    said = " ".join(str(error).split())[:200]
    return VsfError(f"{path} is damaged, or stored in a way that bioio cannot read ({type(error).__name__}: {said})")


COMPONENT = Component(
    name="vendor",
    build=Vendor,
    summary="Opens Zeiss CZI, Nikon ND2 and Leica LIF with bioio (pip install 'vsf-plugins[vendor]').",
)
