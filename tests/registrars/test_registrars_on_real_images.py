"""Real images with known homographies: right where it is possible, and a refusal with its reason where it is not."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import tifffile

from vsf_plugins.registrars.acceptance import corners, transform
from vsf_plugins.registrars.phase_correlation import PhaseCorrelation, PhaseCorrelationParams
from vsf_plugins.registrars.sift_ransac import Described, SiftRansac, SiftRansacParams

pytestmark = pytest.mark.realdata

SIFT = SiftRansac(SiftRansacParams())


def read(path: Path, flags: int = cv2.IMREAD_GRAYSCALE) -> npt.NDArray[Any]:
    image = cv2.imread(str(path), flags)
    assert image is not None, path
    return image


def green(real_data: Path) -> npt.NDArray[Any]:
    return np.asarray(tifffile.imread(real_data / "mccallum2019_field/Green0.tif", key=0))[..., 0]


@cache
def brightfield(real_data: Path) -> Described:
    return SIFT.prepare(read(real_data / "mccallum2019_field/brightfield_composite.png"))


def corner_error(found: npt.NDArray[Any], true: npt.NDArray[Any], shape: tuple[int, ...]) -> float:
    outline = corners((shape[0], shape[1]))
    return float(np.linalg.norm(transform(found, outline) - transform(true, outline), axis=1).mean())


@pytest.mark.parametrize("model", ["auto", "homography"])
@pytest.mark.parametrize("cell", range(4))
def test_a_real_crop_is_localised_in_its_brightfield_field(real_data: Path, cell: int, model: str) -> None:
    cells = real_data / "mccallum2019_field/cells"
    crop = read(cells / f"img{cell:03d}_brightfield.jpg")
    true = np.linalg.inv(np.loadtxt(cells / f"img{cell:03d}_field_to_crop.txt"))
    registrar = SiftRansac(SiftRansacParams.model_validate({"model": model}))
    registration = registrar.register(crop, brightfield(real_data))
    assert registration.accepted, registration.reason
    assert corner_error(registration.matrix, true, crop.shape) < 0.3


def test_brightfield_crops_are_refused_in_the_green_field(real_data: Path) -> None:
    fields = [SIFT.prepare(green(real_data)), SiftRansac(SiftRansacParams(contrast="clahe")).prepare(green(real_data))]
    for cell in range(4):
        crop = read(real_data / f"mccallum2019_field/cells/img{cell:03d}_brightfield.jpg")
        for field in fields:
            registration = SIFT.register(crop, field)
            assert not registration.accepted
            assert registration.reason


def test_crops_of_other_fields_are_refused(real_data: Path) -> None:
    crops = sorted((real_data / "mccallum2019_crops").rglob("*_S[1-5]_*.jpg"))  # the field is one of donor S6
    assert len(crops) > 900
    for path in crops[::25]:
        registration = SIFT.register(read(path), brightfield(real_data))
        assert not registration.accepted, f"{path.name}: {registration.reason}"


@pytest.mark.slow
def test_no_crop_of_another_field_is_accepted(real_data: Path) -> None:
    crops = sorted((real_data / "mccallum2019_crops").rglob("*_S[1-5]_*.jpg"))
    wrong = [path.name for path in crops if SIFT.register(read(path), brightfield(real_data)).accepted]
    assert wrong == []


@pytest.mark.parametrize("other", [2, 3, 4, 5, 6])
def test_graf_is_recovered_or_refused(real_data: Path, other: int) -> None:
    first, second = (read(real_data / f"vgg_graf/img{number}.png") for number in (1, other))
    true = np.loadtxt(real_data / f"vgg_graf/H1to{other}p")
    registration = SIFT.register(first, second)
    if other <= 4:
        assert registration.accepted, registration.reason
    if registration.accepted:
        assert corner_error(registration.matrix, true, first.shape) < 5


@pytest.mark.parametrize("stain", ["DAPI", "MAP2", "NFH"])
@pytest.mark.parametrize("contrast", ["linear", pytest.param("clahe", marks=pytest.mark.slow)])
def test_sift_between_phase_contrast_and_a_stain_is_refused(real_data: Path, stain: str, contrast: str) -> None:
    phase = read(real_data / "in_silico_labeling/phase_z06.png", cv2.IMREAD_UNCHANGED)[:768, :768]
    fluorescence = read(real_data / f"in_silico_labeling/fluorescence_{stain}.png", cv2.IMREAD_UNCHANGED)[:768, :768]
    registration = SiftRansac(SiftRansacParams.model_validate({"contrast": contrast})).register(phase, fluorescence)
    assert not registration.accepted or corner_error(registration.matrix, np.eye(3), phase.shape) < 5


def test_the_green_field_is_aligned_to_brightfield_and_its_mirror_images_are_refused(real_data: Path) -> None:
    registrar = PhaseCorrelation(PhaseCorrelationParams())
    field = registrar.prepare(read(real_data / "mccallum2019_field/brightfield_composite.png"))
    stain = green(real_data)
    registration = registrar.register(stain, field)
    assert registration.accepted, registration.reason
    shift = registration.matrix[:2, 2]
    assert np.hypot(*shift) < 6  # per cell 0 to 6 px
    moved = registrar.register(np.roll(stain, (-9, 12), axis=(0, 1)), field)
    assert moved.accepted, moved.reason
    np.testing.assert_allclose(moved.matrix[:2, 2], shift + np.array([-12.0, 9.0]), atol=0.2)
    for other in (stain[::-1], stain[:, ::-1], stain[::-1, ::-1], np.roll(stain, 200, axis=1)):
        assert not registrar.register(other, field).accepted
