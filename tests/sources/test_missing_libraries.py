"""A source whose library is not installed says what to install."""

from __future__ import annotations

import sys

import pytest

from vsf_edge.errors import EdgeUsageError
from vsf_edge.sources.micromanager import MicroManager
from vsf_edge.sources.zarr import Zarr


@pytest.mark.parametrize(
    ("library", "source", "extra"), [("pymmcore_plus", MicroManager, "micromanager"), ("zarr", Zarr, "record")]
)
def test_it_says_what_to_install(tmp_path, monkeypatch, library: str, source, extra: str) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    opened = source() if library == "pymmcore_plus" else source(str(tmp_path))
    with pytest.raises(EdgeUsageError, match=rf"pip install 'vsf-edge\[{extra}\]'"):
        opened.open()
    opened.close()
