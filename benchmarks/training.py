"""Training steps of ``pix2pix`` against a plain eager loop of the same networks, losses and batch, in one run.

``python benchmarks/training.py`` prints a table; ``--json benchmarks/results/training.json`` leaves a record. Both take
turns, so that a busy moment of the machine falls on both. The plain loop is what a textbook writes (the DCGAN tutorial
of PyTorch, with the two discriminator steps of the paper's lineage): Adam as it comes, one pass of the generator, and
gradients of the discriminator that the generator's step computes and throws away. Both end with the same weights up to
rounding, which is checked on the first step.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, l1_loss

from _record import circumstances
from vsframework.atomic import write_text
from vsframework.config import Experiment, parse_experiment
from vsframework.interfaces import Generator
from vsframework.plugins import registry
from vsframework.training.devices import launch
from vsframework.training.models import Model, ModelPlan
from vsframework.training.objective import Objective

SIDE = 256
TARGET = {"cpu": 1.3, "cuda": 3.0}
WARM_UP = 2
AGREEMENT = 1e-3
"""How far the losses of the first steps may be apart, relatively: the sums are taken in another order."""

Step = Callable[[torch.Tensor, torch.Tensor], dict[str, float]]


def experiment_of(batch: int, accelerator: str, **training: Any) -> Experiment:
    """Give the paper's experiment; dropout is off, so that both loops can be compared."""
    return parse_experiment(
        {
            "data": {"root": "."},
            "generator": {"name": "pix2pix", "dropout": 0.0},
            "training": {"batch_size": batch, "accelerator": accelerator, **training},
        },
        "the benchmark",
    )


def ours(experiment: Experiment) -> tuple[Step, torch.device]:
    """Give one step of vsframework's training."""
    architecture: Generator = registry().create("generator", "pix2pix", experiment.generator.params)
    fabric = launch(experiment.training)
    torch.manual_seed(0)
    plan = ModelPlan(name="dsDNA", channels=(0,))
    model = Model(plan, architecture, experiment, Objective(section=experiment.objective), SIDE)
    model.set_up(fabric)

    def step(brightfield: torch.Tensor, stains: torch.Tensor) -> dict[str, float]:
        return {name: float(term) for name, term in model.step(brightfield, stains).items()}

    return step, fabric.device


def plain(experiment: Experiment, device: torch.device) -> Step:
    """Give one step of the plain loop."""
    section, objective = experiment.training, experiment.objective
    torch.manual_seed(0)
    networks = registry().create("generator", "pix2pix", experiment.generator.params).networks(1, 1, SIDE)
    generator, discriminator = networks.generator.to(device), networks.discriminator.to(device)
    generator_optimiser, discriminator_optimiser = (
        torch.optim.Adam(network.parameters(), lr=section.learning_rate, betas=section.betas)
        for network in (generator, discriminator)
    )

    def judged(logits: torch.Tensor, real: float) -> torch.Tensor:
        return binary_cross_entropy_with_logits(logits, torch.full_like(logits, real))

    def step(brightfield: torch.Tensor, stains: torch.Tensor) -> dict[str, float]:
        output = generator(brightfield)
        terms = {}
        for name, image, real in (("real", stains, 1.0), ("virtual", output.detach(), 0.0)):
            loss = 0.5 * judged(discriminator(torch.cat([brightfield, image], dim=1)), real)
            discriminator_optimiser.zero_grad()
            torch.autograd.backward(loss)
            discriminator_optimiser.step()
            terms[f"discriminator_{name}"] = loss.item()
        adversarial = judged(discriminator(torch.cat([brightfield, output], dim=1)), 1.0)
        l1 = l1_loss(output, stains)
        generator_optimiser.zero_grad()
        torch.autograd.backward(objective.lambda_l1 * l1 + objective.lambda_gan * adversarial)
        generator_optimiser.step()
        return {"l1": l1.item(), "adversarial": adversarial.item(), **terms}

    return step


def work(name: str, batch: int, threads: int, accelerator: str, training: dict[str, Any]) -> None:
    """Take one step for every line on standard input, and answer with its time and losses as JSON."""
    torch.set_num_threads(threads)
    experiment = experiment_of(batch, accelerator, **training)
    if name == "vsframework":
        step, device = ours(experiment)
    else:
        device = torch.device("cuda" if accelerator != "cpu" and torch.cuda.is_available() else "cpu")
        step = plain(experiment, device)
    random = torch.Generator().manual_seed(0)
    brightfield, stains = ((torch.rand(batch, 1, SIDE, SIDE, generator=random) * 2 - 1).to(device) for _ in range(2))
    for _ in sys.stdin:
        start = time.perf_counter()
        terms = step(brightfield, stains)  # gives plain numbers, so a GPU has finished
        print(json.dumps({"seconds": time.perf_counter() - start, "terms": terms, "device": device.type}), flush=True)


class Worker:
    """A process of its own for one loop: what one tells the allocator of memory must not help the other."""

    def __init__(self, name: str, arguments: list[str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--worker", name, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def step(self) -> dict[str, Any]:
        """Take one step."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def end(self) -> None:
        """End the process."""
        self._process.communicate()


def measure(batch: int, repeats: int, threads: int, accelerator: str, **training: Any) -> dict[str, Any]:
    """Give the record."""
    load = os.getloadavg()[0]
    arguments = ["--batch", str(batch), "--threads", str(threads), "--accelerator", accelerator]
    arguments += [f"--{name.replace('_', '-')}" for name in training]
    workers = {name: Worker(name, arguments) for name in ("plain", "vsframework")}
    times: dict[str, list[float]] = {name: [] for name in workers}
    device = "cpu"
    for turn in range(WARM_UP + repeats):
        terms = {}
        # in turns, and each of them first in every second one
        for name in sorted(workers, reverse=turn % 2 == 1):
            answer = workers[name].step()
            terms[name], device = answer["terms"], answer["device"]
            if turn >= WARM_UP:
                times[name].append(answer["seconds"])
        if turn == 0:
            check_agreement(terms)
    for worker in workers.values():
        worker.end()
    ratio = statistics.median(slow / fast for slow, fast in zip(times["plain"], times["vsframework"], strict=True))
    return {
        "benchmark": "training",
        "what": f"one step of pix2pix (paper's size), {SIDE}x{SIDE} px, batch {batch}, {threads} threads, {repeats} "
        f"steps after {WARM_UP}, in turns, each loop in its own process; ratio: median over the turns",
        "options": training,
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        **circumstances(("torch",), load),
        "median_s": {name: statistics.median(values) for name, values in times.items()},
        "fastest_s": {name: min(values) for name, values in times.items()},
        "ratio": ratio,
        "ratio_of_fastest": min(times["plain"]) / min(times["vsframework"]),
        "target": TARGET[device],
        "within_target": ratio >= TARGET[device],
    }


def check_agreement(terms: dict[str, dict[str, float]]) -> None:
    """Make sure that both loops compute the same losses on their first step."""
    for name, value in terms["plain"].items():
        other = terms["vsframework"][name]
        if abs(other - value) > AGREEMENT * max(1.0, abs(value)):
            raise SystemExit(f"the loops differ: {name} is {value} in the plain loop and {other} in vsframework")


def main() -> None:
    """Print a table, or write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the record here too")
    parser.add_argument("--repeats", type=int, default=12, help="timed steps of each loop (default 12)")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch (default 2)")
    parser.add_argument("--batch", type=int, default=1, help="patches per step (default 1, the paper's lineage)")
    parser.add_argument("--accelerator", default="auto", help="of Lightning Fabric (default auto)")
    parser.add_argument("--channels-last", action="store_true", help="with training.channels_last")
    parser.add_argument("--compile", action="store_true", help="with training.compile")
    parser.add_argument("--worker", choices=["plain", "vsframework"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    options = {
        **({"channels_last": True} if arguments.channels_last else {}),
        **({"compile": True} if arguments.compile else {}),
    }
    if arguments.worker:
        work(arguments.worker, arguments.batch, arguments.threads, arguments.accelerator, options)
        return
    record = measure(arguments.batch, arguments.repeats, arguments.threads, arguments.accelerator, **options)
    if arguments.json:
        write_text(arguments.json, json.dumps(record, indent=2) + "\n")
    for name, seconds in record["median_s"].items():
        print(f"{name:12} {1000 * seconds:8.0f} ms per step")
    print(
        f"ratio        {record['ratio']:8.2f} (of the fastest steps {record['ratio_of_fastest']:.2f}; at least "
        f"{record['target']} wanted)"
    )
    print("load average before and after: {before:.1f}, {after:.1f}".format(**record["load_average"]))


if __name__ == "__main__":
    main()
