"""The reference pages say what the code does."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


def load_reference():
    spec = importlib.util.spec_from_file_location("reference", DOCS / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["experiment-file.md", "commands.md", "sources.md", "detection.md"])
def test_the_page_is_what_make_docs_writes(page: str) -> None:
    assert (DOCS / page).read_text(encoding="utf-8") == load_reference().PAGES[page](), "run make docs"
