"""What each target writes: whole folders and files that their own runtimes open, with torch's numbers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from vsf_edge.bundle import open_bundle
from vsf_edge.parity import check
from vsf_edge.runtimes.onnxruntime import OnnxRuntime
from vsf_export.exporting import choose_targets
from vsf_export.graphs import Graphs, build_graphs
from vsf_export.targets.onnx_params import GraphParams
from vsf_export.targets.target import GraphTarget, whole_folder
from vsframework import UsageError, VsfError
from vsframework.interfaces import ExportSpec
from vsframework.plugins import registry

SpecMaker = Callable[..., ExportSpec]


def target(name: str, **params: Any) -> Any:
    made = registry().create("export-target", name, params)
    if isinstance(made, GraphTarget) and made.unavailable():
        pytest.skip(made.unavailable())
    return made


@pytest.fixture(scope="module")
def graphs(generators: list[nn.Module], make_spec: SpecMaker) -> Graphs:
    return build_graphs(generators, make_spec(), GraphParams(input="float32"))


def test_openvino_writes_weights_of_the_precision_it_says(graphs: Graphs, tmp_path: Path) -> None:
    record = target("openvino").write(graphs, tmp_path / "ir")
    sizes = {path.name: path.stat().st_size for path in record.files}
    assert sizes["model.fp16.bin"] < 0.7 * sizes["model.fp32.bin"]
    assert record.parity["fp32.share_max_abs"] < 1e-5
    document = json.loads((tmp_path / "ir" / "model.json").read_text())
    assert document["parity"]["fp16"]["openvino"]["share_max_abs"] < 1e-3


def test_triton_gets_a_model_per_precision(graphs: Graphs, tmp_path: Path) -> None:
    record = target("triton", model_name="sperm").write(graphs, tmp_path / "repository")
    assert (tmp_path / "repository" / "sperm_fp16" / "1" / "model.onnx") in record.files
    text = (tmp_path / "repository" / "sperm_fp32" / "config.pbtxt").read_text()
    assert 'name: "sperm_fp32"' in text
    assert 'platform: "onnxruntime_onnx"' in text
    assert "data_type: TYPE_FP32 dims: [2, 16, 16]" in text


def test_tritons_own_schema_reads_its_configuration(graphs: Graphs) -> None:
    schema = pytest.importorskip(
        "tritonclient.grpc.model_config_pb2", reason="pip install tritonclient[grpc] to run it"
    )
    from google.protobuf import text_format

    ModelConfig = schema.ModelConfig
    text = target("triton").config(graphs, "onnx", engine=False)
    config = text_format.Parse(text, ModelConfig())
    assert [(item.name, list(item.dims)) for item in config.input] == [("brightfield", [1, 16, 16])]
    assert [item.name for item in config.output] == ["stains", "share", "total"]
    engine = text_format.Parse(target("triton").config(graphs, "engine", engine=True), ModelConfig())
    assert engine.platform == "tensorrt_plan"
    assert engine.optimization.cuda.graphs


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # bioimageio.spec leaves its zip open
def test_bioimageio_gets_a_package_that_its_specification_accepts(graphs: Graphs, tmp_path: Path) -> None:
    package = tmp_path / "model.bioimageio.zip"
    made = target("bioimageio", authors=["A. Author"], license="CC-BY-4.0")
    made.write(graphs, package)
    from bioimageio.spec import load_model_description

    from vsf_export.tracing import quiet

    with quiet():
        model = load_model_description(package, perform_io_checks=True, format_version="latest")
    assert [str(item.id) for item in model.inputs] == ["brightfield"]
    assert [str(item.id) for item in model.outputs] == ["stains", "share", "total"]
    assert model.weights.onnx is not None
    assert list(tmp_path.iterdir()) == [package]


def test_torch_gets_a_program_that_runs_without_us(
    generators: list[nn.Module], make_spec: SpecMaker, tmp_path: Path
) -> None:
    spec = make_spec()
    record = target("torch", precisions=["fp32"]).export(generators, spec, tmp_path / "program")
    assert record.parity["fp32.share_max_abs"] < 1e-5
    module = torch.export.load(tmp_path / "program" / "model.fp32.pt2").module()
    stains, share, total = module(torch.zeros(3, 1, 16, 16, dtype=torch.uint8))
    assert (stains.shape, share.shape, total.shape) == ((3, 2, 16, 16), (3,), (3,))
    with pytest.raises(VsfError, match="no int8"):
        target("torch", precisions=["int8"]).export(generators, spec, tmp_path / "other")


def test_tensorrt_says_what_this_machine_lacks(
    generators: list[nn.Module], make_spec: SpecMaker, tmp_path: Path
) -> None:
    made = registry().create("export-target", "tensorrt")
    if not made.unavailable():
        pytest.skip("this machine can build TensorRT engines")
    with pytest.raises(VsfError, match=r"TensorRT is not installed: pip install|no NVIDIA driver|vsf-edge build"):
        made.export(generators, make_spec(), tmp_path / "engines")
    assert list(tmp_path.iterdir()) == []


def test_a_half_precision_that_drifts_is_refused_with_the_worst_cell(
    generators: list[nn.Module], make_spec: SpecMaker, tmp_path: Path
) -> None:
    spec = make_spec(cells=("12/a", "12/b", "12/c"))
    made = target("onnx", precisions=["fp16"], drift_limit=1e-6)
    with pytest.raises(
        VsfError, match=r"fp16 graph in \w+ drifts .*share by .*in cell 12/[abc]; at most 1e-06"
    ) as caught:
        made.export(generators, spec, tmp_path / "model.vsf")
    assert "without this precision" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_int8_needs_patches_to_calibrate_on(generators: list[nn.Module], make_spec: SpecMaker, tmp_path: Path) -> None:
    with pytest.raises(VsfError, match="calibrated on patches of the training donors"):
        target("onnx", precisions=["int8"]).export(generators, make_spec(), tmp_path / "model.vsf")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "params", "message"),
    [
        ({"brightfield_full_scale": 4095.0}, {"input": "uint8"}, "input = uint8 cannot hold counts up to 4095"),
        ({"stain_full_scale": (300.0, 39.0)}, {"output": "uint8"}, "output = uint8 cannot hold"),
        ({}, {"max_side": 8}, "max_side = 8 is below 16 px"),
    ],
)
def test_sizes_and_types_that_do_not_fit_are_refused(
    generators: list[nn.Module],
    make_spec: SpecMaker,
    tmp_path: Path,
    changes: dict[str, Any],
    params: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(UsageError, match=message):
        target("onnx", **params).export(generators, make_spec(**changes), tmp_path / "model.vsf")


class Reflect(nn.Module):
    """A layer that no table of runtimes has: an inverse sine."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.asin(x.clamp(-1, 1)) / 2


def test_an_operator_that_some_runtime_lacks_is_named(make_spec: SpecMaker, tmp_path: Path) -> None:
    generator = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), Reflect()).eval()
    with pytest.raises(VsfError, match=r"Asin .*: not every runtime has this operator"):
        target("onnx").export([generator], make_spec(), tmp_path / "model.vsf")


class Colours(nn.Module):
    """Somebody else's generator: plain torch, three planes in and three stains out."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 8, 3, padding=1)
        self.last = nn.Conv2d(8, 3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(x))
        return torch.tanh(self.last(torch.relu(self.second(x)) + x))


def test_a_foreign_module_of_three_planes_is_exported_everywhere(make_spec: SpecMaker, tmp_path: Path) -> None:
    torch.manual_seed(0)
    patches = np.random.default_rng(1).integers(0, 4096, (4, 3, 16, 16)).astype(np.float32)
    spec = make_spec(
        in_channels=3,
        stains=("dsDNA", "ssDNA", "acrosome"),
        stain_full_scale=(900.0, 500.0, 700.0),
        brightfield_full_scale=4095.0,
        stride=1,
        reference=patches[:2],
        calibration=patches[2:],
    )
    params = {"precisions": ["fp32", "int8"], "output": "uint16", "max_side": 64, "drift_limit": 0.01}
    made = build_graphs([Colours().eval()], spec, target("onnx", **params).params)
    model = onnx.load_from_string(made.models["fp32"])
    shapes = {
        item.name: [side.dim_param or side.dim_value for side in item.type.tensor_type.shape.dim]
        for item in (*model.graph.input, *model.graph.output)
    }
    assert shapes["brightfield"] == ["batch", 3, "rows", "columns", 2]
    assert shapes["stains"] == ["batch", 3, "rows", "columns", 2]
    for name in ("onnx", "openvino", "tensorrt-rtx"):
        made_target = registry().create("export-target", name, params)
        if not made_target.unavailable():
            assert made_target.write(made, tmp_path / name).files
    with open_bundle(tmp_path / "onnx") as bundle:
        session = OnnxRuntime().open(bundle)
        check(bundle, session)
        frame = np.random.default_rng(2).integers(0, 4096, (1, 3, 40, 24)).astype(np.uint16)
        assert session.run(frame)["stains"].shape == (1, 3, 40, 24)


def test_a_folder_of_somebody_else_is_never_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    with pytest.raises(VsfError, match="not an earlier export"), whole_folder(folder):
        pass
    assert (folder / "thesis.txt").exists()
    with pytest.raises(OSError, match="nowhere"), whole_folder(tmp_path / "new") as inside:
        (inside / "nowhere" / "half").write_text("half")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    for text in ("first", "second"):
        with whole_folder(tmp_path / "new") as inside:
            (inside / text).write_text(text)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [".vsf-export", "second"]


def test_settings_reach_the_targets_that_know_them() -> None:
    settings = ("max_batch=4", "optimisation_level=1")
    chosen = {item.name: item.compiler.params for item in choose_targets((), ("int8",), settings, None)}
    assert set(chosen) == {"onnx", "openvino", "tensorrt"}
    assert all(params.max_batch == 4 and params.precisions == ("int8",) for params in chosen.values())
    assert chosen["tensorrt"].optimisation_level == 1
    for bad, message in ((("max_bach=4",), "did you mean 'max_batch'"), (("max_batch",), "key=value")):
        with pytest.raises(UsageError, match=message):
            choose_targets((), (), bad, None)
    with pytest.raises(UsageError, match="one by one"):
        choose_targets(("onnx", "openvino"), (), (), Path("out"))


def test_the_dfi_is_measured_before_stains_are_rounded(generators: list[nn.Module], make_spec: SpecMaker) -> None:
    spec = make_spec()
    rounded = build_graphs(generators, spec, GraphParams(precisions=("fp32",), output="uint8"))
    assert rounded.parity["fp32"]["onnxruntime"].values["share_max_abs"] < 1e-6
    assert 0.4 < rounded.parity["fp32"]["onnxruntime"].values["dsDNA_max_abs_counts"] < 0.51
