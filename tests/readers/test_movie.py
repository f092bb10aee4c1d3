"""The reader of movies: AVI frame by frame without loss, MP4 within its loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from vsframework.errors import VsfError
from vsframework.images import FieldChoice, open_field, read_image
from vsframework.testing import ReaderContract

FRAMES = np.random.default_rng(1).integers(0, 256, (6, 48, 64), dtype=np.uint8)


def write(path: Path, code: str, frames: Any) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), 10.0, (64, 48))
    if not writer.isOpened():
        pytest.skip(f"this build of OpenCV cannot write {code} movies")
    for frame in frames:
        writer.write(frame if frame.ndim == 3 else np.repeat(frame[..., None], 3, axis=-1))
    writer.release()
    return path


class TestMovie(ReaderContract):
    name = "movie"

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Any:
        return write(tmp_path / "movie.avi", "FFV1", FRAMES), FRAMES[:, None, None]


def test_a_frame_is_chosen_by_its_number(tmp_path: Path) -> None:
    path = write(tmp_path / "movie.avi", "FFV1", FRAMES)
    with pytest.raises(VsfError, match="6 time points"):
        read_image(path)
    for number in (5, 0, 3):
        np.testing.assert_array_equal(read_image(path, FieldChoice(time=number)).plane(), FRAMES[number])
    field = open_field(path, FieldChoice(time=4))
    np.testing.assert_array_equal(field.read(3, 10, 7, 20)[0], FRAMES[4, 3:10, 7:20])


def test_frames_between_key_frames_are_found(tmp_path: Path) -> None:
    """Each frame has its own grey, farther apart than what the compression loses."""
    flat = [np.full((48, 64), 20 * number, np.uint8) for number in range(12)]
    path = write(tmp_path / "movie.mp4", "mp4v", flat)
    for number in (11, 4, 7):
        frame = read_image(path, FieldChoice(time=number)).plane()
        assert abs(float(frame.mean()) - 20 * number) < 6


def test_a_movie_in_colour_has_three_channels(tmp_path: Path) -> None:
    frames = np.zeros((2, 48, 64, 3), np.uint8)
    frames[..., 2] = 200  # OpenCV's order: blue, green, red
    image = read_image(write(tmp_path / "movie.avi", "HFYU", frames), FieldChoice(time=1))
    assert image.channels == ("R", "G", "B")
    assert [float(image.plane(name).mean()) for name in "RGB"] == [200, 0, 0]


def test_a_still_picture_in_the_same_box_is_no_movie(tmp_path: Path) -> None:
    (tmp_path / "still.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    with pytest.raises(VsfError, match="nor of a kind that an installed reader opens"):
        read_image(tmp_path / "still.heic")
