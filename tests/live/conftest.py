"""Fixtures of the live page."""

from tests.live.desk import desk, tab

__all__ = ["desk", "tab"]
