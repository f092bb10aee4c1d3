"""vsf-edge needs no torch and nothing else of the project."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

IMPORT_ALL = """
import importlib, pkgutil, sys

BANNED = {"torch", "vsframework", "vsf_plugins", "vsf_export", "onnx", "pydantic", "pluggy"}

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BANNED:
            raise ModuleNotFoundError(f"{name} is not on the edge", name=name)

sys.meta_path.insert(0, Absent())
import vsf_edge
names = [item.name for item in pkgutil.walk_packages(vsf_edge.__path__, "vsf_edge.")]
names = [name for name in names if not name.startswith("vsf_edge.testing.")]  # contracts: for authors, with pytest
for name in names:
    importlib.import_module(name)
print(len(names))
from vsf_edge.cli import main
sys.argv = ["vsf-edge", *sys.argv[1:]]
main()
"""


def test_every_module_works_without_torch_and_the_rest_of_the_project(model: Path) -> None:
    command = [sys.executable, "-c", IMPORT_ALL, "inspect", str(model), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.splitlines()[0]) >= 15
    assert "dfi_max_abs: 0.0" in done.stdout


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from vsf_edge.cli import edge\n"
        "edge.main(['--help'], standalone_mode=False)\n"
        "print('HEAVY', sorted(set(sys.modules) & {'numpy', 'cv2', 'onnxruntime'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("HEAVY []")


@pytest.mark.slow
def test_it_installs_alone(tmp_path: Path, model: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    scripts = tmp_path / "venv" / ("Scripts" if sys.platform == "win32" else "bin")
    constraints = ["-c", str(ROOT / "constraints.txt")] if (ROOT / "constraints.txt").exists() else []
    pip = [str(scripts / "python"), "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", *constraints, str(ROOT / "edge")], check=True)
    listed = subprocess.run([*pip, "list", "--format=freeze"], capture_output=True, text=True, check=True).stdout
    installed = {line.partition("==")[0].lower() for line in listed.splitlines()}
    assert "vsf-edge" in installed
    assert not installed & {"torch", "vsframework", "vsf-plugins", "vsf-export", "pydantic", "onnx"}
    for arguments in (["doctor"], ["inspect", str(model), "--check"]):
        done = subprocess.run([str(scripts / "vsf-edge"), *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
