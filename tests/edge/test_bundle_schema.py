"""The schema in the docs says what the reader does: the two agree on every manifest, whole or damaged."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from vsf_edge.bundle import open_bundle
from vsf_edge.errors import BundleError
from vsf_edge.manifest import parse_manifest

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "bundle.schema.json").read_text(encoding="utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)
BEYOND = ("not among the files", "names one thing twice")  # what the schema's description leaves to the reader

FULL: dict[str, Any] = {
    "format": "vsframework-bundle",
    "schema_version": "1.2",
    "simulated": True,
    "intended_use": "research use only",
    "model": {"files": {"fp32": "m"}},
    "documents": {"licence": "LICENSE"},
    "input": {
        "name": "x",
        "dtype": "uint8",
        "channels": 1,
        "height": None,
        "width": 4,
        "stride": 1,
        "full_scale": 1,
        "patch_size": 4,
        "max_batch": 4,
        "max_height": 64,
        "max_width": None,
        "field_px": 3,
        "halo_px": 2,
        "pixel_size_um": 0.1,
    },
    "output": {"name": "stains", "dtype": "uint16"},
    "parity_limit": 0.002,
    "stains": [{"name": "dsDNA", "full_scale": 1}],
    "quantities": [{"name": "dfi", "unit": "1", "description": "Fragmentation.", "output": "dfi"}],
    "files": {name: {"size": 1, "sha256": "0" * 64} for name in ("m", "LICENSE")},
}

scalars = (
    st.sampled_from([None, True, 0, 1, -1, 65, 2**53 + 1, 1e31, "", "x", "float32", "1.7", "2.0", "a\u202eb", "../x"])
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False).filter(lambda value: not value.is_integer())
    | st.text(max_size=5)
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2)
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


def changed(place: tuple[Any, ...], value: Any, remove: bool) -> dict[str, Any]:
    document = copy.deepcopy(FULL)
    table: Any = document
    for key in place[:-1]:
        table = table[key]
    if remove:
        del table[place[-1]]
    else:
        table[place[-1]] = value
    return document


def problem_of(document: dict[str, Any]) -> str:
    try:
        parse_manifest(json.dumps(document).encode("utf-8"), "here")
    except BundleError as error:
        return str(error)
    return ""


def test_the_schema_is_one_and_the_whole_manifest_passes_it() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    VALIDATOR.validate(FULL)
    assert parse_manifest(json.dumps(FULL).encode(), "whole").documents == {"licence": "LICENSE"}


def test_an_exported_bundle_passes_the_schema(model: Path) -> None:
    with open_bundle(model) as bundle:
        VALIDATOR.validate(bundle.manifest.document)


@settings(max_examples=400, deadline=None)
@given(place=st.sampled_from(places(FULL)[1:]), value=values, remove=st.booleans())
def test_reader_and_schema_agree(place: tuple[Any, ...], value: Any, remove: bool) -> None:
    document = changed(place, value, remove)
    valid = VALIDATOR.is_valid(document)
    problem = problem_of(document)
    if valid:
        assert not problem or any(reason in problem for reason in BEYOND), (document, problem)
    else:
        assert problem, document
        assert "\n" not in problem


def test_a_newer_minor_version_with_unknown_keys_is_read() -> None:
    newer = copy.deepcopy(FULL)
    newer |= {"schema_version": "1.7", "aura": {"x": [1]}}
    newer["input"]["gamma"] = 2
    newer["model"]["files"]["fp4"] = "m"
    newer["documents"]["poem"] = "LICENSE"
    manifest = parse_manifest(json.dumps(newer).encode(), "newer")
    assert set(manifest.models) == {"fp32", "fp4"}
    VALIDATOR.validate(newer)
