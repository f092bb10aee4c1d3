"""One code path through TensorRT 8.6, 10, 11 and TensorRT for RTX: ONNX bytes to a serialised plan.

It uses only what all of them have (named tensors, profiles, a pool for the workspace) and asks before it uses the rest.
From 10 on the network is strongly typed: the precision is what stands in the graph. 8.6 has no such thing for ONNX and
gets the flags of the precision instead. TF32 is switched off: a float32 graph means float32.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vsf_edge.errors import EdgeError
from vsf_edge.runtimes.tensorrt_building import make_logger, parse_network, strongly_typed
from vsf_export.staining_graph import INPUT
from vsf_export.tracing import Limits
from vsframework import VsfError
from vsframework.atomic import atomic_path

HARDWARE = {"ampere-plus": "AMPERE_PLUS", "same-capability": "SAME_COMPUTE_CAPABILITY"}


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """How to build: see :class:`vsf_export.targets.tensorrt_params.TensorRtParams`."""

    precision: str
    limits: Limits
    usual_batch: int = 1
    byte_pairs: bool = False
    optimisation_level: int = 3
    workspace_mib: int = 2048
    hardware: str = "this"
    version_compatible: bool = False
    timing_cache: Path | None = None
    cards: tuple[str, ...] = ()
    tell: Callable[[str], None] = field(default=lambda _: None)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A built engine: its bytes, and for each type the number of convolutions that compute in it."""

    content: bytes
    convolutions: dict[str, int]


def build_plan(trt: Any, content: bytes, options: BuildOptions) -> Plan:
    """Parse the ONNX model `content` and build it with the module `trt`.

    Raises
    ------
    VsfError
        Too old a version, a graph that the parser refuses, an option that this version lacks, or a failed build; with
        the builder's own words.
    """
    logger = make_logger(trt)
    try:
        builder, _parser, network = parse_network(trt, content, logger)
    except EdgeError as error:
        raise VsfError(str(error)) from error
    config = _configure(trt, builder, options, logger)
    cache = _timing_cache(config, options.timing_cache)
    config.add_optimization_profile(_profile(builder, options))
    convolutions = convolution_types(trt, network)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise VsfError(f"TensorRT {trt.__version__} could not build the {options.precision} engine{logger.words()}")
    if cache is not None and options.timing_cache is not None:
        with atomic_path(options.timing_cache) as temporary:
            temporary.write_bytes(bytes(cache.serialize()))
    return Plan(content=bytes(plan), convolutions=convolutions)


def convolution_types(trt: Any, network: Any) -> dict[str, int]:
    """Count the convolutions of a parsed network by the type that they compute in."""
    kinds = (trt.LayerType.CONVOLUTION, trt.LayerType.DECONVOLUTION)
    counts: dict[str, int] = {}
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        if layer.type in kinds:
            name = str(layer.get_output(0).dtype).rpartition(".")[2]
            counts[name] = counts.get(name, 0) + 1
    return counts


def make_monitor(trt: Any, tell: Callable[[str], None]) -> Any:
    """Give a progress monitor that tells of each phase of the build; None where this TensorRT has none."""
    if not hasattr(trt, "IProgressMonitor"):
        return None

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self._steps[phase_name] = num_steps
            if not parent_phase:
                tell(f"{phase_name}: {num_steps} steps")

        def phase_finish(self, phase_name: str) -> None:
            self._steps.pop(phase_name, None)

        def step_complete(self, phase_name: str, step: int) -> bool:
            total = self._steps.get(phase_name, 0)
            if total >= 10 and step % max(1, total // 10) == 0:
                tell(f"{phase_name}: {step} of {total}")
            return True  # go on

    return Monitor()


def _configure(trt: Any, builder: Any, options: BuildOptions, logger: Any) -> Any:
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mib << 20)
    config.builder_optimization_level = options.optimisation_level
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # what was built can be read from the plan
    flag = trt.BuilderFlag
    if hasattr(flag, "TF32"):
        config.clear_flag(flag.TF32)
    if not strongly_typed(trt) and options.precision != "fp32":
        config.set_flag(getattr(flag, options.precision.upper()))
    if options.hardware != "this":
        level = getattr(trt.HardwareCompatibilityLevel, HARDWARE[options.hardware], None)
        if level is None:
            raise VsfError(f"TensorRT {trt.__version__} cannot build for hardware = {options.hardware}: take another")
        config.hardware_compatibility_level = level
    if options.version_compatible:
        config.set_flag(flag.VERSION_COMPATIBLE)
    if options.cards:
        config.num_compute_capabilities = len(options.cards)
        for index, card in enumerate(options.cards):
            if not config.set_compute_capability(getattr(trt.ComputeCapability, card.upper()), index):
                raise VsfError(f"TensorRT {trt.__version__} cannot build for cards of {card}{logger.words()}")
    monitor = make_monitor(trt, options.tell)
    if monitor is not None:
        config.progress_monitor = monitor
    return config


def _timing_cache(config: Any, path: Path | None) -> Any:
    if path is None:
        return None
    cache = config.create_timing_cache(path.read_bytes() if path.exists() else b"")
    if cache is None or not config.set_timing_cache(cache, False):  # of another card or version: start a new one
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, False)
    return cache


def _profile(builder: Any, options: BuildOptions) -> Any:
    limits = options.limits
    low = limits.stride if limits.any_size else limits.size
    tail = (2,) if options.byte_pairs else ()
    shapes = [
        (batch, limits.channels, side, side, *tail)
        for batch, side in (
            (1, low),
            (min(options.usual_batch, limits.max_batch), limits.size),
            (limits.max_batch, limits.max_side),
        )
    ]
    profile = builder.create_optimization_profile()
    profile.set_shape(INPUT, *shapes)
    return profile


def _words(text: str) -> str:
    """Give the builder's `text` on one line, cut where it is long."""
    return " ".join(str(text).split())[:300]
