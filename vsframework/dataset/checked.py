"""What ``--check`` finds: of every field, or crop with measured values, and of the study as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from vsframework.dataset.looks import Look


@dataclass(kw_only=True)
class CheckedField:
    """One field: its files by channel below the raw folder, what keeps it from being built, and what looks wrong."""

    id: str
    donor: str
    files: dict[str, str]
    crops: int = 0
    looks: dict[str, Look] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    suspicions: list[str] = field(default_factory=list)

    def record(self) -> dict[str, Any]:
        """Give it as JSON values."""
        return {
            "id": self.id,
            "donor": self.donor,
            "files": self.files,
            "crops": self.crops,
            "channels": {name: look.record() for name, look in self.looks.items()},
            "problems": self.problems,
            "suspicions": self.suspicions,
        }


@dataclass(frozen=True, kw_only=True)
class StudyCheck:
    """What there is, and what is wrong with the study as a whole.

    Attributes
    ----------
    fields
        Every field, by donor and name; crops with measured values, where there are no fields.
    kind
        What they are: ``fields`` or ``crops``.
    suspicions
        What concerns no single field.
    unused
        Image files below the raw folder that belong to no field.
    """

    fields: Sequence[CheckedField]
    suspicions: Sequence[str]
    unused: Sequence[str]
    kind: Literal["fields", "crops"] = "fields"

    @property
    def buildable(self) -> list[CheckedField]:
        """The fields without a problem."""
        return [item for item in self.fields if not item.problems]

    def record(self) -> dict[str, Any]:
        """Give it as JSON values."""
        return {
            "kind": self.kind,
            "fields": [item.record() for item in self.fields],
            "buildable": len(self.buildable),
            "suspicions": list(self.suspicions),
            "unused": list(self.unused),
        }
