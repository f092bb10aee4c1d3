"""What the targets of this package have in common: the same checked graphs, written in different ways."""

from __future__ import annotations

import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

from torch import nn

from vsf_export.graphs import Graphs, build_graphs
from vsf_export.targets.onnx_params import GraphParams
from vsframework import VsfError
from vsframework.interfaces import ExportRecord, ExportSpec

P = TypeVar("P", bound=GraphParams)
MARK = ".vsf-export"
"""File in every exported folder: only such a folder is ever replaced."""


class GraphTarget(ABC, Generic[P]):
    """An export target that starts from checked ONNX graphs.

    ``vsf export`` with several targets builds the graphs once and calls `write` of each.
    """

    def __init__(self, params: P) -> None:
        self.params = params

    def unavailable(self) -> str:
        """Say why this machine cannot build it and what it would need; empty where it can. Loads no driver."""
        return ""

    def export(self, generators: Sequence[nn.Module], spec: ExportSpec, out: Path) -> ExportRecord:
        """Write deploy-mode `generators` to `out`; all or nothing.

        Raises
        ------
        VsfError
            When this machine cannot build it, the networks are not in deploy form or cannot be traced, or the graph
            drifts from torch.
        """
        reason = self.unavailable()
        if reason:
            raise VsfError(reason)
        return self.write(build_graphs(generators, spec, self.params), out)

    @abstractmethod
    def write(self, graphs: Graphs, out: Path) -> ExportRecord:
        """Write checked `graphs` to `out`; all or nothing.

        Raises
        ------
        VsfError
            When it cannot be built, or drifts.
        """


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """Give an empty folder beside `out` to fill; on success it takes the name `out`, in place of what was there.

    Raises
    ------
    VsfError
        When `out` is a file, or a folder with other things than an earlier export.
    """
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / MARK).exists())):
        raise VsfError(f"{out} is there and is not an earlier export: name another folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    old = temporary.with_name(f"{temporary.name}-old")
    try:
        yield temporary
        (temporary / MARK).write_text("Written by vsf export; replaced as a whole by the next one.\n", encoding="utf-8")
        temporary.chmod(0o755)
        if out.exists():  # a folder cannot be replaced in one step; the old one is moved aside, so that it is whole
            out.rename(old)
        try:
            temporary.rename(out)
        except OSError:
            if old.exists():
                old.rename(out)
            raise
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def files_of(folder: Path) -> tuple[Path, ...]:
    """Give every file of an export below `folder`, sorted; not the mark by which the next one knows it."""
    return tuple(sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MARK))
