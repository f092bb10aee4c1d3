"""Experiment files in and out: TOML, single entries changed on the command line, errors in one sentence."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from vsframework.components import describe_problem
from vsframework.config.experiment import Experiment
from vsframework.errors import UsageError

MOVED = {f"training.{name}": f"objective.{name}" for name in ("lambda_l1", "lambda_gan")}
"""Keys of older experiment files, and where they are now."""


def load_experiment(path: Path, overrides: Iterable[str] = ()) -> Experiment:
    """Read an experiment file; `overrides` are ``section.key=value`` with a TOML value or bare text.

    Raises
    ------
    UsageError
        Missing file, broken TOML, unknown key (with the closest known one) or wrong value.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"there is no experiment file {path}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path} cannot be read as TOML: {error}") from error
    for override in overrides:
        _apply_override(tables, override)
    return parse_experiment(tables, str(path))


def parse_experiment(tables: Mapping[str, Any], origin: str) -> Experiment:
    """Validate `tables`; `origin` names them in an error."""
    try:
        return Experiment.model_validate(tables)
    except ValidationError as error:
        problems = "; ".join(_describe(problem) for problem in error.errors())
        raise UsageError(f"{origin}: {problems}") from error


def write_experiment(experiment: Experiment, path: Path) -> None:
    """Write the resolved experiment (every default written out) as TOML."""
    path.write_text(tomli_w.dumps(experiment.tables()), encoding="utf-8")


def _describe(problem: ErrorDetails) -> str:
    """Say what is wrong with one key, or with how several go together."""
    if not problem["loc"]:
        return problem["msg"].removeprefix("Value error, ")
    key = ".".join(str(part) for part in problem["loc"])
    if key in MOVED:
        return f"{key} is {MOVED[key]} now; move it there"
    return describe_problem(problem, _section(problem["loc"]))


def _section(location: tuple[int | str, ...]) -> type[BaseModel]:
    """Find the model in which a problem lies, for its list of known keys."""
    model: type[BaseModel] = Experiment
    for part in location[:-1]:
        annotation = model.model_fields[str(part)].annotation if str(part) in model.model_fields else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            break
        model = annotation
    return model


def _apply_override(tables: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    path = key.strip().split(".")
    if not separator or not all(path):
        raise UsageError(f"override {override!r} is not of the form section.key=value")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    table: Any = tables
    for part in path[:-1]:
        existing = table.setdefault(part, {})
        if isinstance(existing, str):  # a component chosen by its bare name
            existing = table[part] = {"name": existing}
        if not isinstance(existing, dict):
            raise UsageError(f"override {override!r}: {part!r} is not a table")
        table = existing
    table[path[-1]] = value
