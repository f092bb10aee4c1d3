"""A z stack becomes the planes of a patch, from a file per plane or from one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile

from vsframework import UsageError
from vsframework.config import parse_experiment
from vsframework.dataset import PatchDataset, build
from vsframework.dataset.montage import write_montage
from vsframework.dataset.planes import middle_plane
from vsframework.images import Image, write_ome_tiff

HEIGHT, WIDTH, SIZE = 40, 52, 16
PLANES = ("z0", "z1", "z2")


def stack(seed: int = 0, planes: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 65536, (planes, HEIGHT, WIDTH), dtype=np.uint16)


def write_stains(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    stains = np.random.default_rng(9).integers(0, 65536, (2, HEIGHT, WIDTH), dtype=np.uint16)
    for name, stain in zip(("dsDNA", "ssDNA"), stains, strict=True):
        cv2.imwrite(str(folder / f"f_{name}.png"), stain)


def build_from(root: Path, data: dict[str, Any], out: str = "dataset", **tables: Any) -> PatchDataset:
    tables = {
        "data": {"root": ".", "pattern": "{donor}/{field}_{channel}.*", **data},
        "patches": {"size": SIZE, "field_px": SIZE},
        "detector": {"name": "grid", "size": SIZE, "step": 12},
        "denoiser": "none",
        **tables,
    }
    return build(parse_experiment(tables, "a stack"), root, root / out)


def write_file_per_plane(folder: Path, planes: np.ndarray) -> None:
    for name, plane in zip(PLANES, planes, strict=True):
        cv2.imwrite(str(folder / f"f_{name}.png"), plane)


def write_ome_z(path: Path, planes: np.ndarray) -> None:
    tifffile.imwrite(path, planes, ome=True, metadata={"axes": "ZYX"})


def write_imagej_z(path: Path, planes: np.ndarray) -> None:
    tifffile.imwrite(path, planes, imagej=True, metadata={"axes": "ZYX"})


def write_pages(path: Path, planes: np.ndarray) -> None:
    with tifffile.TiffWriter(path) as writer:
        for plane in planes:
            writer.write(plane, contiguous=False, photometric="minisblack", metadata=None)


def write_channels(path: Path, planes: np.ndarray) -> None:
    write_ome_tiff(path, Image(pixels=planes, channels=PLANES, bit_depth=16))


def check_patches(dataset: PatchDataset, planes: np.ndarray) -> None:
    """Every patch holds, plane by plane, the pixels of the field around its centre."""
    assert len(dataset.accepted()) == len(dataset.cells) == 12  # 3 rows of 4 tiles
    for cell in dataset.accepted().itertuples():
        left, top = round(cell.x - 7.5), round(cell.y - 7.5)
        patch = np.asarray(dataset.brightfield[cell.patch])
        np.testing.assert_array_equal(patch, planes[:, top : top + SIZE, left : left + SIZE])


def test_a_file_per_plane(tmp_path: Path) -> None:
    write_stains(tmp_path / "d")
    planes = stack()
    write_file_per_plane(tmp_path / "d", planes)
    dataset = build_from(tmp_path, {"brightfield": list(PLANES)})
    assert dataset.planes == PLANES
    assert len((dataset.path / "files.csv").read_text().splitlines()) == 1 + 5
    check_patches(dataset, planes)


@pytest.mark.parametrize("write", [write_ome_z, write_imagej_z, write_pages, write_channels])
def test_a_stack_in_one_file(tmp_path: Path, write: Any) -> None:
    write_stains(tmp_path / "d")
    planes = stack()
    write(
        tmp_path / "d" / "f_BF.ome.tif" if write in (write_ome_z, write_channels) else tmp_path / "d/f_BF.tif", planes
    )
    dataset = build_from(tmp_path, {"pages": 3})
    assert dataset.planes == ("BF-0", "BF-1", "BF-2")
    check_patches(dataset, planes)


def test_cells_are_looked_for_in_the_middle_plane(tmp_path: Path) -> None:
    write_stains(tmp_path / "d")
    planes = stack()
    planes[1, :, 16:] = 500  # the tiles there are blank in the middle plane, and in it alone
    write_file_per_plane(tmp_path / "d", planes)
    dataset = build_from(tmp_path, {"brightfield": list(PLANES)}, detector={"name": "grid", "size": SIZE, "step": SIZE})
    assert set(dataset.cells["x"]) == {7.5}
    assert [middle_plane(count) for count in (1, 2, 3, 13)] == [0, 1, 1, 6]


def test_one_plane_is_what_it_always_was(tmp_path: Path) -> None:
    write_stains(tmp_path / "d")
    cv2.imwrite(str(tmp_path / "d" / "f_BF.png"), stack()[0])
    dataset = build_from(tmp_path, {})
    assert dataset.brightfield.shape[1:] == (1, SIZE, SIZE)
    document = tmp_path / "dataset" / "dataset.json"
    text = document.read_text()
    document.write_text(text.replace('"planes"', '"forgotten"'))  # as older versions wrote it
    assert PatchDataset.open(tmp_path / "dataset").planes == ("brightfield",)


def test_a_montage_shows_the_middle_plane(tmp_path: Path) -> None:
    write_stains(tmp_path / "d")
    planes = stack()
    pictures = []
    for changed in (None, 0, 1):
        now = planes.copy()
        if changed is not None:
            now[changed] = now[changed, ::-1]
        write_file_per_plane(tmp_path / "d", now)
        dataset = build_from(tmp_path, {"brightfield": list(PLANES)})
        pictures.append(cv2.imread(str(write_montage(dataset, tmp_path / "montage.png"))))
    assert np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[0], pictures[2])


def test_a_field_that_lacks_planes_is_rejected_with_the_reason(tmp_path: Path) -> None:
    for donor in ("a", "b", "c"):
        write_stains(tmp_path / donor)
        write_file_per_plane(tmp_path / donor, stack())
    (tmp_path / "b" / "f_z2.png").unlink()
    cv2.imwrite(str(tmp_path / "c" / "f_z1.png"), stack()[0, :20])
    cells = build_from(tmp_path, {"brightfield": list(PLANES)}).cells
    reasons = cells.loc[~cells["accepted"]].set_index("donor")["reason"].to_dict()
    assert reasons == {"b": "there is no file for z2", "c": "its brightfield planes have different sizes"}


def test_a_stack_that_was_not_expected_says_which_key_it_needs(tmp_path: Path) -> None:
    write_stains(tmp_path / "d")
    write_ome_z(tmp_path / "d" / "f_BF.ome.tif", stack())
    with pytest.raises(Exception, match=r"has 3 planes where 1 was expected; set data.pages = 3"):
        build_from(tmp_path, {})


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"brightfield": []}, "brightfield is empty"),
        ({"brightfield": ["z0", "z0"]}, "name z0 twice"),
        ({"brightfield": ["z0", "dsDNA"]}, "name dsDNA twice"),
        ({"brightfield": ["z0", "z1"], "layout": "mccallum-crops"}, "one brightfield plane per cell"),
    ],
)
def test_planes_that_cannot_be_told_apart_are_refused(data: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        parse_experiment({"data": {"root": ".", **data}}, "test")


def test_all_planes_are_cut_where_a_crop_was_found(study: Path, tmp_path: Path) -> None:
    source = study / "donor2"
    folder = tmp_path / "donor2"
    (folder / "crops").mkdir(parents=True)
    for path in source.glob("field000*.tif"):
        (folder / path.name).write_bytes(path.read_bytes())
    for path in (source / "crops").glob("field000*"):
        (folder / "crops" / path.name).write_bytes(path.read_bytes())
    middle = tifffile.imread(source / "field000_BF.tif")
    cv2.imwrite(str(folder / "field000_above.tif"), 255 - middle)
    tables = {"patches": {"size": 64}, "detector": "head-blob"}
    crops = {"crops": "{donor}/crops/{field}_{cell}.png", "pattern": "{donor}/{field}_{channel}.tif"}
    one = build_from(tmp_path, crops, **tables)
    both = build_from(tmp_path, {**crops, "brightfield": ["above", "BF"]}, "both", **tables)
    assert list(both.accepted()["id"]) == list(one.accepted()["id"]) != []
    patches = np.asarray(both.brightfield[:])
    np.testing.assert_allclose(patches[:, 0], 255 - patches[:, 1], atol=0.01)
    assert np.abs(patches[:, 1] - np.asarray(one.brightfield[:])[:, 0]).mean() < 2  # one is resampled, the other a crop
