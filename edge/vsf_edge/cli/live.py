"""``vsf-edge live``."""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vsf_edge.cli import options
from vsf_edge.cli.plugin_settings import ListsSettings

if TYPE_CHECKING:
    from vsf_edge.live.session import LiveLoop


@click.command("live", cls=ListsSettings)
@click.argument("model", required=False, type=click.Path(path_type=Path))
@click.option("--source", metavar="NAME[:ADDRESS]", default="simulator", show_default=True,
              help="Where frames come from, such as micromanager:CONFIG.cfg or folder:PATH.")  # fmt: skip
@click.option("-O", "given", metavar="KEY=VALUE", multiple=True, help="Setting of the source; may be repeated.")
@click.option("--mode", type=click.Choice(["cells", "field"]), default="cells", show_default=True,
              help="Stain the heads only, or the whole field too.")  # fmt: skip
@click.option("--policy", type=click.Choice(["latest", "all"]), default="latest", show_default=True,
              help="When frames come too fast: the newest wins, or each waits and a loss is an error.")  # fmt: skip
@click.option("--record", type=click.Path(path_type=Path, file_okay=False), metavar="FOLDER",
              help="Record from the start, into a new folder in this one.")  # fmt: skip
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="Of the view in a browser."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address that the view is served on.")
@click.option("--token", default="", help="What everybody must know who looks on from another computer.")
@click.option("--no-browser-view", is_flag=True, help="Serve no view.")
@click.option("--jsonl", metavar="FILE|-", help="Write one JSON line per cell to a file or to standard output.")
@click.option("--sink", "sinks", metavar="NAME[:ADDRESS]", multiple=True, help="A further sink; may be repeated.")
@click.option("--detector", metavar="NAME", default="heads", show_default=True, help="What finds the heads.")
@click.option("-D", "looking", metavar="KEY=VALUE", multiple=True, help="Setting of the detector; may be repeated.")
@click.option("--frames", type=click.IntRange(1), help="End after so many results.")
@click.option("--seconds", type=click.FloatRange(0, min_open=True), help="End after so long.")
@click.option("--log", "log_file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="Append events to a file, one JSON line each.")  # fmt: skip
@options.runtime
@options.precision
@options.verify
@options.as_json
def command(
    model: Path | None,
    source: str,
    given: tuple[str, ...],
    mode: Any,
    policy: Any,
    record: Path | None,
    port: int,
    host: str,
    token: str,
    no_browser_view: bool,
    jsonl: str | None,
    sinks: tuple[str, ...],
    detector: str,
    looking: tuple[str, ...],
    frames: int | None,
    seconds: float | None,
    log_file: Path | None,
    runtime: str,
    precision: str,
    verify: Path | None,
    as_json: bool,
) -> None:
    """Stain and measure what a camera sees, and show it in a browser.

    It goes on until it is stopped (Ctrl-C).

    MODEL is a .vsf file; without one, the demo's is taken, and without --source, simulated cells. Every cell gets its
    stains, its quantities with their intervals, and an identity that it keeps from frame to frame, or the reason why it
    gets no number. A camera that stalls or disappears is opened again until it is back.
    """
    from vsf_edge.errors import EdgeUsageError
    from vsf_edge.live.assembling import Wishes, assembled, demo_model, way
    from vsf_edge.live.log import close_log, open_log
    from vsf_edge.live.settings import LoopSettings
    from vsf_edge.live.statistics import lines

    if as_json and jsonl == "-":
        raise EdgeUsageError("--json and --jsonl - both print on standard output: give --jsonl a file")
    chosen = model or demo_model()
    with ExitStack() as stack:
        if log_file:
            stack.callback(close_log, open_log(log_file))
        bundle = stack.enter_context(options.opened(chosen, verify))
        engine = options.ready(bundle, runtime, precision).engine
        folder = record or Path("recordings")
        settings = LoopSettings(mode=mode, policy=policy, frames=frames, seconds=seconds, folder=folder)
        wishes = Wishes(
            source=source,
            given=given,
            record=record,
            browser=None if no_browser_view else f"{host}:{port}",
            token=token,
            jsonl=jsonl,
            sinks=sinks,
            detector=detector,
            looking=looking,
        )
        loop = assembled(bundle, engine, settings, wishes, _say)
        _stop_on_signals(loop)
        loop.notices.listen(lambda notice: _say(f"{notice.level}: {notice.text}"))
        _say(f"{chosen} with {engine.label} ({way(engine)}) on {source}; Ctrl-C ends it")
        loop.run()
        summary = {
            "engine": engine.label,
            "source": source,
            "mode": mode,
            "policy": policy,
            **loop.statistics.document(),
        }
    if as_json:
        click.echo(json.dumps(summary, indent=2))
    else:
        for line in lines(summary):
            _say(line)
    if loop.hung:  # a thread inside a library's call would make the interpreter crash on its way out
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)


def _say(sentence: str) -> None:
    click.echo(sentence, err=True)


def _stop_on_signals(loop: LiveLoop) -> None:
    """Let the first SIGINT or SIGTERM end the session cleanly, and the second one at once."""

    def stop(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        loop.ask_to_stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    if sys.platform == "win32":
        signal.signal(signal.SIGBREAK, stop)
