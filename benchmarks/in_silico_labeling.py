"""13 phase-contrast planes to DAPI, MAP2 and NFH: how well, after how much training.

``python benchmarks/in_silico_labeling.py`` prepares examples/in-silico-labeling from DATA, trains its experiment as
``vsf train`` does, trains a plain U-Net beside it on the same pixels, and prints the tables of
docs/in-silico-labeling.md; ``--json benchmarks/results/in_silico_labeling.json`` and ``--picture
docs/pictures/in_silico_labeling.png`` leave a record and its plot.

Judged is Pearson's correlation per stain over all pixels of the part that is never trained on. The curves stain it as
one image, in one pass of the network, with weights that were put aside during training (it costs no training time);
``in_tiles`` is what ``vsf stain`` gives for it, which works in blended tiles of the size of a patch. Time is CPU time
of the process, since a shared machine makes the clock on the wall a matter of luck; that is in the record too. With
``--choose`` the test part is not touched: the first 320 columns of the training part, as many as are tested on, are
judged instead, which is how the recipe was chosen.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import runpy
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from _plain_unet import train_plain
from _record import circumstances
from vsframework.atomic import atomic_path, write_text
from vsframework.config import DataSection, Experiment
from vsframework.dataset import PatchDataset
from vsframework.dataset.layouts import find_fields
from vsframework.dataset.planes import read_planes
from vsframework.images import read_image
from vsframework.inference import Stainer
from vsframework.pipeline import Run
from vsframework.plugins import registry
from vsframework.training.checkpoints import Checkpoints, training_identity
from vsframework.training.finishing import describe_generator
from vsframework.training.loop import Training
from vsframework.training.state import TrainingState

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "in-silico-labeling"
DATA = Path("../shared/data/in_silico_labeling")
STRIP = 320
FULL_SCALE = 65535.0
TOLD = {"DAPI": 0.61, "MAP2": 0.76, "NFH": 0.56}
"""What the recipe of the plain U-Net reached elsewhere, at its best step on the test part."""

OURS, PLAIN = "vsf train", "plain U-Net"
COLOURS = {OURS: "#2f81d0", PLAIN: "#8b95a1"}

Image = npt.NDArray[np.float32]


class NotedCheckpoints(Checkpoints):
    """Checkpoints that put the weights which would stain now aside, with the time since the start of training."""

    def begin(self, steps_per_epoch: int) -> None:
        """Start the clock."""
        self.kept: list[dict[str, Any]] = []
        self.steps_per_epoch = steps_per_epoch
        self.cpu, self.wall = time.process_time(), time.perf_counter()

    def save(self, state: TrainingState) -> None:
        """Save as always (this counts as training time), then note."""
        super().save(state)
        cpu, wall = time.process_time() - self.cpu, time.perf_counter() - self.wall
        network = copy.deepcopy(state.models[0].trained_generator)
        step = state.position.epoch * self.steps_per_epoch
        self.kept.append({"step": step, "cpu_s": cpu, "wall_s": wall, "network": network})


def train_ours(run: Run, dataset: PatchDataset) -> list[dict[str, Any]]:
    """Train the example's experiment into its run folder: weights after every epoch."""
    experiment = run.experiment
    folder = run.path / "checkpoints"
    identity = training_identity(experiment, dataset.info["hash"])
    checkpoints = NotedCheckpoints(folder, identity, describe_generator(experiment))
    patches = len(dataset.accepted(exclude=experiment.split.held_out))
    checkpoints.begin(-(-patches // experiment.training.batch_size))
    training = Training(experiment, dataset, run=run.path, checkpoints=checkpoints, weak=None, teaching=None)
    training.resume()
    training.go_on()
    training.finish()
    architecture = registry().create("generator", experiment.generator.name, experiment.generator.params)
    for note in checkpoints.kept:
        note["network"] = architecture.deploy(note["network"])
    return checkpoints.kept


def read_part(data: DataSection, fields: Path, donor: str) -> tuple[Image, Image]:
    """Read a part as the dataset does: brightfield [P, H, W] and stains [C, H, W], counts."""
    found = next(found for found in find_fields(data, fields) if found.donor == donor)
    planes, _ = read_planes(data, found.brightfield)
    stains = np.concatenate([read_image(path).pixels for path in found.stains.values()])
    return planes.astype(np.float32), stains.astype(np.float32)


def pearson(virtual: Image, true: Image, names: tuple[str, ...]) -> dict[str, float]:
    """Correlate every stain over all its pixels."""
    pairs = zip(names, virtual, true, strict=True)
    return {name: float(np.corrcoef(one.ravel(), other.ravel())[0, 1]) for name, one, other in pairs}


def curve(kept: list[dict[str, Any]], brightfield: Image, true: Image, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Stain the whole part with all weights that were kept."""
    images = torch.from_numpy(brightfield * (2 / FULL_SCALE) - 1)[None]
    points = []
    for note in kept:
        with torch.inference_mode():
            virtual = note["network"](images)[0].numpy()
        times = {name: round(note[name], 1) for name in ("cpu_s", "wall_s")}
        points.append({"step": note["step"], **times, "pearson": pearson(virtual, true, names)})
    return points


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, dict[str, Any]]:
    """Prepare, train what is asked for, judge it: the parts of the record by name."""
    strip = STRIP if arguments.choose else 0
    judged = "strip" if arguments.choose else "right"
    runpy.run_path(str(EXAMPLE / "prepare.py"))["prepare"](arguments.data, folder / "fields", strip)
    (folder / "experiment.toml").write_text((EXAMPLE / "experiment.toml").read_text(encoding="utf-8"), encoding="utf-8")
    held_out = ('split.test_donors=["strip", "right"]',) if arguments.choose else ()
    run = Run(folder / "experiment.toml", (*held_out, "training.accelerator=cpu", *arguments.override))
    data = run.experiment.data
    brightfield, true = read_part(data, folder / "fields", judged)
    judge = {"judged": f"the whole part {judged!r}, {brightfield.shape[1]}x{brightfield.shape[2]} px"}
    parts: dict[str, dict[str, Any]] = {}
    if arguments.only in (None, OURS):
        load = os.getloadavg()[0]
        run.go(until="dataset", tell=lambda line: None)
        dataset = PatchDataset.open(run.dataset_path)
        points = curve(train_ours(run, dataset), brightfield, true, data.stains)
        final = pearson(Stainer.load(run.path).stain(brightfield[None])[0], true, data.stains)
        about = {"experiment": _recipe(run.experiment), "patches": len(dataset.accepted()), "in_tiles": final}
        parts[OURS] = {**judge, **about, "points": points, **_circumstances(load)}
    if arguments.only in (None, PLAIN):
        load = os.getloadavg()[0]
        seen = read_part(data, folder / "fields", "left")
        kept = train_plain(*seen, FULL_SCALE, arguments.plain_steps, arguments.plain_every)
        parts[PLAIN] = {**judge, "points": curve(kept, brightfield, true, data.stains), **_circumstances(load)}
    return parts


def _circumstances(load: float) -> dict[str, Any]:
    return {"threads": torch.get_num_threads(), **circumstances(("torch", "numpy"), load)}


def _recipe(experiment: Experiment) -> dict[str, Any]:
    tables = experiment.tables()
    return {name: tables[name] for name in ("generator", "training", "augmentation", "objective", "detector")}


def show(record: dict[str, Any]) -> None:
    """Print the tables of docs/in-silico-labeling.md."""
    names = list(record["told"])
    print("| training | step | CPU s | " + " | ".join(names) + " |")
    print("|---|---|---|" + "---|" * len(names))
    for kind, part in record["parts"].items():
        for point in part["points"]:
            values = " | ".join(f"{point['pearson'][name]:.3f}" for name in names)
            print(f"| {kind} | {point['step']} | {point['cpu_s']:.0f} | {values} |")
        if "in_tiles" in part:
            values = " | ".join(f"{part['in_tiles'][name]:.3f}" for name in names)
            print(f"| {kind}, stained in tiles | {part['points'][-1]['step']} | | {values} |")


def draw(record: dict[str, Any], path: Path) -> None:
    """Plot correlation over training time."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.2), layout="constrained")
    axes = figure.subplots(1, len(record["told"]), sharey=True)
    for axis, (stain, told) in zip(axes, record["told"].items(), strict=True):
        for kind, part in record["parts"].items():
            times = [point["cpu_s"] for point in part["points"]]
            values = [point["pearson"][stain] for point in part["points"]]
            axis.plot(times, values, "o-", color=COLOURS[kind], label=kind, ms=3)
        axis.axhline(told, color="#d98a00", lw=1, ls="--", label="best reported for the plain U-Net")
        axis.set(title=stain, xlabel="training time (CPU s)", ylim=(-0.1, 1))
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("Pearson's r")
    axes[0].legend(frameon=False, fontsize=8, loc="upper left")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")


def kept_parts(path: Path | None) -> dict[str, dict[str, Any]]:
    """Read the parts that an earlier call left in the record `path`."""
    if path is None or not path.exists():
        return {}
    parts: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["parts"]
    return parts


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", default=DATA, help=f"folder of the 16 PNG files (default {DATA})")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the record here too")
    parser.add_argument("--picture", type=Path, metavar="PATH", help="plot the curves here")
    parser.add_argument("--folder", type=Path, help="work here and leave everything (default: a temporary folder)")
    parser.add_argument("--choose", action="store_true", help="judge a strip of the training part, not the test part")
    parser.add_argument("--only", choices=[OURS, PLAIN], help="train one; the other part of the record is kept")
    parser.add_argument("--plain-steps", type=int, default=400, help="of the plain U-Net (default 400)")
    parser.add_argument("--plain-every", type=int, default=50, help="steps between its points (default 50)")
    parser.add_argument("--override", action="append", default=[], metavar="KEY=VALUE", help="change the experiment")
    parser.add_argument("--threads", type=int, default=0, help="threads of torch (default: as torch chooses)")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        parts = measure(arguments, folder)
    if arguments.only:
        parts = {**kept_parts(arguments.json), **parts}
    record = {"benchmark": "in_silico_labeling", "what": "Pearson's r per stain", "told": TOLD, "parts": parts}
    if arguments.json:
        write_text(arguments.json, json.dumps(record, indent=2) + "\n")
    if arguments.picture:
        draw(record, arguments.picture)
    show(record)


if __name__ == "__main__":
    main()
