"""A small simulated study with one bad field, and what an undisturbed build by one worker makes of it."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from vsframework.pipeline import Run

OVERRIDES = ("patches.size=32",)


def digest(run: Path) -> dict[str, str]:
    """Hash every file of the dataset in `run` that holds cells: pixels, table, raw files."""
    dataset = run / "dataset"
    paths = [path for path in sorted(dataset.rglob("*")) if path.is_file() and path.name != "dataset.json"]
    return {str(path.relative_to(dataset)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


@pytest.fixture(scope="session")
def fields(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six fields of two donors (two of them simulated, and copied), of which one is damaged; nothing is built."""
    from vsframework.simulation import SimulationOptions, simulate

    root = tmp_path_factory.mktemp("scale") / "study"
    simulate(root, SimulationOptions(donors=2, fields=1, width=420, height=400, cells_per_field=2, seed=4))
    for path in [path for path in root.glob("donor*/**/*") if path.is_file()]:
        for name in ("field001", "field002"):
            copy = root / path.relative_to(root).as_posix().replace("field000", name)
            copy.parent.mkdir(exist_ok=True)
            shutil.copy(path, copy)
    broken = root / "donor2" / "field001_dsDNA.tif"
    broken.write_bytes(broken.read_bytes()[:2000])
    return root


@pytest.fixture
def study(fields: Path, tmp_path: Path) -> Path:
    """A copy of the fields."""
    return Path(shutil.copytree(fields, tmp_path / "study"))


@pytest.fixture(scope="session")
def undisturbed(fields: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The dataset that one worker builds at a go."""
    root = Path(shutil.copytree(fields, tmp_path_factory.mktemp("undisturbed") / "study"))
    Run(root / "experiment.toml", OVERRIDES).go("dataset", tell=lambda _: None)
    return digest(root / "run")
