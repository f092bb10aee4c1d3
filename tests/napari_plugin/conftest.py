"""The plugin for napari is tested where napari is installed; make test does not install it (922 MB)."""

from __future__ import annotations

from tests.edge.conftest import make_model, model
from tests.recording.conftest import session

__all__ = ["make_model", "model", "session"]  # fixtures
