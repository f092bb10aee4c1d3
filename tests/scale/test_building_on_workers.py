"""A dataset is the same whoever built it: one worker, two, a cluster, or several after the others were killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.scale.conftest import OVERRIDES, digest
from vsf_plugins.registrars.sift_ransac import SiftRansac
from vsframework import fanout
from vsframework.dataset import PatchDataset, builder
from vsframework.dataset.field import FieldPatches, patches_of_field
from vsframework.dataset.layouts import FieldFiles
from vsframework.errors import UsageError
from vsframework.fanout import Workers
from vsframework.pipeline import Run

LONG = 300
"""Seconds to wait for what takes two: the machine may have much else to do."""
FIELDS = 6
SLOW_STEP = """
import time
from vsf_plugins.registrars.sift_ransac import SiftRansac
def slow(self, field):
    time.sleep(0.4)
    return self.quick(field)
if not hasattr(SiftRansac, "quick"):  # dask worker runs this twice
    SiftRansac.quick, SiftRansac.prepare = SiftRansac.prepare, slow
"""
"""Makes a field take long enough to be killed over."""


def build(root: Path, workers: Workers) -> dict[str, str]:
    Run(root / "experiment.toml", OVERRIDES, workers).go("dataset", tell=lambda _: None)
    return digest(root / "run")


def command(root: Path, *words: str) -> list[str]:
    options = [word for override in OVERRIDES for word in ("-o", override)]
    main = "from vsframework.cli import main\nif __name__ == '__main__': main()"
    return [sys.executable, "-c", main, "dataset", "build", str(root / "experiment.toml"), *options, *words]


def parts(root: Path) -> list[Path]:
    found = (root / "run" / ".dataset-parts").glob("*/*.part")
    return [path for path in found if not path.name.startswith(".")]  # those are being written


def wait_for_parts(root: Path, count: int, building: subprocess.Popen[bytes]) -> list[Path]:
    end = time.monotonic() + LONG
    while len(parts(root)) < count:
        assert time.monotonic() < end, "the build made no parts"
        assert building.poll() is None, "the build ended before it was stopped"
        time.sleep(0.005)
    return parts(root)


def test_a_field_is_described_once_for_all_its_cells(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    described: list[tuple[int, ...]] = []
    prepare = SiftRansac.prepare

    def count(self: SiftRansac, fixed: Any) -> Any:
        described.append(fixed.shape)
        return prepare(self, fixed)

    monkeypatch.setattr(SiftRansac, "prepare", count)
    build(study, Workers())
    cells = PatchDataset.open(study / "run" / "dataset").cells
    assert len(described) == FIELDS - 1  # one is damaged
    assert len(cells) > FIELDS


def test_two_workers_build_what_one_builds(study: Path, undisturbed: dict[str, str]) -> None:
    assert build(study, Workers(count=2)) == undisturbed
    assert not (study / "run" / ".dataset-parts").exists()


def test_a_bad_field_costs_its_row(study: Path, undisturbed: dict[str, str]) -> None:
    assert build(study, Workers()) == undisturbed
    cells = PatchDataset.open(study / "run" / "dataset").cells
    assert list(cells.loc[cells["id"] == "donor2/field001", "reason"].str.contains("truncated")) == [True]
    assert cells.loc[cells["field"] != "field001", "accepted"].any()


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_a_killed_client_goes_on_where_it_was(
    study: Path, undisturbed: dict[str, str], workers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with subprocess.Popen(command(study, "--workers", workers), stdout=subprocess.DEVNULL) as client:
        try:
            wait_for_parts(study, 1, client)
        finally:
            client.kill()
    before = parts(study)
    assert not (study / "run" / "dataset").exists()
    assert 1 <= len(before) < FIELDS - 1, "it was killed too late to show anything"
    made: list[str] = []

    def count(files: FieldFiles, *rest: Any) -> FieldPatches:
        made.append(files.id)
        return patches_of_field(files, *rest)

    monkeypatch.setattr(builder, "patches_of_field", count)
    assert build(study, Workers()) == undisturbed
    assert len(made) == FIELDS - len(before)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A real ``dask scheduler`` on the loopback and two real ``dask worker`` processes, as on a cluster."""
    file = tmp_path / "scheduler.json"
    dask = [sys.executable, "-m", "dask"]
    quiet = {"cwd": tmp_path, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    start = ["scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file)]
    processes = [subprocess.Popen([*dask, *start], **quiet)]  # type: ignore[call-overload]
    try:
        end = time.monotonic() + LONG
        while not file.exists() or not file.read_text():
            assert time.monotonic() < end, "the scheduler did not start"
            time.sleep(0.05)
        worker = ["worker", "--scheduler-file", str(file), "--host", "127.0.0.1", "--nthreads", "1", "--no-dashboard"]
        preload = tmp_path / "slow.py"
        preload.write_text(SLOW_STEP)
        processes += [
            subprocess.Popen([*dask, *worker, "--no-nanny", "--preload", str(preload)], **quiet)  # type: ignore[call-overload]
            for _ in range(2)
        ]
        address = json.loads(file.read_text())["address"]
        wait_for_workers(address, 2)
        yield address, processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


def wait_for_workers(address: str, count: int) -> None:
    from distributed import Client

    with Client(address, set_as_default=False) as client:
        client.wait_for_workers(count, timeout=LONG)


def test_a_worker_of_a_cluster_is_killed_and_nobody_can_tell(
    study: Path, undisturbed: dict[str, str], cluster: tuple[str, list[subprocess.Popen[bytes]]]
) -> None:
    address, processes = cluster
    assert address.startswith("tcp://127.0.0.1:")
    with subprocess.Popen(
        command(study, "--scheduler", address), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as building:
        try:
            wait_for_parts(study, 1, building)
            os.kill(processes[1].pid, signal.SIGKILL)
            assert len(parts(study)) < FIELDS - 1, "it was killed too late to show anything"
            _, errors = building.communicate(timeout=LONG)
        finally:
            building.kill()
    assert building.returncode == 0, errors.decode()
    assert digest(study / "run") == undisturbed


def test_a_scheduler_that_is_not_there_is_one_sentence(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fanout, "CONNECT_SECONDS", 1)
    with pytest.raises(UsageError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9: start one"):
        build(study, Workers(scheduler="tcp://127.0.0.1:9"))


def test_workers_and_scheduler_exclude_each_other(study: Path) -> None:
    both = command(study, "--workers", "2", "--scheduler", "tcp://127.0.0.1:9")
    done = subprocess.run(both, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "give one of them" in done.stderr
