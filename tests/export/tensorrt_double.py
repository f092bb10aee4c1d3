"""A TensorRT made of names only: it has what a version has, raises for all else, and writes down its use."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

Surface = Mapping[str, Mapping[str, int | None]]
"""Class (or enumeration) to its members: how many arguments a method takes, None for a property or a value."""

_COMMON_CONFIG: dict[str, int | None] = {
    "builder_optimization_level": None,
    "profiling_verbosity": None,
    "hardware_compatibility_level": None,
    "set_memory_pool_limit": 2,
    "set_flag": 1,
    "clear_flag": 1,
    "add_optimization_profile": 1,
    "create_timing_cache": 1,
    "set_timing_cache": 2,
}
_COMMON: dict[str, dict[str, int | None]] = {
    "Builder": {
        "create_network": 1,
        "create_builder_config": 0,
        "create_optimization_profile": 0,
        "build_serialized_network": 2,
    },
    "INetworkDefinition": {"num_layers": None, "get_layer": 1},
    "ILayer": {"type": None, "get_output": 1},
    "ITensor": {"dtype": None},
    "OnnxParser": {"parse": 1, "num_errors": None, "get_error": 1},
    "ParserError": {"desc": 0},
    "IOptimizationProfile": {"set_shape": 4},
    "ITimingCache": {"serialize": 0},
    "MemoryPoolType": dict.fromkeys(("WORKSPACE", "DLA_MANAGED_SRAM")),
    "ProfilingVerbosity": dict.fromkeys(("LAYER_NAMES_ONLY", "NONE", "DETAILED")),
    "LayerType": dict.fromkeys(("CONVOLUTION", "DECONVOLUTION", "ACTIVATION")),
}
_FLAGS_OF_ALL = ("DEBUG", "GPU_FALLBACK", "REFIT", "DISABLE_TIMING_CACHE", "TF32", "SPARSE_WEIGHTS", "SAFETY_SCOPE",
                 "DIRECT_IO", "VERSION_COMPATIBLE", "EXCLUDE_LEAN_RUNTIME")  # fmt: skip

TENSORRT_8_6: Surface = {
    **_COMMON,
    "IBuilderConfig": {**_COMMON_CONFIG, "max_workspace_size": None, "int8_calibrator": None},
    "NetworkDefinitionCreationFlag": dict.fromkeys(("EXPLICIT_BATCH", "EXPLICIT_PRECISION")),
    "BuilderFlag": dict.fromkeys((*_FLAGS_OF_ALL, "FP16", "INT8", "FP8", "OBEY_PRECISION_CONSTRAINTS")),
    "HardwareCompatibilityLevel": dict.fromkeys(("NONE", "AMPERE_PLUS")),
}
TENSORRT_10: Surface = {
    **_COMMON,
    "IBuilderConfig": {**_COMMON_CONFIG, "progress_monitor": None},
    "IProgressMonitor": {},
    "NetworkDefinitionCreationFlag": dict.fromkeys(("EXPLICIT_BATCH", "STRONGLY_TYPED", "PREFER_AOT_PYTHON_PLUGINS")),
    "BuilderFlag": dict.fromkeys((*_FLAGS_OF_ALL, "FP16", "INT8", "BF16", "FP8", "INT4", "STRIP_PLAN")),
    "HardwareCompatibilityLevel": dict.fromkeys(("NONE", "AMPERE_PLUS", "SAME_COMPUTE_CAPABILITY")),
}


class Log:
    """What was done with the double: method calls, and properties that were set."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.set: dict[str, Any] = {}

    def of(self, name: str) -> list[tuple[Any, ...]]:
        return [arguments for called, arguments in self.calls if called == name]


class Part:
    """An object of one class of the surface."""

    def __init__(self, kind: str, surface: Surface, log: Log, answers: Mapping[str, Any]) -> None:
        self.__dict__.update(_kind=kind, _members=surface[kind], _log=log, _answers=answers)

    def __getattr__(self, name: str) -> Any:
        if name not in self._members:
            raise AttributeError(f"{self._kind} of this version has no {name}")
        arity = self._members[name]
        if arity is None:
            return self._answers[f"{self._kind}.{name}"]

        def method(*arguments: Any) -> Any:
            assert len(arguments) == arity, f"{self._kind}.{name} takes {arity} arguments, got {len(arguments)}"
            self._log.calls.append((name, arguments))
            answer = self._answers.get(f"{self._kind}.{name}")
            return answer(*arguments) if callable(answer) else answer

        return method

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self._members:
            raise AttributeError(f"{self._kind} of this version has no {name}")
        self._log.set[name] = value


def make(version: str, surface: Surface, **changes: Any) -> tuple[Any, Log]:
    """Make the module `version` with one convolution in its networks; `changes` replace answers, as in
    ``{"OnnxParser.parse": ...}``."""
    log = Log()
    answers: dict[str, Any] = {}
    part: Callable[[str], Part] = lambda kind: Part(kind, surface, log, answers)  # noqa: E731
    enums = {
        name: enum.IntEnum(name, {member: index for index, member in enumerate(members)})  # type: ignore[misc]
        for name, members in surface.items()
        if members and all(arity is None for arity in members.values()) and name.endswith(("Flag", "Type", "Level"))
    }
    enums["ProfilingVerbosity"] = enum.IntEnum("ProfilingVerbosity", list(surface["ProfilingVerbosity"]))  # type: ignore[misc]
    data_type = enum.Enum("DataType", ["FLOAT", "HALF", "INT8"])

    class ILogger:
        Severity = enum.Enum("Severity", ["INTERNAL_ERROR", "ERROR", "WARNING", "INFO", "VERBOSE"])

    module = SimpleNamespace(__version__=version, ILogger=ILogger, DataType=data_type, **enums)

    def builder(logger: Any) -> Part:
        module.logger = logger
        return part("Builder")

    module.Builder = builder
    module.OnnxParser = lambda network, logger: part("OnnxParser")
    if "IProgressMonitor" in surface:
        module.IProgressMonitor = type("IProgressMonitor", (), {})
    answers |= {
        "Builder.create_network": lambda flags: part("INetworkDefinition"),
        "Builder.create_builder_config": lambda: part("IBuilderConfig"),
        "Builder.create_optimization_profile": lambda: part("IOptimizationProfile"),
        "Builder.build_serialized_network": lambda network, config: b"plan",
        "INetworkDefinition.num_layers": 1,
        "INetworkDefinition.get_layer": lambda index: part("ILayer"),
        "ILayer.type": module.LayerType.CONVOLUTION,
        "ILayer.get_output": lambda index: part("ITensor"),
        "ITensor.dtype": data_type.HALF,
        "OnnxParser.parse": True,
        "OnnxParser.num_errors": 1,
        "OnnxParser.get_error": lambda index: part("ParserError"),
        "ParserError.desc": "no importer\nfor Foo",
        "IBuilderConfig.create_timing_cache": lambda content: part("ITimingCache"),
        "IBuilderConfig.set_timing_cache": True,
        "ITimingCache.serialize": b"timings",
        **changes,
    }
    return module, log
