"""The planes of a grey TIFF, read strip by strip or tile by tile, so that a large one never has to fit in memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
import tifffile

from vsframework.errors import VsfError
from vsframework.images.directories import truncated

# libtiff decodes these: the LZW decoder that tifffile calls (imagecodecs 2026.3.6) follows a damaged code after a clear
# code as an address and ends the process
LIBTIFF = {tifffile.COMPRESSION.LZW, tifffile.COMPRESSION.PACKBITS}


@dataclass(frozen=True)
class _Page:
    """Where the segments of one plane lie, and in which file of a set."""

    path: Path
    index: int
    offsets: tuple[int, ...]
    counts: tuple[int, ...]


def file_of(path: Path, tiff: Any, page: Any) -> Path:
    """Give the file that holds `page` of the image in `path`: of a set, another one in its folder."""
    return path if page.parent is tiff else path.with_name(page.parent.filehandle.name)


class TiffPlanes:
    """Reads parts of the planes of one series; made while the file is open, used after it was closed.

    Parameters
    ----------
    series
        Of tifffile: grey, checked to be whole.
    """

    def __init__(self, path: Path, tiff: Any, series: Any) -> None:
        page = series.keyframe
        sizes = dict(zip(series.get_axes(False), series.get_shape(False), strict=True))
        self.height, self.width = int(sizes["Y"]), int(sizes["X"])
        whole_pages = (self.height, self.width) == (page.imagelength, page.imagewidth)
        if not whole_pages and series.dataoffset is None:  # tifffile writes planes one pixel wide as one page
            raise VsfError(f"{path} stores several planes in one page: save it with one page per plane")
        self.chunk: tuple[int, int] = (self.height, self.width)
        if whole_pages and len(page.chunks) > 1:
            self.chunk = tuple(page.chunks[-2:])
        self._path = file_of(path, tiff, page)
        self._dtype = np.dtype(page.dtype).newbyteorder(tiff.byteorder)
        self._contiguous: int | None = series.dataoffset
        self._libtiff = page.compression in LIBTIFF
        self._decode = page.decode
        self._tables = page.jpegtables
        self._pages: list[_Page] = []
        self._whole: tuple[int, npt.NDArray[np.generic]] | None = None  # the plane that libtiff decoded last
        if self._contiguous is None:
            self._pages = [
                _Page(
                    file_of(path, tiff, item),
                    item.index,
                    tuple(item.dataoffsets),
                    tuple(item.databytecounts),
                )
                for item in series.pages
            ]

    def read(self, plane: int, rows: slice, columns: slice) -> npt.NDArray[np.generic]:
        """Read a part [h, w] of the plane of this number, in the order of the file."""
        if self._contiguous is not None:
            return self._read_rows(self._path, self._contiguous + plane * self._plane_bytes, rows)[:, columns]
        page = self._pages[plane]
        if self._libtiff:
            return self._libtiff_plane(plane, page)[rows, columns]
        return self._read_segments(page, rows, columns)

    @property
    def _plane_bytes(self) -> int:
        return self.height * self.width * int(self._dtype.itemsize)

    def _read_rows(self, path: Path, offset: int, rows: slice) -> npt.NDArray[np.generic]:
        # not mapped into memory: a file that shrinks meanwhile would end the process
        count = (rows.stop - rows.start) * self.width
        start = offset + rows.start * self.width * self._dtype.itemsize
        read = np.fromfile(path, self._dtype, count=count, offset=start)
        if read.size != count:
            raise truncated(path)
        return read.reshape(-1, self.width)

    def _libtiff_plane(self, plane: int, page: _Page) -> npt.NDArray[np.generic]:
        cached = self._whole
        if cached is None or cached[0] != plane:
            decoded = imagecodecs.tiff_decode(page.path.read_bytes(), index=page.index)
            decoded = decoded[..., 0] if decoded.ndim == 3 and decoded.shape[-1] == 1 else decoded
            if decoded.shape != (self.height, self.width):
                raise truncated(page.path)
            cached = self._whole = (plane, decoded)
        return cached[1]

    def _read_segments(self, page: _Page, rows: slice, columns: slice) -> npt.NDArray[np.generic]:
        high, wide = self.chunk
        across = -(-self.width // wide)
        out = np.empty((rows.stop - rows.start, columns.stop - columns.start), self._dtype.newbyteorder("="))
        with page.path.open("rb") as file:
            for down in range(rows.start // high, (rows.stop - 1) // high + 1):
                for right in range(columns.start // wide, (columns.stop - 1) // wide + 1):
                    top, left = down * high, right * wide
                    part = self._segment(page, file, down * across + right)
                    bottom, end = min(top + high, self.height), min(left + wide, self.width)
                    if part.shape[0] < bottom - top or part.shape[1] < end - left:
                        raise truncated(page.path)
                    y0, y1 = max(top, rows.start), min(bottom, rows.stop)
                    x0, x1 = max(left, columns.start), min(end, columns.stop)
                    out[y0 - rows.start : y1 - rows.start, x0 - columns.start : x1 - columns.start] = part[
                        y0 - top : y1 - top, x0 - left : x1 - left
                    ]
        return out

    def _segment(self, page: _Page, file: Any, index: int) -> npt.NDArray[np.generic]:
        file.seek(page.offsets[index])
        data = file.read(page.counts[index])
        if len(data) != page.counts[index]:
            raise truncated(page.path)
        decoded, _, _ = self._decode(data, index, jpegtables=self._tables)
        if decoded is None or decoded.ndim != 4 or decoded.shape[0] != 1 or decoded.shape[3] != 1:
            raise truncated(page.path)
        if decoded.dtype.newbyteorder("=") != self._dtype.newbyteorder("="):
            raise VsfError(f"{page.path} holds other samples than it describes: it is damaged, copy it again")
        segment: npt.NDArray[np.generic] = decoded[0, :, :, 0]
        return segment
