"""The macro and the plugin of examples/imagej, in the real ImageJ, with the real service."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from tests.edge.conftest import known_manifest

IJ = Path("/usr/share/java/ij.jar")
ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples" / "imagej"
PHASE = ROOT.parent / "shared" / "data" / "in_silico_labeling" / "phase_z06.png"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not IJ.is_file(), reason="ImageJ is not on this machine (Debian: apt-get install imagej)"),
    pytest.mark.skipif(
        not (shutil.which("xvfb-run") and shutil.which("javac")), reason="xvfb-run or javac is not on this machine"
    ),
]

DESCRIBE = """
getDimensions(width, height, channels, slices, frames);
getVoxelSize(w, h, d, unit);
mode = "none";
if (is("composite")) Stack.getDisplayMode(mode);
print("image", getTitle(), width, height, channels, bitDepth(), mode, d2s(w, 4), unit);
for (i = 1; i <= nSlices; i++) {
  setSlice(i);
  getMinAndMax(low, high);
  getLut(r, g, b);
  print("plane", getMetadata("Label"), d2s(low, 1), d2s(high, 1), r[255], g[255], b[255], d2s(getPixel(30, 20), 1));
}
"""


@pytest.fixture
def sixteen_bit(make_model: Callable[..., Path]) -> Path:
    """The known model for counts up to 65535: dsDNA is twice the brightfield, ssDNA the brightfield."""
    manifest = known_manifest()
    manifest["input"]["full_scale"] = 65535.0
    return make_model(manifest)


@contextmanager
def serving(model: Path, folder: Path) -> Iterator[str]:
    """Serve `model` for the images of `folder`; gives the address."""
    command = [sys.executable, "-u", "-m", "vsf_edge", "serve", str(model), "--folder", str(folder)]
    command += ["--port", "0", "--runtime", "onnxruntime:cpu"]
    environment = {**os.environ, "VSF_EDGE_CACHE": str(model.parent / "cache")}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"at (http://[\d.:]+)", process.stdout.readline())
            assert found
            yield found[1]
        finally:
            process.terminate()


def imagej(macro: str, folder: Path, windows: bool = False) -> list[str]:
    """Run `macro` in ImageJ with the plugins of `folder`/plugins; give the lines that it printed.

    With `windows` everything is shown, and what is printed goes to the log's window.
    """
    end = f'File.saveString(getInfo("log"), "{folder}/log.txt");\ncall("java.lang.System.exit", "0");\n'
    macro = 'call("ij.IJ.redirectErrorMessages");\n' + macro + (end if windows else 'run("Quit");\n')
    (folder / "macro.ijm").write_text(macro, encoding="utf-8")
    command = ["xvfb-run", "-a", "-s", "-screen 0 1366x768x24", "java", "-Dfile.encoding=UTF-8"]
    command += [f"-Duser.home={folder}", f"-Dplugins.dir={folder}", "-cp", str(IJ), "ij.ImageJ", "-ijpath", str(folder)]
    command += ["-macro" if windows else "-batch", str(folder / "macro.ijm")]
    done = subprocess.run(
        command, capture_output=True, timeout=40, check=False, env={**os.environ, "LC_ALL": "C.UTF-8"}
    )
    printed = (folder / "log.txt").read_bytes() if windows else done.stdout
    return printed.decode("utf-8").splitlines()


def simulated_field(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint16]]:
    """Write a frame of the simulated camera, calibrated as ImageJ does."""
    from vsf_edge.sources.simulator import Simulator

    source = Simulator()
    source.open()
    frame = source.read(5.0)
    source.close()
    assert frame is not None
    pixels = frame.pixels.astype(np.uint16)
    tifffile.imwrite(path, pixels, imagej=True, resolution=(1 / 0.13, 1 / 0.13), metadata={"unit": "um"})
    return pixels


def test_the_macro_opens_the_stains_of_the_image_in_front(sixteen_bit: Path, tmp_path: Path) -> None:
    folder = tmp_path / "images of donor 1 & 2 + 3"
    folder.mkdir()
    pixels = simulated_field(folder / "field 100%.tif")
    height, width = pixels.shape
    with serving(sixteen_bit, folder) as address:
        stain = f'open("{folder}/field 100%.tif");\nrunMacro("{EXAMPLES}/Virtual_Stain.ijm", "{address}");\n'
        lines = imagej(stain + DESCRIBE, tmp_path)
    assert lines[0] == f"image stained field 100%.tif {width} {height} 3 32 composite 0.1300 µm"
    brightfield, low, high = pixels[20, 30], float(pixels.min()), float(pixels.max())
    assert lines[1:] == [
        f"plane brightfield {low:.1f} {high:.1f} 255 255 255 {brightfield:.1f}",
        f"plane dsDNA 0.0 {2 * high:.1f} 0 255 0 {2 * brightfield:.1f}",
        f"plane ssDNA 0.0 {high:.1f} 255 0 0 {brightfield:.1f}",
    ]


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """A folder with the compiled plugin in its folder of plugins."""
    classes = tmp_path / "plugins"
    classes.mkdir()
    command = ["javac", "-Xlint:all,-deprecation", "-Werror", "-cp", str(IJ), "-d", str(classes)]
    subprocess.run([*command, str(EXAMPLES / "Virtual_Stain.java")], check=True)
    # ImageJ puts plugins with an underscore in their name into its menu
    assert (classes / "Virtual_Stain.class").is_file()
    return tmp_path


@pytest.mark.realdata
@pytest.mark.skipif(not PHASE.is_file(), reason="the real fields of ../shared/data are not here")
def test_the_plugin_stains_a_real_image_with_the_calibration_that_it_has_in_imagej(
    sixteen_bit: Path, plugin: Path
) -> None:
    pixels = cv2.imread(str(PHASE), cv2.IMREAD_UNCHANGED)
    shot = plugin / "screen.png"
    macro = f"""
open("{PHASE}");
run("Properties...", "channels=1 slices=1 frames=1 unit=um pixel_width=0.25 pixel_height=0.25 voxel_depth=1");
run("Virtual Stain", "service=ADDRESS kind=field token=[]");
"""
    show = f'wait(1000);\nrun("Capture Screen");\nsaveAs("PNG", "{shot}");\nclose();\n'
    with serving(sixteen_bit, plugin) as address:
        lines = imagej(macro.replace("ADDRESS", address) + show + DESCRIBE, plugin, windows=True)
    assert lines[0] == "image stained phase_z06.png 1024 1024 3 32 composite 0.2500 µm"
    at = int(pixels[20, 30])
    assert [line.split()[1] for line in lines[1:]] == ["brightfield", "dsDNA", "ssDNA"]
    assert [line.split()[4:7] for line in lines[1:]] == [["255"] * 3, ["0", "255", "0"], ["255", "0", "0"]]
    measured = [float(line.split()[7]) for line in lines[1:]]
    np.testing.assert_allclose(measured, [at, 2 * at, at], rtol=1e-5)
    screen = cv2.imread(str(shot))
    assert screen is not None
    assert screen.std() > 10  # a screen with windows on it


def test_the_plugin_logs_the_quantities_of_a_cell(sixteen_bit: Path, plugin: Path) -> None:
    cell = np.random.default_rng(0).integers(1, 60000, (16, 16)).astype(np.uint16)
    tifffile.imwrite(plugin / "cell.tif", cell, imagej=True)
    with serving(sixteen_bit, plugin) as address:
        lines = imagej(
            f'open("{plugin}/cell.tif");\nrun("Virtual Stain", "service={address} kind=cell token=[]");\n', plugin
        )
    text = "\n".join(lines)
    assert '"dfi"' in text
    assert '"value": 0.3333' in text


def test_a_service_that_does_not_run_is_said_in_a_sentence(plugin: Path) -> None:
    tifffile.imwrite(plugin / "cell.tif", np.ones((16, 16), np.uint16), imagej=True)
    lines = imagej(
        f'open("{plugin}/cell.tif");\nrun("Virtual Stain", "service=http://127.0.0.1:9 kind=cell token=[]");\n',
        plugin,
    )
    assert any("The service did not stain it" in line for line in lines)


def test_the_plugin_stains_what_a_rectangle_selects(sixteen_bit: Path, plugin: Path) -> None:
    """A square drawn around a head is a cell; without it the whole field would be taken for one."""
    field = np.full((64, 80), 100, np.uint16)
    field[20:36, 30:46] = 7000
    tifffile.imwrite(plugin / "field.tif", field, imagej=True)
    with serving(sixteen_bit, plugin) as address:
        lines = imagej(
            f'open("{plugin}/field.tif");\nmakeRectangle(30, 20, 16, 16);\n'
            f'run("Virtual Stain", "service={address} kind=cell token=[]");\n'
            'getStatistics(area, mean, least, most);\nprint("counts", getWidth(), least, most);\n',
            plugin,
        )
    assert lines[-1] == "counts 16 7000 7000"


def test_what_the_service_refuses_is_said_in_a_sentence_without_braces(sixteen_bit: Path, plugin: Path) -> None:
    with serving(sixteen_bit, plugin) as address:
        lines = imagej(
            'newImage("colour", "RGB noise", 40, 40, 1);\n'
            f'run("Virtual Stain", "service={address} kind=field token=[]");\n',
            plugin,
        )
    assert any(
        line.startswith("The service did not stain it: ") and "colour image" in line and "{" not in line
        for line in lines
    ), lines


def test_the_macro_says_what_to_do_and_leaves_the_image_as_it_is(sixteen_bit: Path, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    tifffile.imwrite(tmp_path / "outside.tif", np.ones((16, 16), np.uint16), imagej=True)
    ask = f'runMacro("{EXAMPLES}/Virtual_Stain.ijm", "ADDRESS");\nprint("front", getTitle(), nImages);\n'
    with serving(sixteen_bit, folder) as address:
        macro = f'open("{tmp_path}/outside.tif");\n' + ask.replace("ADDRESS", address)
        lines = imagej(macro + ask.replace("ADDRESS", "http://127.0.0.1:9"), tmp_path)
    told = [line for line in lines if line.startswith(("Not stained", "Nothing answers"))]
    assert "--folder" in told[0]
    assert "start 'vsf-edge serve'" in told[1]
    assert lines.count("front outside.tif 1") == 2
