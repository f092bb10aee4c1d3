"""A killed process, a full disk, a slow disk: what was recorded is readable, and what is missing is told."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import yaozarrs
import zarr

from tests.recording.made import make_result
from vsf_edge.errors import EdgeError
from vsf_edge.frames import LiveSession
from vsf_edge.recording.contents import Contents, look, recordings, rows
from vsf_edge.sinks.recording import Recording

ROOT = Path(__file__).resolve().parents[2]
Make = Callable[..., LiveSession]

# Records 50 frames a second for ever, and says when each was handed over;
# stalls after number `stall`.
RECORD = """
import sys, time
from pathlib import Path
from tests.recording.made import make_result, make_session
from vsf_edge.sinks.recording import Recording
folder, format, stall = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
sink = Recording(str(folder / "out"), format=format)
sink.start(make_session(folder / "model.vsf", mode="field"))
for number in range(100000):
    sink.take(make_result(number, field=True))
    print(number, time.monotonic(), flush=True)
    time.sleep(1000 if number == stall else 0.02)
"""


def killed(model: Path, kind: str, seconds: float, stall: int = -1) -> tuple[Contents, int]:
    """Kill a recording process; give what is there, and how many frames it had been given a second before."""
    folder = model.parent
    command = [sys.executable, "-c", RECORD, str(folder), kind, str(stall)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(seconds)
        end = time.monotonic()
        process.send_signal(signal.SIGKILL)
        lines = [line.split() for line in process.stdout if line.endswith("\n")]
    (recording,) = recordings(folder / "out")
    return look(recording), 1 + sum(float(taken) <= end - 1 for _, taken in lines)


def read_zarr(path: Path) -> Any:
    return zarr.open_group(path, mode="r")["0"][:]


def check_readable(contents: Contents, kind: str) -> None:
    """Compare every frame and cell that is said to be there with what was recorded."""
    frames = list(rows(contents.folder / "frames.csv"))[: contents.frames]
    if kind == "ome-zarr":
        for path in sorted(contents.folder.glob("*/*.ome.zarr")):
            yaozarrs.validate_zarr_store(str(path))
        brightfield = read_zarr(contents.folder / "fields/brightfield.ome.zarr")
        stains = read_zarr(contents.folder / "fields/stains.ome.zarr")
        patches = read_zarr(contents.folder / "cells/dsDNA.ome.zarr")
        assert patches.shape[0] >= contents.cells
    for index, row in enumerate(frames):
        result = make_result(int(row["sequence"]), field=True)
        if kind == "ome-zarr":
            field = np.concatenate([brightfield[index][np.newaxis], stains[index]])
        else:
            field = tifffile.imread(contents.folder / "fields" / f"{index:06}.ome.tif")
        np.testing.assert_array_equal(field[0], result.frame.pixels)
        assert result.stains is not None
        np.testing.assert_array_equal(field[1:], result.stains)
    if kind == "ome-zarr":
        for row in list(rows(contents.folder / "cells.csv"))[: contents.cells]:
            cell = make_result(int(row["sequence"])).cells[int(row["track"]) - 1]
            np.testing.assert_array_equal(patches[int(row["index"])], cell.stains[0])


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("kind", ["ome-zarr", "ome-tiff"])
def test_after_sigkill_everything_up_to_the_last_second_is_there(model: Path, kind: str) -> None:
    contents, expected = killed(model, kind, seconds=2.0)
    assert contents.state == "cut off"
    assert not contents.whole
    assert expected > 5
    assert contents.frames >= expected
    assert contents.cells >= 2 * expected
    assert contents.missing == 0
    check_readable(contents, kind)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_frames_before_a_stall_are_on_the_disk_too(model: Path) -> None:
    contents, _ = killed(model, "ome-zarr", seconds=1.5, stall=3)
    assert (contents.frames, contents.cells) == (4, 8)
    check_readable(contents, "ome-zarr")


def test_a_growing_recording_says_so(session: Make, tmp_path: Path) -> None:
    sink = Recording(str(tmp_path / "out"))
    sink.start(session())
    sink.take(make_result(0))
    assert sink.folder is not None
    deadline = time.monotonic() + 5
    while look(sink.folder).frames < 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    growing = look(sink.folder)
    sink.stop()
    assert (growing.state, growing.frames) == ("recording", 1)
    assert look(sink.folder).whole


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a small file system cannot be mounted here (root on Linux is needed)")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("kind", ["ome-zarr", "ome-tiff"])
def test_a_full_disk_keeps_what_fits_and_counts_the_rest(
    session: Make, tmp_path: Path, small_disk: Path, kind: str
) -> None:
    sink = Recording(str(small_disk), format=kind)
    sink.start(session(mode="field"))
    told = []
    for number in range(300):
        try:
            sink.take(make_result(number, field=True))
        except EdgeError as error:
            told.append(str(error))
    sink.stop()
    (recording,) = recordings(small_disk)
    contents = look(recording)
    assert contents.state == "complete"  # there was room for its last word
    assert contents.frames > 50
    assert contents.frames + contents.not_recorded["No space left on device"] == 300
    assert len(told) == 1  # not once per frame
    assert "1 frames could not be recorded so far (No space left on device)" in told[0]
    check_readable(contents, kind)


def refuse_writing(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Let every new image file fail; tables still fit."""

    def fail(path: Path, content: bytes) -> None:
        raise OSError(number, os.strerror(number))

    for module in ("zarr_images", "tiff_images"):
        monkeypatch.setattr(f"vsf_edge.recording.{module}.place", fail)


@pytest.mark.parametrize("kind", ["ome-zarr", "ome-tiff"])
def test_it_goes_on_when_the_disk_takes_frames_again(
    session: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr("vsf_edge.recording.growing.RESUMES_AT_BYTES", 0)
    sink = Recording(str(tmp_path / "out"), format=kind)
    sink.start(session(mode="field"))
    for number in range(9):
        with monkeypatch.context() as patch:
            if 3 <= number < 6:
                refuse_writing(patch, errno.ENOSPC if number < 5 else errno.EIO)
            try:
                sink.take(make_result(number, field=True))
            except EdgeError:
                assert number == 3  # told once
    sink.stop()
    assert sink.folder is not None
    contents = look(sink.folder)
    assert (contents.frames, contents.cells, contents.missing, contents.unreadable) == (6, 12, 3, 0)
    assert contents.not_recorded == {"No space left on device": 2, "Input/output error": 1}
    assert [row["sequence"] for row in rows(sink.folder / "frames.csv")] == ["0", "1", "2", "6", "7", "8"]
    check_readable(contents, kind)


def test_a_slow_disk_delays_and_loses_nothing(session: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vsf_edge.recording import placing

    def slow(path: Path, content: bytes) -> None:
        time.sleep(0.05)
        placing.place(path, content)

    monkeypatch.setattr("vsf_edge.recording.zarr_images.place", slow)
    sink = Recording(str(tmp_path / "out"))
    sink.start(session())
    for number in range(8):
        sink.take(make_result(number))
    started = time.monotonic()
    sink.stop()
    assert time.monotonic() - started < 1.0
    assert sink.folder is not None
    assert look(sink.folder).whole
    assert look(sink.folder).frames == 8


def test_a_torn_last_line_is_left_out(session: Make, tmp_path: Path) -> None:
    sink = Recording(str(tmp_path / "out"))
    sink.start(session())
    for number in range(3):
        sink.take(make_result(number))
    sink.stop()
    assert sink.folder is not None
    for name in ("frames.csv", "cells.csv"):
        table = sink.folder / name
        table.write_bytes(table.read_bytes()[:-9])
    contents = look(sink.folder)
    assert (contents.frames, contents.cells) == (2, 5)


def test_a_table_that_somebody_removed_is_told(session: Make, tmp_path: Path) -> None:
    sink = Recording(str(tmp_path / "out"))
    sink.start(session())
    for number in range(3):
        sink.take(make_result(number))
    assert sink.folder is not None
    (sink.folder / "frames.csv").unlink()
    sink.stop()
    contents = look(sink.folder)
    assert not contents.whole
    assert contents.unreadable >= 3


def test_a_stopped_recording_leaves_no_thread(session: Make, tmp_path: Path) -> None:
    sink = Recording(str(tmp_path / "out"))
    sink.start(session())
    sink.stop()
    sink.stop()
    deadline = time.monotonic() + 2
    while any(thread.name == "recording-flush" for thread in threading.enumerate()) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(thread.name == "recording-flush" for thread in threading.enumerate())


def test_a_damaged_session_is_one_sentence(session: Make, tmp_path: Path, vsf_edge: Callable[..., Any]) -> None:
    sink = Recording(str(tmp_path / "out"))
    sink.start(session())
    sink.stop()
    assert sink.folder is not None
    (sink.folder / "session.json").write_text("{")
    code, _, err = vsf_edge("recording", tmp_path / "out")
    assert code == 1
    assert err.count("\n") == 1
    assert "cannot be read as the session of a recording" in err
