"""Stained images as TIFFs for other programs: ImageJ's own kind, and OME."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import tifffile

from vsf_edge.display import colours
from vsf_edge.manifest import Manifest
from vsf_edge.recording.placing import counts
from vsf_edge.service.staining import Stained


def channel_names(stained: Stained, manifest: Manifest) -> list[str]:
    """Name the planes of brightfield and stains in order."""
    planes = ["brightfield", *(f"brightfield {index}" for index in range(2, len(stained.brightfield) + 1))]
    return [*planes, *(stain.name for stain in manifest.stains)]


def imagej_tiff(stained: Stained, manifest: Manifest, dtype: str, info: str) -> bytes:
    """Give a TIFF that ImageJ opens as a calibrated composite; `info` is what Image > Show Info says.

    A stain is shown from 0 to its largest count, so that its black is no stain; brightfield from its smallest to its
    largest.
    """
    names = channel_names(stained, manifest)
    planes = _planes(stained, dtype)
    dark = len(stained.brightfield)
    ranges = [
        limit
        for index, plane in enumerate(planes)
        for limit in _range(0.0 if index >= dark else float(plane.min()), float(plane.max()))
    ]
    metadata: dict[str, Any] = {
        "axes": "TZCYXS",
        "mode": "composite",
        "Labels": names,
        "Ranges": ranges,
        "LUTs": [_ramp(colour) for colour in colours(names)],
        "Info": info,
    }
    options: dict[str, Any] = {}
    if stained.pixel_size_um is not None:
        metadata["unit"] = "um"
        options["resolution"] = (1 / stained.pixel_size_um, 1 / stained.pixel_size_um)
    stream = io.BytesIO()
    # all six axes: with fewer, tifffile takes narrow channels for RGB samples
    tifffile.imwrite(stream, planes[None, None, ..., None], imagej=True, metadata=metadata, **options)
    return stream.getvalue()


def ome_tiff(stained: Stained, manifest: Manifest, dtype: str, info: str) -> bytes:
    """Give an OME-TIFF in uncompressed strips; `info` is its description."""
    metadata: dict[str, Any] = {
        "axes": "CYX",
        "Channel": {"Name": channel_names(stained, manifest)},
        "Description": info,
    }
    if stained.pixel_size_um is not None:
        for axis in "XY":
            metadata |= {f"PhysicalSize{axis}": stained.pixel_size_um, f"PhysicalSize{axis}Unit": "µm"}
    stream = io.BytesIO()
    tifffile.imwrite(stream, _planes(stained, dtype), ome=True, photometric="minisblack", metadata=metadata)
    return stream.getvalue()


def _planes(stained: Stained, dtype: str) -> Any:
    return counts(np.concatenate([stained.brightfield, stained.stains]), np.dtype(dtype))


def _range(low: float, high: float) -> tuple[float, float]:
    return low, high if high > low else low + 1


def _ramp(colour: tuple[int, int, int]) -> Any:
    ramp = np.arange(256)
    return np.stack([ramp * part // 255 for part in colour]).astype(np.uint8)
