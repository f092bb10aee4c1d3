"""Finds the plugins of the edge, isolates the broken ones, and looks one up by kind and name.

A plugin is an entry point in the group ``vsf_edge`` whose name is ``kind.name``; it names a class that is built without
arguments::

    [project.entry-points.vsf_edge]
    "runtime.my-accelerator" = "my_package.runtime:MyRuntime"

Kinds: ``runtime``, ``gate`` (built with the parameters of the trust table), ``detector`` (built with the length of a
head, and settings), ``source`` and ``sink`` (built with an address and settings); each has its Protocol in
:mod:`vsf_edge.interfaces`. The built-in ones come the same way; there is no other list.
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
from vsf_edge.settings import settings_of

ENTRY_POINT_GROUP = "vsf_edge"

KINDS: dict[str, type[Any]] = {
    "runtime": Runtime,
    "gate": Gate,
    "detector": Detector,
    "source": Source,
    "sink": Sink,
}
"""The kinds and the Protocol of each."""

OURS: dict[str, tuple[str, ...]] = {"detector": ("head_length",)}
"""Keywords that the edge itself gives to plugins of a kind; the others are settings."""


@dataclass(frozen=True)
class EdgePlugin:
    """One entry point, not yet imported: its kind, its name, and where it comes from."""

    kind: str
    name: str
    origin: str
    point: EntryPoint

    def load(self) -> Any:
        """Import its class.

        Raises
        ------
        EdgeError
            Whatever goes wrong meanwhile, in one sentence.
        """
        try:
            return self.point.load()
        except (Exception, SystemExit) as error:
            raise self._failed(error) from error

    def settings(self) -> type[Any]:
        """Give its settings dataclass, which :mod:`vsf_edge.settings` reads and describes."""
        kind = self.load()
        try:
            return settings_of(kind, ours=OURS.get(self.kind, ()))
        except Exception as error:  # a constructor whose types cannot be looked up
            raise self._failed(error) from error

    def create(self, *address: str, **settings: Any) -> Any:
        """Import and build it with `address` (sources and sinks) and `settings`.

        Raises
        ------
        EdgeError
            Whatever goes wrong in it, in one sentence.
        """
        kind = self.load()
        try:
            built = kind(*address, **settings)
        except EdgeError:  # says in a sentence what is wrong with an address or a setting
            raise
        except (Exception, SystemExit) as error:
            raise self._failed(error) from error
        if not isinstance(built, KINDS[self.kind]):
            raise EdgeError(f"{self.kind} {self.name!r} of {self.origin} has not the methods of a {self.kind}")
        return built

    def _failed(self, error: BaseException) -> EdgeError:
        text = " ".join(str(error).split())
        return EdgeError(
            f"{self.kind} {self.name!r} of {self.origin} could not be loaded from {self.point.value}: "
            f"{type(error).__name__}: {text}"
        )


class EdgePlugins:
    """All plugins of this environment; use :func:`plugins` for the ones of this process.

    Attributes
    ----------
    problems
        A sentence for every entry point that names no known kind.
    """

    def __init__(self, points: Iterable[EntryPoint]) -> None:
        self._found: list[EdgePlugin] = []
        self.problems: list[str] = []
        unique = {(_origin(point), point.name, point.value): point for point in points}
        for (origin, label, _), point in sorted(unique.items()):
            kind, _, name = label.partition(".")
            if kind in KINDS and name:
                self._found.append(EdgePlugin(kind, name, origin, point))
            else:
                known = ", ".join(f"{known}.NAME" for known in KINDS)
                self.problems.append(f"{origin} has an entry point {label!r}; its name should be {known}")

    def of(self, kind: str) -> list[EdgePlugin]:
        """Give every plugin of a `kind`, by name."""
        return [plugin for plugin in self._found if plugin.kind == kind]

    def find(self, kind: str, name: str) -> EdgePlugin:
        """Look one up.

        Raises
        ------
        EdgeUsageError
            When there is none (with the closest name), or when two distributions offer it.
        """
        found = [plugin for plugin in self.of(kind) if plugin.name == name]
        if len(found) == 1:
            return found[0]
        if found:
            origins = " and ".join(plugin.origin for plugin in found)
            raise EdgeUsageError(f"{kind} {name!r} is offered by {origins}: uninstall one of them")
        names = sorted({plugin.name for plugin in self.of(kind)})
        close = get_close_matches(name, names, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(names) or 'none'}"
        raise EdgeUsageError(f"there is no {kind} {name!r}; {hint}")


@cache
def plugins() -> EdgePlugins:
    """Give the plugins of this environment (found once per process)."""
    return EdgePlugins(entry_points(group=ENTRY_POINT_GROUP))


def _origin(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown distribution"
