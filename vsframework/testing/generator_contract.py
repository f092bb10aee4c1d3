"""What every generator holds: stains in [-1, 1], every weight trained, and one answer per patch when deployed."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from vsframework.components import Component
from vsframework.errors import UsageError
from vsframework.interfaces import Generator, Networks
from vsframework.testing.component_contract import ComponentContract, smallest_width

if TYPE_CHECKING:
    import torch
    from torch import nn

SMALLEST_IMAGE = 64
FAR_STRIDES, FAR_PX = 12, 512
"""Farther than any convolution at the coarsest resolution looks; what still has an influence averages the image."""


class GeneratorContract(ComponentContract):
    """Contract of ``vsf_generators``: see :class:`~vsframework.interfaces.Generator`.

    Networks are built for the smallest multiple of `stride` from 64 px on. A component with a parameter ``width`` is
    tested at its lower bound, unless `params` says otherwise, so that a contract takes seconds and not minutes.
    """

    kind = "generator"
    protocol = Generator
    image_size: ClassVar[int | None] = None
    """Side of the test images in pixels; None for the smallest that fits."""

    @pytest.fixture
    def part(self, component: Component[Any]) -> Generator:
        """The built architecture."""
        part: Generator = component.create({**smallest_width(component), **self.params})
        return part

    @pytest.fixture
    def size(self, part: Generator) -> int:
        """Side of the test images, in pixels."""
        assert isinstance(part.stride, int), f"stride is {part.stride!r}, not a number of pixels"
        assert part.stride >= 1, f"stride is {part.stride}, not a number of pixels"
        return self.image_size or -(-SMALLEST_IMAGE // part.stride) * part.stride

    @pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (1, 2), (3, 1)])
    def test_stains_in_range_for_any_number_of_channels(
        self, part: Generator, size: int, inputs: int, outputs: int
    ) -> None:
        import torch

        networks = _build(part, inputs, outputs, size)
        brightfield = _images(2, inputs, size)
        with torch.no_grad():
            stains = networks.generator(brightfield)
            assert stains.shape == (2, outputs, size, size), f"the generator gave {tuple(stains.shape)}"
            assert stains.dtype == torch.float32, f"the generator gave {stains.dtype}, not float32"
            assert torch.isfinite(stains).all(), "the generator gave NaN or infinity"
            assert stains.abs().max() <= 1, "the generator leaves [-1, 1]: end it with tanh"
            if networks.discriminator is not None:
                logits = networks.discriminator(torch.cat([brightfield, stains], dim=1))
                assert logits.ndim == 4, f"the discriminator gave {tuple(logits.shape)}, not [N, 1, h, w]"
                assert logits.shape[:2] == (2, 1), f"the discriminator gave {tuple(logits.shape)}, not [N, 1, h, w]"
                assert torch.isfinite(logits).all(), "the discriminator gave NaN or infinity"

    def test_refuses_a_size_that_does_not_fit(self, part: Generator, size: int) -> None:
        if part.stride == 1:
            return
        with pytest.raises(UsageError, match=str(part.stride)):
            part.networks(1, 1, size + 1)

    def test_fresh_networks_train(self, part: Generator, size: int) -> None:
        networks = _build(part, 1, 1, size)
        assert networks.generator.training, "networks() gave a generator in evaluation mode"
        stains = networks.generator(_images(2, 1, size))
        (stains - 0.5).abs().mean().backward()
        for name, weight in networks.generator.named_parameters():
            if weight.requires_grad:
                assert weight.grad is not None, f"no gradient reaches {name}: it is built and never used"
                assert weight.grad.isfinite().all(), f"the gradient of {name} holds NaN or infinity"

    def test_the_seed_decides_the_weights(self, part: Generator, size: int) -> None:
        import torch

        first, again = _build(part, 1, 1, size), _build(part, 1, 1, size)
        for (name, one), other in zip(
            first.generator.state_dict().items(), again.generator.state_dict().values(), strict=True
        ):
            assert torch.equal(one, other), f"{name} is initialised from something else than torch's random generator"
            assert one.data_ptr() != other.data_ptr(), f"{name} is shared between two calls of networks()"

    def test_weights_go_through_a_checkpoint(self, part: Generator, size: int) -> None:
        import torch
        from safetensors.torch import load, save

        trained = _build(part, 1, 1, size).generator
        restored = _build(part, 1, 1, size, seed=1).generator
        restored.load_state_dict(load(save(trained.state_dict())))
        brightfield = _images(1, 1, size)
        with torch.no_grad():
            same = torch.equal(part.deploy(trained)(brightfield), part.deploy(restored)(brightfield))
        assert same, "a generator with the same state_dict stains differently: keep its state in parameters or buffers"

    def test_a_deployed_patch_does_not_depend_on_its_batch(self, part: Generator, size: int) -> None:
        import torch

        deployed = part.deploy(_briefly_trained(part, 1, 2, size))
        depends = [name for name, layer in deployed.named_modules() if _uses_the_batch(layer)]
        assert not depends, f"deploy() left layers that use the statistics of the batch: {', '.join(depends)}"
        batch = _images(3, 1, size)
        with torch.no_grad():
            together, alone = deployed(batch), deployed(batch[:1])
        torch.testing.assert_close(
            together[:1],
            alone,
            rtol=0,
            atol=1e-4,
            msg=lambda text: f"the deployed stain of a patch depends on the rest of its batch: {text}",
        )

    def test_deployed_output_is_not_random(self, part: Generator, size: int) -> None:
        import torch

        deployed = part.deploy(_briefly_trained(part, 1, 1, size))
        brightfield = _images(2, 1, size)
        with torch.no_grad():
            first, again = deployed(brightfield), deployed(brightfield)
        assert torch.equal(first, again), "deploy() is random: is dropout still on?"
        assert first.abs().max() <= 1, "the deployed generator leaves [-1, 1]"

    def test_a_deployed_generator_takes_any_multiple_of_the_stride(self, part: Generator, size: int) -> None:
        import torch

        deployed = part.deploy(_briefly_trained(part, 1, 1, size))
        with torch.no_grad():
            stains = deployed(_images(1, 1, size, size + part.stride))
        assert stains.shape == (1, 1, size, size + part.stride), f"a wider image gave {tuple(stains.shape)}"

    def test_deploy_leaves_the_trained_generator_as_it_was(self, part: Generator, size: int) -> None:
        import torch

        trained = _briefly_trained(part, 1, 1, size)
        before = copy.deepcopy(trained.state_dict())
        with torch.no_grad():
            part.deploy(trained)(_images(2, 1, size))
        assert trained.training, "deploy() put the trained generator into evaluation mode: work on a copy"
        for name, value in trained.state_dict().items():
            assert torch.equal(value, before[name]), f"deploy() changed {name} of the trained generator: work on a copy"

    def test_what_is_trained_in_deploy_mode_is_what_is_deployed(self, part: Generator, size: int) -> None:
        import torch

        trained = _trained_in_deploy_mode(part, size)
        brightfield = _images(3, 1, size)
        with torch.no_grad():
            as_trained, again = trained(brightfield), trained(brightfield)
            deployed, alone = part.deploy(trained)(brightfield), part.deploy(trained)(brightfield[:1])
        assert torch.equal(as_trained, again), (
            'with training.mode = "deploy" the generator is still random: use dropout layers of torch, which '
            "vsframework takes out"
        )
        torch.testing.assert_close(
            deployed,
            as_trained,
            rtol=0,
            atol=1e-3,
            msg=lambda text: f"deploy() changes what training.mode = 'deploy' trained: {text}",
        )
        torch.testing.assert_close(
            deployed[:1],
            alone,
            rtol=0,
            atol=1e-4,
            msg=lambda text: f"trained in deploy mode, the stain of a patch depends on the rest of its batch: {text}",
        )

    def test_trained_in_deploy_mode_a_stain_depends_on_nothing_far_away(self, part: Generator, size: int) -> None:
        import torch

        deployed = part.deploy(_trained_in_deploy_mode(part, size))
        far = -(-max(FAR_STRIDES * part.stride, FAR_PX) // part.stride) * part.stride
        tile = _images(1, 1, size, far + size)
        other = tile.clone()
        other[..., far:] = 1.0
        with torch.no_grad():
            near, changed = deployed(tile), deployed(other)
        assert (near[..., far:] - changed[..., far:]).abs().max() > 0, "the deployed stain does not depend on the image"
        moved = float((near[..., : part.stride] - changed[..., : part.stride]).abs().max())
        assert moved <= 1e-5, (
            f"trained in deploy mode, a stain moves by {moved:.2g} with what lies {far} px away, so a cell's DFI "
            "depends on its tile: normalise with torch's BatchNorm, InstanceNorm or GroupNorm, whose statistics "
            "vsframework holds fixed, and use nothing else that averages over the image"
        )


def _build(part: Generator, inputs: int, outputs: int, size: int, seed: int = 0) -> Networks:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        networks = part.networks(inputs, outputs, size)
    assert isinstance(networks, Networks), f"networks() gave a {type(networks).__name__}, not a Networks"
    return networks


def _briefly_trained(part: Generator, inputs: int, outputs: int, size: int) -> nn.Module:
    """Give a generator whose running statistics have seen a few batches."""
    import torch

    generator = _build(part, inputs, outputs, size).generator
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        for _ in range(2):
            generator(_images(2, inputs, size))
    return generator


def _trained_in_deploy_mode(part: Generator, size: int) -> nn.Module:
    """Give a generator that took a step with held statistics, as with ``training.mode = "deploy"``."""
    import torch

    from vsframework.training.fixed_statistics import hold_statistics, make_fixable

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        generator = hold_statistics(make_fixable(_build(part, 1, 1, size).generator), [_images(4, 1, size)])
        optimiser = torch.optim.SGD(generator.parameters(), lr=1e-3)
        (generator(_images(2, 1, size)) - 0.5).abs().mean().backward()
        optimiser.step()
    return generator


def _images(count: int, channels: int, height: int, width: int | None = None) -> torch.Tensor:
    import torch

    source = torch.Generator().manual_seed(7)
    return torch.rand((count, channels, height, width or height), generator=source) * 2 - 1


def _uses_the_batch(layer: nn.Module) -> bool:
    from torch.nn.modules.batchnorm import _BatchNorm

    return isinstance(layer, _BatchNorm) and (layer.training or layer.running_mean is None)
