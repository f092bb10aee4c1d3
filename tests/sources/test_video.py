"""Movies, bit by bit where the codec allows it. A USB camera was not there to be tried."""

from __future__ import annotations

import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from vsf_edge.errors import EdgeError, EdgeUsageError, SourceEndError
from vsf_edge.sources.video import Video
from vsf_edge.testing.sources import SourceContract, taken


def _movie(path: Path, pictures: list[np.ndarray]) -> Path:
    shape = pictures[0].shape[::-1]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"FFV1"), 25.0, shape, isColor=True)
    if not writer.isOpened():
        pytest.skip("this OpenCV cannot write FFV1, the codec without loss")
    for picture in pictures:
        writer.write(cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR))
    writer.release()
    return path


class TestVideoContract(SourceContract):
    @pytest.fixture
    def source(self, tmp_path, picture):
        return Video(str(_movie(tmp_path / "movie.avi", [picture(index, shape=(64, 96)) for index in range(5)])))


def test_a_grey_movie_without_loss_comes_back_as_it_was_and_ends(tmp_path, picture) -> None:
    pictures = [picture(index, shape=(64, 96)) for index in range(4)]
    source = Video(str(_movie(tmp_path / "movie.avi", pictures)))
    assert not source.live
    source.open()
    frames = taken(source, 9)
    assert len(frames) == 4
    for frame, picture_ in zip(frames, pictures, strict=True):
        # FFV1 keeps colours as they are, and three equal planes have that grey
        assert np.abs(frame.pixels.astype(int) - picture_).max() <= 1
        assert frame.bit_depth == 8
    with pytest.raises(SourceEndError, match="is done"):
        source.read(1)


def test_a_movie_loops_and_is_paced(tmp_path, picture) -> None:
    source = Video(str(_movie(tmp_path / "movie.avi", [picture(0, shape=(64, 96))] * 2)), loop=True, fps=50)
    source.open()
    start = time.monotonic()
    assert [frame.number for frame in taken(source, 5)] == [0, 1, 2, 3, 4]
    assert time.monotonic() - start > 0.07


def test_what_is_no_movie_is_an_error_of_the_user(tmp_path) -> None:
    (tmp_path / "text.avi").write_text("no movie")
    for address, words in (
        ("", "needs a movie"),
        (str(tmp_path / "nothing.avi"), "there is no movie"),
        (str(tmp_path / "text.avi"), "cannot be opened as a movie"),
    ):
        with pytest.raises(EdgeUsageError, match=words):
            Video(address).open()


def test_a_camera_that_is_not_there_may_come_later() -> None:
    source = Video("99")
    assert source.live
    with pytest.raises(EdgeError, match="is it plugged in") as caught:
        source.open()
    assert not isinstance(caught.value, EdgeUsageError)
