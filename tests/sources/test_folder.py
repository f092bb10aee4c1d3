"""The watched folder: each file once and whole, however the microscope's software writes it."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from vsf_edge.errors import CorruptFrameError, EdgeError, EdgeUsageError
from vsf_edge.sources.folder import Folder
from vsf_edge.testing.sources import SourceContract, taken

QUICK = {"poll": 0.01, "settle": 0.05, "give_up": 0.3}


class TestFolderContract(SourceContract):
    @pytest.fixture
    def source(self, tmp_path, write):
        for index in range(5):
            write(tmp_path / f"img{index}.png", index)
        return Folder(str(tmp_path), existing=True, **QUICK)


def _watching(folder: Path, **given: object) -> Folder:
    source = Folder(str(folder), **{**QUICK, **given})
    source.open()
    return source


def test_only_what_appears_is_taken_and_each_file_once(tmp_path, write) -> None:
    write(tmp_path / "before.png", 1)
    source = _watching(tmp_path)
    assert source.read(0.15) is None
    write(tmp_path / "after.png", 2)
    (frame,) = taken(source, 1)
    assert frame.pixels[0, 0] == 2
    assert source.read(0.2) is None
    source.close()
    source.open()  # as after a failure
    assert source.read(0.2) is None


def test_what_is_there_comes_oldest_first_where_asked(tmp_path, write) -> None:
    for index, name in enumerate(("z.png", "a.png")):
        write(tmp_path / name, index)
        time.sleep(0.02)
    frames = taken(_watching(tmp_path, existing=True), 2)
    assert [int(frame.pixels[0, 0]) for frame in frames] == [0, 1]
    assert [frame.number for frame in frames] == [0, 1]


def test_a_file_is_not_read_while_it_is_written(tmp_path, write, picture) -> None:
    whole = write(tmp_path / "whole.png", 5, shape=(300, 300)).read_bytes()
    source = _watching(tmp_path)
    pieces = np.array_split(np.frombuffer(whole, np.uint8), 12)

    def slowly() -> None:
        with (tmp_path / "slow.png").open("wb") as file:
            for piece in pieces:
                file.write(piece.tobytes())
                file.flush()
                time.sleep(0.03)

    writer = threading.Thread(target=slowly)
    start = time.monotonic()
    writer.start()
    (frame,) = taken(source, 1)
    assert time.monotonic() - start > 0.3
    writer.join()
    np.testing.assert_array_equal(frame.pixels, picture(5, shape=(300, 300)))


def test_a_file_that_rests_half_written_is_read_when_it_is_whole(tmp_path, write) -> None:
    whole = write(tmp_path / "whole.png", 6).read_bytes()
    source = _watching(tmp_path, give_up=5)
    half = tmp_path / "half.png"
    half.write_bytes(whole[: len(whole) // 2])
    write(tmp_path / "next.png", 7)
    assert [int(frame.pixels[0, 0]) for frame in taken(source, 1)] == [7]  # it holds up no other
    half.write_bytes(whole)
    assert [int(frame.pixels[0, 0]) for frame in taken(source, 1)] == [6]


def test_a_file_that_stays_damaged_is_reported_once(tmp_path, write) -> None:
    source = _watching(tmp_path)
    (tmp_path / "bad.png").write_bytes(b"no image at all")
    with pytest.raises(CorruptFrameError, match=r"bad\.png cannot be decoded"):
        taken(source, 1)
    assert source.read(0.2) is None
    write(tmp_path / "good.png", 3)
    assert taken(source, 1)[0].number == 0


def test_a_file_that_is_renamed_into_place_and_a_pattern(tmp_path, write) -> None:
    source = _watching(tmp_path, pattern="*_BF.png")
    write(tmp_path / "1.png.part.png", 1)
    write(tmp_path / "1_other.png", 2)
    (tmp_path / "1.png.part.png").rename(tmp_path / "1_BF.png")
    assert [int(frame.pixels[0, 0]) for frame in taken(source, 1)] == [1]
    assert source.read(0.2) is None


def test_another_size_is_given_as_it_is(tmp_path, write) -> None:
    source = _watching(tmp_path)
    write(tmp_path / "a.png", 0, shape=(40, 60))
    assert taken(source, 1)[0].pixels.shape == (40, 60)
    write(tmp_path / "b.tif", 0, shape=(20, 30), dtype=np.uint16)
    (frame,) = taken(source, 1)
    assert frame.pixels.shape == (20, 30)
    assert frame.bit_depth == 16


def test_a_folder_that_vanishes_is_an_error_until_it_is_back(tmp_path, write) -> None:
    watched = tmp_path / "watched"
    watched.mkdir()
    source = _watching(watched)
    write(watched / "1.png", 1)
    assert len(taken(source, 1)) == 1
    shutil.move(watched, tmp_path / "away")
    with pytest.raises(EdgeError, match="is gone"):
        taken(source, 1)
    source.close()
    with pytest.raises(EdgeError, match="is gone") as caught:
        source.open()
    assert not isinstance(caught.value, EdgeUsageError)
    shutil.move(tmp_path / "away", watched)
    source.open()
    write(watched / "2.png", 2)
    assert [int(frame.pixels[0, 0]) for frame in taken(source, 1)] == [2]  # and 1.png not again


def test_a_folder_that_never_was_is_an_error_of_the_user(tmp_path) -> None:
    with pytest.raises(EdgeUsageError, match="there is no folder"):
        Folder(str(tmp_path / "nowhere")).open()


def test_the_clock_of_a_frame_starts_when_its_file_came_to_rest(tmp_path, write) -> None:
    source = _watching(tmp_path, settle=0.2)
    write(tmp_path / "a.png", 0)
    (frame,) = taken(source, 1)
    assert time.monotonic() - frame.captured > 0.19
