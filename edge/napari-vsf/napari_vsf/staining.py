"""Stains what a layer shows, once or each time its data change; without Qt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from napari_vsf.layers import LayerData, image_layer
from vsf_edge.bundle import open_bundle
from vsf_edge.choice import choose
from vsf_edge.errors import EdgeError
from vsf_edge.plugins import plugins
from vsf_edge.service.staining import ImageStaining, Kind, Stained

CAUTION = "Where there is no head, a model that was trained on heads draws what is not there"

PREVIEW = "preview"
"""The layer in which napari-micromanager shows the live image."""


class Model:
    """A model file, opened with the fastest runtime of this machine.

    Raises
    ------
    EdgeError
        When it is damaged, or nothing here runs it.
    """

    def __init__(self, path: Path) -> None:
        with open_bundle(path) as bundle:
            self.engine = choose(bundle, plugins()).engine
            self._staining = ImageStaining(bundle, self.engine.session)
        self.manifest = bundle.manifest

    def stain(self, plane: Any, name: str, kind: Kind) -> Stained:
        """Stain the plane [H, W], in counts, of the layer `name`."""
        return self._staining.stain_planes([np.asarray(plane)], f"the layer {name!r}", kind)

    def layers(self, stained: Stained, layer: Any) -> list[LayerData]:
        """Give the stains as layers that lie on `layer`."""
        found = []
        shown = (layer.data[0] if layer.multiscale else layer.data).shape[-2:]
        for stain, plane in zip(self.manifest.stains, stained.stains, strict=True):
            data, settings, kind = image_layer(plane, stain.name, None)
            settings |= {"name": f"{stain.name} of {layer.name}", "metadata": {"simulated": self.manifest.simulated}}
            settings["contrast_limits"] = (0.0, max(float(plane.max()), 1e-6))
            factor = [before / after for before, after in zip(shown, plane.shape, strict=True)]
            scale = np.asarray(layer.scale[-2:]) * factor
            # the middle of the first pixel moves where a cell was resized
            settings |= {"scale": scale, "translate": layer.translate[-2:] + (scale - layer.scale[-2:]) / 2}
            settings["units"] = layer.units[-2:]
            found.append((data, settings, kind))
        return found

    def sentence(self, stained: Stained) -> str:
        """Say what was measured."""
        said = [
            f"{item.name} {stained.quantities[item.name]:.3g}{'' if item.unit == '1' else ' ' + item.unit}"
            for item in self.manifest.quantities
            if item.name in stained.quantities and not stained.judgement.abstained
        ]
        if stained.judgement.abstained:
            said = [f"no number, because {stained.judgement.abstained}"]
        use = [
            f"{', '.join(said) or f'Stained with {self.engine.label}'}.",
            f"{self.manifest.intended_use.capitalize()}.",
        ]
        if self.manifest.simulated:
            use.append("The model was trained on SIMULATED images.")
        if not stained.quantities:
            use.append(f"{CAUTION}.")
        return " ".join(use)


def plane_of(layer: Any, step: Sequence[int] = ()) -> Any:
    """Give the plane [H, W] of an image layer that the viewer's `step` (``viewer.dims.current_step``) shows.

    Raises
    ------
    EdgeError
        When it is a layer of colours.
    """
    if layer.rgb:
        raise EdgeError(f"the layer {layer.name!r} holds colours: split it, and choose its brightfield channel")
    data = layer.data[0] if layer.multiscale else layer.data
    at = [*step][-data.ndim :] if len(step) >= data.ndim else [0] * data.ndim
    leading = zip(at, data.shape[:-2], strict=False)
    return np.asarray(data[tuple(min(max(index, 0), length - 1) for index, length in leading)])


class Follower:
    """Stains `layer` whenever its data change, the newest first; what comes meanwhile is left out.

    Parameters
    ----------
    stain
        Called in a thread of its own with the plane.
    deliver
        Called in that thread with what `stain` gave, or the exception it raised; hands it to the thread of the window.
    """

    def __init__(self, layer: Any, stain: Callable[[Any], Any], deliver: Callable[[Any], object]) -> None:
        self._layer, self._stain, self._deliver = layer, stain, deliver
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="napari-vsf")
        self._guard = Lock()
        self._newest: Any = None
        self._busy = False
        layer.events.data.connect(self._changed)
        self._changed()

    def stop(self) -> None:
        """Follow no longer."""
        self._layer.events.data.disconnect(self._changed)
        self._worker.shutdown(wait=True, cancel_futures=True)

    def _changed(self, _: object = None) -> None:
        plane = np.array(plane_of(self._layer))  # a camera may write into its buffer again
        with self._guard:
            self._newest = plane
            if self._busy:
                return
            self._busy = True
        self._worker.submit(self._work).add_done_callback(_raise)

    def _work(self) -> None:
        while True:
            with self._guard:
                plane, self._newest = self._newest, None
                if plane is None:
                    self._busy = False
                    return
            try:
                done = self._stain(plane)
            except Exception as error:  # whatever it is, the window says it and the next image is tried
                done = error
            self._deliver(done)


def _raise(done: Future[None]) -> None:
    if not done.cancelled():
        done.result()
