"""Faults planted in simulated cells are caught, clean cells of donors never learnt from are not turned away."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from tests.trust.conftest import SIDE, SimulatedCells, drawn_cell
from vsframework.config import TrustSection
from vsframework.errors import UsageError
from vsframework.simulation import SimulationOptions
from vsframework.simulation.faults import FAULTS, plant_fault
from vsframework.simulation.study import simulate_study_field
from vsframework.trust.calibrating import gate_table
from vsframework.trust.judging import Verdicts, build_gate, judge_values
from vsframework.trust.learning import learn
from vsframework.trust.table import GateTable

REQUIRED = ("defocus", "saturated", "other-cell", "empty", "wrong-modality", "inverted")
SETTINGS = TrustSection()
GATES = [build_gate(selection) for selection in SETTINGS.gates]


@pytest.fixture(scope="module")
def tables(simulated_cells: SimulatedCells) -> tuple[GateTable, ...]:
    values = [gate.measure(simulated_cells.training, 255.0) for gate in GATES]
    learnt = learn(GATES, values, simulated_cells.donors, SETTINGS.false_alarms)
    return tuple(gate_table(*item, learnt.reach) for item in zip(SETTINGS.gates, GATES, learnt.usual, strict=True))


def judge(tables: tuple[GateTable, ...], patches: npt.NDArray[np.float32]) -> Verdicts:
    return judge_values(tables, [gate.measure(patches, 255.0) for gate in GATES], len(patches))


@pytest.mark.slow
def test_at_least_95_percent_of_the_required_faults_are_caught(
    simulated_cells: SimulatedCells, tables: tuple[GateTable, ...]
) -> None:
    caught = {kind: ~judge(tables, simulated_cells.faults[kind]).answered for kind in REQUIRED}
    assert np.concatenate(list(caught.values())).mean() >= 0.95, {kind: hit.mean() for kind, hit in caught.items()}


@pytest.mark.slow
def test_clean_cells_of_new_donors_are_answered(simulated_cells: SimulatedCells, tables: tuple[GateTable, ...]) -> None:
    verdicts = judge(tables, simulated_cells.clean)
    assert len(simulated_cells.clean) >= 12
    assert (~verdicts.answered).sum() <= max(1, 0.05 * len(simulated_cells.clean)), verdicts.reasons


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "gate", "words"),
    [
        ("black-border", "black-borders", "black border"),
        ("saturated", "exposure", "saturated"),
        ("uneven", "background", "unevenly lit"),
        ("empty", "focus", "fine detail"),
        ("truncated", "head", "outline|middle|border|edges"),
        ("wrong-modality", "distance", "unlike the cells"),
    ],
)
def test_the_gate_that_is_meant_says_so_in_words(
    simulated_cells: SimulatedCells, tables: tuple[GateTable, ...], kind: str, gate: str, words: str
) -> None:
    verdicts = judge(tables, simulated_cells.faults[kind])
    column = [table.name for table in tables].index(gate)
    flagged = verdicts.scores[:, column] > 1
    assert flagged.mean() >= 0.9
    text = " ".join(verdicts.reasons)
    assert any(word in text for word in words.split("|")), text[:500]
    assert all(bool(reason) != answered for reason, answered in zip(verdicts.reasons, verdicts.answered, strict=True))


def test_the_same_seed_plants_the_same_fault_and_another_one_does_not() -> None:
    field = simulate_study_field(SimulationOptions(donors=1, fields=1, width=500, height=400, cells_per_field=2), 0, 0)
    before = field.crops[0].copy()
    for kind in FAULTS:
        first, again, other = (plant_fault(kind, field, 0, seed) for seed in (1, 1, 2))
        np.testing.assert_array_equal(first.image, again.image)
        assert first.truth == again.truth
        assert first.truth
        assert first.image.dtype == field.brightfield.dtype
        assert first.image.shape == (150, 150)
        assert (first.image != before).mean() > 0.01, f"{kind} changed nothing"
        if kind not in ("inverted", "wrong-modality"):  # these have nothing, or little, to draw
            assert (first.image != other.image).any(), kind
    np.testing.assert_array_equal(field.crops[0], before)


def test_an_unknown_fault_is_refused() -> None:
    field = simulate_study_field(SimulationOptions(donors=1, fields=1, width=400, height=300, cells_per_field=1), 0, 0)
    with pytest.raises(UsageError, match="no fault 'blurred'"):
        plant_fault("blurred", field, 0, 0)


def drawn_faults(cells: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
    """The same kinds of fault in drawn cells [N, H, W], plain enough to be sure of without a simulation."""
    rng = np.random.default_rng(9)
    cornered = cells.copy()
    cornered[:, :6, :6] = 0
    rows = np.linspace(0.6, 1.4, SIDE, dtype=np.float32)[:, None]
    return {
        "defocus": np.stack([cv2.GaussianBlur(cell, (0, 0), 4) for cell in cells]) + rng.normal(0, 1.5, cells.shape),
        "saturated": np.minimum(cells * 2, 255),
        "empty": 135 + rng.normal(0, 1.5, cells.shape),
        "inverted": 255 - cells,
        "truncated": np.roll(cells, SIDE // 3, axis=2),
        "uneven": np.minimum(cells * rows, 255),
        "black-border": cornered,
    }


def test_faults_in_drawn_cells_are_caught_and_good_cells_are_not() -> None:
    rng = np.random.default_rng(8)
    cells = np.stack([drawn_cell(rng) for _ in range(100)])
    values = [gate.measure(cells[:70, None], 255.0) for gate in GATES]
    learnt = learn(GATES, values, [f"D{number % 5}" for number in range(70)], SETTINGS.false_alarms)
    tables = tuple(gate_table(*item, learnt.reach) for item in zip(SETTINGS.gates, GATES, learnt.usual, strict=True))
    assert judge(tables, cells[70:, None]).answered.mean() >= 0.85  # 95 % expected, 30 cells
    for kind, images in drawn_faults(cells[70:80]).items():
        assert not judge(tables, images[:, None].astype(np.float32)).answered.any(), kind
