"""Stains one image at a time: a crop of one cell with its quantities, or a field of any size in tiles."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from vsf_edge.bundle import Bundle
from vsf_edge.calibration import pixel_size_of, pixels_of
from vsf_edge.errors import EdgeError
from vsf_edge.halo_tiling import HaloTiling, field_tiling
from vsf_edge.images import check_counts, counts_in, fit
from vsf_edge.interfaces import Array, Session
from vsf_edge.judging import Judgement, trust_judge
from vsf_edge.tiling import Tiling

Kind: TypeAlias = Literal["cell", "field"]

MOST_AT_ONCE = 16
MOST_PIXELS = 1 << 26


@dataclass(frozen=True, kw_only=True)
class Stained:
    """One stained image.

    Attributes
    ----------
    brightfield
        float32 [C, H, W], counts: a field as it was sent, a cell resized to the model's patch.
    stains
        float32 [S, H, W], counts.
    pixel_size_um
        Of these planes; None where the file did not say.
    quantities
        By name, of a cell; NaN where none may be given. Empty for a field, which holds many cells.
    judgement
        Why there is none, and the ends of the intervals.
    """

    brightfield: Array
    stains: Array
    pixel_size_um: float | None
    quantities: Mapping[str, float]
    judgement: Judgement


class ImageStaining:
    """Stains images with `bundle`, which `session` runs; may be called from several threads.

    Raises
    ------
    EdgeError
        When the trust table of the bundle cannot be used here.
    """

    def __init__(self, bundle: Bundle, session: Session) -> None:
        self.manifest = bundle.manifest
        self._session = session
        self._judge = trust_judge(bundle)
        self._one = threading.Lock()

    def stain(self, content: bytes, name: str, kind: Kind, field_px: int | None = None) -> Stained:
        """Stain the image file with these bytes.

        Parameters
        ----------
        name
            What the image is called in an error.
        kind
            What it shows.
        field_px
            Side of the part of a field that one training patch showed, in pixels; None for what the bundle says,
            scaled where the bundle and the file both say how large a pixel is.

        Raises
        ------
        EdgeError
            When it cannot be read, or is not of the kind that the model takes.
        """
        self._limit(pixels_of(content), name)
        pages = counts_in(np.frombuffer(content, np.uint8), name, self.manifest)
        return self.stain_planes(pages, name, kind, pixel_size_of(content), field_px)

    def stain_planes(
        self,
        pages: list[npt.NDArray[np.generic]],
        name: str,
        kind: Kind,
        size: float | None = None,
        field_px: int | None = None,
    ) -> Stained:
        """Stain brightfield planes [H, W] in counts, with pixels of `size` micrometres; else as `stain`."""
        check_counts(pages, name, self.manifest)
        height, width = pages[0].shape
        self._limit(height * width, name)
        with self._one:
            if kind == "field":
                return self._field(pages, name, size, field_px)
            return self._cell(pages, name, size)

    def _cell(self, pages: list[npt.NDArray[np.generic]], name: str, size: float | None) -> Stained:
        before = pages[0].shape[1]
        brightfield = np.stack([fit(page, self.manifest, name) for page in pages]).astype(np.float32)
        self._check(brightfield, name)
        outputs = self._session.run(brightfield[np.newaxis])
        quantities = {item.name: float(outputs[item.output][0]) for item in self.manifest.quantities}
        judgement = self._judge(brightfield, quantities) if self._judge else Judgement()
        if judgement.abstained:
            quantities = dict.fromkeys(quantities, np.nan)
        return Stained(
            brightfield=brightfield,
            stains=outputs[self.manifest.stains_output][0],
            pixel_size_um=None if size is None else size * before / brightfield.shape[2],
            quantities=quantities,
            judgement=judgement,
        )

    def _field(
        self, pages: list[npt.NDArray[np.generic]], name: str, size: float | None, field_px: int | None
    ) -> Stained:
        patch = self.manifest.patch_size
        if len(pages) != 1 or patch is None:
            raise EdgeError(f"{name} cannot be stained as a field: the model takes no single square patches")
        field = pages[0].astype(np.float32)
        height, width = field.shape
        tiling = field_tiling(self.manifest, height, width, field_px or self._field_px(size, patch))
        return Stained(
            brightfield=field[np.newaxis],
            stains=tiling.blend(self._tiles(field, tiling)),
            pixel_size_um=size,
            quantities={},
            judgement=Judgement(),
        )

    def _field_px(self, size: float | None, patch: int) -> int:
        """Give how many pixels of `size` micrometres show what a training patch showed."""
        trained = self.manifest.field_px or patch
        if size is None or self.manifest.pixel_size_um is None:
            return trained
        return max(8, round(trained * self.manifest.pixel_size_um / size))

    def _tiles(self, field: Array, tiling: Tiling | HaloTiling) -> Iterator[Array]:
        padded = tiling.padded(field)
        most = 1 if isinstance(tiling, HaloTiling) else min(MOST_AT_ONCE, self.manifest.max_batch or MOST_AT_ONCE)
        for first in range(0, len(tiling), most):
            tiles = np.empty((min(most, len(tiling) - first), 1, *tiling.part), np.float32)
            tiling.cut(padded, tiles, first)
            stains = self._session.run(tiles)[self.manifest.stains_output]
            yield from map(tiling.shrunk, stains, range(first, first + most))

    def _limit(self, pixels: int, name: str) -> None:
        if pixels > MOST_PIXELS:
            raise EdgeError(f"{name} has {pixels >> 20} megapixels and {MOST_PIXELS >> 20} are taken: cut it")

    def _check(self, brightfield: Array, name: str) -> None:
        _, height, width = brightfield.shape
        for length, wanted in ((height, self.manifest.height), (width, self.manifest.width)):
            if (wanted is not None and length != wanted) or length % self.manifest.stride:
                raise EdgeError(f"{name} is {width} x {height} px and no square crop of a cell: stain it as a field")
