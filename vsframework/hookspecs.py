"""Every hook, on one page.

A plugin is a module named by an entry point in the group ``vsframework``. It implements any of these hooks. The
component hooks are *collectors*: they take nothing, do nothing, and return a list of
:class:`~vsframework.components.Component`. They are called when ``vsf plugins list`` runs, so import heavy libraries
in the part that is built, not in the collector::

    from vsframework import Component, hookimpl

    @hookimpl
    def vsf_denoisers():
        return [Component(name="my-denoiser", build="my_package.denoiser:MyDenoiser", summary="What it does.")]
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pluggy

from vsframework.components import Component

if TYPE_CHECKING:
    import click

    from vsframework.interfaces import (
        Denoiser,
        Detector,
        ExportTarget,
        Gate,
        Generator,
        Quantifier,
        Reader,
        Registrar,
        Regressor,
    )

PROJECT = "vsframework"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def vsf_registrars() -> Sequence[Component[Registrar]]:  # type: ignore[empty-body]
    """Offer registrars: they find where one image lies in another (paper: SIFT + FLANN + RANSAC).

    .. versionadded:: 0.1
    """


@hookspec
def vsf_detectors() -> Sequence[Component[Detector]]:  # type: ignore[empty-body]
    """Offer detectors: they find the cells of a brightfield field.

    .. versionadded:: 0.1
    """


@hookspec
def vsf_denoisers() -> Sequence[Component[Denoiser]]:  # type: ignore[empty-body]
    """Offer denoisers: they remove the background of a fluorescence patch (paper: the histogram rule).

    .. versionadded:: 0.1
    """


@hookspec
def vsf_generators() -> Sequence[Component[Generator]]:  # type: ignore[empty-body]
    """Offer generator architectures: the networks that stain (paper: pix2pix, pix2pix++).

    .. versionadded:: 0.1
    """


@hookspec
def vsf_quantifiers() -> Sequence[Component[Quantifier]]:  # type: ignore[empty-body]
    """Offer quantifiers: they turn stains into named numbers per cell (paper: the DNA fragmentation index).

    .. versionadded:: 0.1
    """


@hookspec
def vsf_regressors() -> Sequence[Component[Regressor]]:  # type: ignore[empty-body]
    """Offer regressors: they predict a quantity from brightfield alone, without stains (McCallum et al. 2019).

    .. versionadded:: 0.1
    """


@hookspec
def vsf_gates() -> Sequence[Component[Gate]]:  # type: ignore[empty-body]
    """Offer gates: they measure whether the image of a cell is good enough for a number to be given.

    .. versionadded:: 0.1
    """


@hookspec
def vsf_readers() -> Sequence[Component[Reader]]:  # type: ignore[empty-body]
    """Offer readers: they open image files of kinds that the core does not know (movies, microscope vendors' own).

    .. versionadded:: 0.1
    """


@hookspec
def vsf_export_targets() -> Sequence[Component[ExportTarget]]:  # type: ignore[empty-body]
    """Offer export targets: they compile trained generators for another runtime.

    .. versionadded:: 0.1
    """


@hookspec
def vsf_commands() -> Sequence[click.Command]:  # type: ignore[empty-body]
    """Offer commands for ``vsf``. Keep their modules light: they are imported by ``vsf --help``.

    .. versionadded:: 0.1
    """
