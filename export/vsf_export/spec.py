"""Whether a spec fits together, and what sizes and pixel types come of it."""

from __future__ import annotations

import re

from vsf_edge.border import LARGEST
from vsf_export.staining_graph import INPUT, STAINS
from vsf_export.targets.onnx_params import GraphParams
from vsf_export.tracing import Limits
from vsframework import UsageError, VsfError
from vsframework.interfaces import ExportSpec

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")


def check_spec(spec: ExportSpec) -> None:
    """Refuse a spec whose parts do not fit.

    Raises
    ------
    VsfError
        Names the part.
    """
    if len(spec.stains) != len(spec.stain_full_scale):
        raise VsfError(f"{len(spec.stains)} stains have {len(spec.stain_full_scale)} full scales: give one each")
    shape = (spec.in_channels, spec.image_size, spec.image_size)
    if spec.reference.ndim != 4 or not len(spec.reference) or spec.reference.shape[1:] != shape:
        raise VsfError(f"the reference has the shape {spec.reference.shape}, and it should be [N >= 1, {shape}]")
    if spec.cells and len(spec.cells) != len(spec.reference):
        raise VsfError(f"{len(spec.reference)} reference patches have {len(spec.cells)} names: give one each")
    if spec.calibration is not None and spec.calibration.shape[1:] != shape:
        raise VsfError(f"the calibration has the shape {spec.calibration.shape}, and it should be [N, {shape}]")
    if not spec.quantifier.quantities:
        raise VsfError("the quantifier gives no value: whether an export may be trusted cannot be measured")
    names = [*spec.stains, *(quantity.name for quantity in spec.quantifier.quantities)]
    for name in names:
        if not _NAME.fullmatch(name) or name in (INPUT, STAINS):
            raise VsfError(f"the name {name!r} cannot be that of an output: use letters, digits and . _ + -")


def limits_of(spec: ExportSpec, params: GraphParams) -> Limits:
    """Give the sizes that the graph takes.

    Raises
    ------
    UsageError
        When not even one patch fits into ``max_side``.
    """
    side = params.max_side // spec.stride * spec.stride if params.max_side else spec.image_size
    if side < max(spec.image_size, 3 * spec.stride if params.max_side else 0):
        raise UsageError(
            f"max_side = {params.max_side} is below {max(spec.image_size, 3 * spec.stride)} px, the least for this "
            "generator: raise it, or leave it out for patches only"
        )
    return Limits(
        channels=spec.in_channels,
        stride=spec.stride,
        size=spec.image_size,
        max_side=side,
        max_batch=max(2, params.max_batch),
    )


def pixel_types(spec: ExportSpec, params: GraphParams) -> tuple[str, str]:
    """Give the types of counts at the graph's input and output.

    Raises
    ------
    UsageError
        When a whole type cannot hold the full scale.
    """
    source: str = params.input
    if source == "auto":
        fitting = [name for name, largest in LARGEST.items() if spec.brightfield_full_scale <= largest]
        source = fitting[0] if fitting else "float32"
    for name, dtype, scale in (
        ("input", source, spec.brightfield_full_scale),
        ("output", params.output, max(spec.stain_full_scale)),
    ):
        if scale > LARGEST.get(dtype, float("inf")):
            raise UsageError(f"{name} = {dtype} cannot hold counts up to {scale:g}: use uint16 or float32")
    return source, params.output
