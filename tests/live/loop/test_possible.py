"""Nothing is shown or recorded where no value can be, and the steady value is made of whole intervals."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from live_doubles import KeepingSink, ScriptedSource, frames

from vsf_edge.bundle import open_bundle
from vsf_edge.live.parts import trust_table
from vsf_export.bundle import TRUST_NAME, write_bundle


@pytest.fixture
def trusting(live_model: Callable[..., Any]) -> Callable[..., Any]:
    """Give the known model, whose DFI is always 1/3, a trust table without gates; expected error 0.1."""

    def make(quantile: float, **ends: float) -> Any:
        path = live_model()
        with open_bundle(path) as bundle:
            manifest = dict(bundle.manifest.document)
            files = {name: bundle.read(name) for name in bundle.manifest.files}
        del manifest["documents"]  # written anew
        table = {
            "format": "vsframework-trust", "schema_version": 1, "planes": 1, "size": 16, "full_scale": 255.0,
            "gates": {"table": []}, "intervals": {"coverage": 0.9, "missing": ""},
            "quantities": [{
                "name": "dfi", **ends, "interval": {"quantile": quantile},
                "difficulty": {"constant": 0.1, "floor": 0.1, "middle": 0.3, "scale": 1.0, "weights": [0.0, 0.0]},
            }],
        }  # fmt: skip
        write_bundle(path, manifest, {**files, TRUST_NAME: json.dumps(table).encode("utf-8")})
        return open_bundle(path)

    return make


@pytest.mark.parametrize(
    ("quantile", "ends", "low", "high"),
    [
        (2.0, {"lowest": 0, "highest": 1}, 1 / 3 - 0.2, 1 / 3 + 0.2),
        (5.0, {"lowest": 0, "highest": 1}, 0, 1 / 3 + 0.5),
        (9.0, {"lowest": 0, "highest": 1}, 0, 1),
        (9.0, {"lowest": 0}, 0, 1 / 3 + 0.9),
        (9.0, {}, 1 / 3 - 0.9, 1 / 3 + 0.9),
    ],
)
def test_ends_lie_where_values_can_be(
    make_loop: Callable[..., Any],
    trusting: Callable[..., Any],
    quantile: float,
    ends: dict[str, float],
    low: float,
    high: float,
) -> None:
    sink = KeepingSink()
    with trusting(quantile, **ends) as model:
        assert trust_table(model) is not None
        make_loop(ScriptedSource(frames(6)), {"keep": sink}, model=model, policy="all").run()
    for result in sink.results:
        (cell,) = result.cells
        assert cell.abstained == ""
        for readout in (cell.quantities["dfi"], cell.steady["dfi"]):  # frames that agree leave the width as it is
            assert readout.value == pytest.approx(1 / 3, abs=1e-4)
            assert (readout.low, readout.high) == (pytest.approx(low, abs=1e-3), pytest.approx(high, abs=1e-3))
