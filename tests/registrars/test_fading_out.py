"""The window that fades an image out at its rim is SciPy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal.windows import tukey

from vsf_plugins.registrars.outlines import faded_out


@pytest.mark.parametrize("length", [2, 3, 21, 64, 1080])
@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_it_is_the_tapered_cosine(length: int, share: float) -> None:
    np.testing.assert_allclose(faded_out(length, share), tukey(length, share), atol=1e-12)
