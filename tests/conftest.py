"""What every test shares: the real data, where it is."""

from __future__ import annotations

from pathlib import Path

import pytest

REAL_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real microscope images; the test is skipped, with the reason, where it is absent."""
    if not REAL_DATA.is_dir():
        pytest.skip("the real images (../shared/data) are not on this machine")
    return REAL_DATA
