"""At which magnification an image is stained: its pixel size and that of the model compared, where both are known.

A patch of training showed `field_px` pixels of a field, whose side in micrometres the bundle knows. An image of other
pixels shows its cells larger or smaller than any that the model has seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from vsf_edge.calibration import KNOWS_TIFF, is_tiff, pixel_size_of
from vsf_edge.errors import EdgeError
from vsf_edge.images import check_size, content_of, counts_in, fit
from vsf_edge.interfaces import Array
from vsf_edge.manifest import Manifest

Kind: TypeAlias = Literal["cell", "field"]
OtherPixelSize: TypeAlias = Literal["refuse", "resample"]

SAME_WITHIN = 0.01
"""Relative difference of two pixel sizes that calibrations of one microscope show, as `vsf stain` takes it."""

MOST_PIXELS = 1 << 28
"""Of a resampled field: a wrong calibration could ask for any number."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """An image as the model takes it, and what was done for that.

    Attributes
    ----------
    brightfield
        What is written beside the stains: float32 [C, H, W], counts. A field as it is in its file.
    model_input
        What the model is given: `brightfield`, or a field that was resampled.
    scaled
        Height and width of a resampled field in `model_input`, which may be larger; None where it was not.
    pixel_size_um
        Of `brightfield`; None where the image does not say its own.
    note
        Both pixel sizes, and what was done.
    """

    brightfield: Array
    model_input: Array
    scaled: tuple[int, int] | None = None
    pixel_size_um: float | None = None
    note: str

    def at_its_size(self, stains: Array) -> Array:
        """Give the `stains` [S, h, w] of `model_input` as those of `brightfield`."""
        if self.scaled is None:
            return stains
        height, width = self.brightfield.shape[1:]
        return np.stack([_resized(stain[: self.scaled[0], : self.scaled[1]], height, width) for stain in stains])


def prepare(
    path: Path, manifest: Manifest, kind: Kind, other: OtherPixelSize, pixel_size_um: float | None = None
) -> Prepared:
    """Read an image, and bring it to the magnification of training where that is asked for.

    Parameters
    ----------
    kind
        ``cell``: a square crop of one cell, resized to the patch. ``field``: an image of many.
    other
        What becomes of an image whose pixels are not those of training. Resampled, the middle of a crop is cut out, as
        much as a patch of training showed; a field is resized, stained, and its stains are resized back.
    pixel_size_um
        Of the image, in the place of what it says itself.

    Raises
    ------
    EdgeError
        When it cannot be read, is not of the kind that the model takes, or its pixel size is another.
    """
    content = content_of(path)
    pages = counts_in(content, path, manifest)
    size, said = pixel_size_um or pixel_size_of(content.tobytes()), ""
    if size is None and is_tiff(content[:4].tobytes()) and not KNOWS_TIFF:
        said = " (pip install 'vsf-edge[ome]' to have it read)"
    sizes = f"image {_um(size)}{said}, training fields {_um(manifest.pixel_size_um)} per pixel"
    if kind == "cell":
        return _cell(path, manifest, pages, size, other, sizes)
    return _field(path, manifest, pages, size, other, sizes)


def _cell(
    path: Path,
    manifest: Manifest,
    pages: list[npt.NDArray[np.generic]],
    size: float | None,
    other: OtherPixelSize,
    sizes: str,
) -> Prepared:
    height, width = pages[0].shape
    patch, trained = manifest.patch_size, _trained(manifest)
    note = f"Taken as it is, uncompared; {sizes}."
    if size is not None and trained is not None and patch is not None and height == width:
        shown, wanted = size * width, trained * patch
        note = f"Taken as it is; {sizes}."
        if not _same(shown, wanted):
            side = max(1, round(wanted / size))
            if other == "refuse":
                raise EdgeError(
                    f"{path} shows {shown:.3g} µm and a patch of this model {wanted:.3g} µm (pixels of {size:g} µm, "
                    f"trained on {manifest.pixel_size_um:g} µm): cut crops of {side} px, or have their middle taken "
                    "(--other-pixel-size resample)"
                )
            if side > width:
                raise EdgeError(
                    f"{path} shows {shown:.3g} µm and a patch of this model {wanted:.3g} µm: cut crops of {side} px"
                )
            start = (width - side) // 2
            pages = [page[start : start + side, start : start + side] for page in pages]
            note = f"Resampled from the middle {side} of {width} px; {sizes}."
            width = side
    brightfield = np.stack([fit(page, manifest, path) for page in pages]).astype(np.float32)
    check_size(brightfield.shape[1:], manifest, path)
    own = None if size is None else size * width / brightfield.shape[2]
    return Prepared(brightfield=brightfield, model_input=brightfield, pixel_size_um=own, note=note)


def _field(
    path: Path,
    manifest: Manifest,
    pages: list[npt.NDArray[np.generic]],
    size: float | None,
    other: OtherPixelSize,
    sizes: str,
) -> Prepared:
    brightfield = np.stack(pages).astype(np.float32)
    usual, trained = _usual_scale(manifest), _trained(manifest)
    scale, compared = usual, ", uncompared"
    if size is not None and trained is not None:
        scale, compared = size / trained, ""
        if _same(scale, usual):
            scale = usual
        elif other == "refuse":
            raise EdgeError(
                f"{path} has pixels of {size:g} µm and this model was trained on fields of "
                f"{manifest.pixel_size_um:g} µm: have it resampled (--other-pixel-size resample), or say its true "
                "pixel size (--pixel-size)"
            )
    if scale == 1:
        check_size(brightfield.shape[1:], manifest, path)
        note = f"Taken as it is{compared}; {sizes}."
        return Prepared(brightfield=brightfield, model_input=brightfield, pixel_size_um=size, note=note)
    height, width = (max(1, round(length * scale)) for length in brightfield.shape[1:])
    missing = [-length % manifest.stride for length in (height, width)]
    check_size((height + missing[0], width + missing[1]), manifest, path)
    if height * width > MOST_PIXELS:
        raise EdgeError(
            f"{path} would be resampled to {width} x {height} px, more than fit at once ({sizes}): cut it, or say its "
            "true pixel size (--pixel-size)"
        )
    resized = np.stack([_resized(plane, height, width) for plane in brightfield])
    padded = np.pad(resized, ((0, 0), (0, missing[0]), (0, missing[1])), mode="edge")
    return Prepared(
        brightfield=brightfield,
        model_input=padded,
        scaled=(height, width),
        pixel_size_um=size,
        note=f"Resampled by {scale:.4g} to be stained{compared}; {sizes}.",
    )


def _usual_scale(manifest: Manifest) -> float:
    """Give the pixels of a training patch per pixel of the field that it was cut from."""
    if manifest.field_px is None or manifest.patch_size is None:
        return 1.0
    return manifest.patch_size / manifest.field_px


def _trained(manifest: Manifest) -> float | None:
    """Give the side of a pixel of a training patch in micrometres; None where the bundle does not say."""
    return None if manifest.pixel_size_um is None else manifest.pixel_size_um / _usual_scale(manifest)


def _same(one: float, other: float) -> bool:
    return abs(one - other) <= SAME_WITHIN * min(one, other)


def _resized(plane: npt.NDArray[np.generic], height: int, width: int) -> Array:
    """Resize as `fit` does: area-averaged when it shrinks, bilinear when it grows."""
    method = cv2.INTER_AREA if height < plane.shape[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(plane.astype(np.float32), (width, height), interpolation=method))


def _um(size: float | None) -> str:
    return "unknown" if size is None else f"{size:g} µm"
