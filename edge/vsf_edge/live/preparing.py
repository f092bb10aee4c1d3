"""First stage: finds the heads of a frame and cuts their patches, and says how the field is tiled."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np

from vsf_edge.cropping import crop
from vsf_edge.errors import EdgeUsageError, brief
from vsf_edge.frames import Frame, Mode
from vsf_edge.halo_tiling import HaloTiling, field_tiling
from vsf_edge.interfaces import Detector
from vsf_edge.live.notices import Notices
from vsf_edge.live.work import Work
from vsf_edge.manifest import Manifest
from vsf_edge.tiling import Tiling

HEAD_SHARE = 1 / 1.5
"""Length of a head in parts of `field_px`: 100 of 150 pixels in McCallum et al. 2019."""

SAME_SCALE = 0.02
"""Pixel sizes that differ by no more than this share are the same."""


class Preparing:
    """Detects and cuts.

    Parameters
    ----------
    make_detector
        Builds the detector for heads of a length in pixels.

    Raises
    ------
    EdgeUsageError
        When the bundle does not say how cells are cut, or wants more than one plane.
    """

    def __init__(
        self, manifest: Manifest, make_detector: Callable[[float], Detector], mode: Mode, notices: Notices, name: str
    ) -> None:
        if manifest.field_px is None or manifest.patch_size is None:
            raise EdgeUsageError(
                f"{name} does not say how a cell is cut out of a field: export it again with this version"
            )
        if manifest.in_channels != 1:
            raise EdgeUsageError(
                f"{name} takes {manifest.in_channels} planes of focus, and a camera gives one: use 'run'"
            )
        self._manifest, self._mode, self._notices = manifest, mode, notices
        self._size, self._make = manifest.patch_size, make_detector
        self._field_px = self._trained_px = manifest.field_px
        self._detector = make_detector(self._field_px * HEAD_SHARE)
        self._pixel_size: float | None = manifest.pixel_size_um
        self._tiling: Tiling | HaloTiling | None = None

    def __call__(self, work: Work) -> None:
        """Fill in heads, patches and tiles; `Work.problem` where the model does not fit the frame."""
        frame = work.frame
        if frame.pixel_size_um != self._pixel_size:
            self._scale(frame)
        try:
            with work.timed("detect"):
                work.heads = sorted(self._detector.detect(frame.pixels), key=lambda head: (head.y, head.x))
            with work.timed("crop"):
                work.patches = crop(frame.pixels, work.heads, self._field_px, self._size)
            work.problem = depth_problem(frame, self._manifest)
            if self._mode == "field" and not work.problem:
                work.tiling = self._tiles(*frame.pixels.shape)
        except Exception as error:  # a plugin, or a frame of a shape that nobody thought of
            work.heads, work.patches, work.tiling = (), None, None
            work.problem = f"its cells could not be cut out ({type(error).__name__}: {brief(error)})"
            self._notices.tell("error", "detector-failed", work.problem)

    def _scale(self, frame: Frame) -> None:
        """Take a pixel size that is not the last one: cut larger or smaller squares where both sides know theirs."""
        self._pixel_size = frame.pixel_size_um
        trained, here = self._manifest.pixel_size_um, frame.pixel_size_um
        scale = trained / here if trained and here else 1.0
        field_px = self._trained_px if abs(scale - 1) <= SAME_SCALE else max(8, round(self._trained_px * scale))
        if field_px == self._field_px:
            return
        if self._mode == "field" and field_px != self._trained_px:
            raise EdgeUsageError(
                f"the camera's pixels are {here:g} um and the model was trained on {trained:g} um, so a whole field "
                "cannot be stained as it is: use --mode cells, which scales each cell"
            )
        self._field_px = field_px
        self._detector = self._make(field_px * HEAD_SHARE)
        self._notices.tell(
            "warning",
            "pixel-size",
            f"the camera's pixels are {here or 0:g} um and the model was trained on {trained or 0:g} um: cells are cut "
            f"{field_px} pixels wide instead of {self._trained_px}",
        )

    def _tiles(self, height: int, width: int) -> Tiling | HaloTiling:
        if self._tiling is None or self._tiling.shape != (height, width):
            self._tiling = field_tiling(self._manifest, height, width, self._field_px, os.cpu_count() or 1)
        return self._tiling


def depth_problem(frame: Frame, manifest: Manifest) -> str:
    """Say why counts of `frame` mean something else to the model; empty where they do not."""
    most = 2**frame.bit_depth - 1
    if most == manifest.input_full_scale:
        return ""
    bits = np.log2(manifest.input_full_scale + 1)
    return (
        f"the camera gives {frame.bit_depth} bits and the model was trained on {bits:g}: set the camera to {bits:g} "
        "bits, or use a model that was trained on such images"
    )
