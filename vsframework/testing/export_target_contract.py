"""What every export target holds: files at the named place with their parity, or an error and nothing at all."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest

from vsframework.errors import VsfError
from vsframework.interfaces import ExportRecord, ExportSpec, ExportTarget, Quantity
from vsframework.testing.component_contract import ComponentContract

if TYPE_CHECKING:
    from torch import nn

SIZE = 32


class ExportTargetContract(ComponentContract):
    """Contract of ``vsf_export_targets``: see :class:`~vsframework.interfaces.ExportTarget`.

    A target that says, with a `VsfError`, that this machine cannot build it is skipped.
    """

    kind = "export-target"
    protocol = ExportTarget
    suffix: ClassVar[str] = ""
    """Ending of the path to export to, where your target wants one."""

    def test_writes_its_files_and_their_parity(self, part: ExportTarget, tmp_path: Path) -> None:
        generators, spec, out = _generators(), _spec(), tmp_path / f"exported{self.suffix}"
        before = copy.deepcopy([generator.state_dict() for generator in generators])
        record = _export(part, generators, spec, out)
        assert isinstance(record, ExportRecord), f"export() gave a {type(record).__name__}, not an ExportRecord"
        assert record.files, "export() recorded no files"
        for file in record.files:
            assert file.is_file(), f"export() recorded {file.name}, which is not there"
            assert file == out or out in file.parents, f"export() wrote {file}, which is not at {out}"
            assert file.stat().st_size > 0, f"export() wrote an empty {file.name}"
        assert record.parity, "export() recorded no parity: run what you wrote, and compare it with torch"
        for name, value in record.parity.items():
            assert math.isfinite(value), f"parity {name} is {value}"
        strays = [path.name for path in tmp_path.iterdir() if path != out]
        assert not strays, f"export() left {', '.join(strays)} beside {out.name}"
        for generator, state in zip(generators, before, strict=True):
            for name, tensor in generator.state_dict().items():
                assert tensor.equal(state[name]), f"export() changed {name} of a generator: work on a copy"

    def test_leaves_nothing_where_it_fails(self, part: ExportTarget, tmp_path: Path) -> None:
        out = tmp_path / f"exported{self.suffix}"
        with pytest.raises(Exception):  # noqa: B017, PT011 - torch's own error is as good as a VsfError here
            part.export([_broken_generator()], _spec(), out)
        left = [path.name for path in tmp_path.rglob("*")]
        assert not left, f"a failed export() left {', '.join(left)}: write beside it, and rename when it is whole"


class _TotalLight:
    """The quantifier of the exported graph: all counts of all stains."""

    quantities: Sequence[Quantity] = (Quantity(name="total", unit="counts", description="All counts of all stains."),)

    def measure(self, stains: Any, channels: Sequence[str]) -> Mapping[str, Any]:
        return {"total": stains.sum(axis=(-3, -2, -1))}


def _generators() -> list[nn.Module]:
    import torch
    from torch import nn

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return [
            nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 1, 3, padding=1), nn.Tanh()).eval()
            for _ in range(2)
        ]


def _broken_generator() -> nn.Module:
    """A generator that takes three planes where the specification says one."""
    from torch import nn

    return nn.Sequential(nn.Conv2d(3, 1, 3, padding=1), nn.Tanh()).eval()


def _spec() -> ExportSpec:
    reference = np.random.default_rng(0).uniform(0, 255, (2, 1, SIZE, SIZE)).astype(np.float32)
    return ExportSpec(
        in_channels=1,
        stains=("dsDNA", "ssDNA"),
        image_size=SIZE,
        stride=1,
        brightfield_full_scale=255.0,
        stain_full_scale=(200.0, 100.0),
        quantifier=_TotalLight(),
        reference=reference,
        metadata={"origin": "contract"},
    )


def _export(part: ExportTarget, generators: Sequence[nn.Module], spec: ExportSpec, out: Path) -> ExportRecord:
    try:
        return part.export(generators, spec, out)
    except VsfError as error:
        assert not list(out.parent.rglob("*")), "export() failed and left something behind"
        pytest.skip(f"cannot be built on this machine: {error}")
