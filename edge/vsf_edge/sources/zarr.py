"""Time series in OME-Zarr as frames, own recordings too: ``--source zarr:FOLDER.ome.zarr``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vsf_edge.errors import CorruptFrameError, EdgeError, EdgeUsageError, SourceEndError, brief
from vsf_edge.frames import Frame
from vsf_edge.settings import read_settings, setting
from vsf_edge.sources.image_files import BIT_DEPTH_TEXT, PIXEL_SIZE_TEXT, Pace, frame_of

_MICROMETRES = {"micrometer": 1.0, "nanometer": 1e-3, "millimeter": 1e3}
_BRIGHTFIELD = ("brightfield", "bf", "transmitted")


@dataclass(frozen=True, kw_only=True)
class ZarrSettings:
    """What can be set about a time series in OME-Zarr."""

    channel: str = setting("", "Name or number (from 0) of the channel; empty takes the one called brightfield, or 0.")
    fps: float = setting(0.0, "Frames per second; 0 gives them as fast as they are taken.", low=0, high=1000)
    loop: bool = setting(False, "Begin again after the last one, without end.")
    bit_depth: int = setting(0, BIT_DEPTH_TEXT, low=0, high=16)
    pixel_size_um: float = setting(0.0, f"{PIXEL_SIZE_TEXT[:-1]}, or stands in the file.", low=0, high=1000)


class Zarr:
    """A time series in Zarr; a source of kind ``zarr``.

    ADDRESS is the folder of an OME-Zarr image (0.4 or 0.5; the largest of its resolutions is read), of a recording that
    ``vsf-edge live --record`` wrote, or of a plain array [T, Y, X]. Frames are read one by one, so that a series may be
    larger than the memory. Every axis but channel, y and x is gone through in order.
    """

    settings = ZarrSettings

    def __init__(self, address: str = "", **given: object) -> None:
        self._set = read_settings(ZarrSettings, given, "source zarr")
        self._address = address
        self._series: _Series | None = None
        self._next, self._number = 0, 0
        self._good = False
        self._pace = Pace(self._set.fps)

    @property
    def live(self) -> bool:
        """False: files wait."""
        return False

    def open(self) -> None:
        """Read what the image is made of."""
        if not self._address:
            raise EdgeUsageError("source zarr needs the folder of an image: --source zarr:FOLDER.ome.zarr")
        self._series = _Series(Path(self._address), self._set.channel)
        self._next, self._number, self._good = 0, 0, False
        self._pace = Pace(self._set.fps)

    def read(self, timeout: float) -> Frame | None:
        """Give the next frame."""
        assert self._series is not None, "open comes first"
        if self._next == self._series.count:
            if not (self._set.loop and self._good):  # a round in which nothing could be read is the last
                raise SourceEndError(f"all {self._series.count} frames of {self._address} are done")
            self._next, self._good = 0, False
        if not self._pace.wait(timeout):
            return None
        index = self._next
        self._next += 1
        pixels = self._series.read(index)
        frame = frame_of(
            pixels,
            self._number,
            bit_depth=self._set.bit_depth,
            pixel_size_um=self._set.pixel_size_um or self._series.pixel_size_um,
            file=self._address,
            index=index,
        )
        self._number += 1
        self._good = True
        return frame

    def close(self) -> None:
        """Let the image go."""
        self._series = None

    def lost(self) -> int:
        """Give 0: files wait."""
        return 0


class _Series:
    """An image whose planes are read by one number."""

    def __init__(self, path: Path, channel: str) -> None:
        try:
            import zarr
        except ImportError as error:
            raise EdgeUsageError(
                f"source zarr needs the library zarr ({error}): pip install 'vsf-edge[record]'"
            ) from error
        if not path.exists():
            raise EdgeUsageError(f"there is no image {path}")
        recorded = path / "fields" / "brightfield.ome.zarr"
        path = recorded if recorded.is_dir() else path
        self._path = path
        try:
            opened: Any = zarr.open(str(path), mode="r")
            if isinstance(opened, zarr.Group):
                attributes: dict[str, Any] = dict(opened.attrs)
                ome: dict[str, Any] = attributes.get("ome", attributes)
                multiscale = ome["multiscales"][0]
                self._array: Any = opened[multiscale["datasets"][0]["path"]]
                axes = [str(axis["name"] if isinstance(axis, Mapping) else axis) for axis in multiscale["axes"]]
                labels = [str(item.get("label", "")) for item in ome.get("omero", {}).get("channels", [])]
                self.pixel_size_um = _pixel_size(multiscale)
            else:
                self._array, labels, self.pixel_size_um = opened, [], 0.0
                axes = [*["t", "z", "c"][: opened.ndim - 2], "y", "x"]
        except Exception as error:  # zarr raises many kinds
            raise EdgeUsageError(
                f"{path} is no image in OME-Zarr ({type(error).__name__}: {brief(error)}): give the folder that holds "
                "zarr.json or .zattrs with multiscales"
            ) from error
        if len(axes) != self._array.ndim or axes[-2:] != ["y", "x"]:
            raise EdgeUsageError(f"{path} has the axes {', '.join(axes)}; the last two must be y and x")
        if self._array.dtype not in (np.uint8, np.uint16):
            raise EdgeUsageError(f"{path} holds {self._array.dtype} pixels and a camera gives uint8 or uint16")
        self._axes = axes
        self._channel = _channel(channel, labels, self._array.shape[axes.index("c")], path) if "c" in axes else 0
        self._steps = [length for axis, length in zip(axes, self._array.shape, strict=True) if axis not in "cyx"]
        self.count = math.prod(self._steps)

    def read(self, index: int) -> Any:
        """Read one plane [H, W]; a damaged chunk is a `CorruptFrameError`; one that was never written is 0."""
        steps = iter(np.unravel_index(index, self._steps) if self._steps else ())
        where = tuple(self._channel if axis == "c" else int(next(steps)) for axis in self._axes[:-2])
        try:
            return np.ascontiguousarray(self._array[where])
        except FileNotFoundError as error:
            raise EdgeError(f"{self._path} is gone ({brief(error)})") from error
        except Exception as error:  # what a codec raises on damaged chunks is its own affair
            raise CorruptFrameError(f"frame {index} of {self._path} cannot be read ({brief(error)})") from error


def _pixel_size(multiscale: Mapping[str, Any]) -> float:
    """Give micrometres per pixel along x, 0 where it is not known."""
    axis = multiscale["axes"][-1]
    unit = _MICROMETRES.get(str(axis.get("unit", "")), 0.0) if isinstance(axis, Mapping) else 0.0
    for transformation in multiscale["datasets"][0].get("coordinateTransformations", []):
        if transformation.get("type") == "scale":
            return float(transformation["scale"][-1]) * unit
    return 0.0


def _channel(wanted: str, labels: Sequence[str], count: int, path: Path) -> int:
    lower = [label.lower() for label in labels]
    if wanted.lower() in lower and wanted:
        return lower.index(wanted.lower())
    if wanted.isdecimal() and int(wanted) < count:
        return int(wanted)
    if wanted:
        names = ", ".join(filter(None, labels)) or "no names"
        raise EdgeUsageError(f"{path} has no channel {wanted!r}; it has {names} (0 to {count - 1})")
    return next((lower.index(name) for name in _BRIGHTFIELD if name in lower), 0)
