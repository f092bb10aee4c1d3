"""A small model of known behaviour, made without torch: dsDNA = 2 * brightfield, ssDNA = brightfield, DFI 1/3."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from onnx import TensorProto, helper, numpy_helper

from vsf_edge.interfaces import Array
from vsf_edge.magnification import Kind, prepare
from vsf_edge.manifest import Manifest
from vsf_export.bundle import CARD_NAME, LICENSE_NAME, LICENSE_TEXT, reference_files, write_bundle

SIDE = 16


def read_brightfield(path: Path, manifest: Manifest, kind: Kind = "cell") -> Array:
    """Give an image as the model takes it: float32 [C, H, W] in counts."""
    return prepare(path, manifest, kind, "refuse").model_input


def known_graph(height: int | str = SIDE, width: int | str = SIDE) -> bytes:
    """The known model as a graph; a name instead of a number takes any size."""
    constants = {
        "gains": np.array([2, 1], np.float32).reshape(1, 2, 1, 1),
        "axes": np.array([1, 2, 3], np.int64),
        "first": np.array([1], np.int64),
        "last": np.array([2], np.int64),
        "channel": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node("Mul", ["brightfield", "gains"], ["stains"]),
        helper.make_node("Slice", ["stains", "first", "last", "channel"], ["red"]),
        helper.make_node("ReduceSum", ["red", "axes"], ["red_sum"], keepdims=0),
        helper.make_node("ReduceSum", ["stains", "axes"], ["all_sum"], keepdims=0),
        helper.make_node("Div", ["red_sum", "all_sum"], ["dfi"]),
    ]
    graph = helper.make_graph(
        nodes,
        "known",
        [helper.make_tensor_value_info("brightfield", TensorProto.FLOAT, ["batch", 1, height, width])],
        [
            helper.make_tensor_value_info("stains", TensorProto.FLOAT, ["batch", 2, height, width]),
            helper.make_tensor_value_info("dfi", TensorProto.FLOAT, ["batch"]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def known_manifest() -> dict[str, Any]:
    return {
        "intended_use": "research use only",
        "model": {"files": {"fp32": "model.fp32.onnx"}},
        "input": {
            "name": "brightfield",
            "channels": 1,
            "height": SIDE,
            "width": SIDE,
            "stride": SIDE,
            "full_scale": 255.0,
        },
        "output": {"name": "stains"},
        "stains": [{"name": "dsDNA", "full_scale": 510.0}, {"name": "ssDNA", "full_scale": 255.0}],
        "quantities": [{"name": "dfi", "unit": "1", "description": "Fragmentation.", "output": "dfi"}],
    }


def known_files() -> dict[str, bytes]:
    brightfield = np.random.default_rng(0).integers(1, 256, (2, 1, SIDE, SIDE)).astype(np.float32)
    expected = {
        "stains": brightfield * np.array([2, 1], np.float32).reshape(1, 2, 1, 1),
        "dfi": np.full(2, 1 / 3, np.float32),
    }
    return {
        "model.fp32.onnx": known_graph(),
        LICENSE_NAME: LICENSE_TEXT.encode(),
        CARD_NAME: b"# Model card: a known model\n",
        **reference_files(brightfield, expected),
    }


@pytest.fixture
def make_model(tmp_path: Path) -> Callable[..., Path]:
    """Write the known model, with changes to its manifest or its files."""

    def make(manifest: dict[str, Any] | None = None, files: dict[str, bytes] | None = None) -> Path:
        path = tmp_path / "model.vsf"
        write_bundle(path, {**known_manifest(), **(manifest or {})}, {**known_files(), **(files or {})})
        return path

    return make


@pytest.fixture
def model(make_model: Callable[..., Path]) -> Path:
    """The known model, whole."""
    return make_model()


@pytest.fixture
def vsf_edge(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run the real command in this process: exit code, standard output, standard error."""
    from vsf_edge.cli import main

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["vsf-edge", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        captured = capsys.readouterr()
        return int(stop.value.code or 0), captured.out, captured.err

    return run


def write_key_pair(folder: Path) -> tuple[Path, Path]:
    """Write a new Ed25519 key pair in PEM form: private, public."""
    folder.mkdir(parents=True, exist_ok=True)
    private = Ed25519PrivateKey.generate()
    pem = serialization.Encoding.PEM
    kinds = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "vsf.key").write_bytes(private.private_bytes(pem, *kinds))
    (folder / "vsf.pub").write_bytes(
        private.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return folder / "vsf.key", folder / "vsf.pub"


@pytest.fixture
def key_pair(tmp_path: Path) -> tuple[Path, Path]:
    """An Ed25519 key pair: files of the private and of the public key."""
    return write_key_pair(tmp_path / "keys")
