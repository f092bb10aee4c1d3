"""A camera of Micro-Manager, through pymmcore-plus: ``--source micromanager:CONFIG.cfg``."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vsf_edge.errors import EdgeError, EdgeUsageError, brief
from vsf_edge.frames import Frame
from vsf_edge.settings import read_settings, setting
from vsf_edge.sources.acquisition import Acquisition, AcquisitionQueue
from vsf_edge.sources.core_images import CoreImage, frame_of_core

_POLL_S = 0.001
_LOST_CAMERA = "is it plugged in and switched on, and used by no other program?"


@dataclass(frozen=True, kw_only=True)
class MicroManagerSettings:
    """What can be set about a camera of Micro-Manager."""

    exposure_ms: float = setting(0.0, "Exposure; 0 leaves what the configuration says.", low=0, high=3_600_000)
    roi: str = setting("", "Part of the sensor as X,Y,WIDTH,HEIGHT in pixels; empty leaves it.")
    binning: int = setting(0, "Pixels that are put together along each side; 0 leaves it.", low=0, high=64)
    camera: str = setting("", "Label of the camera in the configuration; empty takes the configured one.")
    preset: str = setting("", "A preset to set first, as GROUP=PRESET, such as Channel=BF.")
    take: str = setting(
        "all", "all: every frame in order; newest: only the newest one, which loses those before it.",
        choices=("all", "newest"),
    )  # fmt: skip
    mda: str = setting(
        "", "Take the frames of an acquisition instead: a useq file to run, or listen for those of others."
    )
    replay: str = setting("", "Folder, file or pattern of recorded images, which a camera in the core then shows.")
    bit_depth: int = setting(0, "Bits of a count; 0 takes what the camera says.", low=0, high=16)
    pixel_size_um: float = setting(0.0, "Micrometres per pixel; 0 takes the configured one.", low=0, high=1000)


class MicroManager:
    """A camera of Micro-Manager; a source of kind ``micromanager``.

    ADDRESS is a configuration file; empty takes Micro-Manager's demo configuration. The camera runs a continuous
    sequence into the core's circular buffer, from which frames are taken. The core drops the oldest ones without a word
    when nobody takes them in time; `lost` counts them by the gaps in ``ImageNumber``. Every tag that the core gives
    with an image stands in the frame's metadata.

    Parameters
    ----------
    address
        See above.
    core
        A ``CMMCorePlus`` that somebody else has set up (a program that embeds this one). It is not configured and not
        unloaded, and ADDRESS must be empty.
    given
        See `settings`.
    """

    settings = MicroManagerSettings

    def __init__(self, address: str = "", core: Any = None, **given: object) -> None:
        self._set = read_settings(MicroManagerSettings, given, "source micromanager")
        self._address = address
        self._foreign = core is not None
        self._core: Any = core
        self._roi = _roi(self._set.roi)
        self._acquired: AcquisitionQueue | None = None
        self._image = CoreImage()
        self._expected, self._lost = 0, 0
        if address and (self._foreign or self._set.replay):
            raise EdgeUsageError(
                "source micromanager takes a configuration, or replay, or a core: give only one of them"
            )

    @property
    def live(self) -> bool:
        """True: a camera does not wait."""
        return True

    def open(self) -> None:
        """Load the configuration, set the camera up and start it."""
        self.close()
        if not self._foreign:
            self._core = self._load()
        try:
            self._set_up()
        except EdgeError:
            raise
        except Exception as error:  # the core raises RuntimeError for all that a device may do
            raise EdgeError(f"the camera cannot be started ({brief(error)}): {_LOST_CAMERA}") from error

    def read(self, timeout: float) -> Frame | None:
        """Give the next frame that the core has, or the newest one."""
        assert self._core is not None, "open comes first"
        if self._acquired is not None:
            return self._acquired.read(timeout, self._image)
        until = time.monotonic() + timeout
        while True:
            try:
                found = self._take()
                running = found is not None or self._core.isSequenceRunning()
            except Exception as error:
                raise EdgeError(f"the camera is gone ({brief(error)}): {_LOST_CAMERA}") from error
            if found is not None:
                frame = frame_of_core(*found, self._image, fallback=self._expected)
                self._lost += max(0, frame.number - self._expected)
                self._expected = frame.number + 1
                return frame
            if not running:
                raise EdgeError(f"the camera has stopped: {_LOST_CAMERA}")
            left = until - time.monotonic()
            if left <= 0:
                return None
            time.sleep(min(_POLL_S, left))

    def close(self) -> None:
        """Stop the camera and unload it."""
        if self._acquired is not None:
            self._acquired.stop()
            self._acquired = None
        if self._core is None:
            return
        with suppress(Exception):  # a camera that was pulled out cannot be stopped
            if not self._set.mda and self._core.isSequenceRunning():
                self._core.stopSequenceAcquisition()
        if not self._foreign:
            with suppress(Exception):
                self._core.unloadAllDevices()
            self._core = None

    def lost(self) -> int:
        """Give how many frames the core or a full queue dropped."""
        return self._acquired.lost if self._acquired is not None else self._lost

    def _load(self) -> Any:
        """Make a core and load the configuration, or the replay camera, into it."""
        try:
            from pymmcore_plus import CMMCorePlus
        except ImportError as error:
            raise EdgeUsageError(
                f"source micromanager needs pymmcore-plus ({brief(error)}): pip install 'vsf-edge[micromanager]'"
            ) from error
        if self._set.replay:
            from vsf_edge.sources.replay_camera import core_with_replay

            return core_with_replay(self._set.replay)
        if self._address and not Path(self._address).is_file():
            raise EdgeUsageError(f"there is no configuration {self._address}")
        core = CMMCorePlus()
        try:
            core.loadSystemConfiguration(*([self._address] if self._address else []))
        except FileNotFoundError as error:
            raise EdgeUsageError(
                f"Micro-Manager's devices are not found ({brief(error)}): install them with the command mmcore install"
            ) from error
        except Exception as error:
            raise EdgeError(
                f"{self._address or 'the demo configuration'} cannot be loaded ({brief(error)}): {_LOST_CAMERA}"
            ) from error
        return core

    def _set_up(self) -> None:
        core = self._core
        if self._set.preset:
            group, _, preset = self._set.preset.partition("=")
            if preset not in (core.getAvailableConfigs(group) if group in core.getAvailableConfigGroups() else ()):
                raise EdgeUsageError(f"the configuration has no preset {self._set.preset!r}; give GROUP=PRESET")
            core.setConfig(group, preset)
            core.waitForConfig(group, preset)
        if self._set.camera and self._set.camera not in core.getLoadedDevices():
            raise EdgeUsageError(
                f"the configuration has no camera {self._set.camera!r}; it has {', '.join(core.getLoadedDevices())}"
            )
        if self._set.camera:
            core.setCameraDevice(self._set.camera)
        camera = core.getCameraDevice()
        if not camera:
            raise EdgeUsageError("the configuration names no camera: choose one with -O camera=LABEL")
        if self._set.binning:
            core.setProperty(camera, "Binning", str(self._set.binning))
        if self._roi:
            core.setROI(*self._roi)
        if self._set.exposure_ms:
            core.setExposure(self._set.exposure_ms)
        self._image = CoreImage(
            bit_depth=self._set.bit_depth or int(core.getImageBitDepth()),
            pixel_size_um=self._set.pixel_size_um or float(core.getPixelSizeUm()) or None,
            exposure_ms=float(core.getExposure()),
        )
        self._expected, self._lost = 0, 0
        if self._set.mda:
            self._acquired = AcquisitionQueue(Acquisition(core, self._set.mda))
        else:
            core.startContinuousSequenceAcquisition(0)

    def _take(self) -> tuple[Any, Any] | None:
        """Take an image and its tags out of the circular buffer, or None where there is no new one."""
        try:
            if self._set.take == "newest":
                pixels, tags = self._core.getLastImageAndMD()
                return None if int(tags.get("ImageNumber", self._expected)) < self._expected else (pixels, tags)
            return self._core.popNextImageAndMD() if self._core.getRemainingImageCount() else None
        except IndexError:  # "Circular buffer is empty" comes now and then, also where there was an image
            return None


def _roi(text: str) -> tuple[int, int, int, int] | None:
    if not text:
        return None
    try:
        x, y, width, height = (int(part) for part in text.split(","))
    except ValueError:
        raise EdgeUsageError(f"source micromanager cannot take roi={text}; it is X,Y,WIDTH,HEIGHT") from None
    return x, y, width, height
