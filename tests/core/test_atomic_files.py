"""A file is there whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from vsframework import VsfError
from vsframework.atomic import atomic_path, write_text


def test_an_error_leaves_the_older_file_and_no_litter(tmp_path: Path) -> None:
    target = tmp_path / "table.csv"
    target.write_text("old")

    def write_half() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        write_half()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_success_replaces_and_makes_folders(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b.txt"
    write_text(target, "one")
    write_text(target, "two")
    assert target.read_text() == "two"
    assert list(target.parent.iterdir()) == [target]


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(VsfError, match="cannot be written"):
        write_text(tmp_path / "file" / "x.txt", "text")


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full to stand for a full disk")

    def fill() -> None:
        with atomic_path(tmp_path / "x.txt"), full.open("w") as file:
            file.write("text")

    with pytest.raises(VsfError, match="disk is full"):
        fill()
    assert list(tmp_path.iterdir()) == []
