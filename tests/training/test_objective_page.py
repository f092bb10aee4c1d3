"""docs/training.md names every term of the objective."""

from __future__ import annotations

from pathlib import Path

import pytest

from vsframework.config import ObjectiveSection

PAGE = Path(__file__).resolve().parents[2] / "docs" / "training.md"


@pytest.mark.parametrize("key", [name for name in ObjectiveSection.model_fields if name.startswith("lambda_")])
def test_the_table_of_terms_has_a_row_for_every_weight(key: str) -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    assert [row for row in rows if row.split("|")[2].strip() == f"`{key}`"], f"{key} is not in {PAGE.name}"
