"""One OME-TIFF per frame, in uncompressed strips: what plain ImageJ opens, too."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

from vsf_edge.frames import Frame, FrameResult
from vsf_edge.manifest import Manifest
from vsf_edge.recording.placing import counts, place


class TiffImages:
    """The fields and the cells of a recording, as ``fields/000000.ome.tif`` and ``cells/000000.ome.tif``.

    A file in ``cells`` holds an image per cell of that frame. All planes of an image have one type: that of the camera
    where there is no stain, else that of the stains.
    """

    def __init__(self, folder: Path, manifest: Manifest, dtype: str) -> None:
        self._folder = folder
        self._stains = [stain.name for stain in manifest.stains]
        self._use = manifest.intended_use
        self._dtype = np.dtype(dtype)
        self._count = 0
        self._start: float | None = None

    def add_field(self, result: FrameResult) -> tuple[str, int]:
        """Write brightfield [H, W] and, where there are, stains [S, H, W]; gives the folder and the index."""
        frame = result.frame
        if self._start is None:
            self._start = frame.captured
        metadata = self._metadata(frame, f"frame {frame.number}", result.stains is not None)
        stream = io.BytesIO()
        planes = self._planes(frame.pixels, result.stains)
        tifffile.imwrite(stream, planes, ome=True, photometric="minisblack", metadata=metadata)
        place(self._folder / "fields" / f"{self._count:06}.ome.tif", stream.getvalue())
        self._count += 1
        return "fields", self._count - 1

    def add_cells(self, result: FrameResult) -> list[tuple[str, int]]:
        """Write the patches; gives the folder and the index of each: of the file, as of the frame."""
        if not result.cells:
            return []
        stream = io.BytesIO()
        with tifffile.TiffWriter(stream, ome=True) as file:
            for cell in result.cells:
                metadata = self._metadata(result.frame, f"track {cell.track}", True, field=False)
                planes = self._planes(cell.brightfield, cell.stains)
                file.write(planes, photometric="minisblack", metadata=metadata)
        place(self._folder / "cells" / f"{self._count:06}.ome.tif", stream.getvalue())
        return [("cells", self._count)] * len(result.cells)

    def flush(self) -> None:
        """Nothing waits."""

    def _planes(
        self, brightfield: npt.NDArray[np.generic], stains: npt.NDArray[np.float32] | None
    ) -> npt.NDArray[np.generic]:
        if stains is None:
            return brightfield[np.newaxis]
        return np.concatenate(
            [counts(brightfield[np.newaxis].astype(np.float32), self._dtype), counts(stains, self._dtype)]
        )

    def _metadata(self, frame: Frame, name: str, stained: bool, field: bool = True) -> dict[str, Any]:
        channels = ["brightfield", *(self._stains if stained else [])]
        since = frame.captured - (self._start if self._start is not None else frame.captured)
        metadata: dict[str, Any] = {
            "axes": "CYX",
            "Name": name,
            "AcquisitionDate": datetime.fromtimestamp(frame.time, UTC).isoformat(timespec="milliseconds"),
            "Description": f"Recorded by vsf-edge; {self._use}. Counts.",
            "Channel": {"Name": channels},
            "Plane": {"DeltaT": [since] * len(channels), "DeltaTUnit": ["s"] * len(channels)},
        }
        if field and frame.pixel_size_um is not None:
            for axis in "XY":
                metadata |= {f"PhysicalSize{axis}": frame.pixel_size_um, f"PhysicalSize{axis}Unit": "µm"}
        return metadata
