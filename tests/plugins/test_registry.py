"""The loader and the look-up: no plugin, however wrong, stops the others, and each is told in one sentence."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from importlib.metadata import distributions
from pathlib import Path

import pytest

from vsframework import UsageError, VsfError
from vsframework.plugins import Registry

Discover = Callable[..., Registry]
HEAD = "from vsframework import Component, Params, hookimpl\n"
GOOD = (
    HEAD + "@hookimpl\ndef vsf_denoisers():\n    return [Component(name='good', build=lambda p: p, summary='Good.')]\n"
)
_numbers = itertools.count()


@pytest.fixture
def discover(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Discover:
    """Lay distributions out as an installer does (name -> source of its plugin module), and find them."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def build(requires: str = "vsframework", disabled: tuple[str, ...] = (), **sources: str) -> Registry:
        for name, source in sources.items():
            module = f"{name}_{next(_numbers)}"
            (tmp_path / f"{module}.py").write_text(source)
            metadata = tmp_path / f"{name}-1.0.dist-info"
            metadata.mkdir()
            metadata.joinpath("METADATA").write_text(
                f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nRequires-Dist: {requires}\n"
            )
            entry_point = name.partition("_")[0]  # one_a and one_b share the entry-point name
            metadata.joinpath("entry_points.txt").write_text(f"[vsframework]\n{entry_point} = {module}\n")
        return Registry(
            itertools.chain.from_iterable(d.entry_points for d in distributions(path=[str(tmp_path)])), disabled
        )

    return build


def problem(registry: Registry, name: str) -> str:
    problems = next(plugin.problems for plugin in registry.broken if plugin.name == name)
    assert len(problems) == 1, problems
    return problems[0]


WRONG = {
    "a failing import": ("raise RuntimeError('no\\nlicence')", "RuntimeError: no licence"),
    "an exit at import": ("raise SystemExit(3)", "SystemExit: 3"),
    "a syntax error": ("def :", "SyntaxError"),
    "a forgotten @hookimpl": (
        HEAD + "def vsf_denoisers():\n    return []\n",
        "defines vsf_denoisers without @hookimpl",
    ),
    "no hook at all": ("x = 1\n", "offers nothing"),
    "a hook with an argument": (HEAD + "@hookimpl\ndef vsf_denoisers(config):\n    return []\n", "config"),
    "a hook that fails": (HEAD + "@hookimpl\ndef vsf_denoisers():\n    return 1 / 0\n", "ZeroDivisionError"),
    "a hook that returns nothing": (HEAD + "@hookimpl\ndef vsf_denoisers():\n    pass\n", "vsf_denoisers failed"),
    "a hook that returns something else": (
        HEAD + "@hookimpl\ndef vsf_denoisers():\n    return [1]\n",
        "its hook vsf_denoisers returned a int, which is not a Component",
    ),
    "a bad component name": (
        HEAD + "@hookimpl\ndef vsf_denoisers():\n    return [Component(name='A B', build=dict, summary='')]\n",
        "component name 'A B' may hold only",
    ),
    "the same component twice": (
        HEAD + "@hookimpl\ndef vsf_denoisers():\n    return [Component(name='b', build=dict, summary='')] * 2\n",
        "offers denoiser 'b' more than once",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_plugin_gets_one_sentence_and_stops_nobody(discover: Discover, case: str) -> None:
    source, expected = WRONG[case]
    registry = discover(bad=source, good=GOOD)
    sentence = problem(registry, "bad")
    assert expected in sentence
    assert "\n" not in sentence
    assert registry.find("denoiser", "good").plugin.name == "good"
    assert [plugin.name for plugin in registry.broken] == ["bad"]


def test_nothing_of_a_refused_plugin_is_called(discover: Discover) -> None:
    """One wrong signature refuses the module, its other hooks with it, and the rest of the registry stands."""
    hooks = "@hookimpl\ndef vsf_denoisers():\n    return []\n@hookimpl\ndef vsf_registrars(config):\n    return []\n"
    registry = discover(bad=HEAD + hooks, good=GOOD)
    assert "could not be loaded" in problem(registry, "bad")
    assert [entry.qualified_name for entry in registry.entries()] == ["good:good"]


def test_two_distributions_with_one_entry_point_name_are_both_kept(discover: Discover) -> None:
    registry = discover(one_a=GOOD, one_b=GOOD)
    assert [plugin.name for plugin in registry.plugins] == ["one_a/one", "one_b/one"]
    with pytest.raises(UsageError, match="write 'one_a/one:good' or 'one_b/one:good' instead"):
        registry.find("denoiser", "good")
    assert registry.find("denoiser", "one_b/one:good").plugin.distribution == "one_b"
    assert len(registry.warnings) == 1


@pytest.mark.parametrize(
    ("requirement", "fits"),
    [
        ("vsframework>=0.1", True),
        ("VSFramework[testing]<99", True),
        ("vsframework>=99", False),
        ("vsframework<0.0.1", False),
        ("vsframework>=99; python_version < '3'", True),
        ("vsframework>=99; extra == 'new'", True),
        ("something-else>=99", True),
    ],
)
def test_the_plugins_own_requirement_decides(discover: Discover, requirement: str, fits: bool) -> None:
    registry = discover(requirement, good=GOOD)
    assert bool(registry.entries()) is fits
    assert fits or "needs vsframework" in problem(registry, "good")


def test_a_disabled_plugin_is_not_imported_and_an_unknown_name_says_so(discover: Discover) -> None:
    registry = discover(disabled=("bad",), bad="raise RuntimeError", good=GOOD)
    assert registry.broken == []
    with pytest.raises(UsageError, match=r"1 plugin switched off by VSF_DISABLED_PLUGINS"):
        registry.find("denoiser", "unknown")


def test_an_unknown_name_without_a_close_one_lists_what_is_known(discover: Discover) -> None:
    with pytest.raises(UsageError, match=r"there is no denoiser 'xyz'; known are good$"):
        discover(good=GOOD).find("denoiser", "xyz")
    with pytest.raises(UsageError, match="there is no kind 'xyz'; the kinds are registrar, detector"):
        discover().entries("xyz")


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        ("'json:no_such_thing'", "denoiser lazy could not be loaded from 'json:no_such_thing'"),
        ("'json.no_such_module:x'", "there is no module 'json.no_such_module'"),
        ("'no_such_package.part:x'", "there is no module 'no_such_package'"),
        ("lambda params: 1 / 0", "denoiser 'lazy' of plugin lazy .lazy 1.0. could not be built: ZeroDivisionError"),
    ],
)
def test_what_cannot_be_built_is_said_when_it_is_built(discover: Discover, build: str, expected: str) -> None:
    source = f"return [Component(name='lazy', build={build}, summary='Lazy.')]"
    registry = discover(lazy=f"{HEAD}@hookimpl\ndef vsf_denoisers():\n    {source}\n")
    assert registry.broken == []
    with pytest.raises(VsfError, match=expected):
        registry.create("denoiser", "lazy")


def test_a_missing_library_of_a_lazy_part_is_named(discover: Discover, tmp_path: Path) -> None:
    tmp_path.joinpath("needs_a_camera.py").write_text("import camera_that_nobody_has.driver\n")
    source = "return [Component(name='lazy', build='needs_a_camera:x', summary='Lazy.')]"
    registry = discover(lazy=f"{HEAD}@hookimpl\ndef vsf_denoisers():\n    {source}\n")
    with pytest.raises(VsfError, match="needs the module 'camera_that_nobody_has', which is not installed here"):
        registry.create("denoiser", "lazy")


def test_listing_calls_each_command_hook_once(discover: Discover) -> None:
    source = "@hookimpl\ndef vsf_commands():\n    raise ValueError('no')\n"
    registry = discover(bad=HEAD + source)
    assert registry.commands() == registry.commands() == []
    assert problem(registry, "bad") == "its hook vsf_commands failed: ValueError: no"
