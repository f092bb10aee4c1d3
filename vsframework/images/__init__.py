"""Microscope images in and out: pixels with their channel names, pixel size and bit depth."""

from vsframework.images.image import Image
from vsframework.images.lazy import LazyField, open_field
from vsframework.images.reading import read_image
from vsframework.images.selection import Selection
from vsframework.images.writing import write_imagej_tiff, write_ome_tiff

__all__ = [
    "Image",
    "LazyField",
    "Selection",
    "open_field",
    "read_image",
    "write_imagej_tiff",
    "write_ome_tiff",
]
