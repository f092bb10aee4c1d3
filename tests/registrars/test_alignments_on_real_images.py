"""The bounded alignments on real pairs of two modalities: what is known about them, and what must be refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import tifffile

from vsf_plugins.registrars.acceptance import corners, transform
from vsframework.plugins import registry
from vsframework.simulation.geometry import displacement_matrix

pytestmark = pytest.mark.realdata

NAMES = [
    "ecc",
    pytest.param("mutual-information", marks=pytest.mark.slow),
    pytest.param("kornia", marks=pytest.mark.slow),
]


def create(name: str, **params: Any) -> Any:
    if name == "mutual-information":
        pytest.importorskip("SimpleITK", reason="SimpleITK is not installed: pip install 'vsf-plugins[registration]'")
    return registry().create("registrar", name, params)


def stain(real_data: Path, name: str) -> npt.NDArray[Any]:
    return np.asarray(tifffile.imread(real_data / f"mccallum2019_field/{name}0.tif", key=0))[..., 0]


def read(path: Path) -> npt.NDArray[Any]:
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert image is not None, path
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)


@pytest.mark.parametrize("name", NAMES)
def test_red_lies_within_a_pixel_of_green(real_data: Path, name: str) -> None:
    found = create(name, model="translation").register(stain(real_data, "Red"), stain(real_data, "Green"))
    assert found.accepted, found.reason
    assert np.hypot(*found.matrix[:2, 2]) < 1


@pytest.mark.parametrize("name", NAMES)
def test_green_lies_a_few_pixels_from_brightfield_and_its_mirror_images_nowhere(real_data: Path, name: str) -> None:
    registrar, green = create(name), stain(real_data, "Green")
    field = registrar.prepare(read(real_data / "mccallum2019_field/brightfield_composite.png"))
    found = registrar.register(green, field)
    assert found.accepted, found.reason
    middle = found.matrix[:2, :2] @ [959.5, 539.5] + found.matrix[:2, 2] - [959.5, 539.5]
    assert np.hypot(*middle) < 6  # per cell 0 to 6 px
    for other in (green[::-1], green[:, ::-1], green[::-1, ::-1], np.roll(green, 200, axis=1)):
        assert not registrar.register(other, field).accepted


@pytest.mark.parametrize("name", NAMES)
def test_a_displacement_of_real_dapi_on_phase_contrast_is_recovered(real_data: Path, name: str) -> None:
    phase = read(real_data / "in_silico_labeling/phase_z06.png")
    dapi = read(real_data / "in_silico_labeling/fluorescence_DAPI.png").astype(np.float32)
    registrar = create(name)
    field = registrar.prepare(phase)
    unmoved = registrar.register(dapi, field)
    moved = displacement_matrix((511.5, 511.5), (7.0, -5.0), np.radians(1.5), 1.01)
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    image = cv2.warpAffine(dapi, moved[:2], (1024, 1024), flags=flags, borderMode=cv2.BORDER_REFLECT)
    found = registrar.register(image, field)
    assert unmoved.accepted, unmoved.reason
    assert found.accepted, found.reason
    outline = corners((1024, 1024))  # what the microscope itself left between the two is in both
    error = np.linalg.norm(transform(found.matrix, outline) - transform(unmoved.matrix @ moved, outline), axis=1)
    assert error.mean() < 2
    assert not registrar.register(dapi[:, ::-1], field).accepted
