"""docs/sources.md: every source and no other, an example that works, and a contract test for each."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vsf_edge.interfaces import Source
from vsf_edge.plugins import plugins
from vsf_edge.testing.sources import SourceContract

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "sources.md").read_text(encoding="utf-8")
OWN = [plugin for plugin in plugins().of("source") if plugin.origin.startswith("vsf-edge ")]
EXAMPLE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0]
names: dict[str, object] = {}
exec(EXAMPLE, names)  # the example of the page, as it stands there


def test_the_page_has_every_source_and_no_other() -> None:
    assert sorted(re.findall(r"^## `([\w-]+)`$", PAGE, re.MULTILINE)) == sorted(plugin.name for plugin in OWN)
    assert sorted(re.findall(r"^\| `([\w-]+)` \| [^|]* \| (?:camera|files)", PAGE, re.MULTILINE)) == sorted(
        plugin.name for plugin in OWN
    )


@pytest.mark.parametrize("plugin", OWN, ids=lambda plugin: plugin.name)
def test_every_source_can_be_built_and_has_a_contract_test(plugin) -> None:
    assert isinstance(plugin.create(), Source)
    kind = plugin.point.load().__name__
    tests = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    assert re.search(rf"class Test{kind}Contract\(SourceContract\)", tests), f"no contract test of {kind}"


def test_the_example_is_as_short_as_it_says() -> None:
    assert len([line for line in EXAMPLE.splitlines() if line.strip()]) <= 22


class TestTheExampleOfThePage(SourceContract):
    @pytest.fixture
    def source(self):
        return names["Dice"]()  # type: ignore[operator]
