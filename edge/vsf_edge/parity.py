"""How far a runtime's numbers are from the ones that torch gave when the model was exported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vsf_edge.bundle import Bundle
from vsf_edge.errors import EdgeError
from vsf_edge.interfaces import Array, Session
from vsf_edge.manifest import Manifest

TOLERANCE = 0.002
"""The largest drift that passes where the bundle does not say: a tenth of the mean absolute error of the DFI in the
paper (Table 1: 0.0199), so that the runtime never matters beside the model."""

REFERENCE_BATCH = 8
"""Reference patches that are run at once: a bundle may carry more than fit into the memory of a small device."""


@dataclass(frozen=True, kw_only=True)
class Parity:
    """Largest differences between a runtime and torch over the reference.

    Attributes
    ----------
    stains_counts
        Per stain, in counts.
    stains_drift
        The largest of them as a part of the stain's full scale. Where the graph gives whole counts, half a count is
        left out: that is what rounding may do.
    quantities
        Per quantity, in its own unit.
    drifts
        Per quantity, divided by max(1, |expected|): absolute for a ratio, relative for a sum of counts. Infinite where
        one of the two is not a number and the other is.
    exact
        Whether everything is held to the limit (fp32), or the value of interest alone: the first quantity. Lower
        precisions keep a ratio of sums better than the sums and far better than every single pixel.
    limit
        The largest drift that passes.
    """

    stains_counts: Mapping[str, float]
    stains_drift: float
    quantities: Mapping[str, float]
    drifts: Mapping[str, float]
    exact: bool = True
    limit: float = TOLERANCE

    @property
    def problem(self) -> str:
        """Say what drifted too far; empty if nothing did."""
        watched = {"the stains": self.stains_drift, **self.drifts}
        if not self.exact and self.drifts:
            interest = next(iter(self.drifts))
            watched = {interest: self.drifts[interest]}
        found = [f"{name} by {drift:.2g}" for name, drift in watched.items() if not drift <= self.limit]
        return f"drifts from torch ({', '.join(found)}; at most {self.limit:g} is allowed)" if found else ""

    def record(self) -> dict[str, float]:
        """Give it flat, names to numbers, rounded to three significant digits."""
        values = {f"{name}_max_abs_counts": value for name, value in self.stains_counts.items()}
        values["stains_max_drift"] = self.stains_drift
        values |= {f"{name}_max_abs": value for name, value in self.quantities.items()}
        return {name: float(f"{value:.3g}") for name, value in values.items()}


def compare(
    outputs: Mapping[str, Array], expected: Mapping[str, Array], manifest: Manifest, precision: str = "fp32"
) -> Parity:
    """Compare graph outputs by name with the expected ones; stains [N, S, H, W] in counts, quantities [N].

    Raises
    ------
    EdgeError
        When a shape differs.
    """
    for name, values in expected.items():
        if np.shape(outputs[name]) != values.shape:
            raise EdgeError(f"output {name} has the shape {np.shape(outputs[name])} and should have {values.shape}")
    counts = {
        stain.name: _difference(outputs[manifest.stains_output][:, index], expected[manifest.stains_output][:, index])
        for index, stain in enumerate(manifest.stains)
    }
    step = 0.0 if manifest.stains_dtype == "float32" else 0.5
    full_scales = {stain.name: stain.full_scale for stain in manifest.stains}
    return Parity(
        stains_counts=counts,
        stains_drift=max(max(0.0, value - step) / full_scales[name] for name, value in counts.items()),
        quantities={
            item.name: _difference(outputs[item.output], expected[item.output]) for item in manifest.quantities
        },
        drifts={
            item.name: _difference(outputs[item.output], expected[item.output], relative=True)
            for item in manifest.quantities
        },
        exact=precision == "fp32",
        limit=manifest.drift_limit or TOLERANCE,
    )


def check(bundle: Bundle, session: Session, precision: str = "fp32") -> Parity:
    """Run the reference of `bundle` through `session` and refuse it when it drifts.

    Raises
    ------
    EdgeError
        When it drifts by more than the bundle allows, or `TOLERANCE` where it does not say.
    """
    parity = measure(bundle, session, precision)
    if parity.problem:
        raise EdgeError(f"{bundle.path} {parity.problem}: do not measure with it on this machine")
    return parity


def measure(bundle: Bundle, session: Session, precision: str = "fp32") -> Parity:
    """Run the reference of `bundle` through `session` and compare; `Parity.problem` says whether it drifts.

    Raises
    ------
    EdgeError
        When it does not run, or gives other shapes.
    """
    brightfield, expected = bundle.reference()
    step = min(REFERENCE_BATCH, bundle.manifest.max_batch or REFERENCE_BATCH)
    parts = [session.run(brightfield[start : start + step]) for start in range(0, len(brightfield), step)]
    outputs = {name: np.concatenate([part[name] for part in parts]) for name in expected}
    return compare(outputs, expected, bundle.manifest, precision)


def _difference(got: Array, expected: Array, relative: bool = False) -> float:
    """Give the largest difference; two NaN agree (an empty patch has no ratio), equal infinities do."""
    left, right = np.asarray(got, np.float64), np.asarray(expected, np.float64)
    same = (left == right) | (np.isnan(left) & np.isnan(right))
    with np.errstate(invalid="ignore"):
        difference = np.abs(left - right)
        if relative:
            difference = difference / np.maximum(1.0, np.abs(right))
    difference = np.where(same, 0.0, np.where(np.isfinite(difference), difference, np.inf))
    return float(difference.max(initial=0.0))
