"""ONNX Runtime: runs everywhere, on the CPU or through its CUDA provider."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distributions
from typing import Any

from vsf_edge.border import decode, encode
from vsf_edge.bundle import Bundle
from vsf_edge.errors import EdgeError
from vsf_edge.interfaces import Array, Availability

PREFERRED = ("CUDAExecutionProvider", "CPUExecutionProvider")
"""Providers in the order in which they are tried. Those that convert the graph on their own are not: their numbers
would have to be measured against the reference first."""


class OnnxRuntime:
    """The runtime ``onnxruntime``."""

    def availability(self) -> Availability:
        """Say which version is installed and which providers it has."""
        try:
            import onnxruntime

            providers = list(onnxruntime.get_available_providers())
        except Exception as error:
            text = " ".join(str(error).split())
            return Availability(
                usable=False,
                detail=f"cannot be imported: {text}",
                advice="pip install onnxruntime",
                facts={"version": None, "providers": []},
            )
        chosen = _choose(providers)
        version = str(onnxruntime.__version__)
        return Availability(
            usable=bool(chosen),
            detail=f"{version} with {', '.join(providers)}",
            advice="" if chosen else "pip install --force-reinstall onnxruntime",
            facts={"version": version, "providers": providers, "uses": chosen, "distributions": _distributions()},
        )

    def open(self, bundle: Bundle) -> OnnxSession:
        """Load the fp32 graph of `bundle`."""
        return OnnxSession(bundle)


class OnnxSession:
    """A graph loaded by ONNX Runtime."""

    def __init__(self, bundle: Bundle) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise EdgeError(f"onnxruntime cannot be imported ({error}): pip install onnxruntime") from error
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # its warnings are about its own optimiser, not about the model
        providers = _choose(onnxruntime.get_available_providers())
        try:
            self._session: Any = onnxruntime.InferenceSession(bundle.model(), options, providers=providers)
        except Exception as error:  # its exceptions have no common base beside Exception
            if isinstance(error, EdgeError):
                raise
            raise EdgeError(
                f"ONNX Runtime {onnxruntime.__version__} cannot load the graph of {bundle.path}: {_first_line(error)}"
            ) from error
        self._input = bundle.manifest.input_name
        expected = [bundle.manifest.stains_output, *(quantity.output for quantity in bundle.manifest.quantities)]
        present = [output.name for output in self._session.get_outputs()]
        inputs = [item.name for item in self._session.get_inputs()]
        missing = sorted({*expected} - {*present} | {self._input} - {*inputs})
        if missing:
            raise EdgeError(f"the graph of {bundle.path} has no {', '.join(missing)}: export it again")
        self._outputs = expected
        self._path = bundle.path
        document = bundle.manifest.document
        self._source, self._result = (document[end].get("dtype", "float32") for end in ("input", "output"))

    def run(self, brightfield: Array) -> Mapping[str, Array]:
        """Stain `brightfield`, float32 [N, C, H, W] in counts."""
        try:
            values = self._session.run(self._outputs, {self._input: encode(brightfield, self._source)})
        except Exception as error:
            raise EdgeError(f"ONNX Runtime failed on {self._path}: {_first_line(error)}") from error
        values[0] = decode(values[0], self._result)
        return dict(zip(self._outputs, values, strict=True))


def _choose(providers: list[str]) -> list[str]:
    return [provider for provider in PREFERRED if provider in providers]


def _distributions() -> list[str]:
    """Name the installed builds: two of them overwrite each other's files, which ``doctor`` reports."""
    try:
        names = {dist.metadata["Name"] for dist in distributions()}
    except PackageNotFoundError:
        return []
    return sorted(name for name in names if name and name.lower().replace("_", "-").startswith("onnxruntime"))


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__
