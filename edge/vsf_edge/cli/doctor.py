"""``vsf-edge doctor``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vsf_edge.cli import options

if TYPE_CHECKING:
    from vsf_edge.doctor import Examination

_CLASSES = {
    "real time": "the paper's network in real time",
    "cells": "the paper's network cell by cell, the generator 'fast' in real time",
    "offline": "recorded images",
}


@click.command("doctor")
@click.argument("model", required=False, type=click.Path(path_type=Path))
@options.as_json
@click.pass_context
def command(context: click.Context, model: Path | None, as_json: bool) -> None:
    """Say what this machine has, what will run on it, and what to install.

    With MODEL, a .vsf file, also says which of its precisions will run. Exit code 1 where no runtime works.
    """
    from vsf_edge.doctor import examine
    from vsf_edge.plugins import plugins

    ways: dict[str, list[str]] = {}
    found = examine(plugins())
    if model:
        with options.opened(model, None) as bundle:
            ways = found.ways(bundle.precisions)
    if as_json:
        click.echo(json.dumps({**found.document(), **({"model": ways} if model else {})}, indent=2))
    else:
        _print(found, ways)
    context.exit(0 if found.usable and (not model or any(ways.values())) else 1)


def _print(found: Examination, ways: dict[str, list[str]]) -> None:
    cpu, speed = found.facts["cpu"], found.facts["speed"]
    click.echo(f"vsf-edge    {found.facts['vsf_edge']}")
    click.echo(f"Python      {found.facts['python']}")
    click.echo(f"System      {found.facts['system']}")
    click.echo(f"Processor   {cpu['name']}, {cpu['cores']} cores: {', '.join(cpu['features']) or 'features unknown'}")
    click.echo(f"NVIDIA GPU  {_gpu(found.facts['gpu'])}")
    for name, version in found.facts["packages"].items():
        click.echo(f"Package     {name} {version or 'not installed'}")
    for name, runtime in found.runtimes.items():
        click.echo(f"Runtime     {name}: {'works' if runtime.usable else 'does not work'}, {runtime.detail}")
        for device, precisions in runtime.devices.items():
            click.echo(f"            {name}:{device} runs {', '.join(precisions)}")
    click.echo(
        f"Speed       {speed['sgemm_gflop_per_s']:g} GFLOP/s in matrix products on the processor: a patch of the "
        f"paper's networks takes {speed['paper_patch_ms_at_least']:g} ms or more there ({_CLASSES[speed['class']]})"
    )
    if found.facts["demo_model"]:
        click.echo(f"To try      {found.facts['demo_model']} (a model of SIMULATED cells)")
    for precision, names in ways.items():
        click.echo(f"Model       {precision}: {', '.join(names) or 'nothing here runs it'}")
    for sentence in found.advice or ["Nothing to do."]:
        click.echo(f"Advice      {sentence}")


def _gpu(gpu: dict[str, Any]) -> str:
    devices = [
        f"{item['name']}, compute capability {item['compute_capability']}, {item['memory_mib']} MiB"
        for item in gpu["devices"]
    ]
    if not devices:
        return str(gpu["problem"] or "no driver found")
    return f"{'; '.join(devices)} (driver {gpu['driver']}, CUDA {gpu['cuda']})"
