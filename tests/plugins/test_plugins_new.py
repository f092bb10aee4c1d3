"""``vsf plugins new``: the package it writes installs, is clean, works, and passes its contract, for every kind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from vsframework import UsageError
from vsframework.plugins import KINDS
from vsframework.scaffold import create_package

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def content(folder: Path) -> dict[str, str]:
    generated = (path for path in folder.rglob("*") if path.is_file() and "cache" not in str(path))
    return {str(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in generated}


def ruff(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "ruff", *arguments], capture_output=True, text=True, check=False)


def test_every_kind_is_clean(generated_packages: dict[str, Path]) -> None:
    assert set(generated_packages) == set(KINDS)
    for arguments in (["check", "--no-cache"], ["format", "--check", "--no-cache"]):
        result = ruff(*arguments, *generated_packages.values())
        assert result.returncode == 0, result.stdout


def test_the_longest_name_is_clean_too(tmp_path: Path) -> None:
    for kind in KINDS:
        create_package("a-name-of-thirty-characters-is", kind, tmp_path / kind)
    assert ruff("check", "--no-cache", tmp_path).returncode == 0
    assert ruff("format", "--check", "--no-cache", tmp_path).returncode == 0


def test_every_kind_is_installed_and_listed(lab: Any) -> None:
    table = lab.vsf("plugins", "list").stdout
    for kind in KINDS:
        assert any(line.split()[:2] == [kind, f"new-{kind}"] for line in table.splitlines())


def test_its_own_tests_pass(lab: Any, generated_packages: dict[str, Path]) -> None:
    settings = ("-q", "-W", "error", "-p", "no:cacheprovider", "--import-mode=importlib")
    result = lab.run("-m", "pytest", *settings, *generated_packages.values())
    assert result.returncode == 0, result.stdout
    assert "failed" not in result.stdout


def test_the_command_writes_it_and_says_what_is_next(lab: Any, tmp_path: Path) -> None:
    result = lab.vsf("plugins", "new", "my-lamp", "--kind", "denoiser", "--directory", tmp_path)
    assert result.returncode == 0, result.stderr
    assert f"pip install -e '{tmp_path / 'my-lamp'}[test]'" in result.stdout
    assert (tmp_path / "my-lamp" / "src" / "my_lamp" / "denoiser.py").is_file()
    again = lab.vsf("plugins", "new", "my-lamp", "--kind", "denoiser", "--directory", tmp_path)
    assert again.returncode == 2
    assert "exists already" in again.stderr
    taken = lab.vsf("plugins", "new", "lab-border", "--kind", "denoiser", "--directory", tmp_path)
    assert taken.returncode == 2
    assert "is already offered by plugin lab-border (lab-border 1.2.0)" in taken.stderr


BAD_NAMES = [
    "My-Denoiser",
    "my_denoiser",
    "-x",
    "x-",
    "a--b",
    "1st",
    "",
    "a/b",
    "..",
    "json",
    "class",
    "torch",
    "vsf-a",
]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_refuses_a_bad_name_and_writes_nothing(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        create_package(name, "denoiser", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_refuses_an_unknown_kind(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no kind 'stainer'; the kinds are registrar"):
        create_package("my-stainer", "stainer", tmp_path)


def test_leaves_a_folder_that_is_there_alone(tmp_path: Path) -> None:
    mine = tmp_path / "my-denoiser" / "notes.txt"
    mine.parent.mkdir()
    mine.write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        create_package("my-denoiser", "denoiser", tmp_path)
    assert content(tmp_path) == {"my-denoiser/notes.txt": "mine"}


def test_the_example_is_what_the_command_writes(tmp_path: Path) -> None:
    expected = content(create_package("my-denoiser", "denoiser", tmp_path))
    assert content(EXAMPLES / "my-denoiser") == expected, "make it again: vsf plugins new my-denoiser --kind denoiser"
