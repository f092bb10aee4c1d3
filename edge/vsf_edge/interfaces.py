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

from vsf_edge.frames import Detection, Frame, FrameResult, LiveSession, Notice, Pixels

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
    """How a graph is to be run.

    Attributes
    ----------
    device
        Of the runtime.
    precision
        Of the bundle.
    streams
        How many threads call `Session.run` at the same time; each call gets its share of the processor's cores.
    live
        Whether batches of few sizes come again and again beside other work, so that memory may be pinned and graphs
        captured for them, and threads that wait leave the processor to others.
    """

    device: str = "cpu"
    precision: str = "fp32"
    streams: int = 1
    live: bool = False


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


@runtime_checkable
class Detector(Protocol):
    """Finds the heads of a live frame.

    Named by an entry point ``detector.NAME``; built with the keyword ``head_length`` (pixels), and with keywords of its
    own, which have defaults and are the settings of ``-D key=value`` (ranges and sentences: :mod:`vsf_edge.settings`);
    built anew when the scale changes. `detect` is called from one thread, once per frame, and must be quick: a frame
    waits for it.
    """

    def detect(self, pixels: Pixels) -> Sequence[Detection]:
        """Find the heads in `pixels` [H, W], counts; a head that the border cuts is left out."""


@runtime_checkable
class Source(Protocol):
    """Where frames come from.

    Named by an entry point ``source.NAME``; built with what follows it in ``--source NAME:ADDRESS`` (empty where
    nothing does) and with the keyword settings of ``-O key=value``::

        MySource("ADDRESS", exposure=10.0)

    The loop calls everything from one thread: `open`, then `read` until it ends or fails, then `close`. After a failure
    it waits (longer each time), and calls `open` again; `close` must work after a failed `open`, and twice.
    """

    @property
    def live(self) -> bool:
        """Whether frames that nobody reads are lost (a camera), or wait (files)."""

    def open(self) -> None:
        """Start: open the camera or look at the files.

        Raises
        ------
        EdgeUsageError
            When ADDRESS or a setting is wrong: the session does not start.
        EdgeError
            When it cannot now, and may later.
        """

    def read(self, timeout: float) -> Frame | None:
        """Give the next frame in order, or None when there is none within `timeout` seconds.

        Raises
        ------
        SourceEndError
            When there is nothing more, ever: all files are done.
        CorruptFrameError
            When this frame could not be read, and the next one may be.
        EdgeError
            When the camera is gone or stopped: it is opened again.
        """

    def close(self) -> None:
        """Stop and let everything go."""

    def lost(self) -> int:
        """Give how many frames since `open` are known to be lost before `read` could give them."""


@runtime_checkable
class Sink(Protocol):
    """Takes the results.

    Named by an entry point ``sink.NAME``; built with what follows it in ``--sink NAME:ADDRESS`` and keyword settings,
    like a source. Each sink has a thread of its own, which calls `start`, then `take` and `notice`, then `stop`: a
    slow sink holds up neither the loop nor the others. What it raises becomes a notice for the others; `take` is called
    again with the next result, and `stop` in any case.
    """

    @property
    def every(self) -> bool:
        """Whether it must see every result (a recording).

        Then a full queue is reported as a loss, or, with the policy ``all``, holds the loop up. Else the newest result
        replaces the one that waits.
        """

    def start(self, session: LiveSession) -> None:
        """Get ready; what is raised here ends the session before it starts."""

    def take(self, result: FrameResult) -> None:
        """Take one result; results come in the order of `FrameResult.sequence`."""

    def notice(self, notice: Notice) -> None:
        """Take something that a user should know."""

    def stop(self) -> None:
        """Write what is left and close; at most a second."""
