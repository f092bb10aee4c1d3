"""The random states of every process of a training: into a checkpoint, and back."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from lightning_fabric import Fabric

PREFIX = "random/"


def seed_training(seed: int, rank: int = 0) -> None:
    """Seed torch's random generators: dropout draws other numbers in every process."""
    torch.manual_seed(seed + rank * 1_000_003)


def random_states(fabric: Fabric) -> dict[str, torch.Tensor]:
    """Collect the random states of all processes by name, uint8; every process must call this."""
    own = {"cpu": torch.get_rng_state()}
    if fabric.device.type == "cuda":
        own["cuda"] = torch.cuda.get_rng_state(fabric.device)
    if fabric.world_size == 1:
        return {f"{PREFIX}0/{name}": state for name, state in own.items()}
    states: dict[str, torch.Tensor] = {}
    for name, state in own.items():
        gathered = fabric.all_gather(state.to(fabric.device))
        assert isinstance(gathered, torch.Tensor)
        states |= {f"{PREFIX}{rank}/{name}": gathered[rank].cpu() for rank in range(fabric.world_size)}
    return states


def restore_random_states(states: Mapping[str, torch.Tensor], fabric: Fabric, seed: int) -> None:
    """Put this process's random states back (names without the prefix); one that was not there before is seeded."""
    own = f"{fabric.global_rank}/"
    if f"{own}cpu" not in states:
        seed_training(seed, fabric.global_rank)
        return
    torch.set_rng_state(states[f"{own}cpu"])
    if fabric.device.type == "cuda" and f"{own}cuda" in states:
        torch.cuda.set_rng_state(states[f"{own}cuda"], fabric.device)
