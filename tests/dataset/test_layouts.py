"""How files are grouped into fields."""

from __future__ import annotations

from pathlib import Path

import pytest

from vsframework import UsageError
from vsframework.config import DataSection
from vsframework.dataset.layouts import find_fields


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_channels_of_a_field_and_its_crops_come_together(tmp_path: Path) -> None:
    touch(tmp_path, "d2/f1_BF.tif", "d1/f1_BF.tif", "d1/f1_dsDNA.tif", "d1/f1_ssDNA.tif", "d1/f10_BF.tif")
    touch(tmp_path, "d1/crops/f1_c0.png", "d1/crops/f1_c1.png", "d1/notes.txt")
    data = DataSection(root=".", crops="{donor}/crops/{field}_{cell}.png")
    fields = find_fields(data, tmp_path)
    assert [field.id for field in fields] == ["d1/f1", "d1/f10", "d2/f1"]
    assert list(fields[0].stains) == ["dsDNA", "ssDNA"]
    assert list(fields[0].crops) == ["c0", "c1"]
    assert fields[1].stains == {}


def test_a_star_stands_for_any_ending(tmp_path: Path) -> None:
    touch(tmp_path, "S1/a_BF.png", "S1/a_dsDNA.tif", "S1/a_ssDNA.tif")
    data = DataSection(root=".", pattern="{donor}/{field}_{channel}.*")
    assert set(find_fields(data, tmp_path)[0].stains) == {"dsDNA", "ssDNA"}


def test_field_names_may_hold_the_separator(tmp_path: Path) -> None:
    touch(tmp_path, "S1/plate_2_BF.tif", "S1/plate_2_dsDNA.tif", "S1/plate_2_ssDNA.tif")
    (found,) = find_fields(DataSection(root="."), tmp_path)
    assert found.name == "plate_2"
    assert len(found.stains) == 2


@pytest.mark.parametrize(
    ("files", "data", "sentence"),
    [
        ((), {}, "the folder is empty"),
        (("x/y-green.tif",), {}, "there are files like x/y-green.tif"),
        (("x/y_green.tif", "x/y_red.tif"), {}, "it would with the channels green, red: name them"),
        (("x/y_bf.tif",), {"pattern": "{donor}/{field}_{channel}.tif"}, "with the channels bf"),
        (("x/y_BF.tiff",), {}, r"it would with the ending \.tiff: end the pattern in \.\*"),
        (("X/Y_BF.tif",), {"pattern": "x/{field}_{channel}.tif"}, "if capital and small letters were the same"),
        (("d/f_BF.tif",), {"crops": "{donor}/crops/{cell}.png"}, "leave it out to detect cells"),
        (("d/f_BF.tif", "d/crops/g_c.png"), {"crops": "{donor}/crops/{field}_{cell}.png"}, "finds no such field"),
        (("d/f_BF.tif",), {"pattern": "{doner}/{field}_{channel}.tif"}, r"there is no \{doner\}"),
        (("d/f_BF.tif", "d/f_BF.png"), {"pattern": "{donor}/{field}_{channel}.*"}, "are both BF of d/f"),
    ],
)
def test_a_pattern_that_does_not_fit_says_what_is_there(tmp_path: Path, files, data, sentence: str) -> None:
    touch(tmp_path, *files)
    with pytest.raises(UsageError, match=sentence):
        find_fields(DataSection(root=".", **data), tmp_path)


@pytest.mark.parametrize(
    ("files", "data", "sentence"),
    [
        (
            ("d/f_BF.tif", "d/c/f_1.png", "d/c/f_1.jpg"),
            {"crops": "{donor}/c/{field}_{cell}.*"},
            "both the cell 1 of d/f",
        ),
        (("A1.tif", "A01.tif"), {"layout": "plate", "pattern": "{well}.*"}, "both the field anna/A1_0"),
        (("S1/Green0.tif", "S1/BF.tif", "S1/BF0.tif"), {"layout": "mccallum"}, "both BF of S1/0; keep one of them"),
        (("Green.tif", "Green0.tif", "Green1.tif"), {"layout": "mccallum"}, "has no number among 2 fields"),
        (
            ("BF.tif", "cells/img1_brightfield.png", "cells/img1_S1_BF02_DFI_9.png"),
            {"layout": "mccallum"},
            "both img1 of field 0",
        ),
        (("BF.tif", "cells/img1_brightfield.png", "crops/img1_brightfield.png"), {"layout": "mccallum"}, "cell img1"),
    ],
)
def test_no_file_gives_way_to_another_in_silence(tmp_path: Path, files, data, sentence: str) -> None:
    touch(tmp_path, *files)
    (tmp_path / "wells.csv").write_text("well,donor\nA1,anna\n")
    with pytest.raises(UsageError, match=sentence):
        find_fields(DataSection(root=".", plate_table="wells.csv", **data), tmp_path)


def test_crops_of_another_field_are_not_those_of_the_only_one(tmp_path: Path) -> None:
    touch(tmp_path, "S1/Green7.tif", "S1/cells/img1_S1_BF007_DFI_9.png", "S1/cells/img2_S1_BF012_DFI_9.png")
    touch(tmp_path, "S1/cells/img3_brightfield.png")
    (field,) = find_fields(DataSection(root=".", layout="mccallum"), tmp_path)
    assert list(field.crops) == ["img1", "img3"]


def test_a_folder_may_be_a_link_and_a_circle_of_links_ends(tmp_path: Path) -> None:
    touch(tmp_path, "disk/anna/f_BF.tif", "raw/bob/f_BF.tif")
    (tmp_path / "raw" / "anna").symlink_to(tmp_path / "disk" / "anna", target_is_directory=True)
    (tmp_path / "raw" / "bob" / "back").symlink_to(tmp_path / "raw", target_is_directory=True)
    assert [field.id for field in find_fields(DataSection(root="."), tmp_path / "raw")] == ["anna/f", "bob/f"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no folder .*nowhere"):
        find_fields(DataSection(root="nowhere"), tmp_path / "nowhere")
