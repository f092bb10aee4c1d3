"""For any image in a file of any kind: it comes back as it is, whole and in parts; damaged, it is right or refused."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.images.made_files import MadeFile, Pixels, made_files
from tests.images.sound_files import DEEP
from vsframework.errors import UsageError, VsfError
from vsframework.images import FieldChoice, open_field, read_image, write_ome_zarr


@contextlib.contextmanager
def written(made: MadeFile) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / made.name
        made.write(path)
        yield path


@st.composite
def choices(draw: st.DrawFn) -> FieldChoice:
    z: Any = draw(st.sampled_from(["refuse", "planes", "focus", "max", "mean"]))
    return FieldChoice(z=z, time=draw(st.sampled_from([None, 0, 0, 1, 3])), scene=draw(st.sampled_from([None, 0])))


def chosen(pixels: Pixels, choice: FieldChoice, focus: tuple[int, ...] | None) -> Pixels | type[VsfError]:
    """Give what `choice` takes of `pixels` [T, C, Z, Y, X]: [C, Y, X], or the error that it has to be."""
    times, channels, depth = pixels.shape[:3]
    if choice.time is None and times > 1:
        return VsfError
    if choice.time is not None and choice.time >= times:
        return UsageError
    if depth > 1 and (choice.z == "refuse" or (choice.z == "planes" and channels > 1)):
        return VsfError
    stack = pixels[choice.time or 0]
    if depth == 1:
        return stack[:, 0]
    if choice.z == "planes":
        return stack[0]
    if choice.z == "max":
        return stack.max(axis=1)
    if choice.z == "mean":
        mean = stack.mean(axis=1, dtype=np.float64)
        return (np.rint(mean) if stack.dtype.kind == "u" else mean).astype(stack.dtype)
    assert focus is not None
    return np.stack([stack[c, z] for c, z in enumerate(focus)])


@given(made=made_files(), choice=choices(), part=st.data())
@settings(max_examples=250)
def test_any_image_comes_back_whole_and_in_parts(made: MadeFile, choice: FieldChoice, part: st.DataObject) -> None:
    with written(made) as path:
        if isinstance(error := chosen(made.pixels, choice, (0,) * made.pixels.shape[1]), type):
            with pytest.raises(error):
                open_field(path, choice)
            return
        field = open_field(path, choice)
        several = made.pixels.shape[2] > 1
        expected = chosen(made.pixels, choice, field.focus if several and choice.z == "focus" else None)
        assert isinstance(expected, np.ndarray)
        image = read_image(path, choice)
        assert field.shape == expected.shape
        assert field.dtype == image.pixels.dtype == expected.dtype
        np.testing.assert_array_equal(image.pixels, expected)
        _, height, width = expected.shape
        y0, x0 = part.draw(st.integers(0, height - 1)), part.draw(st.integers(0, width - 1))
        y1, x1 = part.draw(st.integers(y0 + 1, height)), part.draw(st.integers(x0 + 1, width))
        np.testing.assert_array_equal(field.read(y0, y1, x0, x1), expected[:, y0:y1, x0:x1])
        index = part.draw(st.integers(0, len(expected) - 1))
        one = field.read(y0, y1, x0, x1, field.channels[index])
        np.testing.assert_array_equal(one[0], expected[index, y0:y1, x0:x1])


EVERYTHING = (FieldChoice(time=0, z="planes"), FieldChoice(time=0, z="max"))


def read_either_way(path: Path) -> Pixels | None:
    """Read `path` with its z planes, or their maximum where there are channels too; None if it is refused."""
    for choice in EVERYTHING:
        try:
            image = read_image(path, choice)
        except VsfError as error:
            said = str(error)
        else:
            image.check()
            return image.pixels
        assert "\n" not in said
        assert path.name in said
    return None


def first_field(pixels: Pixels) -> Pixels:
    for choice in EVERYTHING:
        field = chosen(pixels, choice, None)
        if isinstance(field, np.ndarray):
            return field
    raise AssertionError("one of the two ways takes any stack")


@given(made=made_files(), share=st.floats(0, 1, exclude_max=True))
@settings(max_examples=150)
def test_a_truncated_file_is_refused_or_still_holds_every_pixel(made: MadeFile, share: float) -> None:
    with written(made) as path:
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        files = [file for file in files if file.is_file()]
        cut = files[int(share * len(files))] if path.is_dir() else path
        data = cut.read_bytes()
        cut.write_bytes(data[: int(share * len(data))])
        pixels = read_either_way(path)
        if pixels is not None:
            np.testing.assert_array_equal(pixels, first_field(made.pixels))


@st.composite
def edits(draw: st.DrawFn) -> list[tuple[float, int, bytes]]:
    """Give places (as a share of the file), how many bytes are taken out there, and what is put in."""
    edit = st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 8), st.binary(max_size=8))
    return draw(st.lists(edit, min_size=1, max_size=4))


def edited(data: bytes, changes: list[tuple[float, int, bytes]], within: int) -> bytes:
    for share, out, into in changes:
        at = int(share * min(within, len(data)))
        data = data[:at] + into + data[at + out :]
    return data


@given(made=made_files(), changes=edits(), at_head=st.booleans())
@settings(max_examples=200)
def test_a_changed_file_is_refused_or_an_image(
    made: MadeFile, changes: list[tuple[float, int, bytes]], at_head: bool
) -> None:
    with written(made) as path:
        files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
        for file in files:
            file.write_bytes(edited(file.read_bytes(), changes, 512 if at_head else 2**30))
        read_either_way(path)


BEGINNINGS = [b"", b"II*\0", b"MM\0*", b"II+\0\x08\0\0\0", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"\x93NUMPY\x01\0"]
"""Of nothing in particular, TIFFs, PNG, JPEG and NumPy."""


@given(beginning=st.sampled_from(BEGINNINGS), rest=st.binary(max_size=200), name=st.sampled_from(["f.tif", "f.png"]))
@settings(max_examples=200)
def test_any_bytes_are_refused_or_an_image(beginning: bytes, rest: bytes, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(beginning + rest)
        read_either_way(path)


@pytest.fixture(scope="module")
def own_zarr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("zarr") / "own.zarr"
    write_ome_zarr(path, DEEP, chunk=16)
    return path


@given(which=st.integers(0, 99), share=st.none() | st.floats(0, 1, exclude_max=True))
@settings(max_examples=40)
def test_no_file_of_our_ome_zarr_can_be_lost_or_cut_unnoticed(own_zarr: Path, which: int, share: float | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(shutil.copytree(own_zarr, Path(folder) / "f.zarr"))
        files = sorted(file for file in path.rglob("*") if file.is_file())
        hit = files[which % len(files)]
        data = hit.read_bytes()
        hit.unlink()
        if share is not None:
            hit.write_bytes(data[: int(share * len(data))])
        assert read_either_way(path) is None
