"""An image of another pixel size is refused or resampled, by choice; what is unknown is said."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tifffile

from vsframework.errors import VsfError
from vsframework.images import Image, write_ome_tiff, write_ome_zarr
from vsframework.inference import Stainer
from vsframework.inference.magnification import magnification

PATH = Path("field.tif")


def run(pixel_size_um: float | None, size: int = 16, field_px: int = 8) -> Any:
    patches = SimpleNamespace(size=size, field_px=field_px)
    return SimpleNamespace(pixel_size_um=pixel_size_um, experiment=SimpleNamespace(patches=patches))


@pytest.mark.parametrize(
    ("trained", "image", "shape", "scale", "words"),
    [
        (0.2, 0.2, (40, 50), 2.0, "training fields 0.2 µm"),
        (0.2, 0.2005, (40, 50), 2.0, "2 patch pixels per pixel"),  # calibrations differ by less than 1 %
        (0.2, 0.1, (16, 16), 1.0, "image 0.1 µm"),  # a patch: half the size of a field's pixel
        (None, 0.3, (40, 50), 2.0, "training fields unknown"),
        (0.2, None, (40, 50), 2.0, "image unknown"),
    ],
)
def test_the_usual_magnification_where_nothing_speaks_against_it(
    trained: float | None, image: float | None, shape: tuple[int, int], scale: float, words: str
) -> None:
    chosen = magnification(run(trained), shape, image, PATH)
    assert (chosen.scale, chosen.resampled) == (scale, False)
    assert words in chosen.note


def test_another_pixel_size_is_refused_or_resampled() -> None:
    with pytest.raises(
        VsfError, match=r"field\.tif has pixels of 0\.3 µm and this run was trained on fields of 0\.2 µm"
    ):
        magnification(run(0.2), (40, 50), 0.3, PATH)
    chosen = magnification(run(0.2), (40, 50), 0.3, PATH, other="resample")
    assert chosen.scale == pytest.approx(3.0)
    assert chosen.resampled
    assert "Resampled to 3 patch pixels per pixel" in chosen.note
    assert magnification(run(0.2), (40, 50), 0.3, PATH, scale=1.5).scale == 1.5


def knowing(trained_run: Path, size: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stainer, "pixel_size_um", property(lambda self: size))


def field(pixel_size_um: float | None) -> Image:
    pixels = np.random.default_rng(2).integers(0, 256, (1, 24, 20), dtype=np.uint8)
    return Image(pixels=pixels, channels=("BF",), pixel_size_um=pixel_size_um, bit_depth=8)


def stain(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str]:
    from vsframework.cli import main

    monkeypatch.setattr("sys.argv", ["vsf", "stain", *map(str, words)])
    with pytest.raises(SystemExit) as stop:
        main()
    said = capsys.readouterr()
    return int(stop.value.code or 0), said.out + said.err


def test_vsf_stain_compares_records_and_says_what_is_unknown(
    trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    write_ome_tiff(tmp_path / "other.ome.tif", field(0.3))
    write_ome_tiff(tmp_path / "unknown.ome.tif", field(None))
    write_ome_zarr(tmp_path / "zarr.ome.zarr", field(0.3))
    images = (tmp_path / "other.ome.tif", tmp_path / "unknown.ome.tif", tmp_path / "zarr.ome.zarr")
    code, said = stain(monkeypatch, capsys, trained_run, images[1], "-o", out)
    assert code == 0
    assert "this run does not know its pixel size" in said
    knowing(trained_run, 0.2, monkeypatch)
    code, said = stain(monkeypatch, capsys, trained_run, *images, "-o", out, "--overwrite")
    assert code == 1
    assert "1 of 3 images stained" in said
    assert "1 images do not say their pixel size: taken as 0.2 µm" in said
    assert said.count("was trained on fields of 0.2 µm") == 2
    code, said = stain(
        monkeypatch, capsys, trained_run, images[0], images[2], "-o", out, "--other-pixel-size", "resample", "--json"
    )
    assert code == 0, said
    assert json.loads(said)["pixel_size"] == {"run_um": 0.2, "unknown": []}
    with tifffile.TiffFile(out / "other.stained.ome.tif") as tiff:
        assert "Resampled to 3 patch pixels per pixel" in (tiff.ome_metadata or "")
    own = json.loads((out / "zarr.stained.ome.zarr" / "zarr.json").read_text())["attributes"]["vsframework"]
    assert "Resampled to 3 patch pixels per pixel" in own["note"]
    code, said = stain(
        monkeypatch,
        capsys,
        trained_run,
        images[0],
        "-o",
        out,
        "--other-pixel-size",
        "resample",
        "--cells",
        "--overwrite",
    )
    assert code == 1
    assert "its cells would be cut at the wrong size" in said
