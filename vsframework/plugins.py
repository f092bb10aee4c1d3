"""Finds plugins, isolates the broken ones, and looks components up by name.

Own loader instead of pluggy's ``load_setuptools_entrypoints``: there one ImportError ends the whole load, and of two
distributions with the same entry-point name one is dropped without a word. Here a broken plugin is recorded and never
stops the others.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from importlib.metadata import Distribution, EntryPoint, entry_points
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pluggy
from packaging.requirements import InvalidRequirement, Requirement

import vsframework
from vsframework import hookspecs
from vsframework.components import Component
from vsframework.errors import UsageError, VsfError

if TYPE_CHECKING:
    import click

ENTRY_POINT_GROUP = hookspecs.PROJECT
DISABLED_VARIABLE = "VSF_DISABLED_PLUGINS"

KINDS: dict[str, str] = {
    "registrar": "vsf_registrars",
    "detector": "vsf_detectors",
    "denoiser": "vsf_denoisers",
    "generator": "vsf_generators",
    "quantifier": "vsf_quantifiers",
    "export-target": "vsf_export_targets",
}
"""The kinds of component and the hook that collects each."""

COMMANDS_HOOK = "vsf_commands"


@dataclass
class Plugin:
    """One entry point: where it comes from, and what went wrong with it."""

    name: str
    distribution: str
    version: str
    module: str
    disabled: bool = False
    problems: list[str] = field(default_factory=list)

    @property
    def origin(self) -> str:
        """The distribution and version that installed it."""
        return f"{self.distribution} {self.version}"


@dataclass(frozen=True)
class Entry:
    """One component as a plugin offers it."""

    kind: str
    plugin: Plugin
    component: Component[Any]

    @property
    def qualified_name(self) -> str:
        """The name that is never ambiguous: ``plugin:component``."""
        return f"{self.plugin.name}:{self.component.name}"


class Registry:
    """All plugins of this environment and the components they offer.

    Use :func:`registry` for the one of this process.
    """

    def __init__(self, points: Iterable[EntryPoint], disabled: Iterable[str] = ()) -> None:
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._modules: dict[str, Plugin] = {}
        self.plugins: list[Plugin] = []
        """Every plugin found, by name; the broken ones with their problems."""
        switched_off = set(disabled)
        for plugin, point in _name_plugins(points):
            self.plugins.append(plugin)
            plugin.disabled = bool({plugin.name, plugin.distribution} & switched_off)
            if not plugin.disabled:
                self._load(plugin, point)
        self._entries = [entry for kind in KINDS for entry in self._collect(kind)]

    # ------------------------------------------------------------------------------------------------- loading

    def _load(self, plugin: Plugin, point: EntryPoint) -> None:
        mismatch = _version_mismatch(point.dist)
        if mismatch:
            plugin.problems.append(mismatch)
            return
        try:
            module = point.load()
            self._manager.register(module, name=plugin.name)
        except (Exception, SystemExit) as error:
            plugin.problems.append(f"could not be loaded from {point.value}: {_one_line(error)}")
            return
        self._modules[plugin.name] = plugin
        self._check_hook_names(plugin, module)

    def _check_hook_names(self, plugin: Plugin, module: ModuleType) -> None:
        known = [*KINDS.values(), COMMANDS_HOOK]
        for caller in self._manager.get_hookcallers(module) or []:
            if not caller.has_spec():
                close = get_close_matches(caller.name, known, n=1)
                hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"
                plugin.problems.append(f"implements a hook {caller.name} that does not exist; {hint}")

    def _implementations(self, hook: str) -> Iterable[tuple[Plugin, Callable[[], object]]]:
        caller: pluggy.HookCaller = getattr(self._manager.hook, hook)
        found = [(self._modules[impl.plugin_name], impl.function) for impl in caller.get_hookimpls()]
        return sorted(found, key=lambda pair: pair[0].name)  # pluggy's own order is last-in-first-out

    def _call(self, hook: str, accepted: type | tuple[type, ...]) -> Iterable[tuple[Plugin, Any]]:
        for plugin, collect in self._implementations(hook):
            try:
                items = list(collect())  # type: ignore[call-overload]
            except (Exception, SystemExit) as error:
                plugin.problems.append(f"its hook {hook} failed: {_one_line(error)}")
                continue
            for item in items:
                if isinstance(item, accepted):
                    yield plugin, item
                else:
                    plugin.problems.append(f"its hook {hook} returned {item!r}, which is not a {_names(accepted)}")

    def _collect(self, kind: str) -> list[Entry]:
        entries = [Entry(kind, plugin, component) for plugin, component in self._call(KINDS[kind], Component)]
        return sorted(entries, key=lambda entry: (entry.component.name, entry.plugin.name))

    # ------------------------------------------------------------------------------------------------- look-up

    @property
    def broken(self) -> list[Plugin]:
        """The plugins with a problem."""
        return [plugin for plugin in self.plugins if plugin.problems]

    def entries(self, kind: str | None = None) -> list[Entry]:
        """Every component offered, or those of one `kind`, by name."""
        if kind is not None and kind not in KINDS:
            raise UsageError(f"there is no kind {kind!r}; the kinds are {', '.join(KINDS)}")
        return [entry for entry in self._entries if kind in (None, entry.kind)]

    def find(self, kind: str, name: str) -> Entry:
        """Look one component up by ``name`` or ``plugin:name``.

        Raises
        ------
        UsageError
            When no plugin offers it (with the closest name and how many plugins failed), or when several do.
        """
        offered = self.entries(kind)
        found = [entry for entry in offered if name in (entry.component.name, entry.qualified_name)]
        if len(found) == 1:
            return found[0]
        if found:
            choices = " or ".join(sorted(repr(entry.qualified_name) for entry in found))
            raise UsageError(f"{kind} {name!r} is offered by {len(found)} plugins; write {choices} instead")
        raise UsageError(self._unknown(kind, name, offered))

    def _unknown(self, kind: str, name: str, offered: Sequence[Entry]) -> str:
        names = sorted({entry.component.name for entry in offered})
        close = get_close_matches(name, names, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(names) or 'none'}"
        sentence = f"there is no {kind} {name!r}; {hint}"
        if self.broken:
            count = len(self.broken)
            sentence += f" ({count} plugin{'s' if count > 1 else ''} had problems, see 'vsf plugins list')"
        return sentence

    def create(self, kind: str, name: str, values: dict[str, Any] | None = None) -> Any:
        """Build a component by name from plain parameter values.

        Raises
        ------
        UsageError
            Unknown name, ambiguous name, or wrong parameters.
        VsfError
            The component exists and cannot be built here.
        """
        entry = self.find(kind, name)
        try:
            return entry.component.create(values)
        except VsfError as error:
            raise type(error)(f"{kind} {error}") from error
        except Exception as error:
            raise VsfError(
                f"{kind} {name!r} of plugin {entry.plugin.name} ({entry.plugin.origin}) could not be built: "
                f"{_one_line(error)}"
            ) from error

    def commands(self) -> list[tuple[Plugin, click.Command]]:
        """Every command that plugins add to ``vsf``."""
        import click

        return sorted(self._call(COMMANDS_HOOK, click.Command), key=lambda pair: (pair[1].name or "", pair[0].name))


@cache
def registry() -> Registry:
    """Give the plugins of this environment (found once per process)."""
    disabled = os.environ.get(DISABLED_VARIABLE, "").split(",")
    return Registry(entry_points(group=ENTRY_POINT_GROUP), (name.strip() for name in disabled if name.strip()))


# ------------------------------------------------------------------------------------------------------ helpers


def _name_plugins(points: Iterable[EntryPoint]) -> list[tuple[Plugin, EntryPoint]]:
    """Give each entry point a unique plugin name: its own, or ``distribution/name`` where two share it."""
    unique = {(_distribution_name(point), point.name, point.value): point for point in points}
    shared = Counter(point.name for point in unique.values())
    named = []
    for (distribution, name, module), point in sorted(unique.items()):
        label = name if shared[name] == 1 else f"{distribution}/{name}"
        version = point.dist.version if point.dist else "unknown"
        named.append((Plugin(label, distribution, version, module), point))
    return named


def _distribution_name(point: EntryPoint) -> str:
    return point.dist.name if point.dist else "unknown"


def _version_mismatch(distribution: Distribution | None) -> str | None:
    """Compare the plugin's own requirement on vsframework with the installed version."""
    for text in (distribution.requires if distribution else None) or []:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        if requirement.name != hookspecs.PROJECT or (requirement.marker and not requirement.marker.evaluate()):
            continue
        if not requirement.specifier.contains(vsframework.__version__, prereleases=True):
            return (
                f"needs vsframework {requirement.specifier} and {vsframework.__version__} is installed; "
                "install a version of either that fits the other"
            )
    return None


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _names(accepted: type | tuple[type, ...]) -> str:
    return " or ".join(kind.__name__ for kind in (accepted if isinstance(accepted, tuple) else (accepted,)))
