"""A fresh environment with packages in it that pip installed: the proof is made with real plugins."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from vsframework.plugins import KINDS
from vsframework.scaffold import create_package

THIRD_PARTY = Path(__file__).resolve().parents[1] / "thirdparty"


@dataclass(frozen=True)
class FreshEnvironment:
    """A virtual environment that sees this one's packages (torch is big) and has its own beside them."""

    root: Path

    @property
    def python(self) -> Path:
        return self.root / "bin" / "python"

    def run(self, *arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run this environment's Python."""
        environment = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
        return subprocess.run([self.python, *arguments], capture_output=True, text=True, env=environment, check=False)

    def vsf(self, *arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run this environment's ``vsf``."""
        return self.run("-c", "from vsframework.cli import main; main()", *arguments, **variables)

    def install(self, folders: Sequence[Path]) -> None:
        """Install packages with pip, from their folders and nowhere else."""
        pip = [sys.executable, "-m", "pip", "--python", str(self.python), "install", "--disable-pip-version-check"]
        offline = ["--no-deps", "--no-index", "--no-build-isolation", "--quiet"]
        result = subprocess.run([*pip, *offline, *folders], capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr


@pytest.fixture(scope="session")
def generated_packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What ``vsf plugins new`` writes, one package per kind."""
    folder = tmp_path_factory.mktemp("generated")
    return {kind: create_package(f"new-{kind}", kind, folder) for kind in KINDS}


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory, generated_packages: dict[str, Path]) -> FreshEnvironment:
    """An environment with one good, four bad and seven freshly generated plugins."""
    root = tmp_path_factory.mktemp("lab") / "environment"
    venv.create(root, symlinks=True)
    packages = next(root.glob("lib/python*/site-packages"))
    # addsitedir, because editable installs are .pth files too, and only it reads those
    packages.joinpath("parent.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    environment = FreshEnvironment(root)
    environment.install([*(path.parent for path in THIRD_PARTY.glob("*/pyproject.toml")), *generated_packages.values()])
    return environment
