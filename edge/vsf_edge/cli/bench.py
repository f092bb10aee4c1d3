"""``vsf-edge bench``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from vsf_edge.cli import options


@click.command("bench")
@options.model
@click.option("--batch", type=click.IntRange(1, 4096), multiple=True, default=(1,), show_default=True,
              help="Patches per run; may be repeated.")  # fmt: skip
@click.option("--size", type=click.IntRange(1), help="Side in px, where the model takes several.  [default: its patch]")
@click.option("--runs", type=click.IntRange(1, 100000), default=200, show_default=True, help="Timed runs.")
@click.option("--warm-up", type=click.IntRange(0, 10000), default=10, show_default=True, help="Untimed runs before.")
@options.runtime
@options.precision
@options.verify
@options.as_json
def command(
    model: Path,
    batch: tuple[int, ...],
    size: int | None,
    runs: int,
    warm_up: int,
    runtime: str,
    precision: str,
    verify: Path | None,
    as_json: bool,
) -> None:
    """Measure how long a model takes on this machine.

    Timed: one call from counts in memory to stains and quantities in memory, copies to and from the device included,
    one call after the other. Not timed: opening, building, files. The warm-up has the timed shape.
    """
    from vsf_edge.bench import PROTOCOL, bench_patches, time_session
    from vsf_edge.machine import cpu_name, usable_cores

    with options.opened(model, verify) as bundle:
        reference = bundle.reference()[0]
        shapes = [bench_patches(reference, bundle.manifest, count, size) for count in batch]
        choice = options.ready(bundle, runtime, precision)
        engine = choice.engine
        click.echo(f"Measuring {engine.label}: {runs} runs at each of {len(shapes)} sizes ...", err=True)
        timings = [time_session(engine.session, patches, runs, warm_up) for patches in shapes]
        document = {
            "bundle_sha256": bundle.sha256,
            "runtime": engine.runtime,
            "device": engine.plan.device,
            "precision": engine.plan.precision,
            "reason": choice.reason,
            "protocol": PROTOCOL,
            "machine": {"processor": cpu_name(), "cores": usable_cores()},
            "timings": [timing.document() for timing in timings],
        }
    if as_json:
        click.echo(json.dumps(document, indent=2))
        return
    click.echo(f"Engine      {engine.label}: {choice.reason}")
    click.echo(f"Protocol    {PROTOCOL}")
    click.echo(f"{'batch':>5} {'size':>11} {'p50 ms':>9} {'p95 ms':>9} {'p99 ms':>9} {'images/s':>9}")
    for row in timings:
        shape = f"{row.height}x{row.width}"
        click.echo(
            f"{row.batch:5} {shape:>11} {row.p50_ms:9.2f} {row.p95_ms:9.2f} {row.p99_ms:9.2f} {row.images_per_s:9.1f}"
        )
