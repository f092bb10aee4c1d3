"""``make demo`` is ``vsf demo demo``: here with one field per donor and one epoch."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def demo(folder: Path) -> list[str]:
    code = "from vsframework.cli import main; main()"
    command = [sys.executable, "-c", code, "demo", "demo", "--fields", "1", "--epochs", "1"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_demo_ends_by_saying_where_to_look_and_does_nothing_twice(tmp_path: Path) -> None:
    last = demo(tmp_path)[-1]
    report = tmp_path / last.rpartition(": ")[2]
    text = report.read_text(encoding="utf-8")
    assert "Simulated data" in text
    assert "donor1" in text
    again = demo(tmp_path)
    assert [line.partition(": ")[2] for line in again[1:-1]] == ["up to date"] * 4


def test_the_makefile_runs_this_demo() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(r"^demo: .*\n\t\$\(BIN\)/vsf demo demo$", makefile, re.MULTILINE)
