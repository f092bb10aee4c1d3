"""What every denoiser holds: counts >= 0 of the same shape, the levels it removed, and the cell still there.

One that leaves the stains alone on purpose has the attribute ``passes_through = True``, and must then change nothing.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from vsframework.errors import VsfError
from vsframework.interfaces import Denoised, Denoiser
from vsframework.testing.component_contract import ComponentContract
from vsframework.testing.prepared_images import FULL_SCALE, head_mask, stained_patch

SIZE = 64
BACKGROUND = 6.0


class DenoiserContract(ComponentContract):
    """Contract of ``vsf_denoisers``: see :class:`~vsframework.interfaces.Denoiser`."""

    kind = "denoiser"
    protocol = Denoiser

    @pytest.mark.parametrize("channels", [1, 2, 3])
    @pytest.mark.parametrize("dtype", FULL_SCALE)
    def test_gives_counts_levels_and_a_mask(self, part: Denoiser, dtype: str, channels: int) -> None:
        patch = stained_patch(channels, SIZE, seed=1, background=BACKGROUND).astype(dtype)
        _check_is_whole(part.denoise(patch), patch)

    def test_removes_the_background_and_keeps_the_cell(self, part: Denoiser) -> None:
        patch = stained_patch(2, SIZE, seed=1, background=BACKGROUND).astype(np.uint8)
        head = head_mask(SIZE)
        stains = part.denoise(patch).stains
        if _passes_through(part):
            np.testing.assert_array_equal(stains, patch, "passes_through is True, but the stains are not the patch")
            return
        assert stains[:, ~head].mean() < BACKGROUND / 2, "more than half of the background is still there"
        kept = stains[:, head].sum(axis=-1) / (120.0 * head.sum())
        assert (kept > 0.75).all() and (kept < 1.25).all(), (  # noqa: PT018
            f"of the light of the cell {kept.round(2).tolist()} is left per channel; it should be near 1"
        )

    def test_the_dtype_does_not_change_the_result(self, part: Denoiser) -> None:
        patch = stained_patch(2, SIZE, seed=2, background=BACKGROUND)
        narrow, wide, real = (part.denoise(patch.astype(dtype)) for dtype in FULL_SCALE)
        for other, dtype in ((wide, "uint16"), (real, "float32")):
            np.testing.assert_allclose(
                narrow.background, other.background, rtol=1e-5, err_msg=f"uint8 and {dtype} give other levels"
            )
            np.testing.assert_allclose(
                narrow.stains, other.stains, rtol=1e-4, atol=1e-3, err_msg=f"uint8 and {dtype} give other stains"
            )

    @pytest.mark.parametrize("shape", [(1, 1), (1, 7), (3, 3), (5, 200)])
    @pytest.mark.parametrize("level", [0, 3, 250])
    def test_copes_with_flat_and_tiny_patches(self, part: Denoiser, shape: tuple[int, int], level: int) -> None:
        patch = np.full((2, *shape), level, dtype=np.uint8)
        result = _denoise_or_refuse(part, patch)
        _check_is_whole(result, patch)
        if _passes_through(part):
            assert not result.background.any(), "passes_through is True, but a background was removed"
            return
        assert result.stains.max() <= max(2, 0.02 * level), f"a patch that is {level} everywhere is all background"

    def test_copes_with_noise(self, part: Denoiser) -> None:
        patch = np.random.default_rng(5).integers(0, 4096, size=(2, SIZE, SIZE), dtype=np.uint16)
        _check_is_whole(_denoise_or_refuse(part, patch), patch)

    @pytest.mark.parametrize("dtype", FULL_SCALE)
    def test_is_deterministic_and_leaves_the_patch_unchanged(self, part: Denoiser, dtype: str) -> None:
        patch = stained_patch(2, SIZE, seed=3, background=BACKGROUND).astype(dtype)
        before = patch.copy()
        first, again = part.denoise(patch), part.denoise(patch)
        np.testing.assert_array_equal(patch, before, "denoise() changed its input: work on a copy")
        np.testing.assert_array_equal(first.stains, again.stains, "denoise() gives something else for the same patch")
        assert not np.shares_memory(first.stains, patch), "denoise() gave its input back: give a copy"


def _check_is_whole(result: Denoised, patch: npt.NDArray[np.generic]) -> None:
    assert isinstance(result, Denoised), f"denoise() gave a {type(result).__name__}, not a Denoised"
    assert result.stains.shape == patch.shape, f"stains are {result.stains.shape}, the patch is {patch.shape}"
    assert result.stains.dtype == np.float32, f"stains are {result.stains.dtype}, not float32"
    assert np.isfinite(result.stains).all(), "stains hold NaN or infinity"
    assert (result.stains >= 0).all(), f"stains go down to {result.stains.min()}: clip at 0"
    assert result.background.shape == patch.shape[:1], f"background is {result.background.shape}: one level per channel"
    assert result.background.dtype == np.float64, f"background is {result.background.dtype}, not float64"
    assert np.isfinite(result.background).all(), "background holds NaN or infinity"
    assert result.mask.shape == patch.shape[1:], f"mask is {result.mask.shape}, a channel is {patch.shape[1:]}"
    assert result.mask.dtype == np.bool_, f"mask is {result.mask.dtype}, not bool"


def _passes_through(part: Denoiser) -> bool:
    return bool(getattr(part, "passes_through", False))


def _denoise_or_refuse(part: Denoiser, patch: npt.NDArray[np.generic]) -> Denoised:
    """Denoise; a `VsfError` with its sentence is a right answer too, anything else is not."""
    try:
        return part.denoise(patch)
    except VsfError as refusal:
        if not str(refusal).strip():
            pytest.fail("denoise() refused without a word: say why, where and what to do")
        pytest.skip(f"refused: {refusal}")
