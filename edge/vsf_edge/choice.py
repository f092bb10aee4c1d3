"""Chooses what runs a bundle here: what is asked for, else what was measured to be the fastest on this machine.

Measured once per bundle, at one patch, over every runtime and device that works here; kept in the cache beside the
engines until a plugin, a version or the machine changes. Precision: fp32 on a processor, fp16 or fp32 elsewhere,
whichever is faster; int8 only when it is asked for, because it is further from the network that was evaluated. Any
engine must agree with the reference. One of lower precision that does not falls back to fp32, with the reason.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vsf_edge import probe
from vsf_edge.atomic import write_bytes
from vsf_edge.bundle import Bundle
from vsf_edge.engines import DriftError, Engine, bundle_folder, get_engine
from vsf_edge.errors import EdgeError, EdgeUsageError, brief
from vsf_edge.interfaces import Array, Availability, Plan, Runtime, Session
from vsf_edge.plugins import EdgePlugins

AUTOMATIC = "auto"
RECORD = "choice.json"
MEASURED_SECONDS = 1.0
"""How long each candidate is timed, after its warm-up."""

Tell = Callable[[str], object]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What runs the bundle.

    Attributes
    ----------
    engine
        Ready to run.
    reason
        Why this one, in a sentence.
    measured_ms
        Median per patch of each candidate, by its label; empty where nothing had to be measured.
    rejected
        Why a candidate was not taken, by its label.
    """

    engine: Engine
    reason: str
    measured_ms: Mapping[str, float] = field(default_factory=dict)
    rejected: Mapping[str, str] = field(default_factory=dict)


def choose(
    bundle: Bundle,
    plugins: EdgePlugins,
    runtime: str = AUTOMATIC,
    precision: str = AUTOMATIC,
    root: Path | None = None,
    rebuild: bool = False,
    tell: Tell = lambda sentence: None,
) -> Choice:
    """Give what runs `bundle` on this machine, ready.

    Parameters
    ----------
    runtime
        ``auto``, a runtime's name, or ``NAME:DEVICE`` such as ``onnxruntime:cuda``.
    precision
        ``auto``, or one that the bundle has.
    root, rebuild, tell
        See `vsf_edge.engines.get_engine`; `rebuild` also measures again.

    Raises
    ------
    EdgeUsageError
        When there is no such runtime, device or precision.
    EdgeError
        When nothing works; says what was tried.
    """
    if precision not in (AUTOMATIC, *bundle.precisions):
        raise EdgeUsageError(f"{bundle.path} has no precision {precision!r}; it has {', '.join(bundle.precisions)}")
    name, _, device = runtime.partition(":")
    runtimes: dict[str, Runtime] = {}
    problems: dict[str, str] = {}
    key: dict[str, Any] = {"gpu": probe.cuda()}
    for plugin in plugins.of("runtime") if name == AUTOMATIC else [plugins.find("runtime", name)]:
        try:
            made: Runtime = plugin.create()
            key[plugin.name] = {**made.identity(Plan(device=device or "cpu")), "origin": plugin.origin}
            runtimes[plugin.name] = made
        except Exception as error:  # a plugin: whatever it raises must not take the others down
            if name != AUTOMATIC:
                raise
            problems[plugin.name] = brief(error)
    record = bundle_folder(bundle, root) / RECORD
    wish = f"{runtime} {precision}"
    kept = None if rebuild else _read(record, wish, key)
    if kept and kept["runtime"] in runtimes:
        plan = Plan(device=kept["device"], precision=kept["precision"])
        try:
            engine = get_engine(bundle, kept["runtime"], runtimes[kept["runtime"]], plan, root, tell=tell)
            return Choice(engine=engine, reason=kept["reason"], measured_ms=kept["measured_ms"])
        except EdgeError as error:  # what worked then does not now: look again
            tell(f"{kept['runtime']}:{kept['device']} does not work any more ({error})")
    candidates = _candidates(bundle, runtimes, device, precision, problems)
    found = _fastest(bundle, candidates, root, rebuild, tell, problems, fallback=precision != AUTOMATIC)
    _write(record, wish, key, found)
    return found


def _asked(
    bundle: Bundle, name: str, runtime: Runtime, plan: Plan, root: Path | None, rebuild: bool, tell: Tell
) -> Choice:
    """Give the engine that was asked for, in fp32 where its precision drifts too far."""
    try:
        engine = get_engine(bundle, name, runtime, plan, root, rebuild, tell)
        return Choice(engine=engine, reason="asked for")
    except DriftError as error:
        if plan.precision == "fp32" or "fp32" not in bundle.precisions:
            raise
        reason = f"fp32 instead of {plan.precision}, because {error}"
        tell(f"Falling back to {reason}")
        engine = get_engine(bundle, name, runtime, Plan(device=plan.device), root, rebuild, tell)
        return Choice(engine=engine, reason=reason, rejected={f"{name}:{plan.device} {plan.precision}": str(error)})


def _candidates(
    bundle: Bundle, runtimes: Mapping[str, Runtime], device: str, precision: str, problems: dict[str, str]
) -> list[tuple[str, Runtime, Plan]]:
    found: list[tuple[str, Runtime, Plan]] = []
    for name, runtime in runtimes.items():
        try:
            available = runtime.availability()
        except Exception as error:  # a plugin: whatever it raises must not take the others down
            available = Availability(usable=False, detail=f"{type(error).__name__}: {brief(error)}", facts={})
        if not available.usable:
            problems[name] = available.detail
            continue
        devices = dict(available.devices) or {"cpu": ("fp32",)}
        if device and device not in devices:
            problems[f"{name}:{device}"] = f"is not usable here; usable are {', '.join(devices)}"
            continue
        for usable in [device] if device else devices:
            precisions = _precisions(bundle, usable, devices[usable], precision)
            if not precisions:
                problems[f"{name}:{usable}"] = f"runs {', '.join(devices[usable])}, which is not what is asked for"
            found.extend((name, runtime, Plan(device=usable, precision=item)) for item in precisions)
    return found


def _precisions(bundle: Bundle, device: str, possible: tuple[str, ...], wish: str) -> list[str]:
    """Give the precisions to try on a device, best first."""
    if wish != AUTOMATIC:
        return [wish] if wish in possible else []
    natural = ("fp32",) if device == "cpu" else ("fp16", "fp32")
    has = [item for item in possible if item in bundle.precisions]
    return [item for item in natural if item in has] or has[:1]


def _fastest(
    bundle: Bundle,
    candidates: list[tuple[str, Runtime, Plan]],
    root: Path | None,
    rebuild: bool,
    tell: Tell,
    problems: dict[str, str],
    fallback: bool,
) -> Choice:
    engines: list[Engine] = []
    reasons: dict[str, str] = {}
    for name, runtime, plan in candidates:
        label = f"{name}:{plan.device} {plan.precision}"
        try:
            if fallback:
                made = _asked(bundle, name, runtime, plan, root, rebuild, tell)
                reasons[made.engine.label] = made.reason
                problems.update(made.rejected)
                engines.append(made.engine)
            else:
                engines.append(get_engine(bundle, name, runtime, plan, root, rebuild, tell))
        except EdgeError as error:
            problems[label] = str(error)
    if not engines:
        tried = "; ".join(f"{name}: {problem}" for name, problem in problems.items()) or "no runtime is installed"
        raise EdgeError(f"nothing here can run {bundle.path} ({tried}): see 'vsf-edge doctor'")
    if len(engines) == 1:
        only = engines[0]
        reason = reasons.get(only.label, "asked for")
        return Choice(engine=only, reason="the only one that works here" if reason == "asked for" else reason,
                      rejected=problems)  # fmt: skip
    patch = bundle.reference()[0][:1]
    measured = {}
    for engine in engines:
        tell(f"Measuring {engine.label} ...")
        measured[engine.label] = median_ms(engine.session, patch)
    best = min(engines, key=lambda engine: measured[engine.label])
    ranking = ", ".join(f"{label} {ms:.1f} ms" for label, ms in sorted(measured.items(), key=lambda item: item[1]))
    asked = reasons.get(best.label, "asked for")
    reason = f"the fastest for one patch here: {ranking}" + ("" if asked == "asked for" else f"; {asked}")
    return Choice(engine=best, reason=reason, measured_ms=measured, rejected=problems)


def median_ms(session: Session, patch: Array) -> float:
    """Give the median time of one run of `patch` [N, C, H, W], after three to warm up."""
    for _ in range(3):
        session.run(patch)
    times: list[float] = []
    end = time.perf_counter() + MEASURED_SECONDS
    while len(times) < 5 or (time.perf_counter() < end and len(times) < 200):
        start = time.perf_counter()
        session.run(patch)
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def _read(path: Path, wish: str, key: Mapping[str, Any]) -> dict[str, Any] | None:
    """Give what was chosen for `wish` under the same `key`; None where there is nothing of use."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))[wish]
        if kept["key"] != json.loads(json.dumps(key)):
            return None
        texts = {name: str(kept[name]) for name in ("runtime", "device", "precision", "reason")}
        return {**texts, "measured_ms": {str(label): float(ms) for label, ms in kept["measured_ms"].items()}}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _write(path: Path, wish: str, key: Mapping[str, Any], choice: Choice) -> None:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        known = known if isinstance(known, dict) else {}
    except (OSError, ValueError):
        known = {}
    known[wish] = {
        "key": key,
        "runtime": choice.engine.runtime,
        "device": choice.engine.plan.device,
        "precision": choice.engine.plan.precision,
        "reason": choice.reason,
        "measured_ms": choice.measured_ms,
        "rejected": choice.rejected,
    }
    write_bytes(path, (json.dumps(known, indent=2) + "\n").encode("utf-8"))
