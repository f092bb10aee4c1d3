"""What every source must do, whoever wrote it: subclass `SourceContract` and say how yours is built.

::

    from vsf_edge.testing.sources import SourceContract

    class TestMySource(SourceContract):
        @pytest.fixture
        def source(self):
            return MySource("address")
"""

from __future__ import annotations

import json
import time
from itertools import pairwise

import numpy as np
import pytest

from vsf_edge.errors import SourceEndError
from vsf_edge.frames import Frame
from vsf_edge.interfaces import Source
from vsf_edge.settings import describe_settings


class SourceContract:
    """`source` gives at least three frames, or ends."""

    patience = 10.0
    """Seconds until the first frame must have come."""

    @pytest.fixture
    def source(self) -> Source:
        raise NotImplementedError

    def test_it_has_the_methods_and_describes_its_settings(self, source: Source) -> None:
        assert isinstance(source, Source)
        assert isinstance(source.live, bool)
        settings = getattr(type(source), "settings", None)
        for described in describe_settings(settings) if settings else ():
            assert described.text.endswith("."), described

    def test_frames_are_counts_with_rising_numbers_and_json_metadata(self, source: Source) -> None:
        source.open()
        try:
            frames = taken(source, 3, self.patience)
            lost = source.lost()
        finally:
            source.close()
        assert len(frames) == 3
        for frame in frames:
            assert frame.pixels.ndim == 2
            assert frame.pixels.dtype in (np.uint8, np.uint16)
            assert frame.pixels.max() < 2**frame.bit_depth
            assert frame.captured <= time.monotonic()
            assert abs(frame.time - time.time()) < 600
            assert frame.pixel_size_um is None or frame.pixel_size_um > 0
            json.dumps(dict(frame.metadata), allow_nan=False)
        gaps = [after.number - before.number - 1 for before, after in pairwise(frames)]
        assert min(gaps) >= 0
        assert lost >= 0

    def test_a_frame_is_not_written_into_later(self, source: Source) -> None:
        source.open()
        try:
            (first,) = taken(source, 1, self.patience)
            before = first.pixels.copy()
            taken(source, 2, self.patience)
        finally:
            source.close()
        np.testing.assert_array_equal(first.pixels, before)

    def test_closing_twice_and_before_opening_is_harmless(self, source: Source) -> None:
        source.close()
        source.open()
        source.close()
        source.close()

    def test_it_can_be_opened_again(self, source: Source) -> None:
        for _ in range(2):
            source.open()
            assert source.lost() == 0
            source.close()

    def test_a_short_timeout_is_kept(self, source: Source) -> None:
        source.open()
        try:
            taken(source, 1, self.patience)
            for _ in range(5):
                start = time.monotonic()
                source.read(0.01)
                assert time.monotonic() - start < 1.0
        except SourceEndError:
            pass
        finally:
            source.close()


def taken(source: Source, count: int, patience: float = 10.0) -> list[Frame]:
    """Read `count` frames, or fewer where the source ends."""
    frames: list[Frame] = []
    until = time.monotonic() + patience
    while len(frames) < count:
        assert time.monotonic() < until, f"only {len(frames)} of {count} frames within {patience} s"
        try:
            frame = source.read(0.2)
        except SourceEndError:
            break
        if frame is not None:
            frames.append(frame)
    return frames
