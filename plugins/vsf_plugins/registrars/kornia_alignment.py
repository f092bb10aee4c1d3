"""``kornia``: bounded alignment, refined by gradient ascent in torch; many starts or many images at once, on a GPU.

The correlation of the outlines is differentiated through kornia's warp, so that a batch of matrices climbs together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from vsf_plugins.registrars.alignment import Alignment, AlignmentParams, Views
from vsf_plugins.registrars.search import Matrix
from vsframework import Component, UsageError
from vsframework.interfaces import ImageArray

if TYPE_CHECKING:
    import torch

_PARAMETERS = {"translation": 2, "rigid": 3, "similarity": 4, "affine": 6}


class KorniaParams(AlignmentParams):
    """What ``kornia`` can be told."""

    steps: int = Field(40, ge=1, le=1000, description="Steps of the optimiser at each of the two resolutions.")
    rate: float = Field(
        0.3,
        gt=0,
        le=5,
        description="First step of the optimiser, of a corner at the compared size; it falls to a hundredth.",
        json_schema_extra={"unit": "px"},
    )
    device: str = Field("auto", description="Of torch: auto takes a GPU where there is one.")


class KorniaAlignment(Alignment):
    """Aligns two images of one field by the correlation of their outlines, in torch.

    Raises
    ------
    UsageError
        When the device is not there.
    """

    params: KorniaParams

    def __init__(self, params: KorniaParams) -> None:
        super().__init__(params)
        self._device = _device(params.device)

    def improve(self, views: Views, start: Matrix) -> Matrix | str:
        """Climb from `start`, first at half the size."""
        import torch

        moving, fixed = (
            torch.from_numpy(np.ascontiguousarray(view))[None, None].to(self._device)
            for view in (views.moving, views.fixed)
        )
        found = climb(moving, fixed, start[None], self.params.model, self.params.steps, self.params.rate)
        return found[0] if np.isfinite(found[0]).all() else "the correlation does not converge to a position"


def climb(
    moving: torch.Tensor, fixed: torch.Tensor, starts: Matrix, model: str, steps: int, rate: float
) -> npt.NDArray[np.float64]:
    """Refine a batch of matrices so that each pair correlates best.

    Parameters
    ----------
    moving, fixed
        float32 [N, 1, h, w] and [N, 1, H, W] on one device.
    starts
        [N, 3, 3], from moving to fixed pixels.
    model
        ``"translation"``, ``"rigid"``, ``"similarity"`` or ``"affine"``: what is changed, about the middle.
    steps, rate
        Of Adam at half and at full size; `rate` is the first step of a corner in pixels.

    Returns
    -------
    float64 [N, 3, 3]
    """
    import torch
    from kornia.filters import gaussian_blur2d

    # interpolation blurs by where it falls between pixels, and an unblurred image would be drawn to whole pixels
    moving, fixed = (gaussian_blur2d(image, 5, (1.1, 1.1)) for image in (moving, fixed))
    height, width = moving.shape[-2:]
    middle = torch.tensor([(width - 1) / 2, (height - 1) / 2], dtype=torch.float32, device=moving.device)
    reach = float(np.hypot(width, height)) / 2
    begin = torch.as_tensor(starts, dtype=torch.float32, device=moving.device)
    values = torch.zeros(len(starts), _PARAMETERS[model], device=moving.device, requires_grad=True)
    for factor in (2, 1):
        small = torch.nn.functional.avg_pool2d(moving, factor) if factor > 1 else moving
        scaled = torch.nn.functional.avg_pool2d(fixed, factor) if factor > 1 else fixed
        to_small = _pooling(factor, moving.device)
        optimizer = torch.optim.Adam([values], lr=rate * factor)
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.01 ** (1 / steps))
        for _ in range(steps):
            optimizer.zero_grad()
            matrices = to_small @ begin @ _step(values, model, middle, reach) @ torch.linalg.inv(to_small)
            loss = -_correlation(small, _sampled(scaled, matrices, small.shape[-2:])).sum()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
    with torch.no_grad():
        step = _step(values, model, middle, reach)
    found: npt.NDArray[np.float64] = np.asarray(starts, dtype=np.float64) @ step.cpu().double().numpy()
    return found


def warp_batch(images: Sequence[ImageArray], matrices: Matrix, shape: tuple[int, int], device: str = "auto") -> Any:
    """Sample each image where its matrix puts the pixels of a patch, all in one go.

    Parameters
    ----------
    images
        N images [H, W] of one size, any integer or float dtype.
    matrices
        [N, 3, 3], from patch pixels to image pixels.
    shape
        Height and width of the patches.
    device
        Of torch; auto takes a GPU where there is one.

    Returns
    -------
    float32 [N, height, width]
        Bilinear; 0 outside.
    """
    import torch

    stack = torch.from_numpy(np.stack([np.asarray(image, dtype=np.float32) for image in images]))[:, None]
    place = _device(device)
    matrix = torch.as_tensor(np.asarray(matrices), dtype=torch.float32, device=place)
    with torch.no_grad():
        return _sampled(stack.to(place), matrix, shape)[:, 0].cpu().numpy()


def _step(values: torch.Tensor, model: str, middle: torch.Tensor, reach: float) -> torch.Tensor:
    """Build [N, 3, 3] from parameters [N, P], each in pixels that a corner moves."""
    import torch

    one, zero = torch.ones_like(values[:, 0]), torch.zeros_like(values[:, 0])
    x, y = values[:, 0], values[:, 1]
    if model == "translation":
        a, b, c, d = one, zero, zero, one
    elif model == "affine":
        a, b, c, d = 1 + values[:, 2] / reach, values[:, 3] / reach, values[:, 4] / reach, 1 + values[:, 5] / reach
    else:
        turn = values[:, 2] / reach
        scale = torch.exp(values[:, 3] / reach) if model == "similarity" else one
        a, b, c, d = scale * torch.cos(turn), -scale * torch.sin(turn), scale * torch.sin(turn), scale * torch.cos(turn)
    u, v = middle
    rows = [a, b, u + x - a * u - b * v, c, d, v + y - c * u - d * v, zero, zero, one]
    return torch.stack(rows, dim=1).reshape(-1, 3, 3)


def _sampled(images: torch.Tensor, matrices: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """Sample `images` [N, 1, H, W] at `matrices` [N, 3, 3] of the pixels of a patch; 0 outside."""
    import torch
    from kornia.geometry.transform import warp_affine

    inverse = torch.linalg.inv(matrices)[:, :2]  # kornia's matrix goes from what is read to what is written
    warped: torch.Tensor = warp_affine(images, inverse, (int(shape[0]), int(shape[1])), align_corners=True)
    return warped


def _correlation(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    a, b = (image.flatten(1) - image.flatten(1).mean(dim=1, keepdim=True) for image in (first, second))
    fit: torch.Tensor = (a * b).sum(dim=1) / (a.norm(dim=1) * b.norm(dim=1) + 1e-12)
    return fit


def _pooling(factor: int, device: Any) -> torch.Tensor:
    """Say where averaging `factor` x `factor` pixels puts a pixel centre, 3x3."""
    import torch

    offset = 0.5 / factor - 0.5
    return torch.tensor([[1 / factor, 0.0, offset], [0.0, 1 / factor, offset], [0.0, 0.0, 1.0]], device=device)


def _device(name: str) -> Any:
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(f"the registrar kornia cannot use the device {name!r}: choose auto or cpu") from error
    return device


COMPONENT = Component[KorniaAlignment](
    name="kornia",
    build="vsf_plugins.registrars.kornia_alignment:KorniaAlignment",
    params=KorniaParams,
    summary="Aligns two modalities of one field like ecc, in torch: batched, and on a GPU where there is one.",
)
