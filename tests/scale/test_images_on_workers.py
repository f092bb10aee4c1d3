"""``vsf stain`` and ``vsf quantify`` on several workers: the same files and table, and a bad image costs its row."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.inference.conftest import trained_run as trained_run
from vsframework.images import Image, write_ome_tiff


def vsf(*words: object, folder: Path) -> tuple[int, str, str]:
    program = "from vsframework.cli import main\nif __name__ == '__main__': main()"
    command = [sys.executable, "-c", program, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.slow  # eight processes that import torch
def test_two_workers_stain_and_measure_what_one_does(trained_run: Path, tmp_path: Path) -> None:
    names = []
    for number in range(4):
        pixels = np.random.default_rng(number).integers(0, 256, (1, 24, 40)).astype(np.uint8)
        write_ome_tiff(tmp_path / f"f{number}.tif", Image(pixels=pixels, channels=("BF",), bit_depth=8))
        names.append(f"f{number}.tif")
    (tmp_path / "f1.tif").write_bytes((tmp_path / "f1.tif").read_bytes()[:200])
    for workers in (1, 2):
        code, out, _ = vsf(
            "stain", trained_run, *names, "-o", f"out{workers}", "--workers", workers, "--json", folder=tmp_path
        )
        document = json.loads(out)
        assert code == 1
        assert len(document["stained"]) == 3
        assert [Path(name).name for name in document["failed"]] == ["f1.tif"]
    stained = sorted((tmp_path / "out1").iterdir())
    assert len(stained) == 3
    for path in stained:
        assert path.read_bytes() == (tmp_path / "out2" / path.name).read_bytes()
    tables = []
    for workers in (1, 2):
        targets = [f"out{workers}/{path.name}" for path in stained]
        code, _, errors = vsf(
            "quantify", *targets, f"out{workers}/none.tif", "-o", "t.csv", "--workers", workers, folder=tmp_path
        )
        assert code == 1
        assert "1 of 4 images could not be measured" in errors
        rows = (tmp_path / "t.csv").read_text().splitlines()
        tables.append([row.partition(".stained")[2] for row in rows])
    assert tables[0] == tables[1]
    assert len(tables[0]) == 4
