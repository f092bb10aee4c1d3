"""Read a microscope image of any kind whole, or say in one sentence why not."""

from __future__ import annotations

import os

from vsframework.images.choice import REFUSE, FieldChoice
from vsframework.images.image import Image
from vsframework.images.lazy import open_field


def read_image(path: str | os.PathLike[str], choice: FieldChoice = REFUSE) -> Image:
    """Read a TIFF, OME-Zarr, PNG, JPEG, NumPy array, or what a plugin's reader opens, as [C, H, W], as it is stored.

    - Same-shaped pages of a TIFF are channels, in order; smaller pages (thumbnails, pyramid levels) are ignored. A time
      series or z stack is refused unless `choice` says what to take of it: one file is one field.
    - An RGB image with three equal channels is one channel; a truly coloured one gives the channels R, G, B. An alpha
      channel that is the same everywhere is dropped.
    - Channel names come from OME-XML, OME-Zarr or ImageJ's labels where there is a different one for each channel, else
      they are C0, C1, ... The pixel size comes from there too, else it is None: the resolution tag of other programs is
      a screen's or a printer's.
    - The bit depth is OME's SignificantBits (or what our own files say), where the counts respect it, else the width of
      a sample.

    Nothing is rescaled, inverted, rotated or colour-corrected.

    Parameters
    ----------
    path
        The file, or the folder of an OME-Zarr image; its kind is told from its first bytes, not from its name.
    choice
        What to take of z stacks, time series and files of several images.

    Raises
    ------
    VsfError
        When the file is missing, empty, truncated or damaged, is of another kind, dtype or shape, holds NaN, has
        pixels that are not square, or declares more than ``MAX_SAMPLES`` samples (before any of them is read).
    """
    return open_field(path, choice).image()
