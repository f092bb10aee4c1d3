"""The widget *Virtual stain*: a model, a layer, and two ways to stain it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from napari.layers import Image
from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QWidget,
)

from napari_vsf.staining import PREVIEW, Follower, Model, plane_of
from vsf_edge.errors import EdgeError
from vsf_edge.service.staining import Kind, Stained


class StainWidget(QWidget):
    """Stains the chosen layer on a button, or whenever its data change."""

    arrived = Signal(object)

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer = napari_viewer  # the name by which napari gives it
        self._model: Model | None = None
        self._opened: Path | None = None
        self._opening = Lock()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="napari-vsf-once")
        self._follower: Follower | None = None
        self._followed: Any = None
        self.path = QLineEdit()
        self.path.setPlaceholderText("model.vsf")
        browse = QPushButton("Browse...")
        browse.clicked.connect(self._browse)
        row = QHBoxLayout()
        row.addWidget(self.path)
        row.addWidget(browse)
        self.layer = QComboBox()
        self.kind = QComboBox()
        self.kind.addItems(["field", "cell"])
        self.button = QPushButton("Stain")
        self.button.clicked.connect(self.stain)
        self.live = QCheckBox("each new image of it")
        self.live.toggled.connect(self._follow)
        # what is chosen while live counts from the next image on
        for changed in (self.layer.activated, self.kind.activated, self.path.editingFinished):
            changed.connect(lambda *_: self._follow(self.live.isChecked()))
        self.status = QLabel("Research use only.")
        self.status.setWordWrap(True)
        form = QFormLayout(self)
        form.addRow("Model", row)
        form.addRow("Layer", self.layer)
        form.addRow("It shows a", self.kind)
        form.addRow(self.button)
        form.addRow("Live", self.live)
        form.addRow(self.status)
        self.arrived.connect(self._show)
        for event in (viewer.layers.events.inserted, viewer.layers.events.removed, viewer.layers.events.reordered):
            event.connect(self._list)
        self._list()

    def stain(self) -> None:
        """Stain what the chosen layer shows, in a thread of its own: the first time, the model is built there."""
        try:
            layer, path, kind = self._chosen(), self._named(), self._kind()
            plane = np.array(plane_of(layer, self._viewer.dims.current_step))
        except EdgeError as error:
            self.status.setText(str(error))
            return
        self.button.setEnabled(False)
        self.status.setText(f"Staining {layer.name} ...")
        self._worker.submit(self._stain_once, path, layer, plane, kind)

    def closeEvent(self, event: Any) -> None:  # noqa: N802  (Qt's name)
        """Follow no longer."""
        self.live.setChecked(False)
        self._worker.shutdown(wait=False, cancel_futures=True)
        super().closeEvent(event)

    def _stain_once(self, path: Path, layer: Any, plane: Any, kind: Kind) -> None:
        try:
            done: Any = self._stained(path, layer, plane, kind)
        except Exception as error:  # whatever it is, the window says it
            done = error
        self.arrived.emit(done)

    def _stained(self, path: Path, layer: Any, plane: Any, kind: Kind) -> tuple[Any, Model, Stained]:
        model = self._open(path)
        return layer, model, model.stain(plane, layer.name, kind)

    def _follow(self, on: bool) -> None:
        if self._follower is not None:
            self._follower.stop()
            self._follower = self._followed = None
        if not on:
            return
        try:
            layer, path, kind = self._chosen(), self._named(), self._kind()
            plane_of(layer)
        except EdgeError as error:
            self.status.setText(str(error))
            self.live.setChecked(False)
            return
        self._followed = layer
        self._follower = Follower(layer, lambda plane: self._stained(path, layer, plane, kind), self.arrived.emit)

    def _show(self, done: Any) -> None:
        self.button.setEnabled(True)
        if isinstance(done, Exception):
            self.status.setText(str(done))
            return
        layer, model, stained = done
        for data, settings, _ in model.layers(stained, layer):
            name = settings["name"]
            if name in self._viewer.layers and self._viewer.layers[name].data.shape == data.shape:
                self._viewer.layers[name].data = data
            else:
                if name in self._viewer.layers:
                    self._viewer.layers.remove(name)
                self._viewer.add_image(data, **settings)
        self.status.setText(model.sentence(stained))

    def _open(self, path: Path) -> Model:
        with self._opening:
            if self._model is None or self._opened != path:
                self._model, self._opened = Model(path), path
            return self._model

    def _named(self) -> Path:
        if not self.path.text().strip():
            raise EdgeError("name a model first: a .vsf file")
        return Path(self.path.text().strip()).expanduser()

    def _chosen(self) -> Any:
        name = self.layer.currentText()
        if name not in self._viewer.layers:
            raise EdgeError("open a brightfield image first")
        return self._viewer.layers[name]

    def _kind(self) -> Kind:
        return "cell" if self.kind.currentText() == "cell" else "field"

    def _list(self, _: object = None) -> None:
        before = self.layer.currentText()
        images = [layer.name for layer in self._viewer.layers if isinstance(layer, Image)]
        stains = {f"{stain.name} of " for stain in (self._model.manifest.stains if self._model else ())}
        names = [name for name in images if not name.startswith(tuple(stains))]
        self.layer.clear()
        self.layer.addItems(names)
        self.layer.setCurrentText(before if before in names else PREVIEW if PREVIEW in names else "")
        if self._followed is not None and self._followed not in self._viewer.layers:
            gone = self._followed.name
            self.live.setChecked(False)
            self.status.setText(f"The layer {gone!r} was removed: nothing is followed.")

    def _browse(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Model", "", "Models (*.vsf)")
        if name:
            self.path.setText(name)
            self._follow(self.live.isChecked())
