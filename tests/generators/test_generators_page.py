"""The table of sizes in docs/generators.md says what the code gives."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from vsf_plugins.generators.pix2pix_networks import PatchDiscriminator
from vsframework.plugins import registry

PAGE = Path(__file__).resolve().parents[2] / "docs" / "generators.md"
ROWS = re.findall(r"^\| `([^`]+)` \| (\d) \|(.+)\|$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)


def sizes(name: str, stains: int) -> list[str]:
    """Give one row of the table; on the meta device, where a network has shapes but no numbers."""
    architecture = registry().create("generator", name)
    with torch.device("meta"):
        networks = architecture.networks(1, stains, 256)
        assert isinstance(networks.discriminator, PatchDiscriminator)
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            networks.generator.eval()(torch.zeros(1, 1, 256, 256))
    counts = [_count(networks.generator), _count(networks.discriminator)]
    return [
        *(f"{count:,}" for count in counts),
        f"{networks.discriminator.receptive_field} px",
        f"{architecture.stride} px",
        f"{counter.get_total_flops() / 1e9:.3f}",
    ]


def _count(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def test_the_table_has_every_generator_for_one_stain_and_for_both() -> None:
    built_in = {
        entry.component.name for entry in registry().entries("generator") if entry.plugin.distribution == "vsf-plugins"
    }
    assert {(name, stains) for name, stains, _ in ROWS} == {(name, stains) for name in built_in for stains in "12"}


@pytest.mark.parametrize(("name", "stains", "cells"), ROWS, ids=lambda value: value.strip()[:9])
def test_a_row_says_what_the_code_gives(name: str, stains: str, cells: str) -> None:
    assert [cell.strip() for cell in cells.split("|")] == sizes(name, int(stains))
