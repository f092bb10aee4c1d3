"""Movie files and USB cameras through OpenCV: ``--source video:FILE`` or ``--source video:0``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from vsf_edge.errors import CorruptFrameError, EdgeError, EdgeUsageError, SourceEndError
from vsf_edge.frames import Frame, Pixels
from vsf_edge.settings import read_settings, setting
from vsf_edge.sources.image_files import PIXEL_SIZE_TEXT, Pace, frame_of


@dataclass(frozen=True, kw_only=True)
class VideoSettings:
    """What can be set about a movie or a USB camera."""

    fps: float = setting(0.0, "Frames per second; 0: as fast as a movie is taken, as a camera likes.", low=0, high=1000)
    loop: bool = setting(False, "Begin a movie again after its last frame, without end.")
    width: int = setting(0, "Asked of a camera, in pixels; 0 leaves its own.", low=0, high=16384)
    height: int = setting(0, "Asked of a camera, in pixels; 0 leaves its own.", low=0, high=16384)
    exposure: float = setting(0.0, "Asked of a camera, in the unit of its driver; 0 leaves its own.")
    pixel_size_um: float = setting(0.0, PIXEL_SIZE_TEXT, low=0, high=1000)


class Video:
    """A movie or a USB camera; a source of kind ``video``.

    ADDRESS is a movie file, or the number of a camera (0 is the first). Colour becomes grey by OpenCV's weights
    (0.114 blue, 0.587 green, 0.299 red); a grey camera that sends three equal planes loses nothing. Most movies and
    webcams hold 8 bits that were compressed, and webcams change their gain as they like: good for looking, not for
    measuring. Where a movie or camera gives 16 bits, the counts are kept. OpenCV says nothing of frames that a USB
    camera lost, so `lost` is 0 for it.
    """

    settings = VideoSettings

    def __init__(self, address: str = "", **given: object) -> None:
        self._set = read_settings(VideoSettings, given, "source video")
        self._address = address
        self._camera = address.isdecimal()
        self._capture: cv2.VideoCapture | None = None
        self._number = 0
        self._pace = Pace(0.0)

    @property
    def live(self) -> bool:
        """Whether it is a camera."""
        return self._camera

    def open(self) -> None:
        """Open the movie or the camera."""
        self.close()
        if not self._address:
            raise EdgeUsageError("source video needs a movie or the number of a camera: --source video:0")
        if not self._camera and not Path(self._address).is_file():
            raise EdgeUsageError(f"there is no movie {self._address}")
        capture = cv2.VideoCapture(int(self._address)) if self._camera else cv2.VideoCapture(self._address)
        if not capture.isOpened():
            if self._camera:
                raise EdgeError(f"camera {self._address} cannot be opened: is it plugged in, and not used elsewhere?")
            raise EdgeUsageError(f"{self._address} cannot be opened as a movie")
        self._capture, self._number = capture, 0
        self._pace = Pace(0.0 if self._camera else self._set.fps)
        if self._camera:
            for wish, value in (
                (cv2.CAP_PROP_FRAME_WIDTH, self._set.width),
                (cv2.CAP_PROP_FRAME_HEIGHT, self._set.height),
                (cv2.CAP_PROP_FPS, self._set.fps),
                (cv2.CAP_PROP_EXPOSURE, self._set.exposure),
            ):
                if value:
                    capture.set(wish, value)

    def read(self, timeout: float) -> Frame | None:
        """Give the next frame; a camera's driver decides how long that takes."""
        assert self._capture is not None, "open comes first"
        if not self._pace.wait(timeout):
            return None
        done, pixels = self._capture.read()
        if not done and not self._camera:
            if not (self._set.loop and self._number):
                raise SourceEndError(f"the movie {self._address} is done")
            self._capture.release()
            self._capture = cv2.VideoCapture(self._address)
            done, pixels = self._capture.read()
        if not done:
            raise EdgeError(f"{self._address} gives no more frames: is the camera unplugged?")
        frame = frame_of(_grey(pixels), self._number, bit_depth=0, pixel_size_um=self._set.pixel_size_um)
        self._number += 1
        return frame

    def close(self) -> None:
        """Let the movie or the camera go."""
        if self._capture is not None:
            self._capture.release()
            self._capture = None

    def lost(self) -> int:
        """Give 0: a movie waits, and of a camera OpenCV does not say."""
        return 0


def _grey(pixels: npt.NDArray[np.generic]) -> Pixels:
    if pixels.dtype == np.uint8:
        eight = pixels.astype(np.uint8, copy=False)
        return eight if eight.ndim == 2 else np.asarray(cv2.cvtColor(eight[:, :, :3], cv2.COLOR_BGR2GRAY), np.uint8)
    if pixels.dtype == np.uint16:
        sixteen = pixels.astype(np.uint16, copy=False)
        return sixteen if sixteen.ndim == 2 else np.asarray(cv2.cvtColor(sixteen, cv2.COLOR_BGR2GRAY), np.uint16)
    raise CorruptFrameError(f"a frame holds {pixels.dtype} pixels; uint8 and uint16 are read")
