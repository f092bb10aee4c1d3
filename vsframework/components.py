"""A component: a named, parametrised, lazily built part that a plugin offers."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from vsframework.errors import UsageError, VsfError

T_co = TypeVar("T_co", covariant=True)

NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9.+_-]*")


class Params(BaseModel):
    """Base of every component's parameters: immutable, and an unknown key is an error.

    Describe every field with ``pydantic.Field``: a sentence, bounds, and the unit where it has one::

        class BorderParams(Params):
            width: int = Field(8, ge=1, le=64, description="Width of the border.", json_schema_extra={"unit": "px"})
    """

    model_config = ConfigDict(frozen=True, extra="forbid")


class NoParams(Params):
    """For a component that has nothing to set."""


@dataclass(frozen=True, kw_only=True)
class Component(Generic[T_co]):
    """What a plugin's collector returns: everything needed to list a part without building it.

    Parameters
    ----------
    name
        How an experiment file names it: lower-case letters, digits and ``. + _ -``.
    build
        Called with the validated parameters, gives the part itself. As text (``"module:attribute"``) it is imported
        only when the part is built, so that listing plugins imports no torch.
    params
        The pydantic model of its parameters.
    summary
        One sentence for ``vsf plugins list``.
    """

    name: str
    build: Callable[[Any], T_co] | str
    params: type[Params] = NoParams
    summary: str

    def __post_init__(self) -> None:
        if not NAME_PATTERN.fullmatch(self.name):
            raise ValueError(
                f"component name {self.name!r} may hold only lower-case letters, digits and . + _ -, "
                "and starts with a letter or digit"
            )

    def parse(self, values: Mapping[str, Any] | None = None) -> Params:
        """Validate `values` against this component's parameters.

        Raises
        ------
        UsageError
            Names every wrong key or value, and the closest known key.
        """
        try:
            return self.params.model_validate(dict(values or {}))
        except ValidationError as error:
            problems = "; ".join(describe_problem(problem, self.params) for problem in error.errors())
            raise UsageError(f"{self.name}: {problems}") from error

    def create(self, values: Mapping[str, Any] | Params | None = None) -> T_co:
        """Build the part from `values`, importing it if it is lazy.

        Raises
        ------
        UsageError
            When a parameter is unknown or out of its bounds.
        VsfError
            When the part's own module cannot be imported.
        """
        params = values if isinstance(values, Params) else self.parse(values)
        return self._builder()(params)

    def _builder(self) -> Callable[[Any], T_co]:
        if not isinstance(self.build, str):
            return self.build
        module_name, _, attribute = self.build.partition(":")
        try:
            builder: Callable[[Any], T_co] = getattr(importlib.import_module(module_name), attribute)
        except ModuleNotFoundError as error:
            if error.name and f"{module_name}.".startswith(f"{error.name}."):
                raise VsfError(
                    f"{self.name} could not be loaded from {self.build!r}: there is no module {error.name!r}"
                ) from error
            missing = (error.name or module_name).partition(".")[0]
            raise VsfError(
                f"{self.name} needs the module {error.name!r}, which is not installed here: "
                f"pip install the distribution that provides {missing!r}, then try again"
            ) from error
        except (ImportError, AttributeError) as error:
            raise VsfError(f"{self.name} could not be loaded from {self.build!r}: {error}") from error
        return builder


def describe_problem(problem: ErrorDetails, model: type[BaseModel]) -> str:
    """Say in words what pydantic found wrong with one value of `model`."""
    where = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        known = sorted(model.model_fields)
        close = get_close_matches(where, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known) or 'none'}"
        return f"there is no parameter {where!r}; {hint}"
    if problem["type"] == "missing":
        return f"{where} is missing"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{where} = {problem['input']!r}: {message[0].lower()}{message[1:]}"
