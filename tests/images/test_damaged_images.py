"""A damaged file is a right read or one sentence; nothing hangs, nothing eats the memory, nothing is printed."""

from __future__ import annotations

import random
import struct
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile

from vsframework.errors import VsfError
from vsframework.images import Image, read_image, write_imagej_tiff, write_ome_tiff

PIXELS = np.stack([np.arange(24 * 20).reshape(24, 20) % 251, np.arange(24 * 20).reshape(24, 20) % 199]).astype(np.uint8)
IMAGE = Image(pixels=PIXELS, channels=("dsDNA", "ssDNA"), pixel_size_um=0.13, bit_depth=8)


def tiff_bytes(path: Path, **options: object) -> bytes:
    rgb = np.repeat(PIXELS[0, ..., None], 3, axis=-1)
    tifffile.imwrite(path, rgb, photometric="rgb", rowsperstrip=4, **options)  # type: ignore[arg-type]
    return path.read_bytes()


def written(path: Path, write: Callable[[Path, Image], None]) -> bytes:
    write(path, IMAGE)
    return path.read_bytes()


SOUND: dict[str, Callable[[Path], bytes]] = {
    "ome": lambda path: written(path, write_ome_tiff),
    "ome-tiled": lambda path: written(path, lambda to, image: write_ome_tiff(to, image, tile=16)),
    "imagej": lambda path: written(path, write_imagej_tiff),
    "strips": lambda path: tiff_bytes(path),
    "lzw": lambda path: tiff_bytes(path, compression="lzw", predictor=True),
    "packbits": lambda path: tiff_bytes(path, compression="packbits"),
    "zlib": lambda path: tiff_bytes(path, compression="zlib"),
    "zstd": lambda path: tiff_bytes(path, compression="zstd"),
    "bigtiff": lambda path: tiff_bytes(path, bigtiff=True, compression="lzw"),
    "png": lambda path: bytes(imagecodecs.png_encode(PIXELS[0])),
    "jpeg": lambda path: bytes(imagecodecs.jpeg8_encode(PIXELS[0])),
}
KINDS = pytest.mark.parametrize("kind", SOUND)


def sentence(path: Path) -> str | None:
    """Read `path`; give the error's sentence, or None where it was read."""
    try:
        image = read_image(path)
    except VsfError as error:
        text = str(error)
        assert "\n" not in text
        assert str(path) in text
        return text
    image.check()
    return None


@KINDS
def test_a_file_cut_anywhere_is_never_read_as_if_whole(kind: str, tmp_path: Path) -> None:
    data = SOUND[kind](tmp_path / "sound.tif")
    whole = tmp_path / "whole"
    whole.write_bytes(data)
    truth = read_image(whole)
    cut = tmp_path / "cut"
    refusals = 0
    for length in {*range(0, len(data), max(1, len(data) // 60)), len(data) - 1, len(data) - 2}:
        cut.write_bytes(data[:length])
        if sentence(cut):
            refusals += 1
        else:  # only what follows the image may be missing
            np.testing.assert_array_equal(read_image(cut).pixels, truth.pixels)
            assert length > 0.9 * len(data)
    assert refusals > 50


@KINDS
def test_mutated_files_end_in_a_valid_image_or_one_sentence(
    kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(kind)
    data = SOUND[kind](tmp_path / "sound.tif")
    path = tmp_path / "mutated"
    outcomes = set()
    for _ in range(60):
        path.write_bytes(mutate(data, chance))
        outcomes.add(sentence(path) is None)
    assert False in outcomes
    assert capfd.readouterr() == ("", "")


def mutate(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    at = chance.randrange(len(data) - 4)
    match chance.randrange(5):
        case 0:
            for _ in range(chance.randint(1, 8)):
                changed[chance.randrange(len(data))] = chance.randrange(256)
        case 1:  # where the structure is
            changed[chance.randrange(min(len(data), 300))] = chance.choice([0, 1, 127, 128, 255])
        case 2:
            del changed[at : at + chance.randint(1, 50)]
        case 3:
            changed[at : at + 4] = chance.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\0\0\1\0"])
        case _:
            changed[at:at] = chance.randbytes(chance.randint(1, 40))
    return bytes(changed)


def png_of(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = zlib.compress(b"\0")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def jpeg_of(width: int, height: int) -> bytes:
    data = bytearray(imagecodecs.jpeg8_encode(PIXELS[0]))
    frame = data.find(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def tiff_of(width: int, height: int, dtype_bits: int = 16) -> bytes:
    """Give a TIFF of one zlib strip, one row of zeros long."""
    strip = zlib.compress(bytes(16))
    tags = [(256, 4, width), (257, 4, height), (258, 3, dtype_bits), (259, 3, 8), (262, 3, 1), (273, 4, 8)]
    tags += [(277, 3, 1), (278, 4, height), (279, 4, len(strip))]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return b"II*\0" + struct.pack("<I", 8 + len(strip)) + strip + struct.pack("<H", len(tags)) + entries + bytes(4)


@pytest.mark.parametrize(
    "data",
    [png_of(60_000, 60_000), jpeg_of(60_000, 60_000), tiff_of(60_000, 60_000), tiff_of(2**31 - 1, 2**31 - 1)],
    ids=["png", "jpeg", "tiff", "tiff-2G"],
)
def test_huge_declared_sizes_are_refused_before_memory_is_taken(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bomb"
    path.write_bytes(data)
    sentence(tmp_path / "warm-up")  # whatever is imported lazily is not counted
    tracemalloc.start()
    try:
        text = sentence(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert text is not None
    assert "declares" in text
    assert peak < 20e6


@pytest.mark.parametrize("data", [png_of(0, 5), jpeg_of(0, 5), tiff_of(0, 5)], ids=["png", "jpeg", "tiff"])
def test_an_image_of_no_pixels_is_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.write_bytes(data)
    assert sentence(path)


def test_a_strip_that_holds_too_little_is_not_filled_with_zeros(tmp_path: Path) -> None:
    path = tmp_path / "short.tif"
    path.write_bytes(tiff_of(4, 2))
    assert sentence(path) is None  # 16 bytes: the right length
    path.write_bytes(tiff_of(4, 200))
    assert "damaged" in (sentence(path) or "")


def test_missing_empty_folder_and_other_files(tmp_path: Path) -> None:
    (tmp_path / "empty.tif").touch()
    (tmp_path / "folder.tif").mkdir()
    (tmp_path / "notes.tif").write_text("field 3, donor 2: out of focus")
    (tmp_path / "loop.tif").symlink_to(tmp_path / "loop.tif")
    for name, words in (
        ("missing.tif", "does not exist"),
        ("empty.tif", "is empty"),
        ("folder.tif", "is a folder"),
        ("notes.tif", "not a TIFF, PNG or JPEG"),
        ("loop.tif", "loop.tif"),
        ("nul\0.tif", "nul"),
    ):
        with pytest.raises(VsfError, match=words) as caught:
            read_image(tmp_path / name)
        assert caught.value.exit_code == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_bad_float_refuses_the_file(bad: float, tmp_path: Path) -> None:
    pixels = np.ones((6, 7), np.float32)
    pixels[3, 4] = bad
    tifffile.imwrite(tmp_path / "f.tif", pixels)
    assert "NaN or infinite" in (sentence(tmp_path / "f.tif") or "")


def test_a_chain_of_pages_that_runs_in_a_circle_is_refused(tmp_path: Path) -> None:
    data = bytearray(tiff_of(4, 2))
    (first,) = struct.unpack_from("<I", data, 4)
    data[-4:] = struct.pack("<I", first)
    (tmp_path / "circle.tif").write_bytes(data)
    assert "damaged" in (sentence(tmp_path / "circle.tif") or "")


@pytest.mark.parametrize("kind", ["ome", "imagej", "lzw"])
def test_strips_outside_the_file_are_refused(kind: str, tmp_path: Path) -> None:
    data = bytearray(SOUND[kind](tmp_path / "sound.tif"))
    with tifffile.TiffFile(tmp_path / "sound.tif") as tiff:
        tag = tiff.pages.first.tags["StripOffsets"]
        at, form = tag.valueoffset, f"{tiff.byteorder}{'H' if tag.dtype == 3 else 'I'}"
    data[at : at + struct.calcsize(form)] = struct.pack(form, 60_000)
    (tmp_path / "outside.tif").write_bytes(data)
    assert "damaged" in (sentence(tmp_path / "outside.tif") or "")


def test_ome_xml_cut_off_the_end_is_not_silently_forgotten(tmp_path: Path) -> None:
    data = SOUND["ome"](tmp_path / "sound.tif")
    assert data.rstrip(b"\0").endswith(b"</OME>")  # the case in question: pixels first, description last
    (tmp_path / "cut.tif").write_bytes(data[: data.index(b"<OME") + 40])
    assert "truncated" in (sentence(tmp_path / "cut.tif") or "")


def test_a_damaged_lzw_code_does_not_end_the_process(tmp_path: Path) -> None:
    """The first code after a clear code names an entry that is not there: one decoder follows it as an address."""
    data = bytearray(SOUND["lzw"](tmp_path / "sound.tif"))
    with tifffile.TiffFile(tmp_path / "sound.tif") as tiff:
        start = tiff.pages.first.dataoffsets[0]
    # 9-bit codes: clear (256), 300, 258 (what follows 300), end (257)
    codes = f"{256:09b}{300:09b}{258:09b}{257:09b}0000"
    data[start : start + 5] = int(codes, 2).to_bytes(5, "big")
    (tmp_path / "damaged.tif").write_bytes(data)
    script = "import sys; from vsframework.images import read_image; read_image(sys.argv[1])"
    command = [sys.executable, "-c", script, str(tmp_path / "damaged.tif")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "damaged" in done.stderr
