"""What every table of the experiment file is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Section(BaseModel):
    """A table of the experiment file: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Selection(BaseModel):
    """A component chosen by name, with its parameters beside it in the same table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="Name of the component, or plugin:name where two plugins offer it.")
    params: dict[str, Any] = Field(default_factory=dict, description="Its parameters.")

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, value: Any) -> Any:
        """Accept a bare name, and gather the keys beside ``name`` as parameters."""
        if isinstance(value, str):
            return {"name": value}
        if isinstance(value, Mapping) and not isinstance(value.get("params"), Mapping):
            return {
                **({"name": value["name"]} if "name" in value else {}),
                "params": {key: item for key, item in value.items() if key != "name"},
            }
        return value

    def table(self) -> dict[str, Any]:
        """Give it back as it stands in a TOML file."""
        return {"name": self.name, **self.params}
