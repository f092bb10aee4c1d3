"""A bundle that is damaged, unsafe or too new is refused in one sentence; a whole one is read."""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vsf_edge.bundle import open_bundle, read_npy
from vsf_edge.errors import BundleError, EdgeError
from vsf_edge.manifest import parse_manifest


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewrite(path: Path, content: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in content.items():
            archive.writestr(zipfile.ZipInfo(name), data, compression)


def refusal(path: Path) -> str:
    with pytest.raises(BundleError) as caught:
        open_bundle(path)
    text = str(caught.value)
    assert "\n" not in text
    assert str(path) in text
    return text


def test_a_whole_bundle_gives_its_files_and_its_reference(model: Path) -> None:
    with open_bundle(model) as bundle:
        assert [stain.name for stain in bundle.stains] == ["dsDNA", "ssDNA"]
        assert bundle.model() == members(model)["model.fp32.onnx"]
        brightfield, expected = bundle.reference()
        assert brightfield.shape == (2, 1, 16, 16)
        np.testing.assert_array_equal(expected["stains"][:, 1:], brightfield)


def test_the_identity_changes_with_any_file(make_model: Callable[..., Path]) -> None:
    with open_bundle(make_model()) as first:
        before = first.sha256
    with open_bundle(make_model(files={"LICENSE": b"other terms"})) as second:
        assert second.sha256 != before


def test_an_unknown_precision_names_the_known_ones(model: Path) -> None:
    with open_bundle(model) as bundle, pytest.raises(BundleError, match=r"int4.*it has fp32"):
        bundle.model("int4")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_no_flipped_bit_reaches_a_reader(model: Path, place: float, bit: int) -> None:
    """Every bit: either the bundle is refused, or what is read from it is unchanged (bits outside the content)."""
    whole = members(model)
    data = bytearray(model.read_bytes())
    data[int(place * len(data))] ^= 1 << bit
    changed = model.with_name("changed.vsf")
    changed.write_bytes(data)
    try:
        with open_bundle(changed) as bundle:
            read = {name: bundle.read(name) for name in bundle.manifest.files}
            listed = dict(bundle.manifest.document)
    except BundleError:
        return
    assert listed == json.loads(whole.pop("manifest.json"))
    assert read == whole


@pytest.mark.parametrize("part", [0.0, 0.2, 0.7, 0.999])
def test_a_truncated_bundle_is_refused(model: Path, part: float) -> None:
    data = model.read_bytes()
    model.write_bytes(data[: int(len(data) * part)])
    assert "not a whole zip" in refusal(model)


def test_a_flipped_byte_in_the_weights_is_found(model: Path) -> None:
    data = bytearray(model.read_bytes())
    data[data.index(b"gains")] ^= 1
    model.write_bytes(data)
    assert "model.fp32.onnx" in refusal(model)


def test_a_file_exchanged_with_a_good_checksum_is_found_by_its_hash(model: Path) -> None:
    content = members(model)
    content["LICENSE"] = content["LICENSE"].replace(b"Research", b"Clinical")
    rewrite(model, content)
    assert "SHA-256" in refusal(model)


def test_a_missing_file_is_named(model: Path) -> None:
    content = members(model)
    del content["reference/brightfield.npy"]
    rewrite(model, content)
    assert "reference/brightfield.npy" in refusal(model)


def test_an_unlisted_file_is_refused(model: Path) -> None:
    rewrite(model, {**members(model), "extra.py": b"print()"})
    assert "extra.py" in refusal(model)


@pytest.mark.parametrize(
    "name",
    ["../outside", "/etc/passwd", "reference/../../outside", "C:\\outside", "..\\outside", "folder/", "a\0b", "./x"],
)
def test_a_name_that_leaves_its_folder_is_refused(model: Path, name: str) -> None:
    content = members(model)
    with zipfile.ZipFile(model, "w") as archive:
        for known, data in content.items():
            archive.writestr(known, data)
        info = zipfile.ZipInfo("placeholder" if "\0" in name else name)
        archive.writestr(info, b"x")
    if "\0" in name:
        model.write_bytes(model.read_bytes().replace(b"placeholder", b"a\0bcdefghij"))
    assert "leaves its folder" in refusal(model)


def test_a_link_is_refused(model: Path) -> None:
    content = members(model)
    with zipfile.ZipFile(model, "w") as archive:
        for name, data in content.items():
            info = zipfile.ZipInfo(name)
            if name == "LICENSE":
                info.external_attr = 0o120777 << 16
            archive.writestr(info, data)
    assert "link" in refusal(model)


def test_a_zip_bomb_is_not_inflated(model: Path) -> None:
    content = members(model)
    content["reference/brightfield.npy"] = bytes(50_000_000)
    rewrite(model, content, zipfile.ZIP_DEFLATED)
    assert model.stat().st_size < 1_000_000
    assert "compressed" in refusal(model)


def test_sizes_that_exceed_the_file_are_refused(model: Path) -> None:
    """Two entries of the directory that point at the same bytes, as an overlapping zip bomb has."""
    rewrite(model, {**members(model), "big": bytes(1_000_000)})
    data = bytearray(model.read_bytes())
    directory = data.rindex(b"PK\x01\x02", 0, data.rindex(b"PK\x05\x06"))
    struct.pack_into("<II", data, directory + 20, 2_000_000, 2_000_000)
    model.write_bytes(data)
    assert "larger than itself" in refusal(model)


def test_a_duplicate_name_is_refused(model: Path) -> None:
    content = members(model)
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(model, "a") as archive:
        archive.writestr("LICENSE", content["LICENSE"])
    assert "twice" in refusal(model)


def test_a_directory_too_large_for_memory_is_refused_before_it_is_read(model: Path) -> None:
    data = bytearray(model.read_bytes())
    struct.pack_into("<I", data, len(data) - 10, 1 << 30)
    model.write_bytes(data)
    assert "directory of 1073741824 bytes" in refusal(model)


def test_a_model_without_its_reference_is_refused_when_it_is_opened(make_model: Callable[..., Path]) -> None:
    area = {"name": "area", "unit": "px", "description": "Area.", "output": "area"}
    assert "reference/expected_area.npy" in refusal(make_model({"quantities": [area]}))


def test_a_newer_minor_version_is_read(make_model: Callable[..., Path]) -> None:
    with open_bundle(make_model({"schema_version": "1.99", "new": {"key": 1}})) as bundle:
        assert bundle.manifest.document["new"] == {"key": 1}


def test_documents_are_read_by_their_role(make_model: Callable[..., Path]) -> None:
    with open_bundle(make_model(files={"trust.json": b"{}"})) as bundle:
        assert bundle.document("trust") == b"{}"
        assert b"Research use only" in (bundle.document("licence") or b"")
        assert (bundle.document("card") or b"").startswith(b"# Model card")
        assert bundle.document("poem") is None


def test_text_that_would_steer_a_terminal_is_refused(make_model: Callable[..., Path]) -> None:
    assert "intended_use" in refusal(make_model({"intended_use": "\x1b[2J"}))


def test_a_key_that_stands_twice_is_refused() -> None:
    with pytest.raises(BundleError, match="not JSON"):
        parse_manifest(b'{"format": "vsframework-bundle", "format": "other"}', "here")


def test_a_newer_schema_says_what_to_do(make_model: Callable[..., Path]) -> None:
    text = refusal(make_model({"schema_version": "2.0"}))
    assert "schema 2.0" in text
    assert "upgrade" in text


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"format": "zip"}, "another format"),
        ({"schema_version": 1}, "schema_version"),
        ({"schema_version": True}, "schema_version"),
        ({"schema_version": "0.9"}, "schema_version"),
        ({"stains": []}, "stains"),
        ({"stains": [{"name": "../dsDNA", "full_scale": 1}]}, r"stains\.0\.name"),
        ({"stains": [{"name": "dsDNA", "full_scale": 0}]}, r"stains\.0\.full_scale"),
        ({"stains": [{"name": "a", "full_scale": 1}, {"name": "A", "full_scale": 1}]}, "stains"),
        ({"quantities": {}}, "quantities"),
        ({"quantities": [{"name": "dfi"}]}, r"quantities\.0\.unit"),
        ({"model": {"files": {"fp32": "other.onnx"}}}, r"other\.onnx"),
        ({"model": {"files": {}}}, r"model\.files"),
        ({"model": []}, r"model\.files"),
        ({"input": 3}, "input"),
        ({"output": None}, r"output\.name"),
    ],
)
def test_a_wrong_manifest_names_its_entry(make_model: Callable[..., Path], change: dict[str, Any], where: str) -> None:
    with pytest.raises(BundleError, match=where):
        open_bundle(make_model(change))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(
    key=st.sampled_from(["model", "input", "output", "stains", "quantities", "files", "schema_version", "format"]),
    value=json_values,
)
def test_any_json_is_read_or_refused(key: str, value: Any) -> None:
    document: dict[str, Any] = {
        "format": "vsframework-bundle",
        "schema_version": "1.0",
        "model": {"files": {"fp32": "m"}},
        "input": {"name": "x", "channels": 1, "height": None, "width": 4, "stride": 1, "full_scale": 1},
        "output": {"name": "stains"},
        "stains": [{"name": "dsDNA", "full_scale": 1}],
        "quantities": [],
        "files": {"m": {"size": 1, "sha256": "0" * 64}},
    }
    parse_manifest(json.dumps(document).encode(), "whole")
    document[key] = value
    try:
        manifest = parse_manifest(json.dumps(document).encode(), "here")
    except BundleError:
        return
    assert manifest.stains
    assert set(manifest.models.values()) <= set(manifest.files)


def test_no_zip_and_no_file_are_told_apart(tmp_path: Path) -> None:
    other = tmp_path / "notes.vsf"
    other.write_text("not a zip")
    assert "not a whole zip" in refusal(other)
    assert "there is no model" in refusal(tmp_path / "absent.vsf")
    empty = tmp_path / "empty.vsf"
    rewrite(empty, {"readme": b""})
    assert "manifest.json" in refusal(empty)
    assert refusal(tmp_path)


def test_an_array_that_claims_more_than_it_has_is_refused(model: Path) -> None:
    content = members(model)["reference/brightfield.npy"]
    assert read_npy(content, "whole").dtype == np.float32
    claims = content.replace(b"(2, 1, 16, 16)", b"(9, 9, 99, 99)")
    with pytest.raises(BundleError, match="cannot be read as an array"):
        read_npy(claims, "claims")
    with pytest.raises(BundleError):
        read_npy(content[:40], "short")
    with pytest.raises(BundleError):
        read_npy(content.replace(b"'<f4'", b"'|O' "), "objects")


def test_what_is_wrong_with_a_bundle_is_an_error_of_the_edge() -> None:
    assert issubclass(BundleError, EdgeError)
    assert BundleError.exit_code == 1
