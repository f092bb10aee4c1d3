"""Trained generators to stains.

``stainer``: patches of any size to stains in counts. ``files``: images on disk to stained OME-TIFFs, and those to
named values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vsframework.inference.files import measure_file, stain_file
    from vsframework.inference.stainer import Stainer

__all__ = ["Stainer", "measure_file", "stain_file"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is used, so that ``vsf --help`` imports no torch."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module = "stainer" if name == "Stainer" else "files"
    return getattr(import_module(f"{__name__}.{module}"), name)
