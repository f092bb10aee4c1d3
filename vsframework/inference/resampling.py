"""A region of an image at another magnification, exactly as the whole image would be resized.

OpenCV resizes whole images: bilinear where they grow, area-averaged where they shrink, pixel centres at integers. The
same weights for some of the rows or columns are a sparse matrix.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class AxisWeights:
    """How the pixels `start` to `stop` of the source make up the pixels that were asked for, along one axis.

    `matrix` is [asked, stop - start]; None where the two are the same pixels.
    """

    start: int
    stop: int
    matrix: csr_array | None


def axis_weights(first: int, last: int, length: int, source_length: int) -> AxisWeights:
    """Give the weights for the pixels `first` to `last` (without) of an axis resized from `source_length` to `length`.

    Examples
    --------
    >>> axis_weights(2, 4, 10, 20).matrix.toarray().tolist()
    [[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]]
    """
    if length == source_length:
        return AxisWeights(start=first, stop=last, matrix=None)
    ratio = source_length / length
    asked = np.arange(first, last)
    if ratio > 1:
        begin, end = asked * ratio, np.minimum((asked + 1) * ratio, source_length)
        reach = int(np.ceil(ratio)) + 1
        places = np.floor(begin).astype(np.int64)[:, None] + np.arange(reach)
        weights = np.clip(np.minimum(end[:, None], places + 1) - np.maximum(begin[:, None], places), 0, None)
        weights /= weights.sum(axis=1, keepdims=True)
    else:
        centre = np.clip((asked + 0.5) * ratio - 0.5, 0, source_length - 1)
        lower = np.floor(centre).astype(np.int64)
        places = np.stack([lower, lower + 1], axis=1)
        weights = np.stack([1 - (centre - lower), centre - lower], axis=1)
    rows, columns = np.nonzero(weights)
    places = places[rows, columns]
    start, stop = int(places.min()), int(places.max()) + 1
    matrix = csr_array((weights[rows, columns].astype(np.float32), (rows, places - start)), (len(asked), stop - start))
    return AxisWeights(start=start, stop=stop, matrix=matrix)


def resample(planes: npt.NDArray[np.generic], rows: AxisWeights, columns: AxisWeights) -> Float32Array:
    """Resample `planes` [P, h, w]: the source pixels that `rows` and `columns` speak of, to those asked for."""
    result: Float32Array = planes.astype(np.float32)
    if rows.matrix is not None:
        result = np.stack([rows.matrix @ plane for plane in result])
    if columns.matrix is not None:
        # OpenCV transposes in blocks: NumPy takes longer for it than the product
        result = np.stack([cv2.transpose(columns.matrix @ cv2.transpose(plane)) for plane in result])
    return result
