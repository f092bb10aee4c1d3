"""Writes docs/experiment-file.md, docs/commands.md and the tables of settings in other pages from the code.

So they cannot fall behind it. Run ``make docs`` after a change; a test compares.
"""

from __future__ import annotations

import json
import re
import typing
from functools import partial
from pathlib import Path

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from vsf_edge.plugins import plugins
from vsf_edge.settings import describe_settings
from vsframework.cli import VERBS, vsf
from vsframework.config import Experiment, Selection

HERE = Path(__file__).resolve().parent


def experiment_file() -> str:
    """Describe every table and key of the experiment file."""
    lines = [
        "# The experiment file",
        "",
        "Written by `make docs` from `vsframework/config/`. One TOML file says everything that a run depends on; an",
        "unknown key is an error that names the closest known one. Change single entries on the command line with",
        "`-o section.key=value`.",
        "",
        *_table("Top level", Experiment),
    ]
    for name, field in Experiment.model_fields.items():
        model = field.annotation
        if isinstance(model, type) and issubclass(model, BaseModel) and model is not Selection:
            lines += _table(f"`[{name}]`", model)
    lines += [
        "## Components",
        "",
        "Each of these tables chooses a component by `name`; its parameters stand beside the name.",
        "`vsf plugins list` shows the names, `vsf plugins show KIND NAME` the parameters.",
        "",
        "| table | default | what it does |",
        "|---|---|---|",
    ]
    for name, field in Experiment.model_fields.items():
        if _is_component(field):
            default = f"`{field.default.name}`" if field.default else "none"
            lines.append(f"| `[{name}]` | {default} | {field.description} |")
    return "\n".join(lines) + "\n"


def commands() -> str:
    """Describe every verb with its arguments and options."""
    lines = ["# Commands", "", "Written by `make docs` from the commands themselves.", ""]
    for verb in sorted(VERBS):
        command = vsf.get_command(click.Context(vsf), verb)
        assert command is not None
        lines += _command(command, f"vsf {verb}")
    return "\n".join(lines).rstrip() + "\n"


def settings(page: str) -> str:
    """Give `page` with the table of every ``<!-- settings of KIND NAME -->`` written anew."""
    text = (HERE / page).read_text(encoding="utf-8")
    table = r"(<!-- settings of (\w+) ([\w-]+) -->\n)(?:\|.*\n)*"
    return re.sub(table, lambda found: found[1] + _settings(found[2], found[3]), text)


def _settings(kind: str, name: str) -> str:
    rows = [
        f"| `{item.name}` | {f'`{item.default}`' if item.default else 'none'} | {item.allowed} | {item.text} |"
        for item in describe_settings(plugins().find(kind, name).settings())
    ]
    return "\n".join(["| setting | default | allowed | meaning |", "|---|---|---|---|", *rows]) + "\n"


def _table(title: str, model: type[BaseModel]) -> list[str]:
    rows = [
        f"| `{name}` | {_default(field)} | {field.description} |"
        for name, field in model.model_fields.items()
        if field.description and not _is_component(field)
    ]
    return [f"## {title}", "", "| key | default | meaning |", "|---|---|---|", *rows, ""]


def _is_component(field: FieldInfo) -> bool:
    return field.annotation is Selection or Selection in typing.get_args(field.annotation)


def _default(field: FieldInfo) -> str:
    return "required" if field.is_required() else "none" if field.default is None else f"`{json.dumps(field.default)}`"


def _command(command: click.Command, name: str) -> list[str]:
    if isinstance(command, click.Group):
        inner = [line for sub in sorted(command.commands) for line in _command(command.commands[sub], f"{name} {sub}")]
        return [f"## `{name}`", "", _prose(command), "", *inner]
    usage = " ".join(command.collect_usage_pieces(click.Context(command)))
    lines = [f"## `{name} {usage}`", "", _prose(command), ""]
    context = click.Context(command)
    records = [record for option in command.params if (record := option.get_help_record(context))]  # without --help
    if records:
        lines += ["| option | meaning |", "|---|---|", *(f"| `{_cell(a)}` | {_cell(b)} |" for a, b in records), ""]
    return lines


def _prose(command: click.Command) -> str:
    return " ".join((command.help or "").replace("\b", "").split())


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def write() -> None:
    """Write the pages."""
    for name, text in PAGES.items():
        (HERE / name).write_text(text(), encoding="utf-8")


PAGES: dict[str, typing.Callable[[], str]] = {
    "experiment-file.md": experiment_file,
    "commands.md": commands,
    "sources.md": partial(settings, "sources.md"),
    "detection.md": partial(settings, "detection.md"),
}

if __name__ == "__main__":
    write()
