"""A network whose answer depends on chance or on its batch is refused before anything is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from vsf_export.deployable import check_behaviour, check_layers
from vsf_export.staining_graph import StainingGraph
from vsf_export.targets.onnx_graph import OnnxTarget
from vsf_export.targets.onnx_params import OnnxParams
from vsframework import VsfError
from vsframework.interfaces import ExportSpec


def network(*layers: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), *layers, nn.Tanh())


class Functional(nn.Module):
    """A layer that no list of layers knows."""

    def __init__(self, act: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.act = act

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(x)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (nn.BatchNorm2d(2), "BatchNorm2d.*other cells"),
        (nn.BatchNorm2d(2, track_running_stats=False).eval(), "BatchNorm2d.*other cells"),
        (nn.Dropout(0.5), "Dropout.*random"),
        (nn.Dropout2d(0.1), "Dropout2d.*random"),
    ],
)
def test_a_layer_in_training_mode_is_named(
    tmp_path: Path, make_spec: Callable[..., ExportSpec], layer: nn.Module, message: str
) -> None:
    training = layer.training
    generator = network(layer).eval()
    layer.train(training)
    with pytest.raises(VsfError, match=message) as caught:
        OnnxTarget(OnnxParams()).export([generator], make_spec(), tmp_path / "model.vsf")
    assert "deploy()" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "layer", [nn.BatchNorm2d(2).eval(), nn.InstanceNorm2d(2), nn.Dropout(0.5).eval(), nn.Dropout(0.0), nn.Identity()]
)
def test_what_depends_on_neither_passes(make_spec: Callable[..., ExportSpec], layer: nn.Module) -> None:
    generator = network(layer)
    check_layers([generator])
    spec = make_spec()
    check_behaviour(StainingGraph([generator], spec), torch.from_numpy(spec.reference))


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda x: functional.dropout(x, 0.5, training=True), "another answer each time"),
        (lambda x: functional.batch_norm(x, None, None, training=True), "other cells of its batch"),
        (lambda x: x - x.mean(), "other cells of its batch"),
        (lambda x: x / 0 * 0, "not numbers"),
        (lambda x: x[:, :1], "shape"),
    ],
)
def test_behaviour_is_measured_not_only_read_from_names(
    make_spec: Callable[..., ExportSpec], act: Callable[[torch.Tensor], torch.Tensor], message: str
) -> None:
    spec = make_spec()
    generator = network(Functional(act))
    check_layers([generator])
    with pytest.raises(VsfError, match=message):
        check_behaviour(StainingGraph([generator], spec), torch.from_numpy(spec.reference))
