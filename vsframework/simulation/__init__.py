"""Acridine-orange fields with known truth: what a measurement can be checked against."""

from __future__ import annotations

from pathlib import Path

from vsframework.simulation.options import SimulationOptions

__all__ = ["SimulationOptions", "simulate"]


def simulate(out: Path, options: SimulationOptions | None = None) -> Path:
    """Simulate a study into the folder `out` and give `out` back.

    It holds ``{donor}/{field}_BF.tif``, ``_dsDNA.tif`` and ``_ssDNA.tif`` (OME-TIFF), brightfield crops
    ``{donor}/crops/{field}_{cell}.png`` (150x150 px, head horizontal, tip to the right), ``truth.csv`` (one row per
    cell), ``truth.json`` (options, and the smallest error that anybody can reach) and ``experiment.toml``, ready to
    run. After an interruption the same call goes on where it stopped; what is complete is left alone.

    The same options and version give the same pixels and truth, whatever else is simulated beside a field. Everything
    is computed in float64 and rounded before noise is added, so another processor or operating system can differ only
    where a value falls on a rounding edge: expect none at 8 bit, and single pixels by one count at 16 bit.

    Raises
    ------
    UsageError
        When `out` holds something else, or a study made with other options.
    VsfError
        When it cannot be written.
    """
    from vsframework.simulation.study import simulate_study  # OpenCV is only loaded here

    return simulate_study(out, options or SimulationOptions())
