"""The real ``vsf``: exit codes and one sentence per error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def vsf(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    code = "from vsframework.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False, cwd=cwd
    )


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("--version",), 0, "vsf, version"),
        (("nonsense",), 2, "No such command 'nonsense'"),
        (("run", "nowhere.toml"), 2, "there is no experiment file"),
        (("dataset", "info", "."), 2, "there is no dataset in"),
        (("dataset", "montage", "."), 2, "there is no dataset in"),
        (("dataset", "build"), 2, "Missing argument"),
    ],
)
def test_exit_code_and_sentence(arguments, code: int, sentence: str, tmp_path: Path) -> None:
    done = vsf(*arguments, cwd=tmp_path)
    assert done.returncode == code
    assert sentence in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_traceback_only_with_debug(tmp_path: Path) -> None:
    assert "Traceback" in vsf("--debug", "run", "nowhere.toml", cwd=tmp_path).stderr


def test_an_unknown_component_is_named_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "fields" / "d").mkdir(parents=True)
    (tmp_path / "fields" / "d" / "f_BF.tif").touch()
    (tmp_path / "x.toml").write_text('[data]\nroot = "fields"\n[denoiser]\nname = "histogram-mod"\n')
    done = vsf("run", "x.toml", cwd=tmp_path)
    assert done.returncode == 2
    assert "did you mean 'histogram-mode'?" in done.stderr
