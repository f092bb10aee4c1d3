"""What ``vsf plugins show`` says about a parameter, read off its model."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from vsframework import Params
from vsframework.parameters import describe_parameters


class EveryParams(Params):
    count: int = Field(3, ge=1, le=16, description="How many.", json_schema_extra={"unit": "px"})
    share: float = Field(0.5, gt=0, lt=1, description="A share.")
    rate: float = Field(0.5, gt=0, description="A rate.")
    limit: float | None = Field(None, ge=0, description="A limit.")
    mode: Literal["fast", "exact"] = Field("fast", description="How.")
    flag: bool = Field(True, description="Whether.")
    pair: tuple[float, float] = Field((0.5, 1.0), description="Two.")
    names: tuple[str, ...] = Field((), description="Names.")
    needed: str


def test_types_and_bounds_are_words() -> None:
    described = {p.name: (p.type, p.bounds, p.numeric) for p in describe_parameters(EveryParams)}
    assert described == {
        "count": ("integer", "1 to 16", True),
        "share": ("number", "above 0, below 1", True),
        "rate": ("number", "above 0", True),
        "limit": ("number or none", "at least 0", True),
        "mode": ('"fast" or "exact"', "", False),
        "flag": ("true or false", "", False),
        "pair": ("list of number", "", False),
        "names": ("list of text", "", False),
        "needed": ("text", "", False),
    }


def test_units_defaults_and_what_is_forgotten() -> None:
    described = {p.name: p for p in describe_parameters(EveryParams)}
    assert (described["count"].unit, described["count"].default) == ("px", 3)
    assert described["share"].unit is None
    assert described["needed"].required
    assert described["needed"].description == ""
    assert not described["limit"].required
