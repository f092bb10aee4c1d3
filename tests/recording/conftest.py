"""Sessions of the known model, without a loop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.edge.conftest import make_model, model, vsf_edge
from tests.recording.made import make_session
from vsf_edge.frames import LiveSession

__all__ = ["make_model", "model", "vsf_edge"]  # fixtures


@pytest.fixture
def session(model: Path) -> Callable[..., LiveSession]:
    """Make a session of the known model."""

    def make(**changes: Any) -> LiveSession:
        return make_session(model, **changes)

    return make
