"""Every command of the README runs, in order, in one folder, as a newcomer would type it."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import SMALL

ROOT = Path(__file__).resolve().parents[2]
BLOCKS = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
PROGRAMS = {"vsf": "from vsframework.cli import main; main()", "vsf-edge": "from vsf_edge.cli import main; main()"}


def readme_commands() -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return [line for block in BLOCKS.findall(text) for line in block.splitlines() if line.strip()]


def expand(word: str, folder: Path) -> list[str]:
    return [str(path) for path in sorted(folder.glob(word))] if "*" in word else [word]


def test_the_commands_of_the_readme_run(tmp_path: Path) -> None:
    commands = readme_commands()
    assert {shlex.split(line)[0] for line in commands} == {"vsf", "vsf-edge", "pip"}
    environment = dict(os.environ)
    for line in commands:
        words = shlex.split(line)
        if words[0] == "pip":  # into a folder of this test, so that the environment of the tests stays as it is
            site = tmp_path / "installed"
            words = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
            words += ["--target", str(site), "./my-denoiser"]
            environment["PYTHONPATH"] = str(site)
        else:
            words = [sys.executable, "-c", PROGRAMS[words[0]], *words[1:]]
            if line.startswith("vsf simulate"):  # smaller fields: the README's run in a minute, these in seconds
                words += ["--width", "900", "--height", "700"]
            if line.startswith("vsf-edge live"):  # several tests at once
                words += ["--port", "0"]
            if line.startswith(("vsf run", "vsf evaluate --cv")):
                words += [word for override in SMALL for word in ("-o", override)]
        words = [found for word in words for found in expand(word, tmp_path)]
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text("utf-8")))))
def test_what_the_readme_links_to_is_there(link: str) -> None:
    assert (ROOT / link).exists()
