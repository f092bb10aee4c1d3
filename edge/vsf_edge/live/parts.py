"""What a live session is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from vsf_edge.bundle import Bundle
from vsf_edge.interfaces import Detector, Session, Sink, Source
from vsf_edge.trust import TrustTable


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a session is made of.

    Attributes
    ----------
    bundle, session
        The model, and what runs it.
    reopen
        Loads it anew after a failure.
    engine
        Its label.
    source, source_name
        Where frames come from.
    make_detector
        Builds the detector for heads of a length in pixels.
    sinks
        By name.
    make_recording
        Builds the sink that records into a folder, for the displays' button.
    """

    bundle: Bundle
    session: Session
    reopen: Callable[[], Session]
    engine: str
    source: Source
    source_name: str
    make_detector: Callable[[float], Detector]
    sinks: Mapping[str, Sink]
    make_recording: Callable[[Path], Sink]


def trust_table(bundle: Bundle) -> TrustTable | None:
    """Give the trust table of `bundle` with whole intervals (see `live.possible`), None where it carries none."""
    text = bundle.document("trust")
    if text is None:
        return None
    return TrustTable(text, f"{bundle.path}: {bundle.manifest.documents['trust']}", whole=True)
