"""Large fields: block by block, without seams, in the memory of a few blocks, and from where it was stopped."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
import zarr
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tests.inference.conftest import trained_run as trained_run
from vsframework.images import Image, open_field, read_image, write_ome_tiff
from vsframework.images.ome_zarr_writing import create_ome_zarr
from vsframework.inference import Stainer, whole_fields
from vsframework.inference import stainer as stainer_module
from vsframework.inference.receptive_field import halo_of
from vsframework.inference.resampling import axis_weights, resample
from vsframework.inference.whole_fields import Frame, stain_block
from vsframework.plugins import registry

GREY_LEVEL = 1.0
FLOAT_ROUNDING = 1e-3


def noise(height: int, width: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Brightfield with structure at all sizes, so that a seam anywhere would show."""
    random = np.random.default_rng(seed)
    fine = random.integers(0, 256, (height, width)).astype(np.float32)
    coarse = cv2.resize(random.integers(0, 256, (5, 5)).astype(np.float32), (width, height))
    return ((fine + coarse) / 2).astype(np.uint8)


def new_zarr(path: Path, height: int, width: int, chunk: int) -> Any:
    return create_ome_zarr(
        path,
        name=path.name,
        shape=(1, height, width),
        dtype="uint8",
        channels=("BF",),
        pixel_size_um=0.25,
        bit_depth=8,
        chunk=chunk,
    )


def write_zarr(path: Path, pixels: npt.NDArray[np.generic], chunk: int = 64) -> Path:
    new_zarr(path, *pixels.shape, chunk)[:] = pixels[None]
    return path


@pytest.fixture(scope="module")
def stainer(trained_run: Path) -> Stainer:
    return Stainer.load(trained_run)


# ------------------------------------------------------------------------------------------ the receptive field


def convolution(side: int, dilation: int = 1) -> nn.Module:
    return nn.Conv2d(1, 1, side, padding=dilation * (side // 2), dilation=dilation)


@pytest.mark.parametrize(
    ("network", "stride", "halo"),
    [
        (convolution(1), 1, 0),
        (convolution(5), 1, 2),
        (convolution(3, dilation=4), 1, 4),
        (nn.Sequential(convolution(5), nn.ReLU(), convolution(3)), 1, 3),
        (nn.Sequential(convolution(5), nn.ReLU(), convolution(3)), 4, 4),
        (nn.Sequential(nn.Conv2d(1, 1, 3), nn.ReflectionPad2d(1)), 1, 1),
        (nn.Sequential(convolution(3), nn.InstanceNorm2d(1)), 1, None),
        (nn.Sequential(convolution(3), nn.GroupNorm(1, 1)), 1, None),
        (nn.Sequential(convolution(3), nn.BatchNorm2d(1)), 1, 1),
        (convolution(41), 1, None),
    ],
)
def test_the_halo_is_how_far_a_network_sees(network: nn.Module, stride: int, halo: int | None) -> None:
    assert halo_of([network.eval()], 1, stride, most=16) == halo


def test_weights_of_zero_see_as_far_as_others() -> None:
    network = nn.Sequential(convolution(7), nn.ReLU()).eval()
    for parameter in network.parameters():
        nn.init.zeros_(parameter)
    assert halo_of([network], 1, 1, most=16) == 3


def test_batch_statistics_have_no_halo() -> None:
    assert halo_of([nn.Sequential(convolution(3), nn.BatchNorm2d(1)).train()], 1, 1, most=16) is None


# ------------------------------------------------------------------------------------------------------- seams


def test_a_field_in_parts_is_the_field_at_once(stainer: Stainer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert stainer.halo is not None
    monkeypatch.setattr(stainer_module, "PART", 32)
    image = noise(150, 131).astype(np.float32)[None]
    parts = stainer.stain(image[None])[0]
    whole = stainer._stain_at_once(image[None])[0]
    assert np.abs(parts - whole).max() < FLOAT_ROUNDING < GREY_LEVEL
    assert whole.std() > FLOAT_ROUNDING  # there is something to see a seam in


@pytest.mark.parametrize("name", ["fast", "pix2pix"])
def test_no_seam_in_a_network_of_the_usual_size(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole-frame inference and parts of a built-in network without batch-dependent layers, its weights at random."""
    torch.manual_seed(3)
    params: dict[str, Any] = {"fast": {}, "pix2pix": {"depth": 4, "width": 8, "deploy_statistics": "running"}}
    architecture = registry().create("generator", name, params[name])
    network = architecture.deploy(architecture.networks(1, 2, 128).generator)
    for parameter in network.parameters():  # untrained ones are almost constant
        if parameter.ndim > 1:
            nn.init.kaiming_normal_(parameter)
    halo = halo_of([network], 1, architecture.stride, most=256)
    assert halo is not None
    assert halo > 0
    image = torch.from_numpy(noise(640, 512).astype(np.float32))[None, None] / 127.5 - 1
    reach = stainer_module.Reach(unit=architecture.stride, margin=halo)

    def stain(images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        with torch.inference_mode():
            return np.asarray(network(torch.from_numpy(np.ascontiguousarray(images))).numpy())

    def stain_into(part: npt.NDArray[np.float32], inside: tuple[slice, slice], out: npt.NDArray[np.float32]) -> None:
        out[:] = stain(part[None])[0][:, inside[0], inside[1]]

    whole = stain(image.numpy())[0]
    assert whole.std() > 0.1  # there is something to see a seam in
    everything = slice(0, 640), slice(0, 512)
    parts = stainer_module.stain_with_halo(image.numpy()[0], everything, 128, reach, stain_into, 2)
    half_range = 127.5  # what 1 is in counts of an 8-bit image
    assert np.abs(parts - whole).max() * half_range < GREY_LEVEL / 10
    narrow = stainer_module.Reach(unit=architecture.stride, margin=0)
    seams = stainer_module.stain_with_halo(image.numpy()[0], everything, 128, narrow, stain_into, 2)
    assert np.abs(seams - whole).max() * half_range > GREY_LEVEL  # without a halo there would be seams


@pytest.mark.parametrize("halo", ["as it is", "none"])
@pytest.mark.parametrize("scale", [1.0, 2.0, 1.7, 0.6])
def test_a_block_is_what_the_whole_field_has_there(
    trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scale: float, halo: str
) -> None:
    stainer = Stainer.load(trained_run)
    if halo == "none":
        monkeypatch.setattr(Stainer, "halo", None)  # blended tiles, as for networks that look at all they get
    pixels = noise(173, 140)
    frame = Frame(field=open_field(write_zarr(tmp_path / "f.zarr", pixels)), planes=(0,), scale=scale)
    height, width = frame.scaled_shape
    from vsframework.dataset.geometry import resize

    magnified = resize(pixels, height, width)
    whole = np.stack([resize(stain, 173, 140) for stain in stainer.stain(magnified[None, None])[0]])
    for rows, columns in (((0, 64), (0, 64)), ((64, 128), (64, 128)), ((128, 173), (96, 140)), ((40, 41), (7, 9))):
        block = stain_block(stainer, frame, rows, columns)
        assert np.abs(block - whole[:, slice(*rows), slice(*columns)]).max() < 0.05 < GREY_LEVEL


@given(st.integers(1, 60), st.integers(1, 60), st.data())
def test_a_part_is_resized_as_the_whole(length: int, source_length: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, length - 1))
    last = data.draw(st.integers(first + 1, length))
    source = np.random.default_rng(length).random((source_length, 7)).astype(np.float32)
    method = cv2.INTER_AREA if source_length > length else cv2.INTER_LINEAR
    whole = cv2.resize(source, (7, length), interpolation=method)
    rows, columns = axis_weights(first, last, length, source_length), axis_weights(0, 7, 7, 7)
    part = resample(source[None, rows.start : rows.stop], rows, columns)[0]
    np.testing.assert_allclose(part, whole[first:last], atol=1e-5)


# ------------------------------------------------------------------------------------------- the command itself


def vsf(*words: object, code: str = "") -> subprocess.CompletedProcess[str]:
    program = f"{code}\nfrom vsframework.cli import main\nif __name__ == '__main__': main()"
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, words)], capture_output=True, text=True, check=False
    )


SMALL_BLOCKS = "from vsframework.inference import whole_fields; whole_fields.BLOCK = 64"


def test_an_ome_zarr_becomes_an_ome_zarr(trained_run: Path, tmp_path: Path) -> None:
    pixels = noise(150, 200)
    source = write_zarr(tmp_path / "field.ome.zarr", pixels)
    done = vsf("stain", trained_run, source, "-o", tmp_path / "out", "--json", code=SMALL_BLOCKS)
    assert done.returncode == 0, done.stderr
    [target] = json.loads(done.stdout)["stained"]
    assert Path(target).name == "field.stained.ome.zarr"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["field.stained.ome.zarr"]
    stained = open_field(target)
    assert (stained.shape, stained.channels, stained.pixel_size_um) == ((2, 150, 200), ("dsDNA", "ssDNA"), 0.25)
    # the same pixels in a TIFF are stained at once
    write_ome_tiff(tmp_path / "same.tif", Image(pixels=pixels[None], channels=("BF",), bit_depth=8))
    assert vsf("stain", trained_run, tmp_path / "same.tif", "-o", tmp_path / "out").returncode == 0
    at_once = open_field(tmp_path / "out" / "same.stained.ome.tif")
    difference = np.abs(stained.read(0, 150, 0, 200).astype(np.float32) - at_once.read(0, 150, 0, 200))
    assert difference.max() < 0.05 < GREY_LEVEL


def test_a_large_field_goes_on_at_the_row_where_it_was_stopped(trained_run: Path, tmp_path: Path) -> None:
    source = write_zarr(tmp_path / "field.zarr", noise(200, 70))
    words = ("stain", trained_run, source, "-o", tmp_path / "out")
    killed = f"""{SMALL_BLOCKS}
import os, signal
from vsframework.inference.whole_fields import StainedField
finish = StainedField.finish_row
def finish_row(self, row, cells):
    if row == 2: os.kill(os.getpid(), signal.SIGKILL)
    finish(self, row, cells)
StainedField.finish_row = finish_row"""
    assert vsf(*words, code=killed).returncode == -9
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".field.stained.ome.zarr-building"]
    told = f"""{SMALL_BLOCKS}
from vsframework.inference.whole_fields import StainedField
stain = StainedField.stain_row
def stain_row(self, stainer, frame, row):
    print("row", row)
    return stain(self, stainer, frame, row)
StainedField.stain_row = stain_row"""
    resumed = vsf(*words, code=told)
    assert resumed.returncode == 0, resumed.stderr
    assert [line for line in resumed.stdout.splitlines() if "row" in line] == ["row 2", "row 3"]
    undisturbed = vsf("stain", trained_run, source, "-o", tmp_path / "other", code=SMALL_BLOCKS)
    assert undisturbed.returncode == 0
    first, second = (zarr.open_array(tmp_path / name / "field.stained.ome.zarr" / "0")[:] for name in ("out", "other"))
    np.testing.assert_array_equal(first, second)


def test_another_scale_does_not_go_on_with_what_is_there(trained_run: Path, tmp_path: Path) -> None:
    stainer = Stainer.load(trained_run)
    source = open_field(write_zarr(tmp_path / "field.zarr", noise(40, 40)))
    stained = whole_fields.StainedField(tmp_path / "s.zarr")
    frame = Frame(field=source, planes=(0,), scale=1.0)
    stained.begin(frame, stainer, "weights")
    stained.finish_row(0, [])
    assert stained.missing(1) == []
    stained.begin(frame, stainer, "weights")
    assert stained.missing(1) == []
    stained.begin(Frame(field=source, planes=(0,), scale=2.0), stainer, "weights")
    assert stained.missing(1) == [0]


MEASURE = """
import re, sys
from pathlib import Path
from vsframework.inference import whole_fields
whole_fields.BLOCK = int(sys.argv.pop(1))
from vsframework.cli import main
try: main()
finally:
    status = Path("/proc/self/status").read_text()
    print("PEAK", re.search("VmHWM:[^0-9]*([0-9]+) kB", status).group(1), file=sys.stderr)
"""
"""Of this program alone: ru_maxrss would begin with what its parent, pytest, holds."""


def peak_mib(run: Path, source: Path, out: Path, block: int) -> int:
    words = [sys.executable, "-c", MEASURE, str(block), "stain", str(run), str(source), "-o", str(out), "--scale", "1"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stderr.rpartition("PEAK ")[2]) // 1024


def sparse_zarr(path: Path, side: int, chunk: int) -> Path:
    """An image of the same grey everywhere but in its last chunk, in compressed chunks of a few bytes."""
    array = new_zarr(path, side, side, chunk)
    for top in range(0, side, chunk):
        array[:, top : top + chunk] = 90
    array[:, -100:, -100:] = noise(100, 100)[None]
    return path


@pytest.mark.slow
def test_memory_is_that_of_a_few_blocks(trained_run: Path, tmp_path: Path) -> None:
    """A field of 16 times the pixels, 144 MiB as float32 stains, takes no more than 20 MiB more."""
    small = peak_mib(trained_run, sparse_zarr(tmp_path / "s.zarr", 1050, 256), tmp_path / "small", 256)
    large = peak_mib(trained_run, sparse_zarr(tmp_path / "l.zarr", 4200, 256), tmp_path / "large", 256)
    assert large - small < 20


@pytest.mark.slow
def test_fifty_thousand_pixels_square_take_the_memory_of_a_few_blocks(trained_run: Path, tmp_path: Path) -> None:
    small = peak_mib(trained_run, sparse_zarr(tmp_path / "s.zarr", 3000, 1000), tmp_path / "small", 1000)
    large = peak_mib(trained_run, sparse_zarr(tmp_path / "l.zarr", 50000, 1000), tmp_path / "large", 1000)
    assert large - small < 100  # all of it would be 19 GiB of stains
    stained = zarr.open_array(tmp_path / "large" / "l.stained.ome.zarr" / "0")
    assert stained.shape == (2, 50000, 50000)
    stainer, grey = Stainer.load(trained_run), np.full((1, 1, 300, 300), 90, np.uint8)
    corner = grey.copy()
    corner[..., -100:, -100:] = noise(100, 100)
    inside, end = (np.asarray(stained[:, at, at]) for at in (slice(20000, 20100), slice(-100, None)))
    assert np.abs(inside - stainer.stain(grey)[0, :, 100:200, 100:200]).max() < FLOAT_ROUNDING
    assert np.abs(end - stainer.stain(corner)[0, :, -100:, -100:]).max() < FLOAT_ROUNDING
    assert np.abs(end - stainer.stain(grey)[0, :, -100:, -100:]).max() > 100 * FLOAT_ROUNDING


# -------------------------------------------------------------------------------------------------------- cells


def read_cells(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_cells_of_a_field_lie_in_a_table_beside_it(trained_run: Path, fields: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(trained_run, tmp_path / "run"))
    config = run / "config.toml"
    config.write_text(config.read_text().replace("field_px = 8", "field_px = 150"))
    image = np.hstack([read_image(fields / f"donor{number}" / "field000_BF.tif").plane() for number in (1, 2)])
    write_ome_tiff(tmp_path / "field.ome.tif", Image(pixels=image[None], channels=("BF",), bit_depth=8))
    write_zarr(tmp_path / "blocks.zarr", image, 256)
    small_blocks = SMALL_BLOCKS.replace("64", "256")
    sources = (tmp_path / "field.ome.tif", tmp_path / "blocks.zarr")
    done = vsf("stain", run, *sources, "-o", tmp_path / "out", "--cells", code=small_blocks)
    assert done.returncode == 0, done.stderr
    whole = read_cells(tmp_path / "out" / "field.cells.csv")
    assert list(whole[0]) == [*["cell", "x", "y", "angle", "dfi", "dsDNA_sum", "ssDNA_sum", "answered", "reason"]]
    answered = [row for row in whole if row["answered"] == "True"]
    assert len(answered) >= 2
    assert all(0 <= float(row["dfi"]) <= 1 and not row["reason"] for row in answered)
    assert all(not row["dfi"] and row["reason"] for row in whole if row not in answered)
    blocks = read_cells(tmp_path / "out" / "blocks.cells.csv")

    def places(rows: list[dict[str, str]]) -> npt.NDArray[np.float64]:
        return np.array(sorted((float(row["x"]), float(row["y"])) for row in rows))

    np.testing.assert_allclose(places(blocks), places(whole), atol=3)  # the detector saw less around each


@pytest.mark.slow
def test_an_older_table_does_not_outlive_its_image(trained_run: Path, tmp_path: Path) -> None:
    source = write_zarr(tmp_path / "field.zarr", noise(40, 40))
    words = ("stain", trained_run, source, "-o", tmp_path / "out", "--overwrite")
    assert vsf(*words, "--cells").returncode == 0
    assert read_cells(tmp_path / "out" / "field.cells.csv") == []  # noise holds no head
    assert vsf(*words).returncode == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["field.stained.ome.zarr"]
