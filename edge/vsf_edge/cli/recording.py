"""``vsf-edge recording``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vsf_edge.cli import options

if TYPE_CHECKING:
    from vsf_edge.recording.contents import Contents


@click.command("recording")
@click.argument("folder", type=click.Path(path_type=Path))
@options.as_json
@click.pass_context
def command(context: click.Context, folder: Path, as_json: bool) -> None:
    """Say what a recording holds, and whether it is whole.

    FOLDER is a recording of 'vsf-edge live --record', or the folder of several. Exit code 1 where one was cut off (what
    is counted is readable), or a frame is missing.
    """
    from vsf_edge.recording.contents import look, recordings

    found = [look(path) for path in recordings(folder)]
    if as_json:
        click.echo(json.dumps([_document(contents) for contents in found], indent=2))
    else:
        for contents in found:
            _print(contents)
    context.exit(0 if all(contents.whole or contents.state == "recording" for contents in found) else 1)


def _document(contents: Contents) -> dict[str, object]:
    return {
        "folder": str(contents.folder),
        "state": contents.state,
        "whole": contents.whole,
        "frames": contents.frames,
        "cells": contents.cells,
        "tracks": contents.tracks,
        "seconds": round(contents.seconds, 3),
        "images": {name: list(shape) for name, shape in contents.images.items()},
        "frames_not_recorded": dict(contents.not_recorded),
        "missing": contents.missing,
        "unreadable": contents.unreadable,
        "session": dict(contents.session),
    }


def _print(contents: Contents) -> None:
    session = contents.session
    click.echo(f"Recording   {contents.folder}: {contents.state}")
    click.echo(f"Started     {session.get('started', 'unknown')}, {contents.seconds:.1f} s from first to last frame")
    click.echo(f"Source      {session.get('source', 'unknown')}, mode {session.get('mode', 'unknown')}")
    bundle = session.get("bundle", {})
    trained = ", trained on SIMULATED data" if bundle.get("simulated") else ""
    click.echo(f"Model       {bundle.get('sha256', 'unknown')}{trained}")
    click.echo(f"Frames      {contents.frames}")
    click.echo(f"Cells       {contents.cells} in {contents.tracks} tracks")
    for name, shape in contents.images.items():
        click.echo(f"Images      {name}: {' x '.join(map(str, shape))}")
    for reason, count in contents.not_recorded.items():
        click.echo(f"Lost        {count} frames could not be written: {reason}")
    if contents.missing:
        click.echo(f"Lost        {contents.missing} results between the first and the last are not here")
    if contents.unreadable:
        click.echo(f"Lost        {contents.unreadable} rows or images are not there: cut off while written, or removed")
