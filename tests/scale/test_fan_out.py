"""One function over many items: what is lost with a bad one, and who may send work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import psutil
import pytest

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
