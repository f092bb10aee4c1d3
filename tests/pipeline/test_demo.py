"""``make demo`` is ``vsf demo demo``: here with one field per donor and one epoch."""

from __future__ import annotations

import csv
import json
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
    lines = demo(tmp_path)
    report = tmp_path / lines[-5].rpartition(": ")[2]
    text = report.read_text(encoding="utf-8")
    assert "Simulated data" in text
    assert "donor1" in text
    again = demo(tmp_path)
    assert again[-1] == lines[-1]
    stages = {line.partition(": ")[0]: line.partition(": ")[2] for line in again[1:-6]}
    assert len(stages) >= 5
    assert set(stages.values()) == {"up to date"}
    assert "agrees with torch" in again[-6]

    stained = subprocess.run(  # as it is printed
        lines[-3], shell=True, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert stained.returncode == 0, stained.stderr
    with (tmp_path / "demo" / "stained" / "cells.csv").open(newline="", encoding="utf-8") as file:
        cells = list(csv.DictReader(file))
    assert len(cells) >= 1
    assert all(0 <= float(cell["dfi"]) <= 1 for cell in cells if cell["dfi"])
    assert not any(cell["problem"] for cell in cells)

    live = subprocess.run(
        f"{lines[-1]} --seconds 2 --port 0 --runtime onnxruntime --json",
        shell=True, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert live.returncode == 0, live.stderr
    assert json.loads(live.stdout)["results"] > 0


def test_the_makefile_runs_this_demo() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(r"^demo: .*\n\t\$\(BIN\)/vsf demo demo$", makefile, re.MULTILINE)
