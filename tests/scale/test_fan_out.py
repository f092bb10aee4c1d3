"""One function over many items: what is lost with a bad one, and who may send work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import distributed
import psutil
import pytest

from vsframework import preloaded
from vsframework.errors import UsageError, VsfError
from vsframework.fanout import Outcome, Workers, fan_out

COUNT = 12


def outcomes(workers: Workers, *, killer: int | None = None) -> dict[int, Outcome[int]]:
    def square(number: int) -> int:
        if number == 3:
            raise ValueError("three\nis bad")
        if number == 4:
            raise VsfError("field 4 is empty: leave it out")
        if number == killer:
            os.kill(os.getpid(), signal.SIGKILL)
        return number**2

    found = list(fan_out(square, range(COUNT), workers))
    assert len(found) == COUNT
    return {outcome.index: outcome for outcome in found}


@pytest.mark.parametrize("count", [1, 2])
def test_an_error_costs_its_item(count: int) -> None:
    found = outcomes(Workers(count=count))
    assert found[3].reason == "failed with ValueError: three is bad"
    assert found[4].reason == "field 4 is empty: leave it out"
    good = {index: outcome.value for index, outcome in found.items() if not outcome.error}
    assert good == {number: number**2 for number in range(COUNT) if number not in (3, 4)}


def test_an_error_that_cannot_travel_costs_its_item() -> None:
    class OddError(Exception):
        def __init__(self, one: str, two: str) -> None:
            super().__init__(f"{one} and {two}")  # pickle would call it with one argument

    def odd(number: int) -> int:
        if number == 5:
            raise OddError("this", "that")
        return number

    found = {outcome.index: outcome for outcome in fan_out(odd, range(COUNT), Workers(count=2))}
    assert found[5].reason == "failed with OddError: this and that"
    assert [index for index in range(COUNT) if found[index].value == index] == [0, 1, 2, 3, 4, *range(6, COUNT)]


def test_short_items_share_tasks_and_keep_their_places() -> None:
    def task(number: int) -> tuple[int, str]:
        from distributed import get_worker

        return number, str(get_worker().get_current_task())

    items = range(100, 500)
    found = list(fan_out(task, items, Workers(count=2)))
    assert sorted(outcome.index for outcome in found) == list(range(len(items)))
    values = {outcome.index: outcome.value for outcome in found}
    assert all(value is not None and value[0] == items[index] for index, value in values.items())
    tasks = {value[1] for value in values.values() if value is not None}
    assert len(tasks) < len(items) / 2


def test_workers_have_one_thread_and_this_process_what_it_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MKL_NUM_THREADS", "7")  # what is set by hand holds
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = dict(os.environ)

    def threads(_: int) -> tuple[str | None, str | None]:
        return os.environ.get("OMP_NUM_THREADS"), os.environ.get("MKL_NUM_THREADS")

    assert [outcome.value for outcome in fan_out(threads, range(2), Workers(count=2))] == [("1", "7")] * 2
    assert dict(os.environ) == before


def test_an_item_that_kills_its_process_costs_itself_alone() -> None:
    found = outcomes(Workers(count=2), killer=7)
    assert "the worker process died over it every time" in found[7].reason
    assert sorted(index for index, outcome in found.items() if outcome.error) == [3, 4, 7]


def test_what_is_started_here_listens_to_this_machine_alone() -> None:
    def listening(number: int) -> list[str]:
        own = psutil.Process().net_connections("inet")
        above = psutil.Process().parent()
        both = own + (above.net_connections("inet") if above else [])
        return [item.laddr.ip for item in both if item.status == psutil.CONN_LISTEN]

    for outcome in fan_out(listening, range(2), Workers(count=2)):
        assert outcome.value
        assert set(outcome.value) == {"127.0.0.1"}


def test_no_items_are_no_work() -> None:
    assert list(fan_out(abs, [], Workers(count=2))) == []


def test_one_worker_needs_no_dask() -> None:
    code = (
        "import sys; sys.modules['distributed'] = sys.modules['dask'] = None\n"
        "from vsframework.fanout import *\n"
        "print([outcome.value for outcome in fan_out(abs, [-1, 2])])\n"
        "try: list(fan_out(abs, [-1, 2], Workers(count=2)))\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    assert first == "[1, 2]"
    assert second.startswith(f"{UsageError.__name__} several workers need Dask distributed: pip install")


def test_what_goes_wrong_while_workers_end_spoils_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = []

    class FailsToClose(distributed.LocalCluster):  # type: ignore[misc]
        def close(self, timeout: float | None = None) -> Any:
            super().close(timeout)
            if not failed:
                failed.append(True)
                raise AssertionError("can only join a started process")

    monkeypatch.setattr(distributed, "LocalCluster", FailsToClose)
    assert outcomes(Workers(count=2))[5].value == 25
    assert failed


def test_a_module_that_cannot_be_imported_again_costs_no_worker(tmp_path: Path) -> None:
    (tmp_path / "broken_plugin.py").write_text("raise RuntimeError('only once')\n", encoding="utf-8")
    (tmp_path / "whole_plugin.py").write_text("", encoding="utf-8")
    names = "broken_plugin not_there_at_all whole_plugin"
    code = "import sys, vsframework.preloaded; sys.exit('whole_plugin' not in sys.modules)"
    environment = {**os.environ, preloaded.MODULES: names, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
