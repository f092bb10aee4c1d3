"""The DNA fragmentation index: the same number in every array library, and a gradient that never breaks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vsf_plugins.quantifiers.dfi import COMPONENT, Dfi, DfiParams
from vsframework.errors import UsageError

CHANNELS = ("dsDNA", "ssDNA")
COUNTS = st.just(0.0) | st.floats(2**-20, 65535, width=32)  # nothing so faint that float32 loses it to zero
SHAPES = st.tuples(st.integers(1, 3), st.just(2), st.integers(1, 6), st.integers(1, 6))
STAINS = hnp.arrays(np.float64, SHAPES, elements=COUNTS)


def measure(stains: Any, channels: Sequence[str] = CHANNELS, **values: Any) -> dict[str, Any]:
    return dict(Dfi(DfiParams(**values)).measure(stains, channels))


@given(stains=STAINS)
def test_is_the_share_of_single_stranded_dna(stains: npt.NDArray[np.float64]) -> None:
    values = measure(stains)
    assert values["dfi"].shape == stains.shape[:1]
    for patch, dfi, double, single in zip(stains, values["dfi"], values["dsDNA_sum"], values["ssDNA_sum"], strict=True):
        green, red = math.fsum(patch[0].ravel()), math.fsum(patch[1].ravel())
        assert (double, single) == pytest.approx((green, red))
        assert dfi == pytest.approx(red / (red + green) if red + green > 0 else 0.0)
        assert 0 <= dfi <= 1


@given(stains=STAINS, factor=st.floats(1e-3, 1e3))
def test_does_not_depend_on_exposure(stains: npt.NDArray[np.float64], factor: float) -> None:
    np.testing.assert_allclose(measure(stains * factor)["dfi"], measure(stains)["dfi"], rtol=1e-9, atol=1e-300)


@given(stains=STAINS, more=st.floats(0, 1e4))
def test_grows_with_red_and_falls_with_green(stains: npt.NDArray[np.float64], more: float) -> None:
    redder, greener = stains.copy(), stains.copy()
    redder[:, 1] += more
    greener[:, 0] += more
    dfi = measure(stains)["dfi"]
    assert (measure(redder)["dfi"] >= dfi - 1e-12).all()
    assert (measure(greener)["dfi"] <= dfi + 1e-12).all()


@settings(max_examples=30)
@given(stains=STAINS, mode=st.sampled_from(["intensity", "area"]))
def test_torch_and_numpy_agree(stains: npt.NDArray[np.float64], mode: str) -> None:
    expected = measure(stains.astype(np.float32), mode=mode)
    for name, value in measure(torch.from_numpy(stains.astype(np.float32)), mode=mode).items():
        assert value.dtype == torch.float32
        np.testing.assert_allclose(value.numpy(), expected[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_bright_integer_patches_do_not_overflow(dtype: Any) -> None:
    top = np.iinfo(dtype).max
    values = measure(np.full((2, 512, 512), top, dtype=dtype))
    assert float(values["dsDNA_sum"]) == float(top) * 512 * 512
    assert float(values["dfi"]) == 0.5


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.uint8])
def test_short_torch_dtypes_are_summed_in_float32(dtype: torch.dtype) -> None:
    values = measure(torch.full((2, 512, 512), 200, dtype=torch.float32).to(dtype))
    assert values["dsDNA_sum"].dtype == torch.float32
    assert float(values["dsDNA_sum"]) == 200 * 512 * 512


def test_the_strict_array_api_is_enough() -> None:
    strict = pytest.importorskip("array_api_strict", reason="array-api-strict is not installed in this environment")
    stains = np.random.default_rng(0).uniform(0, 50, (3, 2, 5, 5))
    for mode in ("intensity", "area"):
        result = measure(strict.asarray(stains), mode=mode)
        for name, value in measure(stains, mode=mode).items():
            np.testing.assert_allclose(np.from_dlpack(result[name]), value)


# ------------------------------------------------------------------------------------------------------- gradient


def test_gradient_is_the_derivative() -> None:
    stains = torch.rand(2, 2, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.1
    assert torch.autograd.gradcheck(lambda x: tuple(measure(x).values()), (stains.requires_grad_(),))


@pytest.mark.parametrize("level", [0.0, 1e-45, 1e-39, 1e-30])
def test_an_empty_patch_gives_zero_and_a_finite_gradient(level: float) -> None:
    stains = torch.full((1, 2, 4, 4), level, requires_grad=True)
    dfi = measure(stains)["dfi"]
    dfi.sum().backward()
    assert stains.grad is not None
    assert torch.isfinite(dfi).all()
    assert torch.isfinite(stains.grad).all()
    if level == 0:
        assert not dfi.any()
        assert not stains.grad.any()


def test_an_empty_patch_does_not_disturb_its_neighbours() -> None:
    stains = torch.ones(2, 2, 4, 4)
    stains[1] = 0
    stains.requires_grad_()
    measure(stains)["dfi"].sum().backward()
    assert stains.grad is not None
    torch.testing.assert_close(stains.grad[0, 1], torch.full((4, 4), 16 / 32**2))
    assert not stains.grad[1].any()


# ----------------------------------------------------------------------------------------------------------- area


def test_area_counts_bright_pixels() -> None:
    stains = np.zeros((2, 4, 4))
    stains[0, :2] = 100  # 8 px
    stains[0, 2] = 5  # 4 px, under a tenth of the brightest
    stains[1, 0, :2] = 10  # 2 px
    relative = measure(stains, mode="area")
    assert [float(relative[name]) for name in ("dfi", "dsDNA_area", "ssDNA_area")] == [0.2, 8, 2]
    absolute = measure(stains, mode="area", threshold=4, threshold_unit="counts")
    assert [float(absolute[name]) for name in ("dsDNA_area", "ssDNA_area")] == [12, 2]


def test_an_empty_patch_has_no_area() -> None:
    values = measure(np.zeros((2, 4, 4)), mode="area")
    assert [float(value) for value in values.values()] == [0, 0, 0]


# ------------------------------------------------------------------------------------------------------- the name


def test_channels_go_by_name() -> None:
    stains = np.stack([np.full((2, 2), value) for value in (1.0, 30.0, 10.0)])
    values = measure(stains, ["DAPI", "green", "red"], double_stranded="green", single_stranded="red")
    assert float(values["dfi"]) == 0.25
    assert list(values) == ["dfi", "green_sum", "red_sum"]


@pytest.mark.parametrize("mode", ["intensity", "area"])
def test_quantities_announce_what_is_measured(mode: str) -> None:
    quantifier = COMPONENT.create({"mode": mode})
    assert [quantity.name for quantity in quantifier.quantities] == list(
        quantifier.measure(np.ones((2, 3, 3)), CHANNELS)
    )
    assert quantifier.quantities[0].unit == "1"


def test_an_unknown_channel_is_named() -> None:
    with pytest.raises(UsageError, match="needs the channel 'ssDNA', but the stains are dsDNA, DAPI"):
        measure(np.ones((2, 3, 3)), ["dsDNA", "DAPI"])


def test_one_channel_cannot_be_both() -> None:
    with pytest.raises(UsageError, match="name two channels"):
        COMPONENT.create({"double_stranded": "red", "single_stranded": "red"})


# --------------------------------------------------------------------------------------------------------- tracing


class _Measured(torch.nn.Module):
    def __init__(self, mode: str) -> None:
        super().__init__()
        self.quantifier = Dfi(DfiParams.model_validate({"mode": mode}))

    def forward(self, stains: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(self.quantifier.measure(stains, CHANNELS).values())


@pytest.mark.parametrize("mode", ["intensity", "area"])
def test_it_is_traced_without_branches_on_values(mode: str) -> None:
    module = _Measured(mode)
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(module, (torch.rand(2, 2, 16, 16),), dynamic_shapes=({0: batch},)).module()
    for stains in (torch.rand(5, 2, 16, 16) * 300, torch.zeros(1, 2, 16, 16)):
        torch.testing.assert_close(program(stains), module(stains))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_the_exported_graph_measures_the_same(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed in this environment")
    module, file = _Measured("intensity"), tmp_path / "dfi.onnx"
    shapes = ({0: torch.export.Dim("batch", min=1, max=64)},)
    example = (torch.rand(2, 2, 16, 16),)
    torch.onnx.export(module, example, file, dynamic_shapes=shapes, dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    for stains in (torch.rand(5, 2, 16, 16) * 300, torch.zeros(1, 2, 16, 16)):
        outputs = session.run(None, {session.get_inputs()[0].name: stains.numpy()})
        for value, expected in zip(outputs, module(stains), strict=True):
            np.testing.assert_allclose(value, expected.numpy(), rtol=1e-5, atol=1e-6)
