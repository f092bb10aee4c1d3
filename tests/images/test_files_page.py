"""docs/files.md says what the code says: its examples run, its tables of settings are valid, its layouts exist."""

from __future__ import annotations

import csv
import io
import re
import tomllib
from pathlib import Path
from typing import get_args

import pytest

from vsframework.config import DataSection
from vsframework.dataset.layouts import LAYOUTS
from vsframework.dataset.layouts.plate import read_plate_table

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "files.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("example", blocks("python"))
def test_an_example_runs(example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "docs/files.md", "exec"), {})


@pytest.mark.parametrize("example", blocks("toml"))
def test_settings_are_valid(example: str) -> None:
    DataSection.model_validate(tomllib.loads(example)["data"])


def test_the_table_of_wells_is_one(tmp_path: Path) -> None:
    (text,) = blocks("csv")
    (tmp_path / "wells.csv").write_text(text)
    assert read_plate_table(tmp_path / "wells.csv")["monday", "A1"] == "anna"
    assert next(csv.reader(io.StringIO(text))) == ["plate", "well", "donor"]


def test_every_layout_has_its_section_and_its_function() -> None:
    sections = re.findall(r"^### `([a-z-]+)`:", TEXT, flags=re.MULTILINE)
    known = set(get_args(DataSection.model_fields["layout"].annotation))
    assert sections == list(LAYOUTS)
    assert known == {*LAYOUTS, "mccallum-crops"}


def test_every_key_of_reading_is_named() -> None:
    added = ("z", "stain_z", "time", "scene", "pixel_size_um", "other_pixel_size", "brightfield_side", "plate_table")
    assert all(re.search(rf"`{key}`|`data\.{key}`|^{key} = ", TEXT, flags=re.MULTILINE) for key in added)
    assert set(added) <= set(DataSection.model_fields)
