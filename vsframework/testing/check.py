"""Runs the contracts of installed components with pytest, in this process, and gives a verdict per component."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vsframework.environment import environment_restored
from vsframework.errors import VsfError
from vsframework.plugins import Entry
from vsframework.progress import track


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A check that a component failed: its name in words, and what its author forgot."""

    check: str
    message: str


@dataclass(kw_only=True)
class Verdict:
    """How one component stands under the contract of its kind."""

    entry: Entry
    passed: int = 0
    skipped: int = 0
    failures: list[Failure] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        """How many checks passed, failed and were skipped."""
        return {"passed": self.passed, "failed": len(self.failures), "skipped": self.skipped}


def check_components(entries: Sequence[Entry]) -> list[Verdict]:
    """Run the contract of each of `entries`; a failing component is a verdict, not an error.

    Raises
    ------
    VsfError
        When pytest is not installed, or cannot run the contracts.
    """
    try:
        import pytest
    except ModuleNotFoundError as error:
        raise VsfError("the contracts run with pytest: pip install 'vsframework[testing]', then try again") from error
    contracts = Path(__file__).with_name("conformance.py")
    arguments = [str(contracts), "-c", os.devnull, "--rootdir", str(contracts.parent), "--import-mode=importlib"]
    arguments += ["--noconftest", "-p", "no:terminal", "-p", "no:cacheprovider", "-p", "no:doctest", "-W", "default"]
    verdicts = []
    for entry in track(entries, "Checking"):
        recorder = _Recorder(entry)
        output = io.StringIO()
        with _own_settings(), contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            code = pytest.main(arguments, plugins=[recorder])
        if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            said = " ".join(output.getvalue().split())[-300:]
            raise VsfError(f"pytest could not run the contract of {entry.kind} {entry.qualified_name} ({code}): {said}")
        verdicts.append(recorder.verdict)
    return verdicts


class _Recorder:
    """A pytest plugin: keeps the checks of one component, and their results."""

    def __init__(self, entry: Entry) -> None:
        self.verdict = Verdict(entry=entry)

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        items[:] = [item for item in items if item.callspec.params.get("entry") is self.verdict.entry]

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.skipped:
            self.verdict.skipped += 1
        elif report.failed:
            self.verdict.failures.append(Failure(check=self._words(report.nodeid), message=_message(report)))
        elif report.when == "call":
            self.verdict.passed += 1

    def _words(self, nodeid: str) -> str:
        """Turn a test's name into words, with the case that failed where there are several."""
        name, _, case = nodeid.rpartition("::")[2].partition("[")
        case = case.removesuffix("]").replace(self.verdict.entry.qualified_name, "").strip("-")
        return name.removeprefix("test_").replace("_", " ") + (f" ({case})" if case else "")


def _message(report: Any) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(crash.message if crash is not None else report.longrepr).strip()
    first = text.removeprefix("AssertionError: ").removeprefix("Failed: ").partition("\nassert ")[0]
    return " ".join(first.split())[:400]


@contextlib.contextmanager
def _own_settings() -> Iterator[None]:
    """Keep the author's pytest settings and other people's pytest plugins out of the contracts."""
    with environment_restored(("PYTEST_ADDOPTS", "PYTEST_DISABLE_PLUGIN_AUTOLOAD")):
        os.environ.pop("PYTEST_ADDOPTS", None)
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        yield
