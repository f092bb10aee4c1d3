"""Another quantifier than the DFI's gets the whole evaluation, the report and the constant, without a line for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vsframework.cli.evaluate import describe
from vsframework.dataset.store import PatchDataset
from vsframework.evaluation import evaluate
from vsframework.evaluation.report import write_report
from vsframework.plugins import registry

Make = Callable[..., Any]


def test_intensities_are_evaluated_like_a_dfi(tmp_path: Path, make_run: Make, known_stainer: Make) -> None:
    run = make_run(tmp_path / "run")
    stainer = known_stainer(error=0.05)
    stainer.quantifier = registry().create("quantifier", "intensity", {"level": 3.0})
    result = evaluate(PatchDataset.open(run / "dataset"), run, stainer)
    found = {quantity.name: quantity for quantity in result.quantities}
    assert list(found) == [f"{stain}_{what}" for stain in ("dsDNA", "ssDNA") for what in ("sum", "mean", "area")]
    # a head of 8 x 6 px with 100 counts in all: an error of 0.05 moves 5 counts per pixel from green to red
    d1 = found["dsDNA_sum"].donors[0]
    assert (d1.virtual.bias, d1.virtual.mae) == pytest.approx((-5 * 48, 5 * 48), rel=1e-5)
    assert found["ssDNA_mean"].donors[0].virtual.bias == pytest.approx(5 * 48 / 256, rel=1e-5)
    assert found["ssDNA_area"].donors[0].virtual.mae == 0
    assert found["dsDNA_sum"].unit == "counts"

    assert "the mean absolute dsDNA sum error is 240.0" in describe(result)
    assert "dsDNA sum error is 240.0" in write_report(run).read_text(encoding="utf-8")
