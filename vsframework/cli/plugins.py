"""``vsf plugins``: list, show, create and check plugins."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vsframework.cli.options import echo_json, json_option
from vsframework.errors import UsageError, VsfError
from vsframework.plugins import DISABLED_VARIABLE, KINDS, Entry, Plugin, registry

if TYPE_CHECKING:
    from rich.table import Table

    from vsframework.testing.check import Verdict

SCHEMA_VERSION = 1


@click.group("plugins")
def command() -> None:
    """List, show, create and check plugins."""


# --------------------------------------------------------------------------------------------------------- list


@command.command("list")
@click.option("--kind", metavar="KIND", help=f"Only this kind: {', '.join(KINDS)}.")
@click.option("--check", is_flag=True, help="Also build every component with its defaults; exit 1 on a problem.")
@json_option
@click.pass_context
def list_plugins(context: click.Context, kind: str | None, check: bool, as_json: bool) -> None:
    """List every component that the installed plugins offer, and what is wrong with any plugin."""
    entries = registry().entries(kind)
    commands = _added_commands(context) if kind is None else []
    failures = {entry.kind + " " + entry.qualified_name: _build_failure(entry) for entry in entries} if check else {}
    problems = [
        *(f"plugin {plugin.name} ({plugin.origin}) {text}" for plugin in registry().broken for text in plugin.problems),
        *registry().warnings,
        *(f"{which} cannot be built with its defaults: {why}" for which, why in failures.items() if why),
    ]
    if as_json:
        echo_json(
            {
                "schema_version": SCHEMA_VERSION,
                "components": [
                    {**_origin_record(entry), "error": failures.get(entry.kind + " " + entry.qualified_name)}
                    for entry in entries
                ],
                "commands": [
                    {"name": added.name, "plugin": plugin.name, "summary": added.get_short_help_str(200)}
                    for plugin, added in commands
                ],
                "plugins": [asdict(plugin) for plugin in registry().plugins],
                "problems": problems,
            }
        )
    else:
        _print_list(entries, commands, problems)
    if check and problems:
        context.exit(1)


def _print_list(entries: list[Entry], commands: list[tuple[Plugin, click.Command]], problems: list[str]) -> None:
    from rich.markup import escape

    table = _table("kind", "name", "plugin", "from", "summary")
    rows = [(entry.kind, entry.component.name, entry.plugin, entry.component.summary) for entry in entries]
    rows += [("command", f"vsf {added.name}", plugin, added.get_short_help_str(200)) for plugin, added in commands]
    for kind, name, plugin, summary in rows:
        table.add_row(*(escape(text) for text in (kind, name, plugin.name, plugin.origin, summary)))
    _print(table) if table.row_count else click.echo("No plugin offers a component.")
    disabled = [plugin.name for plugin in registry().plugins if plugin.disabled]
    if disabled:
        click.echo(f"\nSwitched off by {DISABLED_VARIABLE}: {', '.join(disabled)}")
    if problems:
        click.echo("\nProblems (everything else works):")
        for problem in problems:
            click.echo(f"  {problem}")


def _added_commands(context: click.Context) -> list[tuple[Plugin, click.Command]]:
    """Give the commands that plugins add to ``vsf``; one whose name is taken is noted as its plugin's problem."""
    root = context.find_root().command
    assert isinstance(root, click.Group)
    root.list_commands(context)  # this is where vsf notes a name that is taken
    offered = registry().commands()
    return [(plugin, added) for plugin, added in offered if root.get_command(context, added.name or "") is added]


def _build_failure(entry: Entry) -> str | None:
    try:
        registry().create(entry.kind, entry.qualified_name)
    except VsfError as error:
        return str(error)
    return None


# --------------------------------------------------------------------------------------------------------- show


@command.command("show")
@click.argument("kind")
@click.argument("name")
@json_option
def show(kind: str, name: str, as_json: bool) -> None:
    """Show one component: what it does, where it comes from, and its parameters.

    KIND is one of registrar, detector, denoiser, generator, quantifier, regressor, gate, export-target; NAME as in an
    experiment file.
    """
    from rich.markup import escape

    from vsframework.parameters import describe_parameters

    entry = registry().find(kind, name)
    parameters = describe_parameters(entry.component.params)
    if as_json:
        echo_json(
            {
                "schema_version": SCHEMA_VERSION,
                **_origin_record(entry),
                "module": entry.plugin.module,
                "parameters": [{**asdict(parameter), "bounds": parameter.bounds} for parameter in parameters],
            }
        )
        return
    click.echo(f"{entry.kind} {entry.component.name}: {entry.component.summary}")
    click.echo(f"From plugin {entry.plugin.name} ({entry.plugin.origin}), module {entry.plugin.module}.")
    if not parameters:
        click.echo("It has no parameters.")
        return
    table = _table("parameter", "type", "bounds", "unit", "default", "description")
    for parameter in parameters:
        default = "(must be given)" if parameter.required else json.dumps(parameter.default)
        row = (parameter.name, parameter.type, parameter.bounds, parameter.unit or "", default, parameter.description)
        table.add_row(*(escape(text) for text in row))
    click.echo()
    _print(table)


# ---------------------------------------------------------------------------------------------------------- new


@command.command("new")
@click.argument("name")
@click.option("--kind", required=True, metavar="KIND", help=f"What it offers: {', '.join(KINDS)}.")
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Where the folder NAME is made (default: here).",
)
def new(name: str, kind: str, directory: Path) -> None:
    """Write a complete small plugin package NAME: it installs, works, and has a test and a README."""
    from vsframework.scaffold import create_package

    _refuse_a_taken_name(kind, name)
    folder = create_package(name, kind, directory)
    click.echo(f"Wrote {folder}. Next:")
    click.echo(f"  pip install -e '{folder}[test]'")
    click.echo(f"  pytest {folder}")
    click.echo(f"  vsf plugins show {kind} {name}")


def _refuse_a_taken_name(kind: str, name: str) -> None:
    for entry in registry().entries(kind):
        if entry.component.name == name:
            raise UsageError(
                f"{kind} {name!r} is already offered by plugin {entry.plugin.name} ({entry.plugin.origin}); "
                "choose another name"
            )


# -------------------------------------------------------------------------------------------------------- check


@command.command("check")
@click.argument("plugin", required=False)
@json_option
@click.pass_context
def check(context: click.Context, plugin: str | None, as_json: bool) -> None:
    """Run the contracts of PLUGIN's components (of every plugin's, without PLUGIN); exit 1 if one is broken."""
    from vsframework.testing.check import check_components

    chosen = _choose(plugin)
    names = {one.name for one in chosen}
    entries = [entry for entry in registry().entries() if entry.plugin.name in names]
    problems = [f"plugin {one.name} ({one.origin}) {text}" for one in chosen for text in one.problems]
    verdicts = check_components(entries)
    if as_json:
        components = [
            {"kind": verdict.entry.kind, "name": verdict.entry.qualified_name, **verdict.counts(), "failures": failures}
            for verdict in verdicts
            for failures in [[asdict(failure) for failure in verdict.failures]]
        ]
        echo_json({"schema_version": SCHEMA_VERSION, "components": components, "problems": problems})
    else:
        for verdict in verdicts:
            _print_verdict(verdict)
        for problem in problems:
            click.echo(f"FAILED  {problem}")
        if not verdicts and not problems:
            click.echo("Nothing to check: no component is offered.")
    if problems or any(verdict.failures for verdict in verdicts):
        context.exit(1)


def _choose(name: str | None) -> list[Plugin]:
    from difflib import get_close_matches

    plugins = [plugin for plugin in registry().plugins if not plugin.disabled]
    chosen = [plugin for plugin in plugins if name in (None, plugin.name, plugin.distribution)]
    if name is None or chosen:
        return chosen
    known = [plugin.name for plugin in plugins]
    close = get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"installed are {', '.join(known) or 'none'}"
    raise UsageError(f"there is no plugin {name!r}; {hint}")


def _print_verdict(verdict: Verdict) -> None:
    counts = verdict.counts()
    which = f"{verdict.entry.kind} {verdict.entry.qualified_name}"
    skipped = f", {counts['skipped']} skipped" if counts["skipped"] else ""
    if not verdict.failures:
        click.echo(f"ok      {which}: {counts['passed']} checks passed{skipped}")
        return
    click.echo(f"FAILED  {which}: {counts['failed']} checks failed, {counts['passed']} passed{skipped}")
    for failure in verdict.failures:
        click.echo(f"          {failure.check}: {failure.message}")


# ------------------------------------------------------------------------------------------------------- output


def _origin_record(entry: Entry) -> dict[str, Any]:
    return {
        "kind": entry.kind,
        "name": entry.component.name,
        "qualified_name": entry.qualified_name,
        "plugin": entry.plugin.name,
        "distribution": entry.plugin.distribution,
        "version": entry.plugin.version,
        "summary": entry.component.summary,
    }


def _table(*columns: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=column in ("kind", "name", "plugin", "from", "parameter"))
    return table


def _print(table: Table) -> None:
    """Print a table as wide as the terminal, or in full where there is none."""
    import shutil

    from rich.console import Console

    console = Console(width=max(100, shutil.get_terminal_size((400, 24)).columns), color_system=None)
    with console.capture() as captured:
        console.print(table)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))
