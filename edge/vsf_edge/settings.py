"""Settings of sources, sinks and detectors: a dataclass says what there is, and what a user gave is read against it.

::

    @dataclass(frozen=True, kw_only=True)
    class CameraSettings:
        exposure_ms: float = setting(10.0, "How long a frame is exposed.", low=0.01, high=60_000)

    class Camera:
        settings = CameraSettings

        def __init__(self, address: str = "", **given: object) -> None:
            self._set = read_settings(CameraSettings, given, "source camera")

The class attribute ``settings`` is what the documentation is held to. A detector without one has the keywords of its
constructor as settings (`settings_of`).
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields, make_dataclass
from difflib import get_close_matches
from typing import Any, TypeVar, get_type_hints

from vsf_edge.errors import EdgeUsageError

Settings = TypeVar("Settings")

_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def setting(
    default: Any, text: str, *, low: float | None = None, high: float | None = None, choices: Sequence[Any] = ()
) -> Any:
    """Declare one setting of a settings dataclass: default, one sentence, and what is allowed (ends included).

    A setting may be a str, an int, a float or a bool.
    """
    return field(default=default, metadata={"text": text, "low": low, "high": high, "choices": tuple(choices)})


@dataclass(frozen=True)
class SettingDescription:
    """One setting in words: its name, default as a user types it, what is allowed (may be empty), and a sentence."""

    name: str
    default: str
    allowed: str
    text: str


def settings_of(plugin: type[Any], ours: Collection[str] = ()) -> type[Any]:
    """Give the settings dataclass of a plugin's class.

    It is the class attribute ``settings``, or else made of the constructor's keywords that have a type and a default;
    those named in `ours` are nobody's to set.
    """
    declared: type[Any] | None = getattr(plugin, "settings", None)
    if declared is not None:
        return declared
    types = get_type_hints(plugin.__init__)
    made = [
        (name, types[name], setting(parameter.default, ""))
        for name, parameter in inspect.signature(plugin).parameters.items()
        if name not in ours and types.get(name) in (str, int, float, bool) and parameter.default is not parameter.empty
    ]
    return make_dataclass(f"{plugin.__name__}Settings", made, frozen=True, kw_only=True)


def describe_settings(kind: type[Any]) -> list[SettingDescription]:
    """Describe every setting of a settings dataclass, in its order."""
    types = get_type_hints(kind)
    return [
        SettingDescription(item.name, _typed(item.default), _allowed(item, types[item.name]), item.metadata["text"])
        for item in fields(kind)
    ]


def read_settings(kind: type[Settings], given: Mapping[str, object], owner: str) -> Settings:
    """Build `kind` from what was `given`: texts as they stand on a command line, or values of the right type.

    Raises
    ------
    EdgeUsageError
        When there is no such setting (with the closest name), or its value is not allowed; `owner` names who asks.
    """
    types = get_type_hints(kind)
    known = {item.name: item for item in fields(kind)}  # type: ignore[arg-type]
    for name in given:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known) or 'none'}"
            raise EdgeUsageError(f"{owner} has no setting {name!r}; {hint}")
    return kind(**{name: _read(value, known[name], types[name], owner) for name, value in given.items()})


def _read(value: object, item: Field[Any], kind: type[Any], owner: str) -> Any:
    wrong = EdgeUsageError(
        f"{owner} cannot take {item.name}={_typed(value)}; allowed is {_allowed(item, kind) or 'text'}"
    )
    try:
        found = _as(value, kind)
    except (ValueError, TypeError, KeyError, OverflowError):
        raise wrong from None
    low, high, choices = item.metadata["low"], item.metadata["high"], item.metadata["choices"]
    if choices and found not in choices:
        raise wrong
    if (low is not None and not found >= low) or (high is not None and not found <= high):
        raise wrong
    return found


def _as(value: object, kind: type[Any]) -> Any:
    if kind is bool:
        return value if isinstance(value, bool) else _WORDS[str(value).strip().lower()]
    if isinstance(value, bool):
        raise TypeError
    if kind is int and isinstance(value, float) and value != int(value):
        raise ValueError
    return str(value) if kind is str else kind(value)


def _allowed(item: Field[Any], kind: type[Any]) -> str:
    low, high, choices = item.metadata["low"], item.metadata["high"], item.metadata["choices"]
    if choices:
        return " or ".join(_typed(choice) for choice in choices)
    if kind is bool:
        return "true or false"
    number = {int: "a whole number", float: "a number"}.get(kind, "")
    if low is not None and high is not None:
        return f"{number} from {low:g} to {high:g}"
    if low is not None:
        return f"{number} of at least {low:g}"
    return number if high is None else f"{number} of at most {high:g}"


def _typed(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)
