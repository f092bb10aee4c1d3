"""What every regressor holds: it learns what can be seen, on any scale, and gives one value per patch."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from vsframework.components import Component
from vsframework.interfaces import FittedRegressor, Regressor
from vsframework.testing.component_contract import ComponentContract, smallest_width
from vsframework.testing.prepared_images import head_mask

SIZE = 32
SEED = 7
LEARNT_FROM, JUDGED_ON = 96, 32


class _Cells(NamedTuple):
    """Patches [N, P, H, W] in counts, what is to be learnt [N], and whose the cells are [N]."""

    brightfield: npt.NDArray[np.float32]
    values: npt.NDArray[np.float64]
    donors: tuple[str, ...]

    def first(self, count: int) -> _Cells:
        return _Cells(self.brightfield[:count], self.values[:count], self.donors[:count])


class RegressorContract(ComponentContract):
    """Contract of ``vsf_regressors``: see :class:`~vsframework.interfaces.Regressor`.

    The cells are drawn: the darker the head, the higher the value, so that anything that looks at pixels can learn it.
    """

    kind = "regressor"
    protocol = Regressor

    @pytest.fixture
    def part(self, component: Component[Any]) -> Regressor:
        """The built regressor; a parameter ``width`` is at its lower bound, unless `params` says otherwise."""
        part: Regressor = component.create({**smallest_width(component), **self.params})
        return part

    def test_learns_what_can_be_seen(self, part: Regressor) -> None:
        _check_beats_a_constant(part, _drawn_cells(planes=1), unit=1.0)

    def test_learns_from_any_number_of_planes_and_in_any_unit(self, part: Regressor) -> None:
        _check_beats_a_constant(part, _drawn_cells(planes=2), unit=1e6)

    def test_gives_one_value_per_patch(self, part: Regressor) -> None:
        cells = _drawn_cells().first(24)
        fitted = _fit(part, cells)
        together = fitted.predict(cells.brightfield)
        assert isinstance(together, np.ndarray), f"predict() gave a {type(together).__name__}, not a NumPy array"
        assert together.shape == (24,), f"predict() gave {together.shape} for 24 patches: one value each"
        assert together.dtype == np.float64, f"predict() gave {together.dtype}, not float64"
        assert fitted.predict(cells.brightfield[:0]).shape == (0,), "predict() of no patch is not an empty row"
        alone = np.concatenate([fitted.predict(cells.brightfield[index : index + 1]) for index in range(4)])
        scale = float(np.ptp(cells.values))
        np.testing.assert_allclose(alone, together[:4], atol=1e-4 * scale, err_msg="a cell's value needs its batch")

    def test_the_seed_decides(self, part: Regressor) -> None:
        cells = _drawn_cells().first(32)
        first, again = (_fit(part, cells).predict(cells.brightfield) for _ in range(2))
        np.testing.assert_array_equal(first, again, "fit() draws from something else than its seed")

    def test_leaves_its_input_and_the_random_generators_as_they_were(self, part: Regressor) -> None:
        import torch

        cells = _drawn_cells().first(16)
        before = _Cells(cells.brightfield.copy(), cells.values.copy(), cells.donors)
        np.random.random(), torch.rand(1)  # noqa: NPY002 - an earlier reseeding must not look like the state before
        numpy_state, torch_state = _numpy_state(), torch.get_rng_state()
        _fit(part, cells).predict(cells.brightfield)
        np.testing.assert_array_equal(cells.brightfield, before.brightfield, "the patches were changed: work on a copy")
        np.testing.assert_array_equal(cells.values, before.values, "the values were changed: work on a copy")
        assert _numpy_state() == numpy_state, "fit() reseeds or uses NumPy's global generator: use default_rng(seed)"
        assert torch.equal(torch.get_rng_state(), torch_state), "fit() reseeds torch: use torch.random.fork_rng()"

    def test_fitting_again_leaves_the_first_as_it_was(self, part: Regressor) -> None:
        cells = _drawn_cells().first(32)
        fitted = _fit(part, cells)
        before = fitted.predict(cells.brightfield)
        _fit(part, cells._replace(values=-cells.values))
        again = fitted.predict(cells.brightfield)
        np.testing.assert_array_equal(again, before, "fit() changed what an earlier fit() gave: return a new object")

    @pytest.mark.parametrize("flat", ["values", "patches"])
    def test_copes_with_nothing_to_learn(self, part: Regressor, flat: str) -> None:
        cells = _drawn_cells().first(16)
        if flat == "values":
            cells = cells._replace(values=np.full(16, 0.25))
        else:
            cells = cells._replace(brightfield=np.full_like(cells.brightfield, 9.0))
        found = _fit(part, cells).predict(cells.brightfield)
        assert np.isfinite(found).all(), f"predicts {found} where all {flat} are the same"


def _drawn_cells(planes: int = 1, count: int = LEARNT_FROM + JUDGED_ON) -> _Cells:
    random = np.random.default_rng(5)
    values = random.uniform(0.05, 0.35, count)
    counts = np.full((count, planes, SIZE, SIZE), 140.0) + random.normal(0, 3, (count, planes, SIZE, SIZE))
    counts -= 250 * values[:, None, None, None] * head_mask(SIZE)
    return _Cells(counts.astype(np.float32), values, tuple("ABCD"[index % 4] for index in range(count)))


def _fit(part: Regressor, cells: _Cells) -> FittedRegressor:
    return part.fit(cells.brightfield, cells.values, cells.donors, SEED)


def _check_beats_a_constant(part: Regressor, cells: _Cells, unit: float) -> None:
    cells = cells._replace(values=cells.values * unit)
    seen = cells.first(LEARNT_FROM)
    found = _fit(part, seen).predict(cells.brightfield[LEARNT_FROM:])
    measured = cells.values[LEARNT_FROM:]
    assert np.isfinite(found).all(), "predict() gave NaN or infinity"
    error = np.abs(found - measured).mean()
    constant = np.abs(np.median(seen.values) - measured).mean()
    assert error < 0.5 * constant, (
        f"its error on unseen cells is {error:.3g}; the median of the seen ones {constant:.3g}"
    )


def _numpy_state() -> Any:
    name, keys, *rest = np.random.get_state(legacy=True)  # noqa: NPY002 - the global one is what must not be touched
    return (name, np.asarray(keys).tolist(), *rest)
