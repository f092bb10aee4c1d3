"""``vsf simulate`` as a person or a script meets it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SMALL = [
    "--donors",
    "2",
    "--fields",
    "1",
    "--width",
    "320",
    "--height",
    "300",
    "--cells-per-field",
    "1",
    "--debris",
    "2",
]


def vsf(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = "from vsframework.cli import main; main()"
    return subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)


def test_it_says_what_it_made_and_repeats_itself(tmp_path: Path) -> None:
    out = tmp_path / "study"
    told = vsf("simulate", str(out), *SMALL)
    assert (told.returncode, told.stderr) == (0, "")
    assert "not real cells" in told.stdout
    assert f"vsf run {out / 'experiment.toml'}" in told.stdout
    again = vsf("simulate", str(out), *SMALL, "--json")
    assert again.returncode == 0
    summary = json.loads(again.stdout)
    assert summary["path"] == str(out)
    assert summary["options"]["donors"] == len(summary["donors"]) == 2


def test_wrong_values_are_one_sentence_and_code_2(tmp_path: Path) -> None:
    failed = vsf("simulate", str(tmp_path / "study"), "--bit-depth", "12", "--fields", "0")
    assert failed.returncode == 2
    assert failed.stderr.count("\n") == 1
    assert "fields = 0" in failed.stderr
    assert "bit-depth = 12: input should be 8 or 16" in failed.stderr
    assert not (tmp_path / "study").exists()


def test_a_used_folder_is_code_2(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    failed = vsf("simulate", str(tmp_path), *SMALL)
    assert failed.returncode == 2
    assert "choose another folder" in failed.stderr
