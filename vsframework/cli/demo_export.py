"""The end of ``vsf demo``: its run as one file for the machine beside the microscope, checked, and how to use it.

``vsf export`` comes from the distribution vsf-export; where that is not installed, the demo says so and ends.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import click
import numpy as np

from vsframework.errors import VsfError

CELLS = 6
"""Held-out cells that are written as images, to have something to stain."""


def export_and_check(run: Path, out: Path) -> dict[str, str]:
    """Export the run folder `run`, check the file on the edge's runtime, and write a few cells to ``out/cells``.

    Returns
    -------
    By what it does, each command that uses the exported model; empty where vsf-export is not installed.

    Raises
    ------
    VsfError
        When the export or the check fails.
    """
    command = _export_command()
    if command is None or importlib.util.find_spec("vsf_edge") is None:
        click.echo("export: not installed (pip install vsf-export)")
        return {}
    model = run / "model.vsf"
    if _newer(model, run / "report.html"):
        click.echo("export: up to date")
    else:
        click.echo("export: compiling for the machine beside the microscope ...")
        command.main([str(run), "--target", "onnx"], standalone_mode=False)
    _edge("inspect", str(model), "--check")
    click.echo(f"export: {model} agrees with torch in ONNX Runtime")
    cells = write_cells(run, out / "cells")
    edge = _shown_edge()
    return {
        "Stain some of its cells with the exported model, as on the machine beside the microscope:": " ".join(
            [edge, "run", str(model), *map(str, cells), "-o", str(out / "stained")]
        ),
        "Watch it stain a simulated camera live, in a browser:": f"{edge} live {model}",
    }


def write_cells(run: Path, folder: Path) -> list[Path]:
    """Write the brightfield of a few cells of held-out donors as OME-TIFF, float32 counts; give the files."""
    from vsframework.config import load_experiment
    from vsframework.dataset.store import PatchDataset
    from vsframework.evaluation.runs import dataset_path
    from vsframework.images import Image, write_ome_tiff

    dataset = PatchDataset.open(dataset_path(run))
    held_out = load_experiment(run / "config.toml").split.held_out
    cells = dataset.accepted(held_out) if held_out else dataset.accepted()
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    first = cells.head(CELLS)
    for name, patch in zip(first["id"].astype(str), first["patch"].to_numpy(), strict=True):
        pixels = np.asarray(dataset.brightfield[int(patch)], np.float32)
        path = folder / f"{name}.ome.tif"
        write_ome_tiff(path, Image(pixels=pixels, channels=dataset.planes, bit_depth=32))
        written.append(path)
    return written


def _export_command() -> click.Command | None:
    from vsframework.plugins import registry

    return next((command for _, command in registry().commands() if command.name == "export"), None)


def _newer(path: Path, than: Path) -> bool:
    try:
        return path.stat().st_mtime_ns >= than.stat().st_mtime_ns
    except OSError:
        return False


def _edge(*arguments: str) -> None:
    """Run ``vsf-edge`` in a process of its own: the core imports nothing of it, and a microscope's box has no torch."""
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "vsf_edge", *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it gave no reason"])[-1]
        raise VsfError(f"vsf-edge {arguments[0]} failed on the demo's model: {last.removeprefix('Error: ')}")


def _shown_edge() -> str:
    """Give how a person calls ``vsf-edge`` here: by name where the shell finds it, else by the shorter path."""
    if shutil.which("vsf-edge"):
        return "vsf-edge"
    script = Path(sysconfig.get_path("scripts")) / "vsf-edge"
    try:
        relative = os.path.relpath(script)
    except ValueError:  # another drive
        return str(script)
    return relative if not relative.startswith("..") else str(script)
