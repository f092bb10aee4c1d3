"""The hooks of the built-in components: one room per step of the paper.

Each collector imports its own rooms, so that ``vsf --help`` imports none of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vsframework import Component, hookimpl


@hookimpl
def vsf_registrars() -> Sequence[Component[Any]]:
    from vsf_plugins.registrars import chain, ecc, kornia_alignment, mutual_information, phase_correlation, sift_ransac

    rooms = (sift_ransac, phase_correlation, ecc, mutual_information, kornia_alignment, chain)
    return [room.COMPONENT for room in rooms]


@hookimpl
def vsf_detectors() -> Sequence[Component[Any]]:
    from vsf_plugins.detectors import grid, head_blob, nuclei

    return [head_blob.COMPONENT, nuclei.COMPONENT, grid.COMPONENT]


@hookimpl
def vsf_denoisers() -> Sequence[Component[Any]]:
    from vsf_plugins.denoisers import (
        border_median,
        histogram_mode,
        local_plane,
        mccallum_histogram,
        none,
        rolling_ball,
        sigma_clip,
    )

    rules = (histogram_mode, mccallum_histogram, border_median, sigma_clip, rolling_ball, local_plane, none)
    return [rule.COMPONENT for rule in rules]


@hookimpl
def vsf_generators() -> Sequence[Component[Any]]:
    from vsf_plugins.generators import fast, pix2pix, unet

    return [pix2pix.PIX2PIX, pix2pix.PIX2PIX_PLUS_PLUS, unet.COMPONENT, fast.COMPONENT]


@hookimpl
def vsf_quantifiers() -> Sequence[Component[Any]]:
    from vsf_plugins.quantifiers import dfi, intensity

    return [dfi.COMPONENT, intensity.COMPONENT]


@hookimpl
def vsf_regressors() -> Sequence[Component[Any]]:
    from vsf_plugins.regressors import head_descriptors, small_cnn

    return [small_cnn.COMPONENT, head_descriptors.COMPONENT]


@hookimpl
def vsf_readers() -> Sequence[Component[Any]]:
    from vsf_plugins.readers import movie, vendor

    return [movie.COMPONENT, vendor.COMPONENT]


@hookimpl
def vsf_gates() -> Sequence[Component[Any]]:
    from vsf_plugins import gates

    return gates.COMPONENTS
