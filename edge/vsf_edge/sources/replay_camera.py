"""A camera inside Micro-Manager's core that shows recorded images, so that all else is as with a real one.

It is a device written in Python, which pymmcore-plus calls experimental (``UniMMCore.loadPyDevice``). Needs the extra
``[micromanager]``, and no devices of Micro-Manager.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from vsf_edge.errors import EdgeError, EdgeUsageError
from vsf_edge.frames import Pixels
from vsf_edge.images import read_pages
from vsf_edge.sources.images import image_files

LABEL = "Replay"
_MOST_BYTES = 2 << 30
_EXPOSURE_MS = 40.0


def core_with_replay(address: str) -> Any:
    """Make a core whose camera shows the images of `address`, a file, a folder or a pattern, over and over.

    Raises
    ------
    EdgeUsageError
        When there are none, they differ in size or type, or are too many to be held in memory.
    """
    from pymmcore_plus.experimental.unicore import UniMMCore

    core = UniMMCore()
    core.loadPyDevice(LABEL, replay_camera(_images(address)))
    core.initializeDevice(LABEL)
    core.setCameraDevice(LABEL)
    return core


def replay_camera(images: Sequence[Pixels]) -> Any:
    """Make the device. `images` [H, W] are of one size and type; ``pull_out`` and ``plug_in`` do that to its cable.

    A frame is shown each exposure (40 ms at first); one of 0.01 ms shows them as fast as it goes. The tag
    ``ReplayIndex`` says which image a frame is.
    """
    from pymmcore_plus.experimental.unicore import CameraDevice

    class ReplayCamera(CameraDevice):
        def __init__(self) -> None:
            super().__init__()
            self._exposure = _EXPOSURE_MS
            self._roi = (0, 0, images[0].shape[1], images[0].shape[0])
            self._connected = True

        def pull_out(self) -> None:
            self._connected = False

        def plug_in(self) -> None:
            self._connected = True

        def get_exposure(self) -> float:
            return self._exposure

        def set_exposure(self, exposure: float) -> None:
            self._exposure = exposure

        def dtype(self) -> np.dtype[Any]:
            return images[0].dtype

        def shape(self) -> tuple[int, int]:
            return self._roi[3], self._roi[2]

        def get_roi(self) -> tuple[int, int, int, int]:
            return self._roi

        def set_roi(self, x: int, y: int, width: int, height: int) -> None:
            rows, columns = images[0].shape
            if min(x, y) < 0 or min(width, height) < 1 or x + width > columns or y + height > rows:
                raise ValueError(f"the part {x},{y},{width},{height} is not inside {columns} x {rows} px")
            self._roi = (x, y, width, height)

        def clear_roi(self) -> None:
            self._roi = (0, 0, images[0].shape[1], images[0].shape[0])

        def start_sequence(
            self, n: int | None, get_buffer: Callable[[Sequence[int], Any], np.ndarray[Any, Any]]
        ) -> Iterator[Mapping[str, Any]]:
            number, due = 0, time.perf_counter()
            while self._connected and (n is None or number < n):
                due = max(due + self._exposure / 1000, time.perf_counter())
                if (wait := due - time.perf_counter()) > 0:
                    time.sleep(wait)
                x, y, width, height = self._roi
                index = number % len(images)
                get_buffer((height, width), images[0].dtype)[:] = images[index][y : y + height, x : x + width]
                yield {"ReplayIndex": index}
                number += 1

    return ReplayCamera()


def _images(address: str) -> list[Pixels]:
    images: list[Pixels] = []
    for path in image_files(address):
        try:
            pages = read_pages(path)
        except EdgeError as error:
            raise EdgeUsageError(f"the replay camera cannot show {error}") from error
        for page in pages:
            if images and (page.shape != images[0].shape or page.dtype != images[0].dtype):
                raise EdgeUsageError(
                    f"the replay camera shows images of one size and type, and {path} differs from the first one"
                )
            images.append(page)
        if sum(image.nbytes for image in images) > _MOST_BYTES:
            raise EdgeUsageError(f"{address} holds more than {_MOST_BYTES >> 30} GiB: give fewer images to replay")
    return images
