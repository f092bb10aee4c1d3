"""Microscope images in and out: pixels with their channel names, pixel size and bit depth."""

from vsframework.images.choice import FieldChoice
from vsframework.images.contents import contents_hash, files_of
from vsframework.images.image import Image
from vsframework.images.lazy import LazyField, open_field
from vsframework.images.ome_zarr import is_plate, is_zarr, missing_chunks, plate_fields
from vsframework.images.ome_zarr_writing import ome_zarr_writer, write_ome_zarr
from vsframework.images.reading import read_image
from vsframework.images.writing import write_imagej_tiff, write_ome_tiff

__all__ = [
    "FieldChoice",
    "Image",
    "LazyField",
    "contents_hash",
    "files_of",
    "is_plate",
    "is_zarr",
    "missing_chunks",
    "ome_zarr_writer",
    "open_field",
    "plate_fields",
    "read_image",
    "write_imagej_tiff",
    "write_ome_tiff",
    "write_ome_zarr",
]
