"""Movies: AVI and MP4, a frame per time point, by OpenCV."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from vsframework import Component, NoParams, VsfError
from vsframework.interfaces import StoredPlanes

BRANDS = (b"isom", b"iso2", b"iso4", b"iso5", b"iso6", b"mp41", b"mp42", b"avc1", b"M4V ", b"qt  ", b"dash")
"""What the first box of an MP4 or QuickTime movie may be; other brands are still pictures."""

WHOLE_FRAMES = ("MJPG", "FFV1", "HFYU", "FFVH", "RGBA", "Y800", "GREY", "DIB ", "\0\0\0\0")
"""Codecs whose frames stand by themselves, so that one can be looked up; of others, all before it are decoded."""

GREY_WITHIN = 4
"""Grey levels between the channels that a lossy codec makes of equal ones."""

# libav complains on the terminal about every damaged frame; ours is one sentence
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")


class Movie:
    """Opens movies; a grey one has one channel, one in colour R, G and B.

    Most movies are compressed with a loss: good enough to look at cells, not to measure a stain.
    """

    def __init__(self, params: NoParams) -> None:
        pass

    def accepts(self, path: Path, head: bytes) -> bool:
        """Tell an AVI or an MP4 by its first bytes."""
        return (head[:4] == b"RIFF" and head[8:12] == b"AVI ") or (head[4:8] == b"ftyp" and head[8:12] in BRANDS)

    def open(self, path: Path, scene: int | None = None) -> StoredPlanes:
        """Describe the movie in `path`; its first frame says whether it is in colour."""
        if scene not in (None, 0):
            raise VsfError(f"{path} is one movie, so there is no scene {scene}: leave it out")
        capture = cv2.VideoCapture(str(path))
        try:
            count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
            code = int(capture.get(cv2.CAP_PROP_FOURCC))
            there, first = capture.read()
        finally:
            capture.release()
        if not there or first is None or count < 1:
            raise VsfError(f"{path} is a truncated or damaged movie, or of a codec that OpenCV cannot decode")
        jumps = bytes((code >> shift) & 0xFF for shift in (0, 8, 16, 24)).decode("latin-1") in WHOLE_FRAMES
        colour = not _is_grey(first)
        height, width = first.shape[:2]
        last: list[tuple[int, npt.NDArray[np.uint8]]] = [(0, np.asarray(first, dtype=np.uint8))]

        def read(t: int, c: int, z: int, rows: slice, columns: slice) -> npt.NDArray[np.generic]:
            at, frame = last[0]
            if at != t:
                frame = _frame(path, t, jumps)
                last[0] = (t, frame)
            if frame.shape[:2] != (height, width):
                raise VsfError(f"{path}: frame {t} has another size than the first: it is damaged")
            if not colour and not _is_grey(frame):
                raise VsfError(f"{path} is grey in its first frame and in colour in frame {t}: save it in grey")
            return frame[rows, columns, 2 - c if colour else 1]  # OpenCV's order is blue, green, red

        return StoredPlanes(
            shape=(count, 3 if colour else 1, 1, height, width),
            dtype=np.dtype(np.uint8),
            read=read,
            channels=("R", "G", "B") if colour else (),
            chunk=(height, width),
        )


def _is_grey(frame: npt.NDArray[Any]) -> bool:
    low, high = frame.min(axis=-1), frame.max(axis=-1)
    return bool((high - low <= GREY_WITHIN).all())


def _frame(path: Path, number: int, jumps: bool) -> npt.NDArray[np.uint8]:
    capture = cv2.VideoCapture(str(path))
    try:
        if jumps:
            capture.set(cv2.CAP_PROP_POS_FRAMES, number)
        else:  # looking a frame up between key frames is not exact
            for _ in range(number):
                capture.grab()
        there, frame = capture.read()
    finally:
        capture.release()
    if not there or frame is None:
        raise VsfError(f"{path} lacks frame {number}, which it declares: it is truncated, copy it again")
    return np.asarray(frame, dtype=np.uint8)


COMPONENT = Component(
    name="movie",
    build=Movie,
    summary="Opens AVI and MP4 movies with OpenCV, a frame per time point.",
)
