"""Imports a driver that nobody has."""

from __future__ import annotations

import camera_driver_that_nobody_has  # type: ignore[import-not-found]  # noqa: F401
