"""Options and arguments that several verbs share."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

experiment_argument = click.argument("experiment", type=click.Path(path_type=Path, dir_okay=False))


def override_option(command: Command) -> Command:
    """Add ``-o section.key=value``."""
    return click.option(
        "-o",
        "--override",
        "overrides",
        multiple=True,
        metavar="SECTION.KEY=VALUE",
        help="Change one entry of the experiment file, e.g. -o denoiser.border=0.1 (repeatable).",
    )(command)


def workers_options(command: Command) -> Command:
    """Add ``--workers`` and ``--scheduler``; the command gets `workers`, a :class:`~vsframework.fanout.Workers`."""

    @click.option(
        "--workers",
        "count",
        default=1,
        show_default=True,
        type=click.IntRange(1, 1024),
        help="Processes on this machine that share the work.",
    )
    @click.option(
        "--scheduler",
        metavar="tcp://HOST:PORT",
        help="Let the workers of this Dask scheduler do it; they must see the same folders.",
    )
    @wraps(command)
    def with_workers(*arguments: Any, count: int, scheduler: str | None, **options: Any) -> Any:
        from vsframework.errors import UsageError
        from vsframework.fanout import Workers

        if scheduler is not None and count > 1:
            raise UsageError("--workers starts processes here, --scheduler uses those of a cluster: give one of them")
        return command(*arguments, workers=Workers(count=count, scheduler=scheduler), **options)

    return with_workers  # type: ignore[return-value]


def json_option(command: Command) -> Command:
    """Add ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")(command)


def echo_json(value: Any) -> None:
    """Print `value` as JSON on standard output."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=str))
