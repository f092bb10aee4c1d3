"""The ``vsf-edge`` command: one file per verb, imported only when that verb runs."""

from __future__ import annotations

import importlib
import sys
import traceback

import click

import vsf_edge
from vsf_edge.errors import EdgeError

VERBS = {
    "bench": "Measure how long a model takes on this machine.",
    "build": "Compile a model for this machine, check it, and choose what runs it.",
    "doctor": "Say what this machine has, what will run on it, and what to install.",
    "inspect": "Verify a model and say what it takes and gives.",
    "live": "Stain and measure what a camera sees, and show it in a browser.",
    "recording": "Say what a recording holds, and whether it is whole.",
    "run": "Stain image files and measure them.",
    "serve": "Stain images for other programs, such as ImageJ, over HTTP.",
}
"""The verbs; the command of verb ``x`` is ``vsf_edge.cli.x:command``."""


class VerbGroup(click.Group):
    """Lists the verbs without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command: click.Command = importlib.import_module(f"vsf_edge.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(VERBS.items()))


@click.group(cls=VerbGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(vsf_edge.__version__, prog_name="vsf-edge")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def edge(context: click.Context, debug: bool) -> None:
    """Stain and measure beside the microscope. Research use only."""
    context.obj = {"debug": debug}


def main() -> None:
    """Run ``vsf-edge``: errors in one sentence, exit code 0 (ok), 1 (failed) or 2 (wrong use)."""
    debug = "--debug" in sys.argv[1:]
    try:
        code = edge.main(standalone_mode=False) or 0
    except click.exceptions.Exit as stop:
        code = stop.exit_code
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Stopped. What was finished is kept.", err=True)
        code = 130
    except EdgeError as error:
        code = error.exit_code
        _explain(str(error), debug)
    except Exception as error:
        code = 1
        text = " ".join(str(error).split())
        _explain(f"unexpected {type(error).__name__}: {text} (vsf-edge --debug shows where)", debug)
    sys.exit(code)


def _explain(sentence: str, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    click.echo(f"Error: {sentence}", err=True)
