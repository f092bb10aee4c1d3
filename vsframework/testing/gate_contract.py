"""What every gate holds: numbers for any image, the same ones in any company, and words for what is wrong."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from vsframework.interfaces import Gate
from vsframework.testing.component_contract import ComponentContract
from vsframework.testing.prepared_images import FULL_SCALE, as_camera, brightfield_field, texture

SIDE = 96


class GateContract(ComponentContract):
    """Contract of ``vsf_gates``: see :class:`~vsframework.interfaces.Gate`."""

    kind = "gate"
    protocol = Gate

    @pytest.fixture
    def patches(self) -> npt.NDArray[np.float32]:
        """Three drawn heads and a texture, [4, 1, 96, 96], 8-bit counts."""
        field = brightfield_field(320, 480, seed=1)
        corners = ((32, 32), (32, 192), (192, 112))
        heads = [field[y : y + SIDE, x : x + SIDE] for y, x in corners]
        return np.stack([255 * image for image in (*heads, texture(SIDE, SIDE, seed=2))])[:, None].astype(np.float32)

    def test_describes_its_measures(self, part: Gate) -> None:
        measures = list(part.measures)
        assert measures, "measures is empty: name what measure() gives"
        assert part.version, "version is empty: limits learnt with it could not be told from those of another one"
        names = [measure.name for measure in measures]
        assert len(set(names)) == len(names), f"two measures share a name: {names}"
        for measure in measures:
            assert measure.name, "a measure has no name"
            assert measure.unit, f"{measure.name} has no unit; write '1' for a ratio"
            assert 0 < measure.resolution < math.inf, f"{measure.name}: resolution must be above 0"
            assert part.together or measure.too_low or measure.too_high, (
                f"{measure.name} says neither what is wrong when it is too low nor when it is too high"
            )
            assert measure.at_most is None or measure.too_high, (
                f"{measure.name} has an upper limit and no words for what lies above it"
            )

    def test_gives_a_number_per_patch_and_measure(self, part: Gate, patches: npt.NDArray[np.float32]) -> None:
        values = part.measure(patches, 255.0)
        expected = (len(patches), len(part.measures))
        assert values.shape == expected, f"measure() gave the shape {values.shape}, not [N, M] = {expected}"
        assert values.dtype == np.float64, f"measure() gave {values.dtype}, not float64"
        assert np.isfinite(values).all(), "a value of an ordinary patch is no finite number"

    def test_a_patch_is_measured_alike_in_any_company(self, part: Gate, patches: npt.NDArray[np.float32]) -> None:
        together = part.measure(patches, 255.0)
        alone = np.concatenate([part.measure(patch[None], 255.0) for patch in patches])
        np.testing.assert_allclose(together, alone, rtol=1e-6, atol=1e-9, err_msg="a value depends on other patches")

    def test_leaves_the_patches_unchanged(self, part: Gate, patches: npt.NDArray[np.float32]) -> None:
        before = patches.copy()
        first, again = part.measure(patches, 255.0), part.measure(patches, 255.0)
        np.testing.assert_array_equal(patches, before, "measure() changed the patches")
        np.testing.assert_array_equal(first, again, "measure() gives something else for the same patches")

    @pytest.mark.parametrize("dtype", FULL_SCALE)
    def test_a_value_means_the_same_at_any_bit_depth(self, part: Gate, dtype: str) -> None:
        image = brightfield_field(320, 480, seed=1)[32 : 32 + SIDE, 32 : 32 + SIDE]
        values = part.measure(as_camera(image, dtype)[None, None], FULL_SCALE[dtype])
        fine = part.measure(image[None, None].astype(np.float32), 1.0)
        resolution = np.array([measure.resolution for measure in part.measures])
        assert (np.abs(values - fine) <= 2 * resolution).all(), (
            f"measured {values} in {dtype} and {fine} on a scale of 1: use full_scale"
        )

    @pytest.mark.parametrize("shape", [(1, 1), (3, 3), (16, 16), (1, 64), (150, 150)])
    @pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
    def test_gives_numbers_for_what_is_no_cell(self, part: Gate, shape: tuple[int, int], level: float) -> None:
        blank = np.full((1, 1, *shape), 255 * level, dtype=np.float32)
        noise = np.random.default_rng(0).uniform(0, 255, (1, 1, *shape)).astype(np.float32)
        for image in (blank, noise):
            values = part.measure(image, 255.0)
            assert np.isfinite(values).all(), f"measure() gave {values} for an image of {shape} without a cell"

    def test_takes_no_patch_and_several_planes(self, part: Gate, patches: npt.NDArray[np.float32]) -> None:
        assert part.measure(patches[:0], 255.0).shape == (0, len(part.measures)), "no patches must give [0, M]"
        assert part.measure(np.repeat(patches, 3, axis=1), 255.0).shape == (len(patches), len(part.measures))
