"""docs/plugins.md says what the code says: every hook, its signature, its contract, and every JSON key."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import vsframework.testing
from vsframework import hookspecs
from vsframework.plugins import COMMANDS_HOOK, KINDS

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "plugins.md").read_text(encoding="utf-8")
HOOKS = {name: spec for name, spec in vars(hookspecs).items() if name.startswith("vsf_") and inspect.isfunction(spec)}


def test_every_hook_is_documented_with_its_signature() -> None:
    documented = re.findall(r"^### `(.+)`$", TEXT, flags=re.MULTILINE)
    specified = [f"{name}{inspect.signature(spec)}".replace("'", "") for name, spec in HOOKS.items()]
    assert documented == specified


def test_every_hook_is_collected() -> None:
    assert set(HOOKS) == {*KINDS.values(), COMMANDS_HOOK}


def test_every_hook_says_since_when_it_is_there() -> None:
    for name, spec in HOOKS.items():
        assert re.search(r"versionadded:: \d", inspect.getdoc(spec) or ""), name


def test_every_contract_is_documented() -> None:
    contracts = {name for name in vsframework.testing.__all__ if name != "ComponentContract"}
    assert set(re.findall(r"`vsframework\.testing\.(\w+)`", TEXT)) == contracts
    assert {getattr(vsframework.testing, name).kind for name in contracts} == set(KINDS)


def vsf_json(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-c", "from vsframework.cli import main; main()", "plugins", *arguments, "--json"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    record: dict[str, Any] = json.loads(result.stdout)
    return record


@pytest.mark.parametrize("arguments", [("list",), ("show", "denoiser", "vsf-plugins:histogram-mode")])
def test_every_json_key_is_documented(arguments: tuple[str, ...]) -> None:
    section = TEXT.partition("## `--json`")[2]
    missing = [key for key in keys(vsf_json(*arguments)) if f"`{key}`" not in section]
    assert missing == []


def keys(record: Any) -> list[str]:
    if isinstance(record, dict):
        return [name for key, value in record.items() for name in (key, *keys(value))]
    return [name for item in record for name in keys(item)] if isinstance(record, list) else []
