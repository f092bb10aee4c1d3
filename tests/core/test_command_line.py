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


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ('[denoiser]\nname = "histogram-mod"', "[denoiser] there is no denoiser 'histogram-mod'; did you mean"),
        ('[alignment]\nname = "none"', "[alignment] there is no registrar 'none'"),
        (
            '[generator]\nname = "pix2pix"\ndepht = 3',
            "[generator] pix2pix: there is no parameter 'depht'; did you mean",
        ),
        ('[denoiser]\nname = "histogram-mode"\nmodes = 0', "[denoiser] histogram-mode: modes = 0:"),
    ],
)
def test_a_wrong_component_or_parameter_is_named_before_any_work(table: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(f'[data]\nroot = "no-such-folder"\n{table}\n')
    done = vsf("run", "x.toml", cwd=tmp_path)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert not (tmp_path / "run").exists()
