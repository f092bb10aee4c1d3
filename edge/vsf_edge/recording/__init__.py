"""A recording: what stands in its folder, how it grows without ever being unreadable, and how it is looked at.

Its layout is told in ``docs/recording.md``.
"""

FORMAT = "vsf-edge-recording"
SCHEMA_VERSION = "1.0"

SESSION = "session.json"
FRAMES = "frames.csv"
CELLS = "cells.csv"
NOTICES = "notices.jsonl"
LOCK = ".recording.lock"
"""Beside the recordings, held while one grows: one process at a time records into a folder."""
