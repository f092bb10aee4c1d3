"""``vsf register``: the matrix, the decision, and a picture of both right and refused registrations."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from vsframework.cli import main
from vsframework.testing.prepared_images import as_camera, texture


@dataclass
class Answer:
    """What the command printed, and its exit code."""

    code: int | str | None
    out: str
    err: str


@pytest.fixture
def vsf(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Run ``vsf register`` through its real entry point, in this process."""

    def run(*arguments: object) -> Answer:
        monkeypatch.setattr("sys.argv", ["vsf", "register", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        printed = capsys.readouterr()
        return Answer(stop.value.code, printed.out, printed.err)

    return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("register")
    images = {
        "field": as_camera(texture(300, 360, seed=1), "uint8"),
        "other": as_camera(texture(300, 360, seed=2), "uint8"),
    }
    images["crop"] = images["field"][61:189, 97:225]
    for name, image in images.items():
        assert cv2.imwrite(str(root / f"{name}.png"), image)
    return root


def test_a_crop_is_found_and_drawn(vsf: Callable[..., Answer], folder: Path) -> None:
    picture = folder / "accepted.png"
    result = vsf(folder / "crop.png", folder / "field.png", "-o", picture, "--json")
    assert result.code == 0, result.err
    answer = json.loads(result.out)
    assert answer["accepted"]
    np.testing.assert_allclose(np.array(answer["matrix"])[:2, 2], [97, 61], atol=0.2)
    assert answer["inliers"] >= 8
    assert answer["milliseconds"] > 0
    drawn = cv2.imread(str(picture))
    assert drawn is not None
    assert min(drawn.shape[:2]) > 500
    orange = (np.abs(drawn.astype(int) - (0, 176, 255)) < 30).all(axis=-1)
    assert orange.sum() > 100  # the lines from inlier to inlier


def test_a_refused_registration_is_drawn_too_and_exits_with_1(vsf: Callable[..., Answer], folder: Path) -> None:
    picture = folder / "refused.png"
    result = vsf(folder / "other.png", folder / "field.png", "--registrar", "phase-correlation", "-o", picture)
    assert result.code == 1
    assert "NOT accepted" in result.out
    assert cv2.imread(str(picture)) is not None
    assert result.err == ""


def test_parameters_reach_the_registrar(vsf: Callable[..., Answer], folder: Path) -> None:
    result = vsf(folder / "crop.png", folder / "field.png", "-O", "model=affine", "-O", "min_inliers=4", "--json")
    assert json.loads(result.out)["model"] == "affine"


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("crop.png", "missing.png"), 1, "does not exist"),
        (("crop.png", "field.png", "--registrar", "sift"), 2, "sift-ransac"),
        (("crop.png", "field.png", "-O", "ratio"), 2, "PARAM=VALUE"),
        (("crop.png", "field.png", "-O", "ratios=0.5"), 2, "did you mean 'ratio'"),
        (("crop.png", "field.png", "--channel", "3"), 2, "none of number 3"),
        (("crop.png", "field.png", "-o", "report.pdf"), 2, "PNG"),
    ],
)
def test_wrong_use_costs_one_sentence(
    vsf: Callable[..., Answer], folder: Path, arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    paths = [folder / argument if argument.endswith(".png") else argument for argument in arguments]
    result = vsf(*paths)
    assert result.code == code
    assert sentence in result.err
    assert len(result.err.strip().splitlines()) == 1
