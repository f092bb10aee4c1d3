"""The whole way: a trained run, `vsf export`, `vsf-edge run`, and the numbers of `Stainer` at the end."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from vsframework.cli import main as vsf
from vsframework.config import Experiment, parse_experiment
from vsframework.dataset.store import Patch, PatchWriter
from vsframework.inference import Stainer
from vsframework.plugins import registry
from vsframework.training import train

SIDE = 16
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def experiment() -> Experiment:
    return parse_experiment(
        {
            "data": {"root": "raw"},
            "patches": {"size": SIDE},
            "split": {"test_donors": ["1"]},
            "generator": {"name": "pix2pix", "width": 4, "depth": 3, "discriminator_halvings": 2},
            "training": {"epochs": 1, "accelerator": "cpu"},
        },
        "test",
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, experiment: Experiment) -> Path:
    """A run of one epoch on six noisy patches of two donors."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    random = np.random.default_rng(0)
    quantifier = registry().create("quantifier", "dfi", {})
    with PatchWriter(folder / "dataset", stains=["dsDNA", "ssDNA"], size=SIDE) as writer:
        for number in range(6):
            brightfield = random.integers(0, 256, (1, SIDE, SIDE)).astype(np.float32)
            stains = np.concatenate([255 - brightfield, 0.2 * brightfield])
            row = {"id": f"c{number}", "donor": "12"[number % 2], "field": "f", "reason": "accepted"}
            writer.add(row, Patch(brightfield=brightfield, raw=stains, denoised=stains))
        dataset = writer.finish({}, quantifier.quantities, bit_depth=8)
    train(experiment, dataset, folder)
    return folder


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    from vsf_edge.cli import main as edge

    mains = {"vsf": vsf, "vsf-edge": edge}

    def act(program: str, *arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", [program, *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            mains[program]()
        captured = capsys.readouterr()
        return int(stop.value.code or 0), captured.out, captured.err

    return act


def test_the_edge_gives_the_numbers_of_the_run(run: Path, tmp_path: Path, command: Command) -> None:
    model = tmp_path / "model.vsf"
    code, out, err = command("vsf", "export", run, "-o", model, "--json")
    assert code == 0, err
    exported = {item["target"]: item for item in json.loads(out)}
    assert list(exported) == ["onnx", "openvino", "tensorrt"]
    assert exported["onnx"]["files"] == [str(model)]
    assert exported["onnx"]["parity"]["fp32.onnxruntime.dfi_max_abs"] < 1e-5
    assert exported["onnx"]["parity"]["fp16.onnxruntime.dfi_max_abs"] < 0.002
    for name in ("openvino", "tensorrt"):  # written, or skipped with a sentence
        assert bool(exported[name]["files"]) != bool(exported[name]["skipped"])

    brightfield = np.random.default_rng(7).integers(0, 256, (SIDE, SIDE)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "cell.png"), brightfield)
    code, _, err = command("vsf-edge", "run", model, tmp_path / "cell.png", "-o", tmp_path / "out")
    assert code == 0, err
    stainer = Stainer.load(run)
    expected = stainer.stain(brightfield[None, None])[0]
    for index, name in enumerate(stainer.stains):
        stain = cv2.imread(str(tmp_path / "out" / f"cell_{name}.tif"), cv2.IMREAD_UNCHANGED)
        np.testing.assert_allclose(stain, expected[index], rtol=0, atol=1e-3)
    with (tmp_path / "out" / "cells.csv").open(newline="", encoding="utf-8") as file:
        measured = float(next(csv.DictReader(file))["dfi"])
    assert measured == pytest.approx(float(stainer.quantifier.measure(expected, stainer.stains)["dfi"]), abs=1e-5)

    _, out, _ = command("vsf-edge", "inspect", model, "--json")
    metadata = json.loads(out)["manifest"]["metadata"]
    assert metadata["generator"]["distribution"] == "vsf-plugins"
    assert len(metadata["checkpoint_sha256"]) == 64


def test_the_reference_is_of_held_out_donors(run: Path) -> None:
    from vsf_export.trained_run import load_run
    from vsframework.dataset.store import PatchDataset

    dataset = PatchDataset.open(run / "dataset")
    held_out = {dataset.brightfield[row].tobytes() for row in dataset.accepted(["1"])["patch"]}
    spec = load_run(run).spec
    assert {patch.tobytes() for patch in spec.reference} == held_out
    assert set(spec.cells) == set(dataset.accepted(["1"])["id"])
    assert spec.calibration is not None
    assert spec.halo_px is None  # pix2pix normalises by its whole image
    assert not {patch.tobytes() for patch in spec.calibration} & held_out


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["no-such-run"], 2, "there is no run"),
        (["no-such-run", "--target", "onx"], 2, "did you mean 'onnx'"),
    ],
)
def test_wrong_use_is_told_in_one_sentence(command: Command, arguments: list[str], code: int, sentence: str) -> None:
    got, _, err = command("vsf", "export", *arguments)
    assert got == code
    assert sentence in err
    assert len(err.splitlines()) == 1


def test_a_run_without_its_dataset_says_where_to_put_it(run: Path, tmp_path: Path, command: Command) -> None:
    import shutil

    shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("dataset"))
    code, _, err = command("vsf", "export", tmp_path / "run")
    assert code == 2
    assert "dataset" in err
    assert not (tmp_path / "run" / "model.vsf").exists()


def test_a_bundle_is_signed_and_carries_the_trust_table_and_a_card(run: Path, tmp_path: Path, command: Command) -> None:
    import shutil

    from tests.edge.conftest import write_key_pair
    from tests.edge.test_edge_run import trust_table
    from vsf_edge.bundle import open_bundle

    private, public = write_key_pair(tmp_path / "keys")
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / "trust.json").write_text(json.dumps(trust_table()))
    model = tmp_path / "model.vsf"
    export = ("vsf", "export", tmp_path / "run", "--target", "onnx", "--precision", "fp32", "-o", model)
    code, _, err = command(*export, "--sign", private)
    assert code == 0, err
    code, out, err = command("vsf-edge", "inspect", model, "--verify", public, "--json")
    assert code == 0, err
    assert json.loads(out)["signature"] == "verified"
    with open_bundle(model) as bundle:
        assert json.loads(bundle.document("trust") or b"")["format"] == "vsframework-trust"
    code, card, _ = command("vsf-edge", "inspect", model, "--card")
    assert "Research use only" in card
    assert "| 1 | 3 | yes |" in card  # donor 1, three cells, held out
    assert "| 2 | 3 | no |" in card
    assert "Not evaluated" in card


def test_a_wrong_key_stops_the_export_before_it_begins(run: Path, tmp_path: Path, command: Command) -> None:
    (tmp_path / "no.key").write_text("not a key")
    code, _, err = command("vsf", "export", run, "-o", tmp_path / "model.vsf", "--target", "onnx",
                           "--sign", tmp_path / "no.key")  # fmt: skip
    assert code == 2
    assert "no private key" in err
    assert not (tmp_path / "model.vsf").exists()
