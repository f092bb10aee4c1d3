"""What every quantifier holds: one definition for NumPy, torch and an exported graph, with named values and units."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pytest

from vsframework.errors import VsfError
from vsframework.interfaces import Quantifier, Quantity
from vsframework.testing.component_contract import ComponentContract
from vsframework.testing.prepared_images import stained_patch

SIZE = 32


class QuantifierContract(ComponentContract):
    """Contract of ``vsf_quantifiers``: see :class:`~vsframework.interfaces.Quantifier`."""

    kind = "quantifier"
    protocol = Quantifier
    channels: ClassVar[tuple[str, ...]] = ("dsDNA", "ssDNA")
    """Names of the stains to measure; yours if your quantifier wants others."""

    @pytest.fixture
    def stains(self) -> npt.NDArray[np.float32]:
        """Stains of three cells without background, [3, C, H, W], counts."""
        cells = [stained_patch(len(self.channels), SIZE, seed, background=2.0) for seed in range(3)]
        brightness = np.arange(1, len(self.channels) + 1)[:, None, None]
        return np.stack([(cell * brightness * (1 + seed)) for seed, cell in enumerate(cells)]).astype(np.float32)

    def test_names_what_it_measures(self, part: Quantifier, stains: npt.NDArray[np.float32]) -> None:
        quantities = list(part.quantities)
        assert quantities, "quantities is empty: name what measure() gives, the value of interest first"
        for quantity in quantities:
            assert isinstance(quantity, Quantity), f"quantities holds a {type(quantity).__name__}, not a Quantity"
            assert quantity.name, "a quantity has no name"
            assert quantity.unit, f"{quantity.name} has no unit; write '1' for a ratio"
            assert quantity.description, f"{quantity.name} is not described"
        names = [quantity.name for quantity in quantities]
        assert len(set(names)) == len(names), f"two quantities share a name: {names}"
        measured = list(part.measure(stains, self.channels))
        assert measured == names, f"measure() gave {measured}, quantities says {names}"

    @pytest.mark.parametrize("batch", [(), (3,), (2, 3)])
    def test_gives_one_value_per_patch(
        self, part: Quantifier, stains: npt.NDArray[np.float32], batch: tuple[int, ...]
    ) -> None:
        image = np.broadcast_to(stains if batch else stains[0], (*batch, *stains.shape[1:]))
        for name, value in part.measure(image, self.channels).items():
            assert np.shape(value) == batch, f"{name} has the shape {np.shape(value)} for a batch of {batch}"
            assert np.isfinite(value).all(), f"{name} is not finite on an ordinary cell"

    def test_values_are_what_they_can_be(self, part: Quantifier, stains: npt.NDArray[np.float32]) -> None:
        values = part.measure(stains, self.channels)
        for quantity in part.quantities:
            for end, sign, word in ((quantity.lowest, 1, "least"), (quantity.highest, -1, "most")):
                assert end is None or (sign * (values[quantity.name] - end) >= 0).all(), (
                    f"{quantity.name} is to be at {word} {end}, and measure() gave {values[quantity.name]}"
                )

    def test_a_patch_is_measured_as_in_a_batch(self, part: Quantifier, stains: npt.NDArray[np.float32]) -> None:
        together = part.measure(stains, self.channels)
        for index, cell in enumerate(stains):
            for name, value in part.measure(cell, self.channels).items():
                np.testing.assert_allclose(value, together[name][index], rtol=1e-5, err_msg=f"{name} needs its batch")

    def test_numpy_and_torch_agree(self, part: Quantifier, stains: npt.NDArray[np.float32]) -> None:
        import torch

        in_numpy = part.measure(stains, self.channels)
        in_torch = part.measure(torch.from_numpy(stains.copy()), self.channels)
        for name, value in in_torch.items():
            assert isinstance(value, torch.Tensor), f"{name} left torch: compute with array_namespace(stains)"
            np.testing.assert_allclose(value.numpy(), in_numpy[name], rtol=1e-4, err_msg=f"{name} in torch and NumPy")

    @pytest.mark.parametrize("light", [1.0, 0.0], ids=["cell", "blank"])
    def test_the_gradient_is_finite(self, part: Quantifier, stains: npt.NDArray[np.float32], light: float) -> None:
        import torch

        image = torch.from_numpy(stains * np.float32(light)).requires_grad_()
        value = part.measure(image, self.channels)[part.quantities[0].name]
        assert value.requires_grad, f"{part.quantities[0].name} has no gradient, so it cannot be a training loss"
        value.sum().backward()
        assert image.grad is not None
        assert image.grad.isfinite().all(), "the gradient holds NaN or infinity: guard the division with xp.where"

    def test_a_blank_patch_does_not_raise(self, part: Quantifier, stains: npt.NDArray[np.float32]) -> None:
        for name, value in part.measure(np.zeros_like(stains), self.channels).items():
            assert not np.isinf(value).any(), f"{name} is infinite on a blank patch"

    def test_never_decides_by_the_value_of_a_pixel(self, part: Quantifier, stains: npt.NDArray[np.float32]) -> None:
        import torch

        shapes_only: Any = torch.empty(stains.shape, device="meta")
        try:
            values = part.measure(shapes_only, self.channels)
        except (RuntimeError, NotImplementedError, TypeError) as error:
            pytest.fail(f"cannot be traced into an exported graph (an 'if' or float() on a pixel value?): {error}")
        for name, value in values.items():
            assert tuple(value.shape) == stains.shape[:1], f"{name} has the shape {tuple(value.shape)}"

    def test_finds_its_channels_by_name(self, part: Quantifier, stains: npt.NDArray[np.float32]) -> None:
        forth = part.measure(stains, self.channels)
        back = part.measure(np.ascontiguousarray(stains[:, ::-1]), self.channels[::-1])
        for name, value in forth.items():
            np.testing.assert_allclose(back[name], value, rtol=1e-5, err_msg=f"{name} goes by position, not by name")

    def test_says_what_it_misses_among_other_channels(self, part: Quantifier, stains: npt.NDArray[np.float32]) -> None:
        names = [f"other-{name}" for name in self.channels]
        try:
            part.measure(stains, names)
        except VsfError as error:
            message = str(error)
        else:
            return  # it does not go by name
        assert any(name in message for name in names), f"the error does not say which channels there are: {message!r}"

    def test_leaves_the_stains_unchanged(self, part: Quantifier, stains: npt.NDArray[np.float32]) -> None:
        before = stains.copy()
        part.measure(stains, self.channels)
        np.testing.assert_array_equal(stains, before, "measure() changed its input")
