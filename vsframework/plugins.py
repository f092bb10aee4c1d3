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
from packaging.utils import canonicalize_name

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
    "regressor": "vsf_regressors",
    "gate": "vsf_gates",
    "reader": "vsf_readers",
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

    def note(self, problem: str) -> None:
        """Record a problem, once."""
        if problem not in self.problems:
            self.problems.append(problem)


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
        self._entries: dict[str, list[Entry]] = {}
        self._commands: list[tuple[Plugin, click.Command]] | None = None
        switched_off = {canonicalize_name(name): name for name in disabled}
        matched = set()
        for plugin, point in _name_plugins(points):
            self.plugins.append(plugin)
            hits = {canonicalize_name(plugin.name), canonicalize_name(plugin.distribution)} & set(switched_off)
            matched |= hits
            plugin.disabled = bool(hits)
            if not plugin.disabled:
                self._load(plugin, point)
        self._disables_nothing = [switched_off[name] for name in sorted(set(switched_off) - matched)]

    # ------------------------------------------------------------------------------------------------- loading

    def _load(self, plugin: Plugin, point: EntryPoint) -> None:
        mismatch = _version_mismatch(point.dist)
        if mismatch:
            plugin.note(mismatch)
            return
        try:
            module = point.load()
            self._manager.register(module, name=plugin.name)
        except (Exception, SystemExit) as error:
            plugin.note(f"could not be loaded from {point.value}: {_one_line(error)}")
            if self._manager.has_plugin(plugin.name):  # refused half-way, with some of its hooks registered
                self._manager.unregister(name=plugin.name)
            return
        self._modules[plugin.name] = plugin
        self._check_hook_names(plugin, module)

    def _check_hook_names(self, plugin: Plugin, module: ModuleType) -> None:
        known = [*KINDS.values(), COMMANDS_HOOK]
        callers = self._manager.get_hookcallers(module) or []
        for caller in callers:
            if not caller.has_spec():
                close = get_close_matches(caller.name, known, n=1)
                hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"
                plugin.note(f"implements a hook {caller.name} that does not exist; {hint}")
        implemented = {caller.name for caller in callers}
        for hook in known:
            if hook not in implemented and callable(getattr(module, hook, None)):
                plugin.note(f"defines {hook} without @hookimpl, so it is never called; put @hookimpl above it")
        if not implemented and not plugin.problems:
            plugin.note(f"offers nothing: {plugin.module} implements no hook; known are {', '.join(known)}")

    def _implementations(self, hook: str) -> Iterable[tuple[Plugin, Callable[[], object]]]:
        caller: pluggy.HookCaller = getattr(self._manager.hook, hook)
        found = [(self._modules[impl.plugin_name], impl.function) for impl in caller.get_hookimpls()]
        return sorted(found, key=lambda pair: pair[0].name)  # pluggy's own order is last-in-first-out

    def _call(self, hook: str, accepted: type) -> Iterable[tuple[Plugin, Any]]:
        for plugin, collect in self._implementations(hook):
            try:
                items = list(collect())  # type: ignore[call-overload]
            except (Exception, SystemExit) as error:
                plugin.note(f"its hook {hook} failed: {_one_line(error)}")
                continue
            for item in items:
                if isinstance(item, accepted):
                    yield plugin, item
                else:
                    plugin.note(f"its hook {hook} returned a {type(item).__name__}, which is not a {accepted.__name__}")

    def _collect(self, kind: str) -> list[Entry]:
        entries: dict[tuple[str, str], Entry] = {}
        for plugin, component in self._call(KINDS[kind], Component):
            if (component.name, plugin.name) in entries:
                plugin.note(f"offers {kind} {component.name!r} more than once; only the first is used")
            else:
                entries[component.name, plugin.name] = Entry(kind, plugin, component)
        return [entries[key] for key in sorted(entries)]

    # ------------------------------------------------------------------------------------------------- look-up

    @property
    def warnings(self) -> list[str]:
        """What is wrong with the environment rather than with one plugin: collisions, names that disable nothing."""
        typos = [f"{DISABLED_VARIABLE} names {name!r}, and no plugin has that name" for name in self._disables_nothing]
        return typos + _collisions(self.entries())

    @property
    def broken(self) -> list[Plugin]:
        """The plugins with a problem."""
        self.entries()  # a collector that fails is known only once it was called
        return [plugin for plugin in self.plugins if plugin.problems]

    def entries(self, kind: str | None = None) -> list[Entry]:
        """Every component offered, or those of one `kind`, by name."""
        if kind is not None and kind not in KINDS:
            raise UsageError(f"there is no kind {kind!r}; the kinds are {', '.join(KINDS)}")
        for wanted in KINDS if kind is None else (kind,):  # one kind at a time: collectors may import heavy libraries
            if wanted not in self._entries:
                self._entries[wanted] = self._collect(wanted)
        return [entry for name in KINDS for entry in self._entries.get(name, []) if kind in (None, name)]

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
            raise UsageError(_ambiguity(found))
        raise UsageError(self._unknown(kind, name, offered))

    def _unknown(self, kind: str, name: str, offered: Sequence[Entry]) -> str:
        names = sorted({entry.component.name for entry in offered})
        close = get_close_matches(name, names, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(names) or 'none'}"
        sentence = f"there is no {kind} {name!r}; {hint}"
        troubles = []
        if self.broken:
            troubles.append(f"{_plural(len(self.broken))} had problems, see 'vsf plugins list'")
        if disabled := sum(plugin.disabled for plugin in self.plugins):
            troubles.append(f"{_plural(disabled)} switched off by {DISABLED_VARIABLE}")
        return f"{sentence} ({'; '.join(troubles)})" if troubles else sentence

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

        if self._commands is None:
            offered = self._call(COMMANDS_HOOK, click.Command)
            self._commands = sorted(offered, key=lambda pair: (pair[1].name or "", pair[0].name))
        return self._commands


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
        version = (point.dist.version if point.dist else None) or "unknown"  # broken metadata has no version
        named.append((Plugin(label, distribution, version, module), point))
    return named


def _distribution_name(point: EntryPoint) -> str:
    return (point.dist.name if point.dist else None) or "unknown"


def _collisions(entries: Iterable[Entry]) -> list[str]:
    offered: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        offered.setdefault((entry.kind, entry.component.name), []).append(entry)
    return [_ambiguity(found) for found in offered.values() if len(found) > 1]


def _ambiguity(found: Sequence[Entry]) -> str:
    choices = " or ".join(sorted(repr(entry.qualified_name) for entry in found))
    first = found[0]
    return f"{first.kind} {first.component.name!r} is offered by {len(found)} plugins; write {choices} instead"


def _plural(count: int) -> str:
    return f"{count} plugin{'s' if count > 1 else ''}"


def _version_mismatch(distribution: Distribution | None) -> str | None:
    """Compare the plugin's own requirement on vsframework with the installed version."""
    for text in (distribution.requires if distribution else None) or []:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        if canonicalize_name(requirement.name) != hookspecs.PROJECT or (
            requirement.marker and not requirement.marker.evaluate()
        ):
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
