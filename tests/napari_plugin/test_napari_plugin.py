"""napari-vsf: the reader and the staining without a window, the widget in a real napari under Xvfb."""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.recording.made import make_result
from vsf_edge.sinks.recording import Recording

if not (find_spec("napari") and find_spec("napari_vsf")):
    pytest.skip(
        "napari is not installed here: pip install 'napari[pyqt6]' ./edge/napari-vsf (922 MB)", allow_module_level=True
    )

# napari and npe2 warn of their own use of pydantic while they are imported
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

RESULTS = 4


def recorded(folder: Path, session: Any, **settings: Any) -> Path:
    sink = Recording(str(folder), **settings)
    sink.start(session)
    for number in range(RESULTS):
        sink.take(make_result(number, field=True))
    sink.stop()
    assert sink.folder is not None
    return sink.folder


@pytest.mark.parametrize("kind", ["ome-zarr", "ome-tiff"])
def test_a_recording_opens_in_its_colours_and_micrometres(session: Any, tmp_path: Path, kind: str) -> None:
    from napari.components import ViewerModel
    from napari.layers import Layer
    from napari_vsf.reader import get_reader

    folder = recorded(tmp_path, session(mode="field"), format=kind)
    reader = get_reader(str(folder))
    assert reader is not None
    viewer = ViewerModel()
    for data in reader(str(folder)):
        viewer.add_layer(Layer.create(*data))
    note = " (model of SIMULATED data)"
    assert {layer.name for layer in viewer.layers} == {n + note for n in ("brightfield", "dsDNA", "ssDNA", "cells")}
    results = [make_result(number, field=True) for number in range(RESULTS)]
    brightfield, green = viewer.layers[f"brightfield{note}"], viewer.layers[f"dsDNA{note}"]
    np.testing.assert_array_equal(np.asarray(brightfield.data), [result.frame.pixels for result in results])
    np.testing.assert_array_equal(np.asarray(green.data), [2.0 * result.frame.pixels for result in results])
    assert green.colormap.name == "green"
    np.testing.assert_allclose(green.scale, [1, 0.13, 0.13])
    assert str(green.units[-1]) in ("micrometer", "um")
    cells = viewer.layers[f"cells{note}"]
    assert len(cells.data) == 2 * RESULTS
    np.testing.assert_allclose(cells.data[2], [1, 12.0, 10.5])
    assert cells.features["dfi"][0] == pytest.approx(0.26)
    assert np.isnan(cells.features["dfi"][1])  # withheld
    assert cells.features["abstained"][1] == "out of focus"


def test_a_stained_ome_tiff_opens_as_its_channels(model: Path, tmp_path: Path) -> None:
    from napari_vsf.reader import get_reader

    from vsf_edge.bundle import open_bundle
    from vsf_edge.images import write_ome

    brightfield = np.full((1, 8, 8), 3, np.float32)
    with open_bundle(model) as bundle:
        write_ome(
            tmp_path / "cell.ome.tif", brightfield, np.stack([brightfield[0] * 2, brightfield[0]]), bundle.manifest
        )
    reader = get_reader(str(tmp_path / "cell.ome.tif"))
    assert reader is not None
    layers = reader(str(tmp_path / "cell.ome.tif"))
    assert [settings["name"] for _, settings, _ in layers] == ["brightfield", "dsDNA", "ssDNA"]
    assert [float(np.asarray(data)[0, 0]) for data, _, _ in layers] == [3, 6, 3]


def test_only_what_vsf_edge_wrote_is_claimed(tmp_path: Path) -> None:
    from napari_vsf.reader import get_reader

    (tmp_path / "folder").mkdir()
    assert get_reader(str(tmp_path / "folder")) is None
    assert get_reader(str(tmp_path / "image.png")) is None


def test_the_manifest_of_the_plugin_is_valid() -> None:
    from npe2 import PluginManifest

    manifest = PluginManifest.from_distribution("napari-vsf")
    manifest.validate_imports()
    assert manifest.contributions.widgets
    assert manifest.contributions.readers


def test_a_layer_is_stained_where_it_lies(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from napari.layers import Image
    from napari_vsf.staining import Model, plane_of

    monkeypatch.setenv("VSF_EDGE_CACHE", str(tmp_path / "cache"))
    opened = Model(model)
    data = np.random.default_rng(0).integers(1, 256, (3, 33, 40)).astype(np.uint8)
    layer = Image(data, name="bf", scale=(1, 0.5, 0.5), translate=(0, 10, 20), units=("pixel", "um", "um"))
    stained = opened.stain(plane_of(layer, (2, 0, 0)), layer.name, "field")
    layers = opened.layers(stained, layer)
    np.testing.assert_allclose(layers[0][0], 2.0 * data[2], rtol=1e-5)
    assert [settings["name"] for _, settings, _ in layers] == ["dsDNA of bf", "ssDNA of bf"]
    green = Image(layers[0][0], **layers[0][1])
    np.testing.assert_allclose((green.scale, green.translate), ((0.5, 0.5), (10, 20)))
    crop = Image(data[0, :32, :32], name="cell", scale=(0.5, 0.5))
    cell = opened.stain(plane_of(crop), "cell", "cell")
    assert "dfi 0.333" in opened.sentence(cell)
    stain = Image(*opened.layers(cell, crop)[0][:1], **opened.layers(cell, crop)[0][1])
    np.testing.assert_allclose(stain.scale, 1.0)  # 32 px became 16
    np.testing.assert_allclose(stain.translate, 0.25)  # the middle of the first pixel


def test_the_newest_image_of_a_live_layer_is_stained(tmp_path: Path) -> None:
    from napari.layers import Image
    from napari_vsf.staining import PREVIEW, Follower

    layer = Image(np.zeros((8, 8), np.uint16), name=PREVIEW)
    go, done = threading.Event(), queue.Queue[Any]()

    def stain(plane: Any) -> int:
        go.wait(10)
        if plane[0, 0] == 9:
            raise ValueError("the runtime failed")
        return int(plane[0, 0])

    follower = Follower(layer, stain, done.put)
    for number in range(1, 6):
        layer.data = np.full((8, 8), number, np.uint16)
    go.set()
    # the first was being stained; of the others the newest counts
    assert [done.get(timeout=10) for _ in range(2)] == [0, 5]
    layer.data = np.full((8, 8), 9, np.uint16)
    assert str(done.get(timeout=10)) == "the runtime failed"
    layer.data = np.full((8, 8), 7, np.uint16)
    assert done.get(timeout=10) == 7
    follower.stop()
    layer.data = np.full((8, 8), 8, np.uint16)
    assert done.empty()


WINDOW = """
import sys, time
import numpy as np
import napari
from qtpy.QtWidgets import QApplication
model, recording, shot = sys.argv[1:4]
viewer = napari.Viewer(show=True)
viewer.window.resize(1500, 1000)
viewer.open(recording, plugin="napari-vsf")
_, widget = viewer.window.add_plugin_dock_widget("napari-vsf", "Virtual stain")
names = [layer.name for layer in viewer.layers]
for layer in viewer.layers:
    layer.visible = False
yy, xx = np.mgrid[:128, :160]
scene = lambda shift: (120 + 100 * np.sin((xx + shift) / 9.0) * np.cos(yy / 7.0)).astype(np.uint8)
preview = viewer.add_image(scene(0), name="preview", scale=(0.25, 0.25), units=("um", "um"))
assert widget.layer.currentText() == "preview" or widget.layer.findText("preview") >= 0
widget.layer.setCurrentText("preview")
widget.path.setText(model)
widget.live.setChecked(True)
end = time.monotonic() + 60
for shift in (5, 11):
    preview.data = scene(shift)
    while time.monotonic() < end:
        QApplication.processEvents()
        if "dsDNA of preview" in viewer.layers and np.allclose(
            viewer.layers["dsDNA of preview"].data, 2.0 * scene(shift), rtol=1e-4
        ):
            break
        time.sleep(0.02)
    else:
        sys.exit("the live layer was not stained: " + widget.status.text())
widget.live.setChecked(False)
viewer.reset_view()
QApplication.processEvents()
viewer.screenshot(shot, canvas_only=False)
import json
print(json.dumps({"layers": names, "all": [layer.name for layer in viewer.layers], "status": widget.status.text()}))
viewer.close()
"""

USER = """
import os, sys, time
import numpy as np
import napari
from qtpy.QtWidgets import QApplication
model = sys.argv[1]
viewer = napari.Viewer(show=True)
_, widget = viewer.window.add_plugin_dock_widget("napari-vsf", "Virtual stain")

def until(condition, what):
    end = time.monotonic() + 60
    while not condition():
        if time.monotonic() > end:
            sys.exit(what + ": " + widget.status.text())
        QApplication.processEvents()
        time.sleep(0.02)

def add(data, name):
    viewer.add_image(data, name=name)
    widget.layer.setCurrentText(name)

def stained(layer):
    widget.stain()
    until(widget.button.isEnabled, layer)
    return widget.status.text()

told = {"nothing open": stained("nothing")}
add(np.full((40, 48), 90, np.uint8), "grey")
told["no model"] = stained("grey")
os.environ["HOME"] = os.path.dirname(model)
widget.path.setText("~/nothing.vsf")
told["no file"] = stained("grey")
widget.path.setText("~/" + os.path.basename(model))
widget.stain()
told["meanwhile"] = [widget.button.isEnabled(), widget.status.text(), "dsDNA of grey" in viewer.layers]
until(widget.button.isEnabled, "grey")
told["grey"] = widget.status.text()
add(np.zeros((40, 48, 3), np.uint8) + 90, "colours")
told["colours"] = stained("colours")
add(np.random.default_rng(0).random((40, 48)), "rescaled")
told["rescaled"] = stained("rescaled")
add(np.full((40, 48), 60, np.uint8), "preview")
widget.live.setChecked(True)
until(lambda: "dsDNA of preview" in viewer.layers, "preview")
widget.layer.setCurrentText("grey")
widget.layer.activated.emit(widget.layer.currentIndex())
viewer.layers["grey"].data = np.full((40, 48), 70, np.uint8)
until(lambda: np.allclose(viewer.layers["dsDNA of grey"].data, 140.0), "another layer")
viewer.layers.remove("grey")
until(lambda: not widget.live.isChecked(), "removed")
told["removed"] = widget.status.text()
import json
print(json.dumps(told))
viewer.close()
"""


def windowed(script: str, folder: Path, *arguments: str) -> Any:
    """Run a script in a napari with a window; give what it printed last, as JSON."""
    (folder / "window.py").write_text(script)
    command = ["xvfb-run", "-a", "-s", "-screen 0 1600x1200x24 +extension GLX", sys.executable]
    environment = {
        **os.environ,
        "VSF_EDGE_CACHE": str(folder / "cache"),
        "NAPARI_CONFIG": str(folder / "napari.yaml"),
    }
    command += [str(folder / "window.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=170, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.skipif(not shutil.which("xvfb-run"), reason="xvfb-run is not on this machine")
def test_the_widget_says_what_is_wrong_and_does_not_stand_still(model: Path, tmp_path: Path) -> None:
    told = windowed(USER, tmp_path, str(model))
    assert told["nothing open"] == "open a brightfield image first"
    assert told["no model"] == "name a model first: a .vsf file"
    assert told["no file"] == f"there is no model {model.parent}/nothing.vsf"
    assert told["meanwhile"] == [False, "Staining grey ...", False]  # the window is not held up
    assert told["grey"].startswith("Stained with ")
    assert "draws what is not there" in told["grey"]
    assert "holds colours" in told["colours"]
    assert "not rescaled" in told["rescaled"]
    assert told["removed"] == "The layer 'grey' was removed: nothing is followed."


@pytest.mark.skipif(not shutil.which("xvfb-run"), reason="xvfb-run is not on this machine")
def test_the_widget_stains_the_preview_layer_in_a_real_window(
    model: Path, session: Callable[..., Any], tmp_path: Path
) -> None:
    import cv2

    folder = recorded(tmp_path / "out", session(mode="field"))
    told = windowed(WINDOW, tmp_path, str(model), str(folder), str(tmp_path / "napari.png"))
    assert len(told["layers"]) == 4
    assert {"dsDNA of preview", "ssDNA of preview"} <= set(told["all"])
    assert "Research use only" in told["status"]
    screen = cv2.imread(str(tmp_path / "napari.png"))
    assert screen is not None
    assert screen.std() > 10
