"""The target `onnx`: the bundle gives torch's numbers through the edge's own runtime, and repeats byte for byte."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from vsf_edge.bundle import Bundle, open_bundle
from vsf_edge.parity import check
from vsf_edge.runtimes.onnxruntime import OnnxRuntime
from vsf_export.targets.onnx_graph import OnnxTarget
from vsf_export.targets.onnx_params import OnnxParams
from vsframework import VsfError
from vsframework.interfaces import ExportSpec
from vsframework.plugins import registry
from vsframework.training.normalisation import Normalisation

SpecMaker = Callable[..., ExportSpec]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, generators: list[nn.Module], make_spec: SpecMaker) -> Path:
    out = tmp_path_factory.mktemp("export") / "model.vsf"
    record = OnnxTarget(OnnxParams()).export(generators, make_spec(), out)
    assert record.files == (out,)
    assert record.parity["fp32.onnxruntime.share_max_abs"] < 1e-5
    assert record.parity["fp16.onnxruntime.share_max_abs"] < 1e-3
    return out


@pytest.fixture
def bundle(exported: Path) -> Any:
    with open_bundle(exported) as opened:
        yield opened


@pytest.mark.parametrize("count", [1, 2, 5])
def test_any_batch_gives_what_torch_gives(bundle: Bundle, generators: list[nn.Module], count: int) -> None:
    brightfield = np.random.default_rng(count).integers(0, 256, (count, 1, 16, 16)).astype(np.float32)
    scale = Normalisation(brightfield_full_scale=255.0, stain_full_scale=(154.0, 39.0))
    with torch.inference_mode():
        normalised = torch.from_numpy(scale.brightfield_to_input(brightfield))
        expected = scale.output_to_counts(np.concatenate([g(normalised).numpy() for g in generators], axis=1))
    outputs = OnnxRuntime().open(bundle).run(brightfield)
    np.testing.assert_allclose(outputs["stains"], expected, rtol=0, atol=1e-3)
    assert outputs["stains"].min() >= 0
    sums = expected.sum(axis=(2, 3), dtype=np.float64)
    np.testing.assert_allclose(outputs["share"], sums[:, 1] / sums.sum(axis=1), atol=1e-5)
    np.testing.assert_allclose(outputs["total"], sums.sum(axis=1), rtol=1e-5)


def test_the_graph_is_plain_onnx_with_a_dynamic_batch_and_tells_no_paths(bundle: Bundle) -> None:
    model = onnx.load_from_string(bundle.model())
    shapes = {
        item.name: [side.dim_param or side.dim_value for side in item.type.tensor_type.shape.dim]
        for item in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {
        "brightfield": ["batch", 1, 16, 16],
        "stains": ["batch", 2, 16, 16],
        "share": ["batch"],
        "total": ["batch"],
    }
    assert {node.domain for node in model.graph.node} == {""}
    assert str(Path(torch.__file__).parent).encode() not in bundle.model()


def test_the_reference_passes_on_the_edge(bundle: Bundle) -> None:
    measured = check(bundle, OnnxRuntime().open(bundle)).record()
    recorded = bundle.manifest.document["parity"]["fp32"]["onnxruntime"]
    assert measured["share_max_abs"] == pytest.approx(recorded["share_max_abs"], abs=1e-7)
    assert set(measured) <= set(recorded)


def test_the_manifest_says_what_a_reader_needs(bundle: Bundle) -> None:
    document = bundle.manifest.document
    assert document["intended_use"] == "research use only"
    assert [quantity.unit for quantity in bundle.manifest.quantities] == ["1", "counts"]
    assert document["metadata"] == {"experiment": "small"}
    assert document["software"]["torch"] == torch.__version__
    assert b"Apache-2.0" in bundle.read("LICENSE")


def test_the_same_export_gives_the_same_bytes(
    exported: Path, tmp_path: Path, generators: list[nn.Module], make_spec: SpecMaker
) -> None:
    again = tmp_path / "again.vsf"
    OnnxTarget(OnnxParams()).export(generators, make_spec(), again)
    assert again.read_bytes() == exported.read_bytes()
    with zipfile.ZipFile(again) as archive:
        names = archive.namelist()
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert names == ["manifest.json", *sorted(names[1:])]


def test_the_networks_are_left_as_they_were(exported: Path, generators: list[nn.Module]) -> None:
    assert all(weight.requires_grad for generator in generators for weight in generator.parameters())


class Wandering:
    """Gives another value at each call: what is traced is not what torch gives."""

    def __init__(self, quantifier: Any) -> None:
        self.quantities = quantifier.quantities
        self._quantifier = quantifier
        self._calls = 0

    def measure(self, stains: Any, channels: Sequence[str]) -> Mapping[str, Any]:
        self._calls += 1
        return {name: value + 0.01 * self._calls for name, value in self._quantifier.measure(stains, channels).items()}


class Branching(Wandering):
    """Decides on a value, which cannot be traced."""

    def measure(self, stains: Any, channels: Sequence[str]) -> Mapping[str, Any]:
        values = self._quantifier.measure(stains, channels)
        return values if values["total"].sum() > 0 else dict.fromkeys(values, stains.sum((1, 2, 3)))


@pytest.mark.parametrize(
    ("kind", "message"),
    [(Wandering, r"fp32 graph in onnxruntime drifts from torch \(share by .* in cell 0"), (Branching, "cannot trace")],
)
def test_a_quantity_that_drifts_or_cannot_be_traced_stops_the_export(
    tmp_path: Path, generators: list[nn.Module], make_spec: SpecMaker, kind: type[Wandering], message: str
) -> None:
    spec = make_spec()
    with pytest.raises(VsfError, match=message) as caught:
        OnnxTarget(OnnxParams()).export(generators, make_spec(quantifier=kind(spec.quantifier)), tmp_path / "model.vsf")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reference": np.zeros((0, 1, 16, 16), np.float32)}, "reference"),
        ({"reference": np.zeros((1, 1, 8, 16), np.float32)}, "reference"),
        ({"stain_full_scale": (154.0,)}, "full scales"),
        ({"stains": ("ds/DNA", "ssDNA")}, "ds/DNA"),
        ({"stains": ("stains", "ssDNA")}, "'stains'"),
        ({"stains": ("dsDNA", "ssDNA", "third"), "stain_full_scale": (1.0, 1.0, 1.0)}, "stain"),
    ],
)
def test_a_spec_that_does_not_fit_is_refused(
    tmp_path: Path, generators: list[nn.Module], make_spec: SpecMaker, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(VsfError, match=message):
        OnnxTarget(OnnxParams()).export(generators, make_spec(**changes), tmp_path / "model.vsf")
    assert list(tmp_path.iterdir()) == []


def test_the_target_and_its_command_come_as_a_plugin() -> None:
    assert isinstance(registry().create("export-target", "onnx", {"opset": 18}), OnnxTarget)
    assert "export" in {command.name for _, command in registry().commands()}


def test_a_bundle_is_json_without_surprises(exported: Path) -> None:
    with zipfile.ZipFile(exported) as archive:
        text = archive.read("manifest.json").decode()
    assert text == json.dumps(json.loads(text), indent=2, sort_keys=True, ensure_ascii=False)
