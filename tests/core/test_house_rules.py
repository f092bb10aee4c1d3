"""Rules of the house that no linter knows."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from vsframework.cli import VERBS, vsf

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "numpy", "cv2", "pandas", "matplotlib", "skimage", "zarr", "onnx", "lightning_fabric")


def tracked_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("this is not a git checkout, so the list of project files is unknown")
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from vsframework.cli import vsf\n"
        "try: vsf.main(['--help'], standalone_mode=False)\n"
        f"finally: print('HEAVY', sorted(set(sys.modules) & set({HEAVY!r})), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Commands:" in done.stdout
    assert done.stderr.strip().endswith("HEAVY []")


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_the_one_line_help_of_a_verb_is_the_first_line_of_its_command(verb: str) -> None:
    command = vsf.get_command(click.Context(vsf), verb)
    assert command is not None
    assert (command.help or "").splitlines()[0] == VERBS[verb]


def test_no_absolute_path_and_no_registry_host_is_written_down() -> None:
    # written in two halves each, so that this file does not find itself
    halves = [
        ("/wor", "k/"),
        ("/home", r"/\w"),
        ("/roo", "t/"),
        ("C:", r"\\Users"),
        ("py", r"pi\.org"),
        ("python", "hosted"),
    ]
    forbidden = re.compile("|".join(first + second for first, second in halves))
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in tracked_files()
        if path.suffix in {".py", ".toml", ".md", ".txt", ".json", ".html", ".j2", ".yml", ""}
        and path.name != "LICENSE"
        and (match := forbidden.search(path.read_text(encoding="utf-8", errors="replace")))
    ]
    assert found == []


def test_a_file_is_one_room() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in tracked_files()
        if path.suffix == ".py" and (lines := len(path.read_text(encoding="utf-8").splitlines())) > 400
    }
    assert long == {}


def test_every_distribution_has_the_same_version() -> None:
    versions = {
        re.search(r'^version = "(.+)"', path.read_text(encoding="utf-8"), re.MULTILINE)[1]  # type: ignore[index]
        for path in (
            ROOT / "pyproject.toml",
            *(ROOT / name / "pyproject.toml" for name in ("plugins", "export", "edge")),
        )
    }
    import vsframework

    assert versions == {vsframework.__version__}
