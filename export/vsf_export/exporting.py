"""Several targets from one run: the graphs are traced and measured once, and what cannot be built here is skipped."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsf_export.targets.onnx_params import GraphParams
from vsframework import UsageError, VsfError
from vsframework.plugins import registry

if TYPE_CHECKING:
    from vsf_export.graphs import Graphs

DEFAULT_TARGETS = ("onnx", "openvino", "tensorrt")
"""Without ``--target``: the bundle, and for this machine's own runtimes what they load."""
BUNDLE = "model.vsf"
FILES = {"bioimageio": "model.bioimageio.zip"}
"""Targets that write one file."""


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """A target to export to; `demanded` by name, so that it is an error where it cannot be built."""

    name: str
    compiler: Any
    demanded: bool


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What became of one target: its files and parity, or why it was skipped."""

    target: str
    files: tuple[Path, ...] = ()
    parity: Mapping[str, float] = field(default_factory=dict)
    skipped: str = ""

    def lines(self) -> list[str]:
        """Give it in words: one line per file or one with the reason, then how far the value of interest drifts."""
        if self.skipped:
            return [f"Skipped {self.target}: {self.skipped}"]
        lines, told = [f"Wrote {path}" for path in self.files], set()
        for name, value in self.parity.items():  # the quantifier's first value comes first
            graph = name.rpartition(".")[0]
            if name.endswith("_max_abs") and graph not in told:
                told.add(graph)
                lines.append(f"  {name}: {value:g}")
        return lines


def choose_targets(
    names: Sequence[str], precisions: Sequence[str], settings: Sequence[str], out: Path | None
) -> list[Chosen]:
    """Build the targets of `names`, or the usual ones, with `settings` ``key=value`` (a TOML value or text).

    Raises
    ------
    UsageError
        Unknown target or parameter, or one `out` for several targets.
    """
    if out is not None and len(names) > 1:
        raise UsageError("--out names one file or folder and there are several targets: export them one by one")
    values = dict(_setting(text) for text in settings)
    if precisions:
        values["precisions"] = list(precisions)
    found = [registry().find("export-target", name) for name in names or DEFAULT_TARGETS]
    known = {key for entry in found for key in entry.component.params.model_fields}
    for key in values:
        if key not in known:
            found[0].component.parse({key: values[key]})  # says what is known
    return [
        Chosen(
            name=name,
            compiler=registry().create("export-target", name, _fitting(values, entry.component.params.model_fields)),
            demanded=bool(names),
        )
        for name, entry in zip(names or DEFAULT_TARGETS, found, strict=True)
    ]


def export_run(run: Path, targets: Sequence[Chosen], out: Path | None = None) -> list[Exported]:
    """Export the trained generators of the folder `run` to each of `targets`; to `out` where there is one target.

    Raises
    ------
    UsageError
        When `run` is no run, or its dataset is gone.
    VsfError
        When it is not trained, an export drifts, or a target that was asked for cannot be built here.
    """
    from vsf_export.targets.target import GraphTarget
    from vsf_export.trained_run import load_run

    reasons = {
        target.name: target.compiler.unavailable() if isinstance(target.compiler, GraphTarget) else ""
        for target in targets
    }
    for target in targets:
        if target.demanded and reasons[target.name]:
            raise VsfError(reasons[target.name])
    trained = load_run(run)
    graphs: dict[GraphParams, Graphs] = {}
    exported = []
    for target in targets:
        path = _place(run, target, targets, out)
        if reasons[target.name]:
            exported.append(Exported(target=target.name, skipped=reasons[target.name]))
            continue
        if isinstance(target.compiler, GraphTarget):
            from vsf_export.graphs import build_graphs

            wanted = graph_params(target.compiler.params)
            if wanted not in graphs:
                graphs[wanted] = build_graphs(trained.generators, trained.spec, wanted)
            record = target.compiler.write(graphs[wanted], path)
        else:
            record = target.compiler.export(trained.generators, trained.spec, path)
        exported.append(Exported(target=target.name, files=record.files, parity=record.parity))
    return exported


def graph_params(params: GraphParams) -> GraphParams:
    """Give the part of a target's `params` that the graphs depend on."""
    return GraphParams(**{name: getattr(params, name) for name in GraphParams.model_fields})


def _place(run: Path, target: Chosen, targets: Sequence[Chosen], out: Path | None) -> Path:
    name = target.name.rpartition(":")[2]
    if out is not None and (len(targets) == 1 or name == "onnx"):
        return out
    return run / BUNDLE if name == "onnx" else run / "export" / FILES.get(name, name)


def _fitting(values: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key in fields}


def _setting(text: str) -> tuple[str, Any]:
    key, separator, value = text.partition("=")
    if not separator or not key.strip():
        raise UsageError(f"--set {text!r} is not of the form key=value")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value
