"""What a user finds in a recording: valid images, tables that name them, and how it was made."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import yaozarrs
import zarr

from tests.recording.made import make_cell, make_frame, make_result
from vsf_edge.errors import EdgeError, EdgeUsageError, SourceEndError
from vsf_edge.frames import FrameResult, LiveSession, Notice
from vsf_edge.plugins import plugins
from vsf_edge.recording.contents import look, rows
from vsf_edge.sinks.recording import Recording

Make = Callable[..., LiveSession]


def record(folder: Path, session: LiveSession, results: list[FrameResult], **settings: Any) -> Path:
    sink = plugins().find("sink", "recording").create(str(folder), **settings)
    sink.start(session)
    for result in results:
        sink.take(result)
    sink.stop()
    assert isinstance(sink.folder, Path)
    return sink.folder


def array(path: Path) -> Any:
    return zarr.open_group(path, mode="r")["0"]


def test_fields_and_stains_are_valid_ome_zarr_with_every_count(session: Make, tmp_path: Path) -> None:
    results = [make_result(number, field=True) for number in range(5)]
    folder = record(tmp_path / "out", session(mode="field"), results)
    for name in ("brightfield", "stains"):
        yaozarrs.validate_zarr_store(str(folder / "fields" / f"{name}.ome.zarr"))
    brightfield, stains = (array(folder / "fields" / f"{name}.ome.zarr") for name in ("brightfield", "stains"))
    assert (brightfield.shape, brightfield.dtype) == ((5, 32, 40), np.uint16)
    assert brightfield.metadata.dimension_names == ("t", "y", "x")
    for index, result in enumerate(results):
        np.testing.assert_array_equal(brightfield[index], result.frame.pixels)
        np.testing.assert_array_equal(stains[index], result.stains)
    ome = yaozarrs.open_group(str(folder / "fields" / "stains.ome.zarr")).ome_metadata()
    assert [axis.name for axis in ome.multiscales[0].axes] == ["t", "c", "y", "x"]
    assert ome.multiscales[0].datasets[0].coordinateTransformations[0].scale == [1.0, 1.0, 0.13, 0.13]
    assert [channel.label for channel in ome.omero.channels] == ["dsDNA", "ssDNA"]


def test_every_cell_has_its_row_and_its_patches(session: Make, tmp_path: Path) -> None:
    results = [make_result(number, cells=number % 4) for number in range(9)]
    folder = record(tmp_path / "out", session(), results)
    cells = list(rows(folder / "cells.csv"))
    expected = [(result, cell) for result in results for cell in result.cells]
    assert len(cells) == len(expected) == 12
    patches = {name: array(folder / "cells" / f"{name}.ome.zarr") for name in ("brightfield", "dsDNA", "ssDNA")}
    for name in patches:
        yaozarrs.validate_zarr_store(str(folder / "cells" / f"{name}.ome.zarr"))
    assert not (folder / "fields" / "stains.ome.zarr").exists()
    for row, (result, cell) in zip(cells, expected, strict=True):
        index = int(row["index"])
        np.testing.assert_array_equal(patches["brightfield"][index], cell.brightfield)
        np.testing.assert_array_equal(patches["dsDNA"][index], cell.stains[0])
        np.testing.assert_array_equal(patches["ssDNA"][index], cell.stains[1])
        assert (int(row["sequence"]), int(row["track"])) == (result.sequence, cell.track)
        assert row["abstained"] == cell.abstained
        # a number that must not be used is not in the table; the steady one is of the good frames alone
        assert row["dfi"] == ("" if cell.abstained else repr(cell.quantities["dfi"].value))
        assert (row["dfi_steady"], int(row["dfi_steady_frames"])) == ("0.26", cell.steady["dfi"].frames)


def test_the_tables_and_the_session_tell_how_it_was_made(session: Make, tmp_path: Path) -> None:
    bad = make_result(1, cells=0, problem="the runtime failed")
    folder = record(tmp_path / "out", session(), [make_result(0), bad])
    frames = list(rows(folder / "frames.csv"))
    assert [(row["images"], row["index"], row["number"]) for row in frames] == [
        ("fields", "0", "0"),
        ("fields", "1", "1"),
    ]
    assert [row["problem"] for row in frames] == ["", "the runtime failed"]
    assert (frames[0]["time"], frames[0]["latency_ms"]) == ("1700000000.000000", "31.25")
    assert (frames[0]["dropped"], frames[0]["dropped_why"]) == ("3", "behind=1;camera=2")
    assert json.loads(frames[0]["metadata"]) == {"Exposure-ms": 10.0}
    document = json.loads((folder / "session.json").read_text(encoding="utf-8"))
    made = session()
    assert document["bundle"]["sha256"] == made.bundle_sha256
    assert document["bundle"]["simulated"] is True
    assert (document["state"], document["frames"], document["cells"]) == ("ended", 2, 2)
    assert document["settings"] == {"exposure": 10.0}
    assert document["versions"]["zarr"] == zarr.__version__
    assert look(folder).whole


def test_a_field_that_was_not_stained_keeps_its_place(session: Make, tmp_path: Path) -> None:
    results = [make_result(0, field=True), make_result(1, field=False, problem="failed"), make_result(2, field=True)]
    folder = record(tmp_path / "out", session(mode="field"), results)
    stains = array(folder / "fields" / "stains.ome.zarr")
    assert stains.shape[0] == 3
    assert np.isnan(stains[1]).all()
    np.testing.assert_array_equal(stains[2], results[2].stains)


def test_frames_of_another_size_start_a_set_of_their_own(session: Make, tmp_path: Path) -> None:
    results = [make_result(n, frame=make_frame(n, side=32 if n < 2 else 24)) for n in range(4)]
    folder = record(tmp_path / "out", session(), results)
    assert [(row["images"], row["index"]) for row in rows(folder / "frames.csv")] == [
        ("fields", "0"),
        ("fields", "1"),
        ("fields-2", "0"),
        ("fields-2", "1"),
    ]
    np.testing.assert_array_equal(array(folder / "fields-2" / "brightfield.ome.zarr")[1], results[3].frame.pixels)
    assert look(folder).whole


def test_many_cells_fill_several_chunks(session: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vsf_edge.recording.zarr_images.CHUNK_BYTES", 16 * 16 * 2 * 3)
    results = [make_result(number, cells=7) for number in range(3)]
    folder = record(tmp_path / "out", session(), results)
    patches = array(folder / "cells" / "brightfield.ome.zarr")
    assert (patches.shape[0], patches.chunks[0]) == (21, 3)
    cells = [cell for result in results for cell in result.cells]
    np.testing.assert_array_equal(patches[:], np.stack([cell.brightfield for cell in cells]))


@pytest.mark.parametrize("field", [False, True])
def test_ome_tiff_has_names_sizes_times_and_strips(session: Make, tmp_path: Path, field: bool) -> None:
    results = [make_result(number, field=field) for number in range(3)]
    folder = record(tmp_path / "out", session(), results, format="ome-tiff")
    with tifffile.TiffFile(folder / "fields" / "000002.ome.tif") as file:
        assert file.is_ome
        assert not any(page.is_tiled or page.compression != 1 for page in file.pages)
        pixels = file.series[0].asarray()
        image = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]
    planes = [results[2].frame.pixels, *(results[2].stains if field else [])]
    np.testing.assert_array_equal(pixels.reshape(len(planes), 32, 40), np.stack(planes))
    assert datetime.fromisoformat(image["AcquisitionDate"]).timestamp() == pytest.approx(results[2].frame.time)
    assert image["Pixels"]["PhysicalSizeX"] == 0.13
    planes_told = image["Pixels"]["Plane"] if field else [image["Pixels"]["Plane"]]
    assert [plane["DeltaT"] for plane in planes_told] == [pytest.approx(0.08)] * len(planes)
    with tifffile.TiffFile(folder / "cells" / "000002.ome.tif") as file:
        assert len(file.series) == 2
        np.testing.assert_array_equal(file.series[1].asarray()[1], results[2].cells[1].stains[0])
    assert look(folder).whole


def test_whole_counts_are_rounded_and_patches_can_be_left_out(session: Make, tmp_path: Path) -> None:
    results = [make_result(0, field=True)]
    folder = record(tmp_path / "out", session(mode="field"), results, dtype="uint16", patches="no")
    stains = array(folder / "fields" / "stains.ome.zarr")
    assert stains.dtype == np.uint16
    np.testing.assert_array_equal(stains[0], results[0].stains)
    assert not (folder / "cells").exists()
    assert [row["images"] for row in rows(folder / "cells.csv")] == ["", ""]
    assert look(folder).whole


def test_notices_are_kept(session: Make, tmp_path: Path) -> None:
    sink = Recording(str(tmp_path / "out"))
    sink.start(session())
    sink.notice(Notice(level="warning", kind="source-stalled", text="The camera is silent: look at it.", time=1.0))
    sink.stop()
    assert sink.folder is not None
    lines = (sink.folder / "notices.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["kind"] for line in lines] == ["source-stalled"]
    assert json.loads((sink.folder / "session.json").read_text())["notices"] == {"source-stalled": 1}


def test_a_second_session_into_the_same_folder_is_refused_and_a_later_one_is_not(session: Make, tmp_path: Path) -> None:
    first, second = Recording(str(tmp_path / "out")), Recording(str(tmp_path / "out"))
    first.start(session())
    with pytest.raises(EdgeError, match=r"another session is recording into .*out: choose another folder"):
        second.start(session())
    second.stop()
    first.stop()
    later = Recording(str(tmp_path / "out"))
    later.start(session())
    later.stop()
    assert later.folder != first.folder


def test_the_command_says_what_is_there(session: Make, tmp_path: Path, vsf_edge: Callable[..., Any]) -> None:
    record(tmp_path / "out", session(), [make_result(0), make_result(1)])
    code, out, _ = vsf_edge("recording", tmp_path / "out")
    assert code == 0
    assert "complete" in out
    assert "Frames      2" in out
    assert "Cells       4 in 2 tracks" in out
    assert "SIMULATED" in out
    record(tmp_path / "out", session(), [make_result(0), make_result(3)])
    code, out, _ = vsf_edge("recording", tmp_path / "out", "--json")
    assert code == 1
    assert [item["missing"] for item in json.loads(out)] == [0, 2]
    code, _, err = vsf_edge("recording", tmp_path)
    assert (code, "holds no recording" in err) == (1, True)


@pytest.mark.parametrize("settings", [{"format": "avi"}, {"dtype": "uint8"}, {"patches": "perhaps"}])
def test_a_wrong_setting_is_refused(tmp_path: Path, settings: dict[str, str]) -> None:
    with pytest.raises(EdgeUsageError):
        Recording(str(tmp_path), **settings)  # type: ignore[arg-type]


def test_an_unwritable_folder_is_one_sentence(session: Make, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    sink = Recording(str(tmp_path / "file"))
    with pytest.raises(EdgeError, match="cannot be written"):
        sink.start(session())


def test_commas_and_quotes_in_a_reason_stay_one_field(session: Make, tmp_path: Path) -> None:
    reason = 'focus, and "exposure"'
    folder = record(tmp_path / "out", session(), [make_result(0, cells=0), make_result(1)])
    result = make_result(0)
    folder = record(tmp_path / "out", session(), [FrameResult(**{**vars(result), "cells": (make_cell(0, 1, reason),)})])
    with (folder / "cells.csv").open(newline="", encoding="utf-8") as file:
        assert [row["abstained"] for row in csv.DictReader(file)] == [reason]


@pytest.mark.parametrize("inside", ["fields/brightfield.ome.zarr", ""])
def test_a_recording_is_replayed_as_it_was(session: Make, tmp_path: Path, inside: str) -> None:
    results = [make_result(number, field=True) for number in range(4)]
    folder = record(tmp_path / "out", session(mode="field"), results)
    source = plugins().find("source", "zarr").create(str(folder / inside))
    source.open()
    frames = [source.read(1.0) for _ in results]
    with pytest.raises(SourceEndError):
        source.read(1.0)
    source.close()
    for frame, result in zip(frames, results, strict=True):
        assert frame is not None
        np.testing.assert_array_equal(frame.pixels, result.frame.pixels)
        assert frame.pixel_size_um == 0.13
