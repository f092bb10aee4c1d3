"""What a plugin of the edge implements: one Protocol per kind.

An entry point in the group ``vsf_edge`` names a class; the entry point's own name says the kind and the name, as in
``runtime.onnxruntime``. A runtime is built without arguments. See :mod:`vsf_edge.plugins`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from vsf_edge.bundle import Bundle

Array: TypeAlias = npt.NDArray[np.float32]
Counts: TypeAlias = npt.NDArray[np.float32] | npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


@dataclass(frozen=True, kw_only=True)
class Availability:
    """Whether a runtime works on this machine.

    Attributes
    ----------
    usable
        Whether `Runtime.open` may be called.
    detail
        Version and devices, or why it is not usable.
    advice
        What to install or do; empty where nothing is to be done.
    facts
        The same for scripts: JSON values only.
    devices
        By name (``cpu``, ``cuda``, ...), the precisions that run there; the device to prefer first.
    """

    usable: bool
    detail: str
    advice: str = ""
    facts: Mapping[str, Any]
    devices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a graph is to be run: the device of the runtime, and the precision of the bundle."""

    device: str = "cpu"
    precision: str = "fp32"


class Session(Protocol):
    """A model that is loaded and ready."""

    def run(self, brightfield: Counts) -> Mapping[str, Array]:
        """Stain `brightfield` [N, C, H, W] in counts.

        Gives the graph's outputs by name: the stains float32 [N, S, H, W] in counts, and each quantity float32 [N].
        """


@runtime_checkable
class Runtime(Protocol):
    """Runs the graph of a bundle on some device."""

    def availability(self) -> Availability:
        """Say whether this machine can run it. ``vsf-edge doctor`` calls it in a process of its own."""

    def identity(self, plan: Plan) -> Mapping[str, str]:
        """Give everything that a compiled engine depends on beside bundle and plan: versions, device, driver.

        Called before every use, so it must be quick: it imports and loads nothing.
        """

    def build(self, bundle: Bundle, plan: Plan, folder: Path) -> None:
        """Compile the graph for this machine into files of the empty `folder`; may leave it empty.

        Called once per bundle, plan and identity, under a lock; the folder is moved to its place afterwards.

        Raises
        ------
        EdgeError
            When this machine or this runtime cannot.
        """

    def open(self, bundle: Bundle, plan: Plan = Plan(), engine: Path | None = None) -> Session:
        """Load the graph of `bundle`, from the folder `engine` that `build` filled where it is given.

        Raises
        ------
        EdgeError
            When this machine or this runtime cannot run the graph, or `engine` is unusable.
        """


class GateMeasure(Protocol):
    """One value of a gate; :class:`vsf_edge.gates.measure.Measure` is one."""

    @property
    def name(self) -> str:
        """As in the trust table."""


@runtime_checkable
class Gate(Protocol):
    """Measures whether an image of one cell is of the kind that a number can be trusted for.

    Named by an entry point ``gate.NAME``; built with the parameters of the trust table. See docs/trust.md.
    """

    @property
    def version(self) -> str:
        """Goes up whenever the same image gives other values."""

    @property
    def together(self) -> str:
        """What is wrong with a cell whose values are unusual together; empty where each value has its own limits."""

    @property
    def measures(self) -> Sequence[GateMeasure]:
        """What `measure` gives, in order."""

    def measure(self, brightfield: npt.NDArray[np.generic], full_scale: float) -> npt.NDArray[np.float64]:
        """Measure every patch of `brightfield` [N, P, H, W], counts (`full_scale` is saturated): float64 [N, M]."""


@dataclass(frozen=True)
class Detection:
    """The head of one cell in a frame; the same convention as a detection of vsframework.

    Attributes
    ----------
    x, y
        Centre of the head in pixels of the frame: x right, y down, the centre of the first pixel is 0.
    angle
        Direction from the tail to the tip of the head, in radians, from the x axis towards the y axis (clockwise as
        seen on the screen), in (-pi, pi]. Turning the frame back by it lays the head horizontal, tip to the right.
    length
        Length of the head along that direction, in pixels.
    score
        Confidence, 0 to 1.
    """

    x: float
    y: float
    angle: float
    length: float
    score: float


@runtime_checkable
class Detector(Protocol):
    """Finds the heads in a live frame.

    Named by an entry point ``detector.NAME``; built once, with its own settings as keywords. `detect` is called in the
    live loop once per frame, before anything is cut out or stained, so it should take a few milliseconds.
    """

    def detect(self, frame: npt.NDArray[np.generic]) -> Sequence[Detection]:
        """Find heads in `frame` [H, W], brightfield uint8 or uint16 counts; best first, none in a blank frame.

        `frame` is left as it is. The same frame gives the same heads.
        """
