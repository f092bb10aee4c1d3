"""`vsf-edge serve`: what a program on this computer gets, and what nobody gets."""

from __future__ import annotations

import io
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from starlette.testclient import TestClient

from tests.edge.conftest import known_manifest
from vsf_edge.bundle import Bundle, open_bundle
from vsf_edge.errors import EdgeUsageError
from vsf_edge.interfaces import Plan
from vsf_edge.runtimes.onnxruntime import OnnxRuntime
from vsf_edge.service.app import Service, make_service
from vsf_edge.service.folders import Folders
from vsf_edge.service.staining import ImageStaining

# of any size that is no multiple of the model's 16 px
FIELD = np.random.default_rng(5).integers(1, 256, (41, 57)).astype(np.uint8)
CELL = np.random.default_rng(6).integers(1, 256, (16, 16)).astype(np.uint8)
LOCAL = "http://127.0.0.1:8765"


def png(image: Any) -> bytes:
    return bytes(cv2.imencode(".png", image)[1])


def tiff(image: Any) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, image, compression="zlib")
    return stream.getvalue()


@pytest.fixture
def bundle(model: Path) -> Iterator[Bundle]:
    with open_bundle(model) as opened:
        yield opened


@pytest.fixture
def serve(bundle: Bundle, tmp_path: Path) -> Callable[..., TestClient]:
    """Serve the known model (dsDNA twice the brightfield, ssDNA the brightfield); gives a client."""
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    (allowed / "field.png").write_bytes(png(FIELD))
    (allowed / "deep").mkdir()
    (allowed / "deep" / "cell.png").write_bytes(png(CELL))
    (allowed / "notes.txt").write_text("secret")
    (tmp_path / "secret.png").write_bytes(png(CELL))
    (tmp_path / "allowed-too").mkdir()
    (tmp_path / "allowed-too" / "near.png").write_bytes(png(CELL))
    (allowed / "link.png").symlink_to(tmp_path / "secret.png")
    (allowed / "out").symlink_to(tmp_path)

    def make(session: Any = None, base: str = LOCAL, **changes: Any) -> TestClient:
        given: dict[str, Any] = {
            "staining": ImageStaining(bundle, session or OnnxRuntime().open(bundle, Plan())),
            "folders": Folders([allowed]),
            "bundle_sha256": bundle.sha256,
            "simulated": True,
            "most_bytes": 1 << 20,
            "host": "127.0.0.1",
        }
        return TestClient(make_service(Service(**{**given, **changes})), base_url=base, raise_server_exceptions=False)

    return make


def test_a_field_comes_back_as_a_composite_of_imagej(serve: Callable[..., TestClient]) -> None:
    answer = serve().post("/stain", content=png(FIELD))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/tiff")
    with tifffile.TiffFile(io.BytesIO(answer.content)) as file:
        metadata = file.imagej_metadata
        planes = file.asarray()
    assert metadata is not None
    np.testing.assert_allclose(planes, [FIELD, 2.0 * FIELD, 1.0 * FIELD], rtol=1e-5)
    assert metadata["Labels"] == ["brightfield", "dsDNA", "ssDNA"]
    assert metadata["mode"] == "composite"
    assert [tuple(lut[:, 255]) for lut in metadata["LUTs"]] == [(255, 255, 255), (0, 255, 0), (255, 0, 0)]
    assert '"simulated": true' in metadata["Info"]


def test_an_ome_tiff_and_whole_counts_can_be_asked_for(serve: Callable[..., TestClient]) -> None:
    answer = serve().post("/stain?format=ome&dtype=uint16", content=png(FIELD))
    with tifffile.TiffFile(io.BytesIO(answer.content)) as file:
        assert file.is_ome
        channels = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]["Pixels"]["Channel"]
        planes = file.asarray()
    assert [channel["Name"] for channel in channels] == ["brightfield", "dsDNA", "ssDNA"]
    assert planes.dtype == np.uint16
    np.testing.assert_array_equal(planes[1], 2 * FIELD.astype(np.uint16))


def test_the_quantities_of_a_cell_come_as_json(serve: Callable[..., TestClient]) -> None:
    for answer in (
        serve().post("/stain?kind=cell", content=png(CELL), headers={"Accept": "application/json"}),
        serve().get("/stain.json", params={"path": "deep/cell.png", "kind": "cell"}),
    ):
        document = answer.json()
        assert answer.status_code == 200
        assert document["quantities"]["dfi"]["value"] == pytest.approx(1 / 3)
        assert document["quantities"]["dfi"]["low"] is None  # the model carries no table of intervals
        assert document["abstained"] is None


def test_a_field_has_no_quantities_and_says_why(serve: Callable[..., TestClient]) -> None:
    document = serve().get("/stain.json", params={"path": "field.png"}).json()
    assert document["quantities"] is None
    assert "many cells" in document["why"]
    assert "draws what is not there" in document["caution"]


def test_a_form_of_a_browser_or_of_curl_is_taken(serve: Callable[..., TestClient]) -> None:
    answer = serve().post("/stain?format=ome", files={"image": ("field.png", png(FIELD))})
    np.testing.assert_allclose(tifffile.imread(io.BytesIO(answer.content))[0], FIELD)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"imagej": True, "resolution": (1 / 0.13, 1 / 0.13), "metadata": {"unit": "um"}}, 0.13),
        ({"imagej": True, "resolution": (1 / 0.13, 1 / 0.13), "metadata": {"unit": "inch"}}, None),
        ({"ome": True, "metadata": {"PhysicalSizeX": 250.0, "PhysicalSizeXUnit": "nm"}}, 0.25),
        ({"resolution": (40000.0, 40000.0), "resolutionunit": "CENTIMETER"}, 0.25),
        ({"resolution": (72.0, 72.0), "resolutionunit": "INCH"}, None),
    ],
)
def test_the_calibration_of_the_image_is_that_of_the_answer(
    serve: Callable[..., TestClient], options: dict[str, Any], expected: float | None
) -> None:
    stream = io.BytesIO()
    tifffile.imwrite(stream, FIELD, **options)
    answer = serve().post("/stain", content=stream.getvalue())
    with tifffile.TiffFile(io.BytesIO(answer.content)) as file:
        assert file.imagej_metadata is not None
        if expected is None:
            assert "unit" not in file.imagej_metadata
            return
        assert file.imagej_metadata["unit"] == "um"
        pixels, units = file.pages.first.tags["XResolution"].value
    assert units / pixels == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("size", "query", "tiles"), [(0.1, "", 4), (0.05, "", 1), (0.05, "&field_px=16", 4)])
def test_a_field_of_smaller_pixels_is_cut_into_larger_tiles(
    make_model: Callable[..., Path], size: float, query: str, tiles: int
) -> None:
    manifest = known_manifest()
    manifest["input"] |= {"pixel_size_um": 0.1, "field_px": 16}
    seen: list[int] = []

    class Counting:
        def run(self, brightfield: Any) -> Mapping[str, Any]:
            seen.append(len(brightfield))
            return {"stains": np.concatenate([brightfield, brightfield], axis=1)}

    stream = io.BytesIO()
    tifffile.imwrite(stream, FIELD[:24, :24], ome=True, metadata={"PhysicalSizeX": size, "PhysicalSizeXUnit": "µm"})
    with open_bundle(make_model(manifest)) as bundle:
        service = Service(
            staining=ImageStaining(bundle, Counting()),
            folders=Folders([]),
            bundle_sha256="",
            simulated=None,
            most_bytes=1 << 20,
            host="127.0.0.1",
        )
        answer = TestClient(make_service(service), base_url=LOCAL).post(f"/stain?{query}", content=stream.getvalue())
    assert answer.status_code == 200
    assert sum(seen) == tiles


def test_a_resized_cell_keeps_its_size_in_micrometres(serve: Callable[..., TestClient]) -> None:
    stream = io.BytesIO()
    crop = cv2.resize(CELL, (32, 32), interpolation=cv2.INTER_NEAREST)
    tifffile.imwrite(stream, crop, ome=True, metadata={"PhysicalSizeX": 0.1, "PhysicalSizeXUnit": "µm"})
    answer = serve().post("/stain?kind=cell", content=stream.getvalue(), headers={"Accept": "application/json"})
    assert answer.json()["pixel_size_um"] == pytest.approx(0.2)


@pytest.mark.parametrize(
    "path",
    ["../secret.png", "link.png", "out/secret.png", "{root}/secret.png", "../allowed-too/near.png", "notes.txt",
     "absent.png", "", "deep", "field.png\0", "~/x.png", "a" * 5000 + ".png"],
)  # fmt: skip
def test_nothing_outside_the_folders_is_read(serve: Callable[..., TestClient], tmp_path: Path, path: str) -> None:
    client = serve()
    for where in ("/stain.tif", "/stain.json"):
        answer = client.get(where, params={"path": path.replace("{root}", str(tmp_path))})
        assert answer.status_code == 403
        # the same words, whether it is there or not
        assert answer.json()["error"].startswith("there is no such image in the folders")


def test_a_file_may_be_named_in_full_and_through_an_inner_path(
    serve: Callable[..., TestClient], tmp_path: Path
) -> None:
    client = serve()
    for path in (str(tmp_path / "allowed" / "field.png"), "deep/../field.png", "./field.png"):
        assert client.get("/stain.tif", params={"path": path}).status_code == 200


def test_a_folder_that_is_not_there_is_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(EdgeUsageError, match="there is no folder"):
        Folders([tmp_path / "absent"])


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Host": "evil.example"}, 421),  # a name that was made to point here
        ({"Host": "evil.example", "Origin": "http://evil.example"}, 421),
        ({"Origin": LOCAL}, 200),
        ({}, 200),
    ],
)
def test_a_page_of_somebody_else_gets_nothing(
    serve: Callable[..., TestClient], headers: dict[str, str], status: int
) -> None:
    client = serve()
    assert client.post("/stain", content=png(CELL), headers=headers).status_code == status
    if "Sec-Fetch-Site" in headers or "Host" in headers:
        assert client.get("/stain.tif", params={"path": "field.png"}, headers=headers).status_code == status
    assert "access-control-allow-origin" not in client.get("/", headers=headers).headers


def test_where_a_token_is_set_nobody_gets_in_without_it(serve: Callable[..., TestClient]) -> None:
    client = serve(host="0.0.0.0", token="a-token-of-24-characters", base="http://192.168.1.5:8765")
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "a-token-of-24-characters"}):
        assert client.post("/stain", content=png(CELL), headers=headers).status_code == 401
        assert client.get("/stain.tif", params={"path": "field.png"}, headers=headers).status_code == 401
    right = {"Authorization": "Bearer a-token-of-24-characters"}
    assert client.post("/stain", content=png(CELL), headers=right).status_code == 200


def test_too_much_is_refused(serve: Callable[..., TestClient], tmp_path: Path) -> None:
    client = serve(most_bytes=2000)
    noise = np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8)
    assert client.post("/stain", content=png(noise)).status_code == 413
    assert client.post("/stain", files={"image": ("x.png", png(noise))}).status_code == 413

    def chunks() -> Iterator[bytes]:  # says no length
        for _ in range(3):
            yield b"x" * 1000

    assert client.post("/stain", content=chunks()).status_code == 413
    (tmp_path / "allowed" / "large.png").write_bytes(png(noise))
    assert client.get("/stain.tif", params={"path": "large.png"}).status_code == 422


def test_a_small_file_of_a_huge_image_is_refused(serve: Callable[..., TestClient]) -> None:
    client = serve()
    for huge in (png(np.zeros((9000, 9000), np.uint8)), tiff(np.zeros((9000, 9000), np.uint8))):
        assert len(huge) < 1 << 20
        answer = client.post("/stain", content=huge)
        assert answer.status_code == 422
        assert "77 megapixels" in answer.json()["error"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "cannot be decoded"),
        (b"GIF89a", "cannot be decoded"),
        (b"II*\0\x08\0\0\0\xff\xff", "cannot be decoded"),
        (png(np.dstack([FIELD, FIELD // 2, FIELD])), "is a colour image"),
        (png(FIELD.astype(np.uint16) * 200), "is it from the same kind of camera"),
    ],
)
def test_an_image_that_cannot_be_stained_is_one_sentence(
    serve: Callable[..., TestClient], content: bytes, says: str
) -> None:
    answer = serve().post("/stain", content=content)
    assert answer.status_code == 422
    assert says in answer.json()["error"]


@pytest.mark.parametrize("query", ["kind=video", "format=jpg", "dtype=float64", "field_px=1", "field_px=-8"])
def test_a_wrong_question_is_refused(serve: Callable[..., TestClient], query: str) -> None:
    assert serve().post(f"/stain?{query}", content=png(FIELD)).status_code == 400


def test_images_that_wait_are_limited(serve: Callable[..., TestClient]) -> None:
    go = threading.Event()

    class Slow:
        def run(self, brightfield: Any) -> Mapping[str, Any]:
            go.wait(20)
            return {"stains": np.concatenate([brightfield, brightfield], axis=1), "dfi": np.zeros(len(brightfield))}

    statuses: list[int] = []
    with serve(session=Slow()) as client:

        def ask() -> None:
            statuses.append(client.post("/stain?kind=cell", content=png(CELL)).status_code)

        threads = [threading.Thread(target=ask) for _ in range(10)]
        for thread in threads:
            thread.start()
        while len(statuses) < 2:  # the two that were too many
            threads[0].join(0.05)
        go.set()
        for thread in threads:
            thread.join()
    assert sorted(statuses) == [200] * 8 + [503] * 2


def test_the_command_serves_until_it_is_stopped(model: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "field.png").write_bytes(png(FIELD))
    command = [sys.executable, "-m", "vsf_edge", "serve", str(model), "--folder", str(tmp_path / "images")]
    command += ["--port", "0", "--runtime", "onnxruntime:cpu"]
    environment = {**os.environ, "VSF_EDGE_CACHE": str(tmp_path / "cache"), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        found = re.search(r"at (http://127\.0\.0\.1:\d+)", process.stdout.readline())
        assert found
        with urllib.request.urlopen(f"{found[1]}/stain.tif?path=field.png", timeout=30) as answer:
            planes = tifffile.imread(io.BytesIO(answer.read()))
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    np.testing.assert_allclose(planes[1], 2.0 * FIELD, rtol=1e-5)


def test_without_a_model_the_demo_is_served_and_called_simulated(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "vsf_edge", "serve", "--port", "0", "--runtime", "onnxruntime:cpu"]
    environment = {**os.environ, "VSF_EDGE_CACHE": str(tmp_path / "cache"), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        found = re.search(r"at (http://127\.0\.0\.1:\d+)", process.stdout.readline())
        assert found
        with urllib.request.urlopen(f"{found[1]}/healthz", timeout=30) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=10)
    assert process.returncode == 0
    assert "trained on SIMULATED images" in said
    assert "research use only" in said
    assert "Stopped" not in said


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (("--host", "192.0.2.1"), 2, "192.0.2.1 is no address of this computer"),
        (("--host", "no-such-host.invalid"), 2, "is no address to listen on"),
        (("--port", "TAKEN"), 1, "another vsf-edge live or serve"),
    ],
)
def test_an_address_that_cannot_be_served_is_said(
    model: Path, vsf_edge: Callable[..., Any], options: tuple[str, str], code: int, says: str
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        given = [word.replace("TAKEN", str(taken.getsockname()[1])) for word in options]
        found, _, err = vsf_edge("serve", model, "--runtime", "onnxruntime:cpu", "--port", "0", *given)
    assert (found, says in err) == (code, True), err
    assert "Traceback" not in err


def test_another_address_gets_a_token(model: Path, vsf_edge: Callable[..., Any]) -> None:
    code, _, err = vsf_edge("serve", model, "--host", "0.0.0.0", "--token", "short", "--port", "0")
    assert (code, "give at least 16" in err) == (2, True)
