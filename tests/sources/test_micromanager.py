"""A real Micro-Manager core with its demo camera: frames, settings, losses, and a camera that goes away."""

from __future__ import annotations

import importlib.util
import time
from itertools import pairwise

import numpy as np
import pytest

from vsf_edge.errors import EdgeError, EdgeUsageError, SourceEndError
from vsf_edge.sources.core_images import CoreImage, frame_of_core
from vsf_edge.sources.micromanager import MicroManager
from vsf_edge.testing.sources import SourceContract, taken

ABSENT = [name for name in ("pymmcore_plus", "mm_test_adapters") if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.micromanager,
    pytest.mark.skipif(bool(ABSENT), reason=f"{', '.join(ABSENT)} not installed: make micromanager"),
]


@pytest.fixture
def opened():
    """Open sources, and close them whatever happens."""
    sources: list[MicroManager] = []

    def open_one(*address: str, **given: object) -> MicroManager:
        source = MicroManager(*address, **{"exposure_ms": 5, **given})
        sources.append(source)
        source.open()
        return source

    yield open_one
    for source in sources:
        source.close()


class TestMicroManagerContract(SourceContract):
    @pytest.fixture
    def source(self):
        source = MicroManager(exposure_ms=5)
        yield source
        source.close()


def test_frames_carry_number_times_pixel_size_and_exposure(opened) -> None:
    before = time.monotonic()
    frames = taken(opened(exposure_ms=20, pixel_size_um=0.05), 4)
    assert [frame.number for frame in frames] == [0, 1, 2, 3]
    for frame in frames:
        assert frame.pixels.shape == (512, 512)
        assert frame.bit_depth == 16
        assert frame.pixel_size_um == 0.05
        assert frame.metadata["ImageNumber"] == frame.number
        assert frame.metadata["Exposure-ms"] == 20
        assert before < frame.captured <= time.monotonic()
        assert float(frame.metadata["ElapsedTime-ms"]) >= 0
    arrivals = np.diff([frame.captured for frame in frames])
    assert np.all(arrivals >= 0)


def test_binning_and_part_of_the_sensor(opened) -> None:
    assert taken(opened(binning=2), 1)[0].pixels.shape == (256, 256)
    assert taken(opened(roi="10,20,100,50"), 1)[0].pixels.shape == (50, 100)


def test_a_slow_reader_loses_frames_and_is_told_how_many(opened) -> None:
    source = opened(exposure_ms=1)
    source._core.setCircularBufferMemoryFootprint(4)  # 8 frames of 512 x 512 and 16 bits
    source._core.stopSequenceAcquisition()
    source._core.startContinuousSequenceAcquisition(0)
    (first,) = taken(source, 1)
    time.sleep(0.5)
    later = taken(source, 20)
    gaps = sum(after.number - before.number - 1 for before, after in pairwise([first, *later]))
    assert source._core.isBufferOverflowed() is False  # the core says nothing
    assert source.lost() == gaps + first.number > 0


def test_the_newest_frame_wins_where_asked(opened) -> None:
    source = opened(exposure_ms=2, take="newest")
    (first,) = taken(source, 1)
    time.sleep(0.2)
    (later,) = taken(source, 1)
    assert later.number - first.number > 5
    assert source.lost() >= later.number - first.number - 1
    assert time.monotonic() - later.captured < 0.1


def test_a_camera_that_stops_is_an_error_and_comes_back(opened) -> None:
    source = opened()
    taken(source, 1)
    source._core.stopSequenceAcquisition()
    with pytest.raises(EdgeError, match="the camera has stopped: is it plugged in"):
        taken(source, 999)
    source.close()
    source.open()
    assert taken(source, 1)[0].number == 0
    assert source.lost() == 0


def test_a_camera_whose_device_is_gone_is_an_error(opened) -> None:
    source = opened()
    taken(source, 1)
    source._core.stopSequenceAcquisition()
    source._core.unloadAllDevices()
    with pytest.raises(EdgeError, match="the camera"):
        taken(source, 999)


def test_a_buffer_that_is_empty_for_a_moment_is_survived(opened, monkeypatch) -> None:
    source = opened()
    taken(source, 1)
    real, failures = source._core.popNextImageAndMD, iter([True, True])

    def sometimes():
        if next(failures, False):
            raise IndexError("Circular buffer is empty.")
        return real()

    monkeypatch.setattr(source._core, "popNextImageAndMD", sometimes)
    assert len(taken(source, 3)) == 3


@pytest.mark.parametrize(
    ("address", "given", "words"),
    [
        ("nothing.cfg", {}, "there is no configuration nothing.cfg"),
        ("", {"camera": "Nikon"}, "has no camera 'Nikon'"),
        ("", {"preset": "Channel=Purple"}, "has no preset 'Channel=Purple'"),
        ("", {"mda": "nothing.yaml"}, "there is no acquisition file"),
    ],
)
def test_what_a_user_gets_wrong_is_one_sentence(opened, address: str, given: dict[str, object], words: str) -> None:
    with pytest.raises(EdgeUsageError, match=words):
        opened(address, **given)


def test_a_configuration_that_cannot_be_loaded_may_work_later(tmp_path, opened) -> None:
    path = tmp_path / "broken.cfg"
    path.write_text("Device,Camera,NoSuchAdapter,NoSuchCamera\n")
    with pytest.raises(EdgeError, match="cannot be loaded") as caught:
        opened(str(path))
    assert not isinstance(caught.value, EdgeUsageError)


def test_a_configuration_file_and_a_preset(tmp_path, opened) -> None:
    path = tmp_path / "small.cfg"
    path.write_text(
        "Device,Cam,DemoCamera,DCam\nProperty,Core,Initialize,1\nProperty,Core,Camera,Cam\n"
        "ConfigGroup,Light,BF,Cam,PixelType,8bit\n"
    )
    (frame,) = taken(opened(str(path), preset="Light=BF"), 1)
    assert frame.pixels.dtype == np.uint8
    assert frame.bit_depth == 8


def test_frames_of_an_acquisition_come_in_order_and_end(tmp_path, opened) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text("time_plan:\n  interval: 0\n  loops: 5\n")
    source = opened(mda=str(plan))
    frames = taken(source, 99)
    assert [frame.number for frame in frames] == [0, 1, 2, 3, 4]
    assert [frame.metadata["index-t"] for frame in frames] == [0, 1, 2, 3, 4]
    with pytest.raises(SourceEndError, match="is done"):
        source.read(0.1)


def test_acquisitions_of_others_are_listened_to_and_a_full_queue_is_counted(opened) -> None:
    useq = pytest.importorskip("useq")
    pymmcore_plus = pytest.importorskip("pymmcore_plus")
    core = pymmcore_plus.CMMCorePlus()
    core.loadSystemConfiguration()
    core.setExposure(1)
    source = opened(core=core, mda="listen")
    assert source.read(0.05) is None
    core.run_mda(useq.MDASequence(time_plan={"interval": 0, "loops": 40})).join()
    frames = taken(source, 32)
    assert [frame.number for frame in frames] == list(range(8, 40))  # 32 may wait: the first 8 are lost
    assert source.lost() == 8
    source.close()
    assert core.getLoadedDevices()  # a core of somebody else stays as it is


def test_the_core_may_be_somebody_elses_and_nothing_is_configured_twice(opened) -> None:
    with pytest.raises(EdgeUsageError, match="give only one"):
        MicroManager("a.cfg", replay="b")
    with pytest.raises(EdgeUsageError, match="roi=1,2"):
        MicroManager(roi="1,2")


def test_tags_become_numbers_and_a_stamp_of_another_clock_is_not_believed() -> None:
    pixels = np.zeros((4, 5), np.uint8)
    tags = {"ImageNumber": "7", "ElapsedTime-ms": "12.5", "Binning": "1x1", "TimeReceivedByCore": "1999-01-01 00:00:00"}
    frame = frame_of_core(pixels, tags, CoreImage(bit_depth=8), fallback=0)
    assert frame.number == 7
    assert frame.metadata["ElapsedTime-ms"] == 12.5
    assert frame.metadata["Binning"] == "1x1"
    assert time.monotonic() - frame.captured < 1
