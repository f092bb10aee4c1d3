"""Conformance contracts for plugin authors: one class per kind of component.

Derive from the class of your kind, say the component's name, and run pytest::

    from vsframework.testing import DenoiserContract


    class TestMyDenoiser(DenoiserContract):
        name = "my-denoiser"
        params = {"width": 4}  # optional: anything but the defaults
"""

# ruff: noqa: E402 - the contracts must be registered before they are imported

import pytest

# pytest then shows both sides of their asserts, as it does in a test file.
pytest.register_assert_rewrite(
    "vsframework.testing.component_contract",
    "vsframework.testing.registrar_contract",
    "vsframework.testing.detector_contract",
    "vsframework.testing.denoiser_contract",
    "vsframework.testing.generator_contract",
    "vsframework.testing.quantifier_contract",
    "vsframework.testing.regressor_contract",
    "vsframework.testing.gate_contract",
    "vsframework.testing.reader_contract",
    "vsframework.testing.export_target_contract",
)

from vsframework.testing.component_contract import ComponentContract
from vsframework.testing.denoiser_contract import DenoiserContract
from vsframework.testing.detector_contract import DetectorContract
from vsframework.testing.export_target_contract import ExportTargetContract
from vsframework.testing.gate_contract import GateContract
from vsframework.testing.generator_contract import GeneratorContract
from vsframework.testing.quantifier_contract import QuantifierContract
from vsframework.testing.reader_contract import ReaderContract
from vsframework.testing.registrar_contract import RegistrarContract
from vsframework.testing.regressor_contract import RegressorContract

__all__ = [
    "ComponentContract",
    "DenoiserContract",
    "DetectorContract",
    "ExportTargetContract",
    "GateContract",
    "GeneratorContract",
    "QuantifierContract",
    "ReaderContract",
    "RegistrarContract",
    "RegressorContract",
]
