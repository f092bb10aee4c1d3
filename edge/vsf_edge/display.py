"""In which colour each channel is shown, in every program that opens what we write."""

from __future__ import annotations

from collections.abc import Sequence

Colour = tuple[int, int, int]

ACRIDINE_ORANGE: dict[str, Colour] = {
    "brightfield": (255, 255, 255),
    "dsdna": (0, 255, 0),
    "ssdna": (255, 0, 0),
}
"""Bound to double strands it is green, to single strands red."""

OTHERS: tuple[Colour, ...] = ((255, 0, 255), (0, 255, 255), (255, 255, 0), (0, 0, 255))


def colours(channels: Sequence[str]) -> list[Colour]:
    """Give red, green and blue (0 to 255) of each of `channels`; those of other names get the others in turn."""
    found, taken = [], 0
    for name in channels:
        colour = ACRIDINE_ORANGE.get(name.lower())
        if colour is None:
            colour = OTHERS[taken % len(OTHERS)]
            taken += 1
        found.append(colour)
    return found
