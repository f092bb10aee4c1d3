"""What is freed is kept: no page is asked of the system twice."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from vsframework.freed_memory import ENVIRONMENT

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mallopt is of the GNU C library")

PROGRAM = """
import resource, sys
from vsframework.freed_memory import keep_freed_memory
if "keep" in sys.argv: keep_freed_memory()
def use(): b"x" * (40 << 20)  # more than glibc ever keeps by itself
use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5): use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(*words: str, **environment: str) -> int:
    clean = {name: value for name, value in os.environ.items() if name not in ENVIRONMENT}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        capture_output=True,
        text=True,
        check=True,
        env={**clean, **environment},
    )
    return int(done.stdout)


def test_what_is_freed_is_used_again() -> None:
    assert faults("keep") < faults() / 10
    assert faults(**ENVIRONMENT) < faults() / 10  # as a worker has it


def test_an_environment_that_says_otherwise_holds() -> None:
    assert faults("keep", MALLOC_TRIM_THRESHOLD_="65536") > 10 * faults("keep")
