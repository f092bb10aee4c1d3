"""Recorded images through the real core of Micro-Manager: bit-exact, in order, and pulled out in between."""

from __future__ import annotations

import importlib.util
import time

import numpy as np
import pytest

from vsf_edge.errors import EdgeError, EdgeUsageError
from vsf_edge.sources.micromanager import MicroManager
from vsf_edge.testing.sources import SourceContract, taken

pytestmark = [
    pytest.mark.micromanager,
    pytest.mark.skipif(
        importlib.util.find_spec("pymmcore_plus") is None, reason="pymmcore_plus not installed: make micromanager"
    ),
]


@pytest.fixture
def recorded(tmp_path, write):
    for index in range(5):
        write(tmp_path / f"field{index}.tif", index, dtype=np.uint16, shape=(48, 64))
    return tmp_path


@pytest.fixture
def replaying(recorded):
    source = MicroManager(replay=str(recorded), exposure_ms=2)
    yield source
    source.close()


class TestReplayContract(SourceContract):
    @pytest.fixture
    def source(self, replaying):
        return replaying


def test_images_come_bit_exact_in_order_and_over_again(replaying, picture) -> None:
    replaying.open()
    frames = taken(replaying, 12)
    assert replaying.lost() == 0
    for frame in frames:
        index = frame.metadata["ReplayIndex"]
        assert index == frame.number % 5
        np.testing.assert_array_equal(frame.pixels, picture(index, np.uint16, (48, 64)))


def test_it_is_paced_by_the_exposure_and_a_part_can_be_read(recorded, picture) -> None:
    source = MicroManager(replay=str(recorded), exposure_ms=30, roi="10,5,20,30")
    source.open()
    start = time.monotonic()
    frames = taken(source, 4)
    assert time.monotonic() - start > 0.1
    source.close()
    np.testing.assert_array_equal(frames[0].pixels, picture(0, np.uint16, (48, 64))[5:35, 10:30])


def test_a_camera_that_is_pulled_out_is_an_error_and_works_when_it_is_back() -> None:
    from pymmcore_plus.experimental.unicore import UniMMCore

    from vsf_edge.sources.replay_camera import replay_camera

    device = replay_camera([np.full((20, 30), 9, np.uint8)])
    core = UniMMCore()
    core.loadPyDevice("Camera", device)
    core.initializeDevice("Camera")
    core.setCameraDevice("Camera")
    source = MicroManager(core=core, exposure_ms=2)
    source.open()
    taken(source, 3)
    device.pull_out()
    with pytest.raises(EdgeError, match="has stopped"):
        taken(source, 9999)
    source.close()
    source.open()
    with pytest.raises(EdgeError, match="has stopped"):
        taken(source, 1)
    device.plug_in()
    source.close()
    source.open()
    assert taken(source, 2)[0].number == 0
    source.close()


def test_images_that_differ_or_are_not_there_are_refused(tmp_path, write) -> None:
    with pytest.raises(EdgeUsageError, match="there is no image"):
        MicroManager(replay=str(tmp_path)).open()
    write(tmp_path / "a.png", 0, shape=(20, 30))
    write(tmp_path / "b.png", 0, shape=(30, 20))
    with pytest.raises(EdgeUsageError, match=r"b\.png differs"):
        MicroManager(replay=str(tmp_path)).open()
    (tmp_path / "b.png").write_bytes(b"damaged")
    with pytest.raises(EdgeUsageError, match="cannot show"):
        MicroManager(replay=str(tmp_path)).open()
