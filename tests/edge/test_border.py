"""Counts at the border of a graph."""

from __future__ import annotations

import numpy as np
import pytest

from vsf_edge.border import encode
from vsf_edge.errors import EdgeError


def test_what_resampling_adds_to_the_brightest_count_is_no_error() -> None:
    counts = np.array([[[[0.0, 254.6], [-1e-5, np.nextafter(255, 256)]]]], np.float32)
    np.testing.assert_array_equal(encode(counts, "uint8"), np.array([[[[0, 255], [0, 255]]]], np.uint8))


def test_a_count_beyond_the_input_is_refused() -> None:
    with pytest.raises(EdgeError, match="do not fit into uint8"):
        encode(np.full((1, 1, 1, 1), 255.6, np.float32), "uint8")
