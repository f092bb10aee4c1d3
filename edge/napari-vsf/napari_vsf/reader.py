"""Opens what vsf-edge wrote: a recording, one of its OME-Zarr images, or a stained OME-TIFF."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array
import numpy as np
import tifffile
import zarr

from napari_vsf.layers import LayerData, image_layer
from vsf_edge.recording import CELLS, FRAMES, SESSION
from vsf_edge.recording.contents import Contents, look, rows

Reader = Callable[[str | list[str]], list[LayerData]]


def get_reader(path: str | list[str]) -> Reader | None:
    """Give what opens `path`; None where it is not of vsf-edge."""
    if isinstance(path, list):
        path = path[0]
    place = Path(path)
    if (place / SESSION).is_file():
        return lambda chosen: read_recording(_only(chosen))
    if place.name.endswith(".ome.zarr") and (place / "0" / "zarr.json").is_file():
        return lambda chosen: read_zarr(_only(chosen))
    if place.name.endswith((".ome.tif", ".ome.tiff")):
        return lambda chosen: read_tiff(_only(chosen))
    return None


def read_recording(folder: Path) -> list[LayerData]:
    """Give brightfield, stains and cells of a recording, also of one that is growing or was cut off.

    The cells are points in the frame where they were seen; their features are the columns of ``cells.csv``.
    """
    contents = look(folder)
    layers: list[LayerData] = []
    for name in sorted({image.partition("/")[0] for image in contents.images}):
        if not name.startswith("fields"):
            continue
        if (folder / name / "brightfield.ome.zarr").is_dir():
            images = sorted((folder / name).glob("*.ome.zarr"))
            found = [layer for image in images for layer in read_zarr(image)]
            length = min(layer[0].shape[0] for layer in found)
            found = [(layer[0][:length], *layer[1:]) for layer in found]
        else:
            found = _stacked(folder / name)
        layers += found
        layers += _cells(contents, name, found)
    for _, settings, _ in layers:
        settings["metadata"] = {**settings.get("metadata", {}), "recording": contents.session, "state": contents.state}
        if contents.session.get("bundle", {}).get("simulated"):
            settings["name"] += " (model of SIMULATED data)"
    return layers


def read_zarr(path: Path) -> list[LayerData]:
    """Give the channels of an OME-Zarr image of a recording as layers."""
    group = zarr.open_group(path, mode="r")
    ome: Any = group.attrs["ome"]
    image = ome["multiscales"][0]
    axes = [axis["name"] for axis in image["axes"]]
    units = image["axes"][-1].get("unit")
    data = dask.array.from_zarr(zarr.open_array(path / "0", mode="r"))
    scale = image["datasets"][0]["coordinateTransformations"][0]["scale"]
    size = float(scale[-1]) if units == "micrometer" else None
    if "c" not in axes:
        return [image_layer(data, path.name.removesuffix(".ome.zarr"), size)]
    at = axes.index("c")
    labels = [channel["label"] for channel in ome["omero"]["channels"]]
    return [image_layer(dask.array.take(data, index, axis=at), label, size) for index, label in enumerate(labels)]


def read_tiff(path: Path) -> list[LayerData]:
    """Give the channels of a stained OME-TIFF as layers."""
    with tifffile.TiffFile(path) as file:
        series = file.series[0]
        planes = series.asarray().reshape(-1, *series.shape[-2:])
        names, size = _described(file.ome_metadata or "", len(planes))
    return [image_layer(plane, name, size) for plane, name in zip(planes, names, strict=True)]


def _stacked(folder: Path) -> list[LayerData]:
    """Give OME-TIFFs of one size, a file per frame, as layers over time."""
    files = sorted(path for path in folder.glob("*.ome.tif") if not path.name.startswith("."))
    frames = [read_tiff(file) for file in files]
    first = frames[0]
    alike = [frame for frame in frames if [layer[0].shape for layer in frame] == [layer[0].shape for layer in first]]
    return [
        (np.stack([frame[index][0] for frame in alike]), {**first[index][1], **_stack_scale(first[index][1])}, "image")
        for index in range(len(first))
    ]


def _stack_scale(settings: dict[str, Any]) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    if "scale" in settings:
        changed = {"scale": (1.0, *settings["scale"]), "units": ("pixel", *settings["units"])}
    return changed


def _cells(contents: Contents, name: str, images: list[LayerData]) -> list[LayerData]:
    """Give the cells of the fields `name` as points (t, y, x) with their numbers."""
    index = {row["sequence"]: int(row["index"]) for row in rows(contents.folder / FRAMES) if row["images"] == name}
    found = [row for row in rows(contents.folder / CELLS) if row["sequence"] in index]
    if not found:
        return []
    places = [[index[row["sequence"]], float(row["y"]), float(row["x"])] for row in found]
    columns = [column for column in found[0] if column not in ("images", "index")]
    features = {column: [_value(row[column]) for row in found] for column in columns}
    shared = {key: value for key, value in images[0][1].items() if key in ("scale", "units")}
    settings = {
        "name": "cells",
        "features": features,
        "size": 20,
        "face_color": "transparent",
        "border_color": ["gray" if row["abstained"] else "cyan" for row in found],
        **shared,
    }
    return [(np.array(places), settings, "points")]


def _value(text: str) -> float | str:
    if text == "":
        return math.nan
    try:
        return float(text)
    except ValueError:
        return text


def _described(metadata: str, count: int) -> tuple[list[str], float | None]:
    """Give the channel names and the pixel size in micrometres of OME-XML."""
    try:
        image = tifffile.xml2dict(metadata)["OME"]["Image"]
        pixels = (image[0] if isinstance(image, list) else image)["Pixels"]
    except Exception:  # another program's
        return [f"channel {index}" for index in range(count)], None
    channels = pixels.get("Channel", [])
    channels = channels if isinstance(channels, list) else [channels]
    names = [str(channel.get("Name", f"channel {index}")) for index, channel in enumerate(channels)]
    size = pixels.get("PhysicalSizeX") if pixels.get("PhysicalSizeXUnit", "µm") == "µm" else None
    names = names if len(names) == count else [f"channel {index}" for index in range(count)]
    return names, None if size is None else float(size)


def _only(path: str | list[str]) -> Path:
    return Path(path[0] if isinstance(path, list) else path)
