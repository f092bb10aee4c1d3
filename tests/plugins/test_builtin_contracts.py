"""The components of this environment, the built-ins among them, under the same contracts as anybody's."""

from __future__ import annotations

from vsframework.testing.conformance import *  # noqa: F403
