"""``--sink callback:package.module:function``: calls a function of the user's with every result."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vsf_edge.errors import EdgeError, EdgeUsageError, brief
from vsf_edge.frames import FrameResult, LiveSession, Notice
from vsf_edge.settings import read_settings, setting


@dataclass(frozen=True, kw_only=True)
class CallbackSettings:
    """Settings of the sink ``callback``."""

    every: bool = setting(True, "Give it every result; or the newest only, whenever it is done with the last.")


class Callback:
    """Calls ``function(result)`` with each `vsf_edge.frames.FrameResult`, which the function must not change.

    `address` is ``package.module:function``; the module must be importable (installed, or on ``PYTHONPATH``).
    """

    settings = CallbackSettings

    def __init__(self, address: str = "", **given: Any) -> None:
        self._set = read_settings(CallbackSettings, given, "sink callback")
        module, _, function = address.partition(":")
        if not module or not function:
            raise EdgeUsageError(f"callback:{address} names no function: write callback:package.module:function")
        self._address = address
        self._function = _load(module, function)

    @property
    def every(self) -> bool:
        """Whether it gets every result."""
        return self._set.every

    def start(self, session: LiveSession) -> None:
        """Nothing to get ready: the function was loaded before."""

    def take(self, result: FrameResult) -> None:
        """Call the function.

        Raises
        ------
        EdgeError
            Whatever it raises, in one sentence.
        """
        try:
            self._function(result)
        except Exception as error:
            raise EdgeError(
                f"{self._address} failed on frame {result.frame.number}: {type(error).__name__}: {brief(error)}"
            ) from error

    def notice(self, notice: Notice) -> None:
        """Notices are for people."""

    def stop(self) -> None:
        """Nothing is open."""


def _load(module: str, function: str) -> Callable[[FrameResult], Any]:
    try:
        found: Any = importlib.import_module(module)
        for name in function.split("."):
            found = getattr(found, name)
    except Exception as error:
        raise EdgeUsageError(
            f"{function} of {module} cannot be loaded ({type(error).__name__}: {brief(error)}): "
            "is the module installed, or its folder on PYTHONPATH?"
        ) from error
    if not callable(found):
        raise EdgeUsageError(f"{function} of {module} is no function")
    loaded: Callable[[FrameResult], Any] = found
    return loaded
