"""Settings of a sink, as they come from ``key=value`` on the command line."""

from __future__ import annotations

from collections.abc import Sequence

from vsf_edge.errors import EdgeUsageError


def choice(name: str, value: str, known: Sequence[str]) -> str:
    """Give `value` where it is one of `known`.

    Raises
    ------
    EdgeUsageError
        When it is not.
    """
    if value not in known:
        raise EdgeUsageError(f"{name}={value} is not known: take {' or '.join(known)}")
    return value


def switch(name: str, value: str | bool) -> bool:
    """Give yes or no.

    Raises
    ------
    EdgeUsageError
        When it is neither.
    """
    text = str(value).lower()
    if text not in ("yes", "no", "true", "false"):
        raise EdgeUsageError(f"{name}={value} is neither yes nor no")
    return text in ("yes", "true")
