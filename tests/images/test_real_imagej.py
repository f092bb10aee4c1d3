"""The real ImageJ opens what we write, and we read what it saves."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from vsframework.images import Image, read_image, write_imagej_tiff, write_ome_tiff

IJ = Path("/usr/share/java/ij.jar")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not IJ.is_file(), reason="ImageJ is not on this machine (Debian: apt-get install imagej)"),
    pytest.mark.skipif(
        not (shutil.which("xvfb-run") and shutil.which("java")), reason="xvfb-run or java is not on this machine"
    ),
]

DESCRIBE = """
open(getArgument());
getDimensions(width, height, channels, slices, frames);
getVoxelSize(w, h, d, unit);
print("size", width, height, channels, slices, frames, bitDepth());
print("pixel", d2s(w, 6), d2s(h, 6), unit);
mode = "none";
if (is("composite")) Stack.getDisplayMode(mode);
print("mode", mode);
for (i = 1; i <= nSlices; i++) {
  setSlice(i);
  getMinAndMax(low, high);
  getLut(r, g, b);
  print("plane", getMetadata("Label"), low, high, r[255], g[255], b[255], getPixel(3, 2), getPixel(10, 30));
}
"""

PIXELS = np.random.default_rng(3).integers(0, 4000, (3, 40, 50), dtype=np.uint16)
IMAGE = Image(pixels=PIXELS, channels=("brightfield", "dsDNA", "ssDNA"), pixel_size_um=0.13, bit_depth=12)
SIZE = "0.130000 0.130000 µm"


def imagej(macro: str, argument: Path, folder: Path) -> list[str]:
    """Run `macro` in ImageJ; give the lines that it printed."""
    (folder / "macro.ijm").write_text(macro + 'run("Quit");\n')
    command = ["xvfb-run", "-a", "java", "-Dfile.encoding=UTF-8", "-Duser.home=" + str(folder), "-cp", str(IJ)]
    command += ["ij.ImageJ", "-ijpath", str(folder), "-batch", str(folder / "macro.ijm"), str(argument)]
    done = subprocess.run(command, capture_output=True, timeout=120, check=True)
    return done.stdout.decode("utf-8").splitlines()


def planes(labels: tuple[str, ...], colours: list[str]) -> list[str]:
    # ImageJ displays each plane from its smallest to its largest count
    return [
        f"plane {label} {plane.min()} {plane.max()} {colour} {plane[2, 3]} {plane[30, 10]}"
        for label, colour, plane in zip(labels, colours, PIXELS, strict=True)
    ]


def test_the_imagej_tiff_is_a_calibrated_composite_in_its_colours(tmp_path: Path) -> None:
    write_imagej_tiff(tmp_path / "f.tif", IMAGE)
    lines = imagej(DESCRIBE, tmp_path / "f.tif", tmp_path)
    assert lines[:3] == ["size 50 40 3 1 1 16", f"pixel {SIZE}", "mode composite"]
    assert lines[3:] == planes(IMAGE.channels, ["255 255 255", "0 255 0", "255 0 0"])


def test_the_ome_tiff_opens_in_plain_imagej_calibrated_with_every_count(tmp_path: Path) -> None:
    write_ome_tiff(tmp_path / "f.ome.tif", IMAGE)
    lines = imagej(DESCRIBE, tmp_path / "f.ome.tif", tmp_path)
    # plain ImageJ reads no OME-XML: a stack of grey planes (Bio-Formats in Fiji gives names and colours)
    assert lines[:3] == ["size 50 40 1 3 1 16", f"pixel {SIZE}", "mode none"]
    counts = [line.split()[-2:] for line in lines[3:]]
    assert counts == [[str(plane[2, 3]), str(plane[30, 10])] for plane in PIXELS]


def test_what_imagej_saves_is_read_with_its_names_and_calibration(tmp_path: Path) -> None:
    write_imagej_tiff(tmp_path / "f.tif", IMAGE)
    save = f"""
open(getArgument());
saveAs("Tiff", "{tmp_path}/composite.tif");
run("Duplicate...", "title=one duplicate channels=2");
saveAs("Tiff", "{tmp_path}/one.tif");
run("8-bit");
run("Green");
saveAs("Tiff", "{tmp_path}/green.tif");
run("RGB Color");
saveAs("PNG", "{tmp_path}/rgb.png");
"""
    imagej(save, tmp_path / "f.tif", tmp_path)
    composite = read_image(tmp_path / "composite.tif")
    np.testing.assert_array_equal(composite.pixels, PIXELS)
    assert composite.channels == IMAGE.channels
    assert composite.pixel_size_um == pytest.approx(0.13, rel=1e-6)
    assert composite.bit_depth == 12
    one = read_image(tmp_path / "one.tif")
    np.testing.assert_array_equal(one.plane(), PIXELS[1])
    assert one.pixel_size_um == pytest.approx(0.13, rel=1e-6)
    # 8 bit with a look-up table: counts, not colours
    green = read_image(tmp_path / "green.tif")
    assert (green.pixels.shape, green.bit_depth) == ((1, 40, 50), 8)
    coloured = read_image(tmp_path / "rgb.png")
    assert coloured.channels == ("R", "G", "B")
    np.testing.assert_array_equal(coloured.plane("G"), green.plane())
