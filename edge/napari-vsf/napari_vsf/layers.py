"""Images as napari takes them: named, coloured, in micrometres."""

from __future__ import annotations

from typing import Any, TypeAlias

LayerData: TypeAlias = tuple[Any, dict[str, Any], str]

COLORMAPS = {"brightfield": "gray", "dsDNA": "green", "ssDNA": "red"}


def image_layer(data: Any, name: str, size: float | None) -> LayerData:
    """Give an image layer; its last two axes are y and x, with pixels of `size` micrometres where that is known."""
    settings: dict[str, Any] = {"name": name, "colormap": COLORMAPS.get(name, "magenta")}
    if name != "brightfield":
        settings["blending"] = "additive"
    if size is not None:
        leading = data.ndim - 2
        settings["scale"] = (*[1.0] * leading, size, size)
        settings["units"] = (*["pixel"] * leading, "um", "um")
    return data, settings, "image"
