"""``vsf-edge doctor``."""

from __future__ import annotations

import json

import click


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """Say what this machine has, what will run on it, and what to install.

    Exit code 1 where no runtime works.
    """
    from vsf_edge.doctor import examine
    from vsf_edge.plugins import plugins

    found = examine(plugins())
    if as_json:
        click.echo(json.dumps(found.document(), indent=2))
    else:
        cpu, gpu = found.facts["cpu"], found.facts["gpu"]
        click.echo(f"vsf-edge    {found.facts['vsf_edge']}")
        click.echo(f"Python      {found.facts['python']}")
        click.echo(f"System      {found.facts['system']}")
        click.echo(
            f"Processor   {cpu['name']}, {cpu['cores']} cores: {', '.join(cpu['features']) or 'features unknown'}"
        )
        driver = "driver found, no device listed" if gpu["driver_library"] or gpu["jetson"] else "none found"
        click.echo(f"NVIDIA GPU  {'; '.join(gpu['devices']) or driver}")
        for name, version in found.facts["packages"].items():
            click.echo(f"Package     {name} {version or 'missing'}")
        for name, runtime in found.runtimes.items():
            click.echo(f"Runtime     {name}: {'works' if runtime.usable else 'does not work'}, {runtime.detail}")
        for sentence in found.advice or ["Nothing to do."]:
            click.echo(f"Advice      {sentence}")
    context.exit(0 if found.usable else 1)
