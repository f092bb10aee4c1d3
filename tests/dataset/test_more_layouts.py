"""Layouts in which a file holds several channels, and those that are found by more than a pattern."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
import zarr

from vsframework import UsageError
from vsframework.config import parse_experiment
from vsframework.dataset import PatchDataset, build, input_files
from vsframework.dataset.layouts import find_fields
from vsframework.images import Image, write_imagej_tiff, write_ome_tiff, write_ome_zarr

HEIGHT, WIDTH, SIZE = 40, 52, 16
RANDOM = np.random.default_rng(0)
FIELD = RANDOM.integers(1, 4096, (3, HEIGHT, WIDTH), dtype=np.uint16)
NAMES = ("BF", "dsDNA", "ssDNA")


def experiment(data: dict[str, Any], **tables: Any) -> Any:
    tables = {
        "data": {"root": ".", **data},
        "patches": {"size": SIZE, "field_px": SIZE},
        "detector": {"name": "grid", "size": SIZE, "step": SIZE},
        "denoiser": "none",
        **tables,
    }
    return parse_experiment(tables, "a study")


def built(root: Path, **data: Any) -> PatchDataset:
    return build(experiment(data), root, root / "dataset")


def check(dataset: PatchDataset, brightfield: Any, stains: Any, donors: set[str]) -> None:
    """Every patch holds the pixels of its field around its centre, in every channel."""
    cells = dataset.accepted()
    assert set(cells["donor"]) == donors, list(dataset.cells["reason"])
    for cell in cells.itertuples():
        left, top = round(cell.x - 7.5), round(cell.y - 7.5)
        region = slice(top, top + SIZE), slice(left, left + SIZE)
        np.testing.assert_array_equal(np.asarray(dataset.brightfield[cell.patch])[0], brightfield[region])
        np.testing.assert_array_equal(np.asarray(dataset.raw[cell.patch]), stains[:, *region])


def image(pixels: Any, channels: tuple[str, ...], bits: int = 12) -> Image:
    return Image(pixels=pixels, channels=channels, pixel_size_um=0.2, bit_depth=bits)


@pytest.mark.parametrize("kind", ["ome.tif", "tif", "ome.zarr"])
def test_one_file_with_all_channels_in_any_order(kind: str, tmp_path: Path) -> None:
    (tmp_path / "d1").mkdir()
    write: Any = {"ome.tif": write_ome_tiff, "tif": write_imagej_tiff, "ome.zarr": write_ome_zarr}[kind]
    write(tmp_path / "d1" / f"f0.{kind}", image(FIELD[[2, 0, 1]], ("ssDNA", "BF", "dsDNA")))
    dataset = built(tmp_path, layout="multichannel")
    check(dataset, FIELD[0], FIELD[1:], {"d1"})
    assert dataset.info["pixel_size_um"] == pytest.approx(0.2)
    assert dataset.info["fields_without_pixel_size"] == 0


def test_a_file_without_that_channel_costs_its_row(tmp_path: Path) -> None:
    (tmp_path / "d1").mkdir()
    write_ome_tiff(tmp_path / "d1" / "f0.ome.tif", image(FIELD, NAMES))
    write_ome_tiff(tmp_path / "d1" / "f1.ome.tif", image(FIELD, ("BF", "dsDNA", "ssdna")))
    cells = built(tmp_path, layout="multichannel").cells
    (reason,) = cells.loc[~cells["accepted"], "reason"]
    assert "has no channel 'ssDNA'; did you mean 'ssdna'?" in reason


def test_a_channel_in_the_pattern_is_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="leave it out, or take the layout pattern"):
        find_fields(experiment({"layout": "multichannel", "pattern": "{field}_{channel}.tif"}).data, tmp_path)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("gap", [0, 1])
@pytest.mark.parametrize("paint", [None, 1])
def test_pictures_side_by_side(side: str, gap: int, paint: int | None, tmp_path: Path) -> None:
    """One picture per stain, as pix2pix has them; of an odd width the middle column belongs to neither."""
    pixels = (FIELD >> 4).astype(np.uint8)
    for index, stain in ((1, "dsDNA"), (2, "ssDNA")):
        pair = [pixels[0], np.full((HEIGHT, gap), 77, np.uint8), pixels[index]]
        whole = np.concatenate(pair if side == "left" else pair[::-1], axis=1)
        if paint is not None:  # the stain in its colour, the brightfield in grey
            colour = np.repeat(whole[..., None], 3, axis=-1)
            half = slice(WIDTH + gap, None) if side == "left" else slice(0, WIDTH)
            for other in {0, 1, 2} - {paint}:
                colour[:, half, other] = 0
            whole = colour
        (tmp_path / stain / "d1").mkdir(parents=True)
        (tmp_path / stain / "d1" / "f0.png").write_bytes(imagecodecs.png_encode(np.ascontiguousarray(whole)))
    dataset = built(tmp_path, layout="side-by-side", pattern="{channel}/{donor}/{field}.png", brightfield_side=side)
    check(dataset, pixels[0], pixels[1:], {"d1"})


def test_three_images_in_one_picture(tmp_path: Path) -> None:
    pixels = (FIELD >> 4).astype(np.uint8)
    (tmp_path / "d1").mkdir()
    picture = np.concatenate([pixels[1], pixels[2], pixels[0]], axis=1)
    (tmp_path / "d1" / "f0.png").write_bytes(imagecodecs.png_encode(picture))
    dataset = built(tmp_path, layout="side-by-side", brightfield_side="right")
    check(dataset, pixels[0], pixels[1:], {"d1"})


def test_mixed_colours_are_not_counts(tmp_path: Path) -> None:
    (tmp_path / "d1").mkdir()
    picture = RANDOM.integers(0, 255, (HEIGHT, 3 * WIDTH, 3), dtype=np.uint8)
    (tmp_path / "d1" / "f0.png").write_bytes(imagecodecs.png_encode(picture))
    (tmp_path / "d1" / "f1.png").write_bytes(imagecodecs.png_encode(np.repeat(picture[..., :1], 3, axis=-1)))
    cells = built(tmp_path, layout="side-by-side").cells
    (reason,) = cells.loc[~cells["accepted"], "reason"]
    assert "in mixed colours" in reason


def plate(root: Path, name: str, wells: tuple[str, ...]) -> None:
    """Write an OME-Zarr plate with two fields in every well."""
    places = [{"path": well, "rowIndex": 0, "columnIndex": index} for index, well in enumerate(wells)]
    rows = [{"name": row} for row in sorted({well.partition("/")[0] for well in wells})]
    columns = [{"name": column} for column in sorted({well.partition("/")[2] for well in wells})]
    group = zarr.create_group(root / f"{name}.zarr", zarr_format=3)
    group.attrs["ome"] = {"version": "0.5", "plate": {"wells": places, "rows": rows, "columns": columns}}
    for well in wells:
        images = [{"path": str(number)} for number in range(2)]
        inner = zarr.create_group(root / f"{name}.zarr" / well, zarr_format=3)
        inner.attrs["ome"] = {"version": "0.5", "well": {"images": images}}
        for number in range(2):
            write_ome_zarr(root / f"{name}.zarr" / well / f"{number}.zarr", image(FIELD, NAMES))
            (root / f"{name}.zarr" / well / f"{number}.zarr").rename(root / f"{name}.zarr" / well / str(number))


def test_a_plate_with_a_table_of_its_wells(tmp_path: Path) -> None:
    plate(tmp_path, "monday", ("A/1", "A/02", "B/1"))
    table = tmp_path / "wells.csv"
    table.write_text("well,donor\nA01,anna\nA2,\nB-1,bob\n")
    dataset = built(tmp_path, layout="plate", plate_table="wells.csv")
    check(dataset, FIELD[0], FIELD[1:], {"anna", "bob"})
    assert set(dataset.cells["field"]) == {"monday_A1_0", "monday_A1_1", "monday_B1_0", "monday_B1_1"}
    data = {"layout": "plate", "plate_table": "wells.csv"}
    assert table in input_files(experiment(data), tmp_path)
    for text, words in (
        ("well,donor\nA1,anna\nB1,bob\n", r"says no donor for 1 wells \(monday A2\)"),
        ("well,donor\nA1,anna\nA/1,bob\n", "the well A1 a second time"),
        ("well,donor\nshelf,anna\n", "no well like A1"),
        ("place,donor\nA1,anna\n", "columns well and donor"),
        ("well,donor\nA1,\nA2,\nB1,\n", "leaves every well out"),
        ("well,donor\nA1,../x\nA2,\nB1,\n", "leave the slash out"),
    ):
        table.write_text(text)
        with pytest.raises(UsageError, match=words):
            find_fields(experiment(data).data, tmp_path)


def test_a_plate_of_plain_files(tmp_path: Path) -> None:
    for well in ("A01", "B01"):
        for name, plane in zip(NAMES, FIELD, strict=True):
            path = tmp_path / "p1" / f"{well}_s2_{name}.tif"
            path.parent.mkdir(exist_ok=True)
            write_imagej_tiff(path, image(plane[None], (name,)))
    (tmp_path / "wells.csv").write_text("plate,well,donor\np1,A1,anna\np1,B1,bob\n")
    pattern = "{plate}/{well}_{field}_{channel}.tif"
    dataset = built(tmp_path, layout="plate", plate_table="wells.csv", pattern=pattern)
    check(dataset, FIELD[0], FIELD[1:], {"anna", "bob"})
    assert set(dataset.cells["field"]) == {"p1_A1_s2", "p1_B1_s2"}


def test_the_variants_of_mccallum(tmp_path: Path) -> None:
    for name in (
        "S1/Green0.tif", "S1/Red0.tif", "S1/brightfield_composite.png", "S1/cells/img000_brightfield.jpg",
        "S1/cells/img000_green.png", "S1/DFIs.csv",
        "S2/bf007.TIF", "S2/green7.tif", "S2/RED_07.tif", "S2/BF8.tif", "S2/crops/img12_S2_BF007_DFI_1179.jpg",
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    fields = find_fields(experiment({"layout": "mccallum"}).data, tmp_path)
    found = {field.id: field for field in fields}
    assert sorted(found) == ["S1/0", "S2/7", "S2/8"]
    assert {name: path.name for name, path in found["S1/0"].stains.items()} == {
        "dsDNA": "Green0.tif", "ssDNA": "Red0.tif",
    }  # fmt: skip
    assert found["S1/0"].brightfield["BF"].name == "brightfield_composite.png"
    assert list(found["S1/0"].crops) == ["img000"]
    assert (found["S2/7"].brightfield["BF"].name, found["S2/7"].stains["ssDNA"].name) == ("bf007.TIF", "RED_07.tif")
    assert (list(found["S2/7"].crops), list(found["S2/8"].crops)) == (["img12"], [])
    assert found["S2/8"].stains == {}
    with pytest.raises(UsageError, match="not DAPI"):
        find_fields(experiment({"layout": "mccallum", "stains": ["dsDNA", "DAPI"]}).data, tmp_path)


@pytest.mark.parametrize(("z", "expected"), [("max", FIELD.max(axis=0)), ("focus", FIELD[1])])
def test_a_stack_becomes_one_plane_by_choice(z: str, expected: Any, tmp_path: Path) -> None:
    """In the middle plane are edges; the others are the same light without."""
    stack = FIELD.copy()
    if z == "focus":
        stack[[0, 2]] = 2000
    (tmp_path / "d1").mkdir()
    tifffile.imwrite(tmp_path / "d1" / "f0_BF.tif", stack, imagej=True, metadata={"axes": "ZYX"})
    for name in NAMES[1:]:
        tifffile.imwrite(tmp_path / "d1" / f"f0_{name}.tif", stack, imagej=True, metadata={"axes": "ZYX"})
    dataset = built(tmp_path, z=z, stain_z=z)
    check(dataset, expected, np.stack([expected, expected]), {"d1"})


def test_another_pixel_size_is_refused_or_resampled_and_recorded(tmp_path: Path) -> None:
    (tmp_path / "d1").mkdir()
    write_ome_tiff(tmp_path / "d1" / "f0.ome.tif", image(FIELD, NAMES))
    doubled = Image(pixels=FIELD.repeat(2, 1).repeat(2, 2), channels=NAMES, pixel_size_um=0.1, bit_depth=12)
    write_ome_tiff(tmp_path / "d1" / "f1.ome.tif", doubled)
    write_ome_tiff(tmp_path / "d1" / "f2.ome.tif", Image(pixels=FIELD, channels=NAMES, bit_depth=12))
    refused = built(tmp_path, layout="multichannel")
    (reason,) = refused.cells.loc[~refused.cells["accepted"], "reason"]
    assert "pixels of 0.1 µm, those of earlier fields 0.2 µm" in reason
    assert (refused.info["pixel_size_um"], refused.info["fields_without_pixel_size"]) == (0.2, 1)
    resampled = built(tmp_path, layout="multichannel", pixel_size_um=0.2, other_pixel_size="resample")
    check(resampled, FIELD[0], FIELD[1:], {"d1"})
    assert resampled.info["resampled_from_um"] == {"d1/f1": [0.1]}
    with pytest.raises(UsageError, match=r"needs data\.pixel_size_um"):
        experiment({"other_pixel_size": "resample"})
