"""What travels through the live loop: a camera's frame, the cells found in it, and the result that the sinks get."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from vsf_edge.manifest import Manifest

Pixels: TypeAlias = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
Mode: TypeAlias = Literal["cells", "field"]
Policy: TypeAlias = Literal["latest", "all"]


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One brightfield image as a source gave it.

    Attributes
    ----------
    pixels
        uint8 or uint16 [H, W], raw counts. Nobody writes into it after the source has given it.
    number
        Of the camera, rising by one per exposed frame: a gap is frames that the source lost. Starts anew when the
        source is opened again.
    captured
        Seconds of `time.monotonic` when the frame reached this computer: latencies count from here.
    time
        Seconds since 1970 on the wall clock, for the record only; it may jump.
    bit_depth
        Bits of a count; ``2**bit_depth - 1`` is saturated.
    pixel_size_um
        Micrometres per pixel; None where the source does not know.
    metadata
        What else the source says about this frame, such as ``Exposure-ms``; JSON values.
    """

    pixels: Pixels
    number: int
    captured: float
    time: float
    bit_depth: int
    pixel_size_um: float | None = None
    metadata: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Detection:
    """A head in a frame.

    Attributes
    ----------
    x, y
        Middle of the head in pixels: x right, y down, the centre of the first pixel is 0, 0.
    angle
        Direction from the tail to the tip, radians in (-pi, pi], from the x axis towards the y axis.
    length
        Of the head along that direction, in pixels.
    score
        From 0 to 1; higher is surer.
    """

    x: float
    y: float
    angle: float
    length: float
    score: float


@dataclass(frozen=True, kw_only=True)
class Readout:
    """A quantity of one cell: of this frame, or the mean over the good frames of its track.

    Attributes
    ----------
    value, low, high
        In the quantity's unit: the estimate and the ends of its interval; NaN where there is none.
    frames
        How many frames it rests on; 0 where the cell was never good.
    """

    value: float
    low: float
    high: float
    frames: int


@dataclass(frozen=True, kw_only=True)
class LiveCell:
    """A cell of one frame: where it is, what its stain looks like, what was measured and whether to believe it.

    Attributes
    ----------
    track
        Identity, the same from frame to frame; numbered from 1 in the order of appearance.
    detection
        Where it lies in the frame.
    brightfield
        [h, w], its patch: head horizontal, tip to the right, counts.
    stains
        float32 [S, h, w] in counts, in the order of the bundle.
    quantities
        By name, of this frame alone. The values stand also where the cell is not good: a sink that shows one must show
        `abstained` instead of the number.
    steady
        By name, over the good frames of its track so far: what a display shows.
    abstained
        Why this frame's number must not be used; empty where it may.
    """

    track: int
    detection: Detection
    brightfield: npt.NDArray[np.generic]
    stains: npt.NDArray[np.float32]
    quantities: Mapping[str, Readout]
    steady: Mapping[str, Readout]
    abstained: str = ""


@dataclass(frozen=True, kw_only=True)
class FrameResult:
    """What the loop made of one frame; the same object goes to every sink, so nobody may change it.

    Attributes
    ----------
    frame
        The brightfield.
    sequence
        Of this session, from 0, rising by one per result; goes on when the source starts its numbers anew.
    cells
        In reading order; empty where none was found.
    stains
        float32 [S, H, W] in counts: the whole field, in mode ``field`` only.
    problem
        Why this frame could not be stained, in a sentence; empty where it was. The frame is there and is recorded.
    latency_ms
        From `Frame.captured` to when the result was complete.
    stages_ms
        Time spent in each stage (``detect``, ``crop``, ``stain``, ``quantify``, ``track``, ...), and in ``wait``.
    queues
        How many items waited in each queue when the result was complete, by name.
    dropped
        Frames lost in the session so far, by reason (``camera``, ``behind``, ``corrupt``, ...).
    """

    frame: Frame
    sequence: int
    cells: tuple[LiveCell, ...]
    stains: npt.NDArray[np.float32] | None = None
    problem: str = ""
    latency_ms: float
    stages_ms: Mapping[str, float] = field(default_factory=dict)
    queues: Mapping[str, int] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Notice:
    """Something a user should know: the camera stalled, a disk is full, a client was too slow.

    Attributes
    ----------
    level
        ``info``, ``warning`` or ``error``.
    kind
        A word for scripts, such as ``source-stalled``, ``source-back``, ``size-changed``, ``frame-lost``,
        ``sink-failed``.
    text
        One sentence: what, where, what to do.
    time
        Seconds since 1970.
    """

    level: Literal["info", "warning", "error"]
    kind: str
    text: str
    time: float


class Controls(Protocol):
    """What a sink with buttons may ask of the session; called from any thread, and each returns at once."""

    @property
    def paused(self) -> bool:
        """Whether frames are taken and dropped (reason ``paused``)."""

    @property
    def recording(self) -> Path | None:
        """The folder that is recorded into, or None."""

    def pause(self, on: bool) -> None:
        """Stop or go on staining. A recording goes on only while frames are stained."""

    def record(self, on: bool) -> str:
        """Start or stop recording into a new folder; gives a sentence that says where, or why not."""

    def snapshot(self) -> str:
        """Save the newest result (brightfield, stains, cells); gives a sentence that says where, or why not."""


@dataclass(frozen=True, kw_only=True)
class LiveSession:
    """What a sink is told before the first frame.

    Attributes
    ----------
    manifest
        Of the bundle: stains, quantities with units, patch size, intended use.
    bundle_sha256
        Names the bundle.
    simulated
        Whether the model was trained on simulated data: every display must say so.
    engine
        Runtime, device and precision, as a label.
    source
        As the user named it.
    mode, policy
        See ``vsf-edge live --help``.
    settings
        Everything else that was chosen; JSON values. Stands in the record.
    controls
        For sinks with buttons.
    """

    manifest: Manifest
    bundle_sha256: str
    simulated: bool
    engine: str
    source: str
    mode: Mode
    policy: Policy
    settings: Mapping[str, object]
    controls: Controls
