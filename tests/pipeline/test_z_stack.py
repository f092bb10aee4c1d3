"""The whole way with three brightfield planes and two stains of tiles: build, train, evaluate, stain, export."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import torch

from tests.edge.conftest import read_brightfield
from vsframework.cli import main as vsf
from vsframework.dataset import PatchDataset
from vsframework.evaluation.examples import read_examples
from vsframework.images import read_image
from vsframework.inference import Stainer
from vsframework.pipeline import Run
from vsframework.training.checkpoints import FINAL, read_weights

HEIGHT, WIDTH, SIZE = 32, 48, 16
PLANES = ("z0", "z1", "z2")
EXPERIMENT = """
name = "a z stack"
output = "run"
[data]
root = "fields"
pattern = "{donor}/{field}_{channel}.png"
brightfield = ["z0", "z1", "z2"]
stains = ["dsDNA", "ssDNA"]
[patches]
size = 16
field_px = 16
[split]
test_donors = ["c"]
validation_donors = ["b"]
[detector]
name = "grid"
size = 16
step = 8
[denoiser]
name = "none"
[generator]
name = "unet"
width = 4
depth = 2
discriminator = "none"
[training]
models = "joint"
epochs = 2
batch_size = 4
checkpoint_every = 1
accelerator = "cpu"
[augmentation]
flip = true
quarter_turns = true
shift_px = 2
brightness = 0.01
[objective]
lambda_gan = 0
"""
Shell = Callable[..., tuple[int, str, str]]


def write_fields(folder: Path) -> None:
    """Write a field per donor; the stains are differences between planes, which one plane does not tell."""
    for number, donor in enumerate("abc"):
        planes = np.random.default_rng(number).integers(0, 65536, (3, HEIGHT, WIDTH)).astype(np.float32)
        planes = np.stack([cv2.GaussianBlur(plane, (0, 0), 2) for plane in planes])
        stains = {"dsDNA": np.maximum(planes[0] - planes[2], 0), "ssDNA": np.maximum(planes[1] - planes[2], 0)}
        (folder / donor).mkdir(parents=True)
        for name, image in {**dict(zip(PLANES, planes, strict=True)), **stains}.items():
            cv2.imwrite(str(folder / donor / f"f_{name}.png"), image.astype(np.uint16))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an experiment that has run."""
    folder = tmp_path_factory.mktemp("stack")
    write_fields(folder / "fields")
    (folder / "experiment.toml").write_text(EXPERIMENT)
    Run(folder / "experiment.toml").go(tell=lambda line: None)
    return folder


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    def act(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["vsf", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            vsf()
        captured = capsys.readouterr()
        return int(stop.value.code or 0), captured.out, captured.err

    return act


def test_the_generator_takes_all_planes(finished: Path) -> None:
    stainer = Stainer.load(finished / "run")
    assert stainer.in_channels == 3
    assert stainer.info["planes"] == list(PLANES)
    dataset = PatchDataset.open(finished / "run" / "dataset")
    patch = np.asarray(dataset.brightfield[:1])
    stains = stainer.stain(patch)
    for plane in range(3):
        other = patch.copy()
        other[:, plane] = other[:, plane, ::-1]
        assert not np.array_equal(stainer.stain(other), stains), f"plane {plane} has no influence"


def test_the_report_shows_the_middle_plane(finished: Path) -> None:
    dataset = PatchDataset.open(finished / "run" / "dataset")
    patches = dataset.accepted().set_index("id")["patch"]
    for example in read_examples(finished / "run"):
        np.testing.assert_array_equal(
            example.brightfield, np.asarray(dataset.brightfield[int(patches[example.cell]), 1])
        )
    assert (finished / "run" / "report.html").exists()


def test_streamed_planes_give_the_same_weights(finished: Path, tmp_path: Path) -> None:
    from vsframework.training import train

    run = Run(finished / "experiment.toml", ("training.memory_gib=1e-9",))
    train(run.experiment, PatchDataset.open(run.dataset_path), tmp_path / "streamed")
    memory, disk = (
        read_weights(path / "checkpoints" / FINAL).tensors for path in (finished / "run", tmp_path / "streamed")
    )
    assert all(torch.equal(value, disk[name]) for name, value in memory.items())


def test_a_dry_run_counts_all_planes(finished: Path, shell: Shell) -> None:
    code, out, err = shell("train", finished / "experiment.toml", "--dry-run", "--json")
    assert code == 0, err
    plan = json.loads(out)
    assert plan["data_gib"] * 2**30 == pytest.approx(plan["patches"] * 4 * (3 + 2) * SIZE**2)


def test_a_file_per_plane_is_stained_as_one_field(finished: Path, shell: Shell, tmp_path: Path) -> None:
    folder = finished / "fields" / "c"
    files = [folder / f"f_{name}.png" for name in PLANES]
    code, out, err = shell("stain", finished / "run", *reversed(files), "-o", tmp_path)
    assert (code, err) == (0, "")
    assert "1 of 1 images stained" in out
    stained = read_image(tmp_path / "f.stained.ome.tif")
    assert stained.channels == ("dsDNA", "ssDNA")
    planes = np.stack([cv2.imread(str(file), cv2.IMREAD_UNCHANGED) for file in files])
    np.testing.assert_array_equal(stained.pixels, Stainer.load(finished / "run").stain(planes[None])[0])


def test_a_stack_in_one_file_gives_the_same_stains(finished: Path, shell: Shell, tmp_path: Path) -> None:
    planes = np.stack([cv2.imread(str(finished / "fields/c" / f"f_{name}.png"), -1) for name in PLANES])
    tifffile.imwrite(tmp_path / "stack.ome.tif", planes, ome=True, metadata={"axes": "ZYX"})
    code, _, err = shell("stain", finished / "run", tmp_path / "stack.ome.tif", "-o", tmp_path / "out")
    assert (code, err) == (0, "")
    pixels = read_image(tmp_path / "out" / "stack.stained.ome.tif").pixels
    np.testing.assert_array_equal(pixels, Stainer.load(finished / "run").stain(planes[None])[0])


def test_missing_planes_are_one_sentence(finished: Path, shell: Shell, tmp_path: Path) -> None:
    folder = finished / "fields" / "c"
    code, _, err = shell("stain", finished / "run", folder / "f_z0.png", folder / "f_dsDNA.png", "-o", tmp_path)
    assert code == 1
    assert "2 of 2 images could not be stained" in err
    assert "there is no file for z1 and z2" in err
    assert "holds 1 planes and this run was trained on 3 (z0 to z2)" in err


def test_a_weak_dataset_must_have_the_same_planes(finished: Path, tmp_path: Path) -> None:
    from vsframework import UsageError
    from vsframework.training import train

    changes = ("weak.dataset='one'", "objective.lambda_quantity=1")
    run = Run(finished / "experiment.toml", changes)
    shutil.copytree(finished / "fields", tmp_path / "fields")
    (tmp_path / "experiment.toml").write_text(EXPERIMENT)
    one = Run(tmp_path / "experiment.toml", ('data.brightfield="z0"',))
    one.go(until="dataset", tell=lambda line: None)
    with pytest.raises(UsageError, match=r"has 1 brightfield planes and .* has 3 brightfield planes"):
        train(
            run.experiment, PatchDataset.open(run.dataset_path), tmp_path / "run2", PatchDataset.open(one.dataset_path)
        )


def test_the_edge_takes_all_planes(finished: Path, shell: Shell, tmp_path: Path) -> None:
    from vsf_edge.bundle import open_bundle
    from vsf_edge.runtimes.onnxruntime import OnnxRuntime

    code, _, err = shell("export", finished / "run", "-o", tmp_path / "model.vsf", "--json")
    assert code == 0, err
    dataset = PatchDataset.open(finished / "run" / "dataset")
    patch = np.asarray(dataset.brightfield[0])
    tifffile.imwrite(tmp_path / "patch.tif", patch.astype(np.uint16), photometric="minisblack")
    with open_bundle(tmp_path / "model.vsf") as bundle:
        assert bundle.manifest.in_channels == 3
        outputs = OnnxRuntime().open(bundle).run(read_brightfield(tmp_path / "patch.tif", bundle.manifest)[None])
    expected = Stainer.load(finished / "run").stain(patch.astype(np.uint16)[None])
    np.testing.assert_allclose(outputs["stains"], expected, atol=0.5)
