"""``vsf-edge build``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from vsf_edge.cli import options


@click.command("build")
@options.model
@options.runtime
@options.precision
@click.option("--again", is_flag=True, help="Build and measure also what the cache has.")
@options.verify
@options.as_json
def command(model: Path, runtime: str, precision: str, again: bool, verify: Path | None, as_json: bool) -> None:
    """Compile a model for this machine, check it, and choose what runs it.

    Engines are kept in a cache (VSF_EDGE_CACHE, else the user's cache folder) until their bundle, runtime, driver or
    device changes. Each is compared with the reference of MODEL; one that drifts is not used, and a lower precision
    falls back to fp32. 'vsf-edge run' does the same on first use.
    """
    with options.opened(model, verify) as bundle:
        choice = options.ready(bundle, runtime, precision, rebuild=again)
        engine = choice.engine
        if as_json:
            document = {
                "bundle_sha256": bundle.sha256,
                "runtime": engine.runtime,
                "device": engine.plan.device,
                "precision": engine.plan.precision,
                "reason": choice.reason,
                "measured_ms": choice.measured_ms,
                "rejected": choice.rejected,
                "parity": engine.parity,
                "built": engine.built,
                "build_seconds": engine.seconds,
                "folder": str(engine.folder),
            }
            click.echo(json.dumps(document, indent=2))
            return
    click.echo(f"Engine      {engine.label}, {'built' if engine.built else 'in the cache'}: {engine.folder}")
    click.echo(f"Reason      {choice.reason}")
    for label, problem in choice.rejected.items():
        click.echo(f"Not taken   {label}: {problem}")
    for name, value in engine.parity.items():
        click.echo(f"Checked     {name}: {value:g}")
