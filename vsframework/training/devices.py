"""What training runs on: devices, precision and processes (Lightning Fabric)."""

from __future__ import annotations

import contextlib
import ctypes
import sys

import torch
from lightning_fabric import Fabric

from vsframework.config import TrainingSection
from vsframework.errors import UsageError, VsfError


def launch(training: TrainingSection) -> Fabric:
    """Start as many processes as ``training.devices`` says, and give each its device.

    Raises
    ------
    UsageError
        When a batch cannot be shared evenly.
    VsfError
        When the accelerator, the precision or that many devices are not there.
    """
    if training.batch_size % training.devices:
        raise UsageError(
            f"training.batch_size = {training.batch_size} cannot be shared by training.devices = {training.devices}; "
            "make it a multiple"
        )
    try:
        fabric = Fabric(
            accelerator=training.accelerator,
            devices=training.devices,
            strategy="ddp" if training.devices > 1 else "auto",
            precision=training.precision,
        )
    except (ValueError, RuntimeError, ImportError) as error:
        raise VsfError(f"training.accelerator = {training.accelerator!r} does not work here: {error}") from error
    fabric.launch()
    if fabric.device.type == "cpu":
        _keep_memory()
    return fabric


def scaler_of(fabric: Fabric) -> torch.amp.GradScaler | None:
    """Give the loss scaler of fp16 training, whose state belongs into checkpoints; None for other precisions."""
    scaler = getattr(fabric.strategy.precision, "scaler", None)
    return scaler if isinstance(scaler, torch.amp.GradScaler) else None


def own_part(batch: torch.Tensor, fabric: Fabric) -> tuple[torch.Tensor, float]:
    """Give this process's part of `batch` (indices), and how its gradients weigh in the mean over all processes.

    A process for which nothing is left takes the first patch with weight 0: all must step together.
    """
    if fabric.world_size == 1:
        return batch, 1.0
    part = batch[fabric.global_rank :: fabric.world_size]
    if not len(part):
        return batch[:1], 0.0
    return part, len(part) * fabric.world_size / len(batch)


def _keep_memory() -> None:
    """Let the C library keep what a step frees for the next one, where it is glibc.

    By default it hands large blocks back to the system at once, and the next step pays for having every page cleared
    again: 80 000 page faults and a tenth of the time of a step of the paper's networks on a CPU.
    """
    if not sys.platform.startswith("linux"):
        return
    trim_threshold, mmap_max = -1, -4  # malloc.h
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(mmap_max, 0)
        mallopt(trim_threshold, 2**31 - 1)
