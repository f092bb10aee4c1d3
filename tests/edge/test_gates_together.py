"""The gates share the preparation of the patches: same values, a fraction of the time, other people's gates as well."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from vsf_edge.gates.measure import Measure, measure_together
from vsf_edge.interfaces import Gate
from vsf_edge.plugins import plugins

BUILT_IN = ("focus", "exposure", "background", "black-borders", "head", "distance")


class Mean:
    """A gate of somebody else, which knows nothing of sharing."""

    version = "1"
    together = ""
    measures = (Measure(name="mean", unit="1", too_low="dark", resolution=0.01),)

    def measure(self, brightfield: npt.NDArray[np.generic], full_scale: float) -> npt.NDArray[np.float64]:
        return brightfield.mean(axis=(1, 2, 3), dtype=np.float64)[:, None] / full_scale


def gates() -> list[Gate]:
    return [plugins().find("gate", name).create() for name in BUILT_IN]


def patches(count: int, size: int = 150) -> npt.NDArray[np.float32]:
    """Dark ovals with a halo, one with a black corner."""
    rng = np.random.default_rng(3)
    rows, columns = np.mgrid[:size, :size] - (size - 1) / 2
    cells = []
    for _ in range(count):
        radius = np.hypot(columns / rng.uniform(0.3, 0.36) / size, rows / rng.uniform(0.2, 0.24) / size)
        light = 130 - 45 / (1 + np.exp((radius - 1) * 15)) + 30 * np.exp(-(((radius - 1.15) / 0.1) ** 2))
        cells.append(light + rng.normal(0, 2, light.shape))
    cells[0][:8, :8] = 0
    return np.stack(cells)[:, None].clip(0, 255).astype(np.float32)


@pytest.mark.parametrize("count", [1, 16, 17, 40])
def test_together_they_measure_what_each_measures_alone(count: int) -> None:
    brightfield = patches(count)
    asked = [gates()[0], Mean(), *gates()[1:]]
    together = measure_together(asked, brightfield, 255.0)
    assert len(together) == len(asked)
    for gate, values in zip(asked, together, strict=True):
        assert values.shape == (count, len(gate.measures))
        np.testing.assert_allclose(values, gate.measure(brightfield, 255.0), rtol=1e-9)


def test_no_patches_give_no_values() -> None:
    empty = patches(1)[:0]
    assert [values.shape for values in measure_together([*gates(), Mean()], empty, 255.0)] == [
        (0, len(gate.measures)) for gate in [*gates(), Mean()]
    ]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_counts_of_the_camera_are_measured_as_they_are(dtype: type[np.generic]) -> None:
    counts = patches(3).round()
    expected = measure_together(gates(), counts, 255.0)
    for values, other in zip(measure_together(gates(), counts.astype(dtype), 255.0), expected, strict=True):
        np.testing.assert_allclose(values, other, rtol=1e-9)
