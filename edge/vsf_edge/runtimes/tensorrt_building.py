"""ONNX bytes to a TensorRT plan for this card, the same way through TensorRT 8.6, 10 and 11."""

from __future__ import annotations

from typing import Any

from vsf_edge.errors import EdgeError, brief
from vsf_edge.manifest import Manifest

OLDEST = (8, 6)
WORKSPACE_MIB = 2048
USUAL_BATCH = 1
LARGEST_BATCH = 8
"""Where the bundle does not say how many images its graph takes at once."""


def version_of(trt: Any) -> tuple[int, ...]:
    """Give the numbers of ``trt.__version__``."""
    return tuple(int(part) for part in str(trt.__version__).split(".") if part.isdigit())


def strongly_typed(trt: Any) -> bool:
    """Whether the precision can be left to what stands in the graph (9.1 and newer)."""
    return hasattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED")


def network_flags(trt: Any) -> int:
    """Give the flags of a network of explicit batch (needed by 8.6, ignored by 10, gone in 11) and strong types."""
    kinds = trt.NetworkDefinitionCreationFlag
    named = (getattr(kinds, name, None) for name in ("EXPLICIT_BATCH", "STRONGLY_TYPED"))
    return sum(1 << int(kind) for kind in named if kind is not None)


def make_logger(trt: Any) -> Any:
    """Give a logger that keeps errors, one line each, for the sentence that the user reads."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self.errors.append(brief(Exception(message), 300))

        def words(self) -> str:
            return f" ({'; '.join(self.errors[:3])})" if self.errors else ""

    return Logger()


def parse_network(trt: Any, content: bytes, logger: Any) -> tuple[Any, Any, Any]:
    """Parse the ONNX graph `content` with the module `trt`.

    Returns
    -------
    Builder, parser and network; the parser owns the weights, so it must live until the network is built.

    Raises
    ------
    EdgeError
        Too old a version, no usable card, or a graph that the parser refuses; in TensorRT's own words.
    """
    if not strongly_typed(trt) and version_of(trt)[:2] < OLDEST:  # TensorRT for RTX counts from 1 and is typed
        raise EdgeError(f"TensorRT {trt.__version__} is too old: 8.6 or newer is needed")
    try:
        builder = trt.Builder(logger)
    except TypeError as error:  # the factory gave no builder: no usable card, or a library of another version
        raise EdgeError(
            f"TensorRT {trt.__version__} gives no builder on this machine{logger.words()}: its library and the driver "
            "must fit together, see 'vsf-edge doctor'"
        ) from error
    network = builder.create_network(network_flags(trt))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(content):
        errors = (parser.get_error(index).desc() for index in range(min(parser.num_errors, 3)))
        problems = "; ".join(brief(Exception(error), 300) for error in errors)
        raise EdgeError(f"TensorRT {trt.__version__} does not take the graph ({problems or logger.words()})")
    return builder, parser, network


def build_plan(trt: Any, content: bytes, precision: str, manifest: Manifest) -> bytes:
    """Parse the ONNX graph `content` of a bundle and build it with the module `trt`.

    Raises
    ------
    EdgeError
        As of `parse_network`, or a failed build.
    """
    logger = make_logger(trt)
    builder, _parser, network = parse_network(trt, content, logger)
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE_MIB << 20)
    if hasattr(trt.BuilderFlag, "TF32"):
        config.clear_flag(trt.BuilderFlag.TF32)  # a float32 graph means float32
    if not strongly_typed(trt) and precision != "fp32":
        config.set_flag(getattr(trt.BuilderFlag, precision.upper()))
    profile = builder.create_optimization_profile()
    profile.set_shape(manifest.input_name, *profile_shapes(manifest))
    config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise EdgeError(f"TensorRT {trt.__version__} could not build the {precision} engine{logger.words()}")
    return bytes(plan)


def profile_shapes(manifest: Manifest) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Give the smallest, the usual and the largest shape of the graph's input."""
    patch = manifest.patch_size or manifest.stride
    tail = (2,) if manifest.input_dtype == "uint16" else ()
    largest = manifest.max_batch or LARGEST_BATCH

    def shape(batch: int, height: int, width: int) -> tuple[int, ...]:
        return (batch, manifest.in_channels, height, width, *tail)

    return (
        shape(1, manifest.height or manifest.stride, manifest.width or manifest.stride),
        shape(min(USUAL_BATCH, largest), manifest.height or patch, manifest.width or patch),
        shape(
            largest,
            manifest.height or manifest.max_height or patch,
            manifest.width or manifest.max_width or patch,
        ),
    )
