"""Leaks: a donor that a result calls unseen and that was seen under another spelling."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from vsframework.errors import UsageError


def refuse_leaks(held_out: Collection[str], everyone: Iterable[str]) -> None:
    """Refuse a split in which a held-out donor seems to be trained on under another spelling of its name.

    Parameters
    ----------
    held_out
        Donors called unseen.
    everyone
        Donors of every dataset that is trained on; the same name as a held-out one is left out there anyway.

    Raises
    ------
    UsageError
        Names the two spellings.

    Examples
    --------
    >>> refuse_leaks(["S1"], ["S1", "S2", "S11"])
    >>> refuse_leaks(["S1"], ["S1", "s01"])
    Traceback (most recent call last):
        ...
    vsframework.errors.UsageError: held-out donor 'S1' and donor 's01' look like one donor ...
    """
    others = sorted(set(everyone) - set(held_out))
    for name in sorted(set(held_out)):
        for other in others:
            if _plain(name) == _plain(other):
                raise UsageError(
                    f"held-out donor {name!r} and donor {other!r} look like one donor under two spellings, so it would "
                    "be trained on and judged; give each donor one name in the files"
                )


def _plain(name: str) -> tuple[str, ...]:
    """Words and numbers of a name, whatever its case, separators and leading zeros."""
    parts = re.findall(r"[^\W\d_]+|\d+", name.casefold())
    return tuple(part.lstrip("0") or "0" if part.isdigit() else part for part in parts) or (name,)
