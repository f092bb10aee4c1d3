"""Finds the plugins of the edge, isolates the broken ones, and looks one up by kind and name.

A plugin is an entry point in the group ``vsf_edge`` whose name is ``kind.name``; it names a class that is built without
arguments::

    [project.entry-points.vsf_edge]
    "runtime.my-accelerator" = "my_package.runtime:MyRuntime"

Kinds: ``runtime``, ``gate`` (built with the parameters of the trust table), ``detector`` (built with the
length of a head, and settings), ``source`` and ``sink`` (built with an address and settings); each has its Protocol in :mod:`vsf_edge.interfaces`. The
built-in ones come the same way; there is no other list.
Only the standard library is used, so that the edge installs with four dependencies.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from vsf_edge.errors import EdgeError, EdgeUsageError
from vsf_edge.interfaces import Detector, Gate, Runtime, Sink, Source

ENTRY_POINT_GROUP = "vsf_edge"

KINDS: dict[str, type[Any]] = {
    "runtime": Runtime,
    "gate": Gate,
    "detector": Detector,
    "source": Source,
    "sink": Sink,
}
"""The kinds and the Protocol of each."""


@dataclass(frozen=True)
class EdgePlugin:
    """One entry point, not yet imported: its kind, its name, and where it comes from."""

    kind: str
    name: str
    origin: str
    point: EntryPoint

    def create(self, *address: str, **settings: Any) -> Any:
        """Import and build it with `address` (sources and sinks) and `settings`.

        Raises
        ------
        EdgeError
            Whatever goes wrong in it, in one sentence.
        """
        try:
            built = self.point.load()(*address, **settings)
