"""What every detector holds: whole detections inside the field, best first, and none in a blank one."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vsframework.interfaces import Detection, Detector, ImageArray
from vsframework.testing.component_contract import ComponentContract
from vsframework.testing.prepared_images import FULL_SCALE, as_camera, brightfield_field


class DetectorContract(ComponentContract):
    """Contract of ``vsf_detectors``: see :class:`~vsframework.interfaces.Detector`.

    Override the fixture `field` with an image [H, W] in which your detector finds cells.
    """

    kind = "detector"
    protocol = Detector

    @pytest.fixture
    def field(self) -> ImageArray:
        """A field with cells in it, [H, W]; six drawn heads of 100 x 64 px unless overridden."""
        return as_camera(brightfield_field(320, 480, seed=1), "uint8")

    def test_gives_whole_detections_best_first(self, part: Detector, field: ImageArray) -> None:
        found = part.detect(field)
        if not found:
            pytest.skip("finds nothing among the six drawn heads: override the fixture 'field' with one of your images")
        _check_are_whole(found, field)

    @pytest.mark.parametrize("dtype", FULL_SCALE)
    @pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
    def test_finds_nothing_in_a_blank_field(self, part: Detector, dtype: str, level: float) -> None:
        found = part.detect(as_camera(np.full((240, 320), level), dtype))
        assert len(found) == 0, f"found {len(found)} cells in a field where every pixel is the same"

    @pytest.mark.parametrize("shape", [(240, 320), (16, 16), (3, 3), (1, 1), (1, 64)])
    def test_never_raises_on_noise(self, part: Detector, shape: tuple[int, int]) -> None:
        noise = as_camera(np.random.default_rng(4).uniform(size=shape), "uint8")
        _check_are_whole(part.detect(noise), noise)

    @pytest.mark.parametrize("dtype", FULL_SCALE)
    def test_accepts_every_camera_dtype(self, part: Detector, dtype: str) -> None:
        field = as_camera(brightfield_field(320, 480, seed=1), dtype)
        _check_are_whole(part.detect(field), field)

    def test_is_deterministic_and_leaves_the_field_unchanged(self, part: Detector, field: ImageArray) -> None:
        before = field.copy()
        first, again = part.detect(field), part.detect(field)
        np.testing.assert_array_equal(field, before, "detect() changed the field")
        assert list(first) == list(again), "detect() gives something else for the same field"


def _check_are_whole(found: object, field: ImageArray) -> None:
    height, width = field.shape
    assert isinstance(found, list | tuple), f"detect() gave a {type(found).__name__}, not a list of Detection"
    for cell in found:
        assert isinstance(cell, Detection), f"detect() gave a {type(cell).__name__} among its cells, not a Detection"
        assert -0.5 <= cell.x <= width - 0.5, f"x = {cell.x} lies outside a field {width} px wide"
        assert -0.5 <= cell.y <= height - 0.5, f"y = {cell.y} lies outside a field {height} px high"
        assert -math.pi < cell.angle <= math.pi, f"angle = {cell.angle} is not in (-pi, pi]"
        assert 0 < cell.length < math.inf, f"length = {cell.length} is not a length in pixels"
        assert 0 <= cell.score <= 1, f"score = {cell.score} is not between 0 and 1"
    scores = [cell.score for cell in found]
    assert scores == sorted(scores, reverse=True), "the cells are not sorted: best first"
