"""Every component of this environment under the contract of its kind: what ``vsf plugins check`` runs.

Not collected by itself. In a test file of your own, ``from vsframework.testing.conformance import *`` runs the
contracts of all installed components.
"""

from __future__ import annotations

from typing import Any

import pytest

from vsframework.components import Component
from vsframework.plugins import Entry, registry
from vsframework.testing import (
    ComponentContract,
    DenoiserContract,
    DetectorContract,
    ExportTargetContract,
    GateContract,
    GeneratorContract,
    QuantifierContract,
    ReaderContract,
    RegistrarContract,
    RegressorContract,
)

__all__ = [
    "TestInstalledDenoiser",
    "TestInstalledDetector",
    "TestInstalledExportTarget",
    "TestInstalledGate",
    "TestInstalledGenerator",
    "TestInstalledQuantifier",
    "TestInstalledReader",
    "TestInstalledRegistrar",
    "TestInstalledRegressor",
    "pytest_generate_tests",
]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each contract once per installed component of its kind."""
    contract = metafunc.cls
    if contract is not None and issubclass(contract, ComponentContract) and "entry" in metafunc.fixturenames:
        entries = registry().entries(contract.kind)
        metafunc.parametrize("entry", entries, ids=[entry.qualified_name for entry in entries])


class _Installed(ComponentContract):
    @pytest.fixture
    def component(self, entry: Entry) -> Component[Any]:
        """The component of an installed plugin."""
        return entry.component


class TestInstalledRegistrar(_Installed, RegistrarContract):
    """The registrars of this environment."""


class TestInstalledDetector(_Installed, DetectorContract):
    """The detectors of this environment."""


class TestInstalledDenoiser(_Installed, DenoiserContract):
    """The denoisers of this environment."""


class TestInstalledGenerator(_Installed, GeneratorContract):
    """The generators of this environment."""


class TestInstalledQuantifier(_Installed, QuantifierContract):
    """The quantifiers of this environment."""


class TestInstalledRegressor(_Installed, RegressorContract):
    """The regressors of this environment."""


class TestInstalledGate(_Installed, GateContract):
    """The gates of this environment."""


class TestInstalledReader(_Installed, ReaderContract):
    """The readers of this environment."""


class TestInstalledExportTarget(_Installed, ExportTargetContract):
    """The export targets of this environment."""
