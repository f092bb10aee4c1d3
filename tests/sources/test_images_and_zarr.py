"""The sources ``images`` and ``zarr``: order, pages, loops, damaged files, and what a user may get wrong."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from vsf_edge.errors import CorruptFrameError, EdgeUsageError, SourceEndError
from vsf_edge.sources.images import Images
from vsf_edge.sources.zarr import Zarr
from vsf_edge.testing.sources import SourceContract, taken


class TestImagesContract(SourceContract):
    @pytest.fixture
    def source(self, tmp_path, write):
        for index in range(4):
            write(tmp_path / f"img{index}.png", index)
        return Images(str(tmp_path))


class TestZarrContract(SourceContract):
    @pytest.fixture
    def source(self, tmp_path, picture):
        return Zarr(str(_ome_zarr(tmp_path / "a.ome.zarr", [picture(index) for index in range(4)])))


def _ome_zarr(path: Path, planes: list[np.ndarray], version: str = "0.5", channels: tuple[str, ...] = ()) -> Path:
    stack = np.stack(planes)
    axes = [{"name": "t", "type": "time"}, *({"name": n, "type": "space", "unit": "micrometer"} for n in "yx")]
    scale = [1.0, 0.05, 0.05]
    if channels:
        stack = np.stack([stack] + [np.zeros_like(stack)] * (len(channels) - 1), axis=1)[:, ::-1]
        axes.insert(1, {"name": "c", "type": "channel"})
        scale.insert(1, 1.0)
    multiscale = {
        "axes": axes,
        "datasets": [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": scale}]}],
    }
    ome = {"multiscales": [multiscale], "omero": {"channels": [{"label": name} for name in channels]}}
    group = zarr.open_group(str(path), mode="w", zarr_format=3 if version == "0.5" else 2)
    group.attrs.update({"ome": {"version": version, **ome}} if version == "0.5" else ome)
    group.create_array("0", data=stack, chunks=(1,) * (stack.ndim - 2) + stack.shape[-2:])
    return path


def _counted(source: Images | Zarr) -> list[int]:
    source.open()
    return [int(frame.pixels[0, 0]) for frame in taken(source, 99)]


def test_images_come_in_the_order_in_which_people_count(tmp_path, write) -> None:
    for index in (10, 2, 1):
        write(tmp_path / f"img{index}.png", index)
    (tmp_path / "notes.txt").write_text("not an image")
    assert _counted(Images(str(tmp_path))) == [1, 2, 10]
    assert _counted(Images(str(tmp_path / "img1*.png"))) == [1, 10]
    assert _counted(Images(str(tmp_path / "img2.png"))) == [2]


def test_every_page_of_a_stack_is_a_frame_with_its_counts(tmp_path, picture) -> None:
    pages = np.stack([picture(index, np.uint16) for index in range(3)])
    tifffile.imwrite(tmp_path / "stack.tif", pages, photometric="minisblack")
    source = Images(str(tmp_path / "stack.tif"))
    source.open()
    frames = taken(source, 3)
    np.testing.assert_array_equal(np.stack([frame.pixels for frame in frames]), pages)
    assert [frame.bit_depth for frame in frames] == [16] * 3
    assert [frame.metadata["page"] for frame in frames] == [0, 1, 2]


def test_a_damaged_image_is_reported_and_the_next_one_comes(tmp_path, write) -> None:
    for index in range(3):
        write(tmp_path / f"{index}.png", index)
    whole = (tmp_path / "1.png").read_bytes()
    (tmp_path / "1.png").write_bytes(whole[: len(whole) // 2])
    source = Images(str(tmp_path))
    source.open()
    first = source.read(1)
    with pytest.raises(CorruptFrameError, match=r"1\.png cannot be decoded"):
        source.read(1)
    last = source.read(1)
    assert first is not None
    assert last is not None
    assert (first.number, last.number) == (0, 1)  # what is damaged is not a loss of the camera as well
    assert last.pixels[0, 0] == 2
    with pytest.raises(SourceEndError):
        source.read(1)


def test_images_loop_and_are_paced(tmp_path, write) -> None:
    write(tmp_path / "0.png", 0)
    source = Images(str(tmp_path), loop="true", fps="50")
    source.open()
    start = time.monotonic()
    assert [frame.number for frame in taken(source, 5)] == [0, 1, 2, 3, 4]
    assert time.monotonic() - start > 0.07


def test_a_loop_of_nothing_but_damaged_images_ends(tmp_path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    source = Images(str(tmp_path), loop=True)
    source.open()
    with pytest.raises(CorruptFrameError):
        source.read(1)
    with pytest.raises(SourceEndError):
        source.read(1)


def test_counts_must_fit_into_the_bits_that_were_given(tmp_path, write) -> None:
    write(tmp_path / "0.png", 0, dtype=np.uint16)
    source = Images(str(tmp_path), bit_depth=12)
    source.open()
    with pytest.raises(CorruptFrameError, match="do not fit into 12 bits"):
        source.read(1)


def test_images_that_are_not_there_are_an_error_of_the_user(tmp_path) -> None:
    for address, words in (
        ("", "needs a file"),
        (str(tmp_path), "no image at"),
        (str(tmp_path / "x.png"), "no image at"),
    ):
        with pytest.raises(EdgeUsageError, match=words):
            Images(address).open()


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_zarr_reads_both_versions_bit_exact_with_the_pixel_size(tmp_path, picture, version: str) -> None:
    planes = [picture(index, np.uint16) for index in range(3)]
    source = Zarr(str(_ome_zarr(tmp_path / "a.ome.zarr", planes, version)))
    source.open()
    frames = taken(source, 9)
    np.testing.assert_array_equal(np.stack([frame.pixels for frame in frames]), np.stack(planes))
    assert {frame.pixel_size_um for frame in frames} == {0.05}


@pytest.mark.parametrize("channel", ["", "Brightfield", "1"])
def test_zarr_takes_the_brightfield_channel(tmp_path, picture, channel: str) -> None:
    path = _ome_zarr(tmp_path / "a.ome.zarr", [picture(7)], channels=("dsDNA", "brightfield"))
    assert _counted(Zarr(str(path), channel=channel)) == [7]


def test_zarr_refuses_an_unknown_channel_and_other_things(tmp_path, picture) -> None:
    path = _ome_zarr(tmp_path / "a.ome.zarr", [picture(7)], channels=("dsDNA", "brightfield"))
    with pytest.raises(EdgeUsageError, match=r"no channel 'red'; it has dsDNA, brightfield \(0 to 1\)"):
        Zarr(str(path), channel="red").open()
    with pytest.raises(EdgeUsageError, match="there is no image"):
        Zarr(str(tmp_path / "nothing")).open()
    (tmp_path / "empty").mkdir()
    with pytest.raises(EdgeUsageError, match="no image in OME-Zarr"):
        Zarr(str(tmp_path / "empty")).open()


def test_a_plain_array_and_a_loop(tmp_path, picture) -> None:
    zarr.save_array(str(tmp_path / "plain.zarr"), np.stack([picture(1), picture(2)]))
    source = Zarr(str(tmp_path / "plain.zarr"), loop=True)
    source.open()
    assert [int(frame.pixels[0, 0]) for frame in taken(source, 5)] == [1, 2, 1, 2, 1]


def test_a_damaged_chunk_is_reported_and_the_next_frame_comes(tmp_path, picture) -> None:
    path = _ome_zarr(tmp_path / "a.ome.zarr", [picture(index) for index in range(3)])
    chunk = path / "0" / "c" / "1" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:20])
    source = Zarr(str(path))
    source.open()
    source.read(1)
    with pytest.raises(CorruptFrameError, match="frame 1 of"):
        source.read(1)
    last = source.read(1)
    assert last is not None
    assert last.pixels[0, 0] == 2
    shutil.rmtree(path)
