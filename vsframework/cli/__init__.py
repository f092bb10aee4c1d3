"""The ``vsf`` command: one file per verb, imported only when that verb runs."""

from __future__ import annotations

import importlib
import os
import sys
import traceback

import click

import vsframework
from vsframework.errors import VsfError
from vsframework.freed_memory import keep_freed_memory

VERBS = {
    "calibrate": "Learn when a trained run can be trusted: gates, intervals, abstention.",
    "compare": "Compare runs over the donors that none of them was trained on.",
    "dataset": "Turn raw fields into aligned, denoised patches.",
    "demo": "Simulate six donors, train small, and write a report: the whole path in minutes.",
    "evaluate": "Measure how far virtual stains can be trusted, beside what a constant and a direct regressor give.",
    "plugins": "List, show, create and check plugins.",
    "quantify": "Measure stains on disk: named values per image.",
    "register": "Find where MOVING lies in FIXED, and say whether to believe it.",
    "report": "Write the report of a run as one HTML file.",
    "run": "Run all stages of an experiment, skipping what is already there.",
    "simulate": "Simulate acridine-orange fields with known truth.",
    "stain": "Stain brightfield images with a trained run.",
    "train": "Train the generators of an experiment.",
}
"""The built-in verbs; the command of verb ``x`` is ``vsframework.cli.x:command``."""


class VerbGroup(click.Group):
    """Lists the verbs without importing them; plugins add theirs through the hook ``vsf_commands``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*VERBS, *self._plugin_commands()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in VERBS:
            command: click.Command = importlib.import_module(f"vsframework.cli.{cmd_name}").command
            return command
        return self._plugin_commands().get(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        added = {name: command.get_short_help_str(200) for name, command in self._plugin_commands().items()}
        with formatter.section("Commands"):
            formatter.write_dl(sorted({**added, **VERBS}.items()))

    def _plugin_commands(self) -> dict[str, click.Command]:
        from vsframework.plugins import registry

        offered: dict[str, click.Command] = {}
        for plugin, command in registry().commands():
            name = command.name or ""
            if name in VERBS or name in offered:
                plugin.note(f"its command {name!r} is not added: another command has that name")
            else:
                offered[name] = command
        return offered


@click.group(cls=VerbGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(vsframework.__version__, prog_name="vsf")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def vsf(context: click.Context, debug: bool) -> None:
    """Virtual staining that can be trusted as a measurement."""
    context.obj = {"debug": debug}


def main() -> None:
    """Run ``vsf``: errors in one sentence, exit code 0 (ok), 1 (failed) or 2 (wrong use)."""
    # Threads that spin while they wait made a training step 5 times slower on a machine with other work to do; the
    # OpenMP library reads this when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    keep_freed_memory()
    debug = "--debug" in sys.argv[1:]
    try:
        result = vsf.main(standalone_mode=False)
        code = result if isinstance(result, int) else 0  # what a verb gave to context.exit()
    except click.exceptions.Exit as stop:
        code = stop.exit_code
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Stopped. What was finished is kept; run the same command again to go on.", err=True)
        code = 130
    except VsfError as error:
        code = error.exit_code
        _explain(str(error), debug)
    except Exception as error:
        code = 1
        _explain(f"unexpected {type(error).__name__}: {' '.join(str(error).split())} (vsf --debug shows where)", debug)
    sys.exit(code)


def _explain(sentence: str, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    click.echo(f"Error: {sentence}", err=True)
