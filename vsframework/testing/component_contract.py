"""What holds for a component of every kind: it is found, described, and built from its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from vsframework.components import Component, Params
from vsframework.errors import UsageError
from vsframework.parameters import describe_parameters
from vsframework.plugins import registry


class ComponentContract:
    """Base of the contracts: set `name`, and `params` where the defaults are not what you want tested.

    Override the fixture `component` to test a :class:`~vsframework.components.Component` that is not installed.
    """

    kind: ClassVar[str]
    """The kind of component, as in ``vsf plugins list``."""

    protocol: ClassVar[type[Any]]
    """The Protocol that the built part fulfils."""

    name: ClassVar[str] = ""
    """The component, as an experiment file names it."""

    params: ClassVar[Mapping[str, Any]] = {}
    """Parameters to build it with."""

    @pytest.fixture
    def component(self) -> Component[Any]:
        """The component under test, found as the framework finds it: through its entry point."""
        if not self.name:
            pytest.fail(f"set name = '...' in {type(self).__name__}: the name that your component has", pytrace=False)
        try:
            return registry().find(self.kind, self.name).component
        except UsageError as error:
            problems = "".join(
                f"\n  plugin {plugin.name} ({plugin.origin}) {problem}"
                for plugin in registry().broken
                for problem in plugin.problems
            )
            pytest.fail(
                f"{error}\n  Is your package installed (pip install -e .), with an entry point in the group "
                f"'vsframework', and does its hook return the component?{problems}",
                pytrace=False,
            )

    @pytest.fixture
    def part(self, component: Component[Any]) -> Any:
        """The built part: a denoiser, a generator..."""
        return component.create(self.params)

    def test_is_described_in_one_line(self, component: Component[Any]) -> None:
        summary = component.summary.strip()
        assert summary, "summary is empty: say in one sentence what the component does"
        assert "\n" not in summary, "summary has several lines: one sentence for 'vsf plugins list'"
        assert len(summary) <= 160, f"summary has {len(summary)} characters; 160 fit in a table"

    def test_every_parameter_is_described(self, component: Component[Any]) -> None:
        assert isinstance(component.params, type), "params must be a class derived from vsframework.Params"
        assert issubclass(component.params, Params), "params must derive from vsframework.Params"
        for parameter in describe_parameters(component.params):
            assert parameter.description, f"parameter {parameter.name!r}: give it Field(description='...')"
            assert not parameter.numeric or parameter.bounds, (
                f"parameter {parameter.name!r} is a number without bounds: give it Field(ge=..., le=...)"
            )
            assert not parameter.required, (
                f"parameter {parameter.name!r} has no default, so the component cannot be chosen by name alone"
            )

    def test_builds_with_its_defaults(self, component: Component[Any]) -> None:
        part = component.create()
        missing = [
            member for member in sorted(vars(self.protocol)) if not member.startswith("_") and not hasattr(part, member)
        ]
        assert not missing, f"{type(part).__name__} lacks {', '.join(missing)}; see {self.protocol.__name__}"
        assert isinstance(part, self.protocol)

    def test_parameters_survive_an_experiment_file(self, component: Component[Any]) -> None:
        chosen = component.parse(self.params)
        written = chosen.model_dump(mode="json", exclude_none=True)
        assert component.parse(written) == chosen, "a parameter changes when it is written as TOML and read back"

    def test_an_unknown_parameter_is_an_error(self, component: Component[Any]) -> None:
        with pytest.raises(UsageError, match="no-such-parameter"):
            component.create({"no-such-parameter": 1})


def smallest_width(component: Component[Any]) -> Mapping[str, Any]:
    """Give a parameter called ``width`` its lower bound: a contract of networks then takes seconds, not minutes."""
    for parameter in describe_parameters(component.params):
        if parameter.name == "width" and parameter.minimum is not None and not parameter.exclusive_minimum:
            return {"width": int(parameter.minimum)}
    return {}
