"""Builds a session from what the command line names: source, detector and sinks are plugins."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2

from vsf_edge.bundle import Bundle
from vsf_edge.engines import Engine
from vsf_edge.errors import EdgeError, EdgeUsageError
from vsf_edge.interfaces import Detector, Runtime, Session, Sink
from vsf_edge.live.metrics import registry
from vsf_edge.live.parallel import ParallelSession
from vsf_edge.live.parts import Parts
from vsf_edge.live.session import LiveLoop
from vsf_edge.live.settings import LoopSettings
from vsf_edge.plugins import plugins
from vsf_edge.settings import read_settings

SHIPPED = Path(__file__).resolve().parents[1] / "demo" / "model.vsf"
MADE = Path("demo")


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the command line names.

    Attributes
    ----------
    source, given
        ``NAME[:ADDRESS]``, and its settings ``KEY=VALUE``.
    record
        Folder to record into from the start.
    browser, token
        ``HOST:PORT`` of the view in a browser; None for none.
    jsonl
        File, or ``-``, for one JSON line per cell.
    sinks
        Further ones, ``NAME[:ADDRESS]``.
    detector, looking
        Its name, and its settings ``KEY=VALUE``.
    """

    source: str = "simulator"
    given: tuple[str, ...] = ()
    record: Path | None = None
    browser: str | None = None
    token: str = ""
    jsonl: str | None = None
    sinks: tuple[str, ...] = ()
    detector: str = "heads"
    looking: tuple[str, ...] = ()


def assembled(
    bundle: Bundle, engine: Engine, settings: LoopSettings, wishes: Wishes, announce: Callable[[str], None]
) -> LiveLoop:
    """Build the session of `wishes`; nothing is opened yet.

    Raises
    ------
    EdgeUsageError
        When there is no such source, sink or detector, or the model does not fit a live view.
    EdgeError
        When one of them cannot be built.
    """
    name, address = _split(wishes.source)
    source = plugins().find("source", name).create(*address, **_settings("-O", wishes.given))
    make_detector = _detector(wishes.detector, _settings("-D", wishes.looking))
    sinks: dict[str, Sink] = {}
    if wishes.record is not None:
        sinks["recording"] = _recording(wishes.record)
    if wishes.jsonl is not None:
        sinks["jsonl"] = plugins().find("sink", "jsonl").create(wishes.jsonl)
    for wish in wishes.sinks:
        name, address = _split(wish)
        label = wish if name in sinks else name
        if label in sinks:
            raise EdgeUsageError(f"--sink {wish} is there twice: give each another address")
        sinks[label] = plugins().find("sink", name).create(*address)

    def open_anew() -> Session:
        runtime: Runtime = plugins().find("runtime", engine.runtime).create()
        return spread(bundle, engine, runtime.open(bundle, engine.plan, engine.folder))

    parts = Parts(
        bundle=bundle,
        session=spread(bundle, engine, engine.session),
        reopen=open_anew,
        engine=engine.label,
        source=source,
        source_name=wishes.source,
        make_detector=make_detector,
        sinks=sinks,
        make_recording=_recording,
    )
    loop = LiveLoop(parts, settings, _described(wishes, settings))
    if wishes.browser is not None:
        extra = {"token": wishes.token} if wishes.token else {}
        sinks["browser"] = (  # it shows the loop's numbers, so it is built after the loop and started by it
            plugins()
            .find("sink", "browser")
            .create(wishes.browser, registry=registry(loop.statistics), announce=announce, **extra)
        )
    return loop


def spread(bundle: Bundle, engine: Engine, session: Session) -> Session:
    """Give what is best for a live view: several patches at once on a processor, ready slots on a card.

    Where the network takes all cores, OpenCV gets one thread for the whole process: waking others up for small images
    costs more than they do.
    """
    cores = os.cpu_count() or 1
    runtime: Runtime = plugins().find("runtime", engine.runtime).create()
    live = replace(engine.plan, live=True)
    if engine.plan.device == "cpu" and cores < 2:
        return session
    alone = runtime.open(bundle, live, engine.folder)
    if engine.plan.device != "cpu":
        return alone
    cv2.setNumThreads(1)
    return ParallelSession(alone, runtime.open(bundle, replace(live, streams=cores), engine.folder), workers=cores)


def way(engine: Engine) -> str:
    """Say how `engine` is used in a live view."""
    cores = os.cpu_count() or 1
    if engine.plan.device == "cpu":
        return f"{cores} patches at once, a core each" if cores > 1 else "one patch after the other"
    if engine.runtime == "tensorrt":
        return "batches in pinned memory, with captured CUDA graphs where the card can"
    return "batches"


def demo_model() -> Path:
    """Give the model to show where none is named: the one of ``make demo``, else the one that is shipped.

    Raises
    ------
    EdgeError
        When there is none.
    """
    made = sorted(MADE.glob("**/model.vsf"))
    if made:
        return made[0]
    if SHIPPED.is_file():
        return SHIPPED
    raise EdgeError("no model is named and there is no demo here: give a .vsf file, or run 'make demo' first")


def _recording(folder: Path) -> Sink:
    sink: Sink = plugins().find("sink", "recording").create(str(folder))
    return sink


def _detector(name: str, given: Mapping[str, Any]) -> Callable[[float], Detector]:
    """Give what builds the detector `name` for heads of a length in pixels, with the settings `given`."""
    plugin = plugins().find("detector", name)
    read = read_settings(plugin.settings(), given, f"detector {name}")
    chosen = {key: getattr(read, key) for key in given}

    def make(length: float) -> Detector:
        made: Detector = plugin.create(head_length=length, **chosen)
        return made

    return make


def _split(wish: str) -> tuple[str, tuple[str, ...]]:
    """Give the name, and the address where there is one."""
    name, colon, address = wish.partition(":")
    return name, (address,) if colon else ()


def _settings(option: str, given: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for text in given:
        key, equals, value = text.partition("=")
        key = key.strip().replace("-", "_")
        if not equals or not key.isidentifier():
            raise EdgeUsageError(f"{option} {text!r} is not of the form KEY=VALUE")
        found[key] = value.strip()
    return found


def _described(wishes: Wishes, settings: LoopSettings) -> dict[str, object]:
    """Give everything that was chosen as JSON values, but for the token."""
    chosen = {**asdict(wishes), **asdict(settings)}
    del chosen["token"]
    return {name: str(value) if isinstance(value, Path) else value for name, value in chosen.items()}
