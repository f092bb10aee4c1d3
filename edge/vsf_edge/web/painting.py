"""Paints the pictures of one frame: brightfield, stains in their place, small stains of every cell, and crops.

Of stains, the first is in the green channel of a picture, the second in the red, a third in the blue: the page makes
whatever colours the user wants of them. Everything is encoded once, whoever looks on.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from vsf_edge.errors import EdgeError
from vsf_edge.frames import FrameResult, LiveCell
from vsf_edge.manifest import Manifest
from vsf_edge.web.levels import Levels
from vsf_edge.web.messages import Picture
from vsf_edge.web.placing import Reduction, put_back

CHANNEL_OF_STAIN = (1, 2, 0)
"""In blue, green, red, as OpenCV has them."""

CHANNELS = 4
"""Of a picture of stains: the fourth is empty, because OpenCV turns four in two thirds of the time of three."""

QUALITY = 82
MOST_LISTED = 100
"""Cells of one frame that are listed; all are outlined."""

THUMBNAIL, COLUMNS = 64, 10
CROP = 256

_FULL_COLOUR = (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)

Image = npt.NDArray[np.uint8]


class Painter:
    """Paints frames one after the other; for one thread.

    Parameters
    ----------
    manifest
        Of the bundle.
    side
        Pictures are at most this wide and high.
    """

    def __init__(self, manifest: Manifest, side: int) -> None:
        self._side = side
        self._crop_side = manifest.field_px
        self.brightfield = Levels((0.2, 99.8), least=8)
        shown = manifest.stains[: len(CHANNEL_OF_STAIN)]
        self.stains = [Levels((25, 99.8), least=stain.full_scale / 64) for stain in shown]

    def reduction(self, result: FrameResult) -> Reduction:
        """Give how the pictures of `result` are smaller than its frame."""
        height, width = result.frame.pixels.shape
        return Reduction.to_fit((height, width), self._side)

    def paint(self, result: FrameResult, selected: Collection[int]) -> list[Picture]:
        """Paint all pictures of `result`, with the crops of the tracks in `selected`."""
        brightfield, stains, cells = self.fields(result)
        height, width = brightfield.shape
        pictures = [
            Picture(name="brightfield", width=width, height=height, jpeg=jpeg(brightfield)),
            Picture(name="stains", width=width, height=height, jpeg=jpeg(stains)),
        ]
        if result.cells:
            pictures.append(self._thumbnails(cells[:MOST_LISTED]))
        for cell in result.cells:
            if cell.track in selected:
                pictures += self._crops(cell)
        return pictures

    def fields(self, result: FrameResult) -> tuple[Image, Image, list[Image]]:
        """Give brightfield [h, w] and stains [h, w, 4] of the frame as shown, and small stains of every cell."""
        reduction = self.reduction(result)
        small = reduction.apply(result.frame.pixels)
        self.brightfield.follow(small[::8, ::8])
        self._follow(result)
        pictures = [self.stain_picture(cell.stains, self._finer(cell, reduction)) for cell in result.cells]
        if result.stains is not None:
            canvas = self._coloured(
                [
                    levels.apply(reduction.apply(plane))
                    for levels, plane in zip(self.stains, result.stains, strict=False)
                ]
            )
        else:
            canvas = np.zeros((reduction.height, reduction.width, CHANNELS), np.uint8)
            for cell, picture in zip(result.cells, pictures, strict=True):
                put_back(canvas, picture, cell.detection, reduction, self._side_of(cell))
        return self.brightfield.apply(small), canvas, pictures

    def stain_picture(self, stains: npt.NDArray[np.float32], finer: int = 1) -> Image:
        """Give stains [S, H, W] as one picture [h, w, 4] whose pixels are `finer` x `finer` of theirs."""
        smaller = Reduction.by(stains.shape[1:], finer)
        planes = [levels.apply(plane) for levels, plane in zip(self.stains, stains, strict=False)]
        return self._coloured([np.asarray(smaller.apply(plane), np.uint8) for plane in planes])

    def _coloured(self, planes: Sequence[Image]) -> Image:
        """Put the shown stains [h, w] into their channels."""
        channels = [np.zeros_like(planes[0])] * CHANNELS
        for channel, plane in zip(CHANNEL_OF_STAIN, planes, strict=False):
            channels[channel] = plane
        return np.asarray(cv2.merge(channels), np.uint8)

    def _side_of(self, cell: LiveCell) -> float:
        """Give the side of the square that the cell was cut from, in pixels of the frame."""
        return float(self._crop_side or cell.brightfield.shape[-1])

    def _finer(self, cell: LiveCell, reduction: Reduction) -> int:
        """Give how many times finer the stains of a cell are than the picture of the frame: less to paint."""
        finer: float = cell.stains.shape[-1] * reduction.factor / self._side_of(cell)
        return max(1, math.ceil(0.9 * finer))

    def _follow(self, result: FrameResult) -> None:
        for stain, levels in enumerate(self.stains):
            if result.stains is not None:
                levels.follow(result.stains[stain, ::8, ::8])
            elif result.cells:
                step = max(1, result.cells[0].stains.shape[-1] // 32)
                levels.follow(np.concatenate([cell.stains[stain, ::step, ::step].ravel() for cell in result.cells]))

    def _thumbnails(self, pictures: Sequence[Image]) -> Picture:
        columns = min(COLUMNS, len(pictures))
        rows = -(-len(pictures) // columns)
        sheet = np.zeros((rows * THUMBNAIL, columns * THUMBNAIL, CHANNELS), np.uint8)
        for index, picture in enumerate(pictures):
            top, left = index // columns * THUMBNAIL, index % columns * THUMBNAIL
            small = cv2.resize(picture, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
            sheet[top : top + THUMBNAIL, left : left + THUMBNAIL] = small
        return Picture(name="thumbnails", width=sheet.shape[1], height=sheet.shape[0], jpeg=jpeg(sheet))

    def _crops(self, cell: LiveCell) -> list[Picture]:
        patch = np.squeeze(cell.brightfield)
        if patch.ndim == 3:
            patch = patch[0]
        shown = {
            "cell-brightfield": self.brightfield.apply(patch),
            "cell-stains": self.stain_picture(cell.stains),
        }
        pictures = []
        for name, picture in shown.items():
            height, width = picture.shape[:2]
            if max(height, width) > CROP:
                factor = CROP / max(height, width)
                width, height = round(width * factor), round(height * factor)
                picture = np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
            pictures.append(
                Picture(name=name, width=width, height=height, jpeg=jpeg(picture, _FULL_COLOUR), track=cell.track)
            )
        return pictures


def jpeg(picture: Image, options: Sequence[int] = ()) -> bytes:
    """Encode a picture [h, w], [h, w, 3] (blue, green, red) or [h, w, 4]."""
    done, content = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY, *options])
    if not done:
        raise EdgeError(f"a picture of {picture.shape} could not be encoded as JPEG")
    return bytes(content)
