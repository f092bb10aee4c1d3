"""The command `vsf-edge` on a model of known behaviour."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from vsf_edge.bundle import open_bundle
from vsf_edge.cli import VERBS, edge
from vsf_edge.staining import stain_images

Command = Callable[..., tuple[int, str, str]]


def save(path: Path, side: int = 16, seed: int = 0) -> np.ndarray:
    image = np.random.default_rng(seed).integers(1, 256, (side, side)).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)
    return image


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_help_lists_every_verb(vsf_edge: Command) -> None:
    code, out, _ = vsf_edge("--help")
    assert code == 0
    assert all(verb in out for verb in VERBS)


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_the_one_line_help_is_the_first_line_of_the_command(verb: str) -> None:
    command = edge.get_command(None, verb)  # type: ignore[arg-type]
    assert command is not None
    assert (command.help or "").splitlines()[0] == VERBS[verb]


def test_doctor_says_what_will_run(vsf_edge: Command) -> None:
    code, out, _ = vsf_edge("doctor", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["usable"] is True
    assert found["cpu"]["cores"] >= 1
    assert "fp32" in found["runtimes"]["onnxruntime"]["devices"]["cpu"]
    assert found["speed"]["sgemm_gflop_per_s"] > 0
    assert isinstance(found["gpu"]["devices"], list)
    code, out, _ = vsf_edge("doctor")
    assert code == 0
    assert "onnxruntime: works" in out


def test_inspect_checks_the_model_against_its_reference(vsf_edge: Command, model: Path) -> None:
    code, out, _ = vsf_edge("inspect", model, "--check", "--json")
    assert code == 0
    document = json.loads(out)
    assert document["check"]["runtime"] == "onnxruntime"
    assert document["check"]["precision"] == "fp32"
    assert document["check"]["stains_max_drift"] == 0
    assert document["manifest"]["intended_use"] == "research use only"
    code, out, _ = vsf_edge("inspect", model)
    assert code == 0
    assert "dfi" in out


def test_a_model_that_drifts_from_its_reference_fails_the_check(
    vsf_edge: Command, make_model: Callable[..., Path]
) -> None:
    from vsf_export.bundle import npy

    wrong = make_model(files={"reference/expected_dfi.npy": npy(np.full(2, 0.336, np.float32))})
    code, _, err = vsf_edge("inspect", wrong, "--check")
    assert code == 1
    assert "dfi by 0.0027" in err


def test_run_writes_stains_in_counts_and_the_table(vsf_edge: Command, model: Path, tmp_path: Path) -> None:
    image = save(tmp_path / "a" / "cell.png")
    save(tmp_path / "b" / "cell.tif", seed=1)
    out = tmp_path / "out"
    code, text, _ = vsf_edge("run", model, tmp_path / "a/cell.png", tmp_path / "b/cell.tif", "-o", out, "--json")
    assert code == 0
    stain = cv2.imread(str(out / "a" / "cell_dsDNA.tif"), cv2.IMREAD_UNCHANGED)
    assert stain.dtype == np.float32
    np.testing.assert_array_equal(stain, 2.0 * image)
    document = json.loads(text)
    assert document["failed"] == 0
    assert document["images"][0]["quantities"]["dfi"] == pytest.approx(1 / 3)
    assert [float(row["dfi"]) for row in rows(out / "cells.csv")] == pytest.approx([1 / 3, 1 / 3])


def test_whole_counts_are_written_on_request(vsf_edge: Command, model: Path, tmp_path: Path) -> None:
    image = save(tmp_path / "cell.png")
    code, _, _ = vsf_edge("run", model, tmp_path / "cell.png", "-o", tmp_path / "out", "--dtype", "uint16")
    assert code == 0
    stain = cv2.imread(str(tmp_path / "out" / "cell_ssDNA.tif"), cv2.IMREAD_UNCHANGED)
    assert stain.dtype == np.uint16
    np.testing.assert_array_equal(stain, image)


def test_a_bad_image_does_not_stop_the_others(vsf_edge: Command, model: Path, tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(b"not an image")
    assert cv2.imwrite(str(tmp_path / "2.png"), np.zeros((20, 16), np.uint8))
    save(tmp_path / "3.png")
    names = [tmp_path / f"{number}.png" for number in (1, 2, 3, 4)]
    code, _, err = vsf_edge("run", model, *names, "-o", tmp_path / "out")
    assert code == 1
    assert len([line for line in err.splitlines() if line.startswith("Error: ")]) == 3
    table = rows(tmp_path / "out" / "cells.csv")
    assert [bool(row["problem"]) for row in table] == [True, True, False, True]
    assert [row["dfi"] == "" for row in table] == [True, True, False, True]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "3_dsDNA.tif",
        "3_ssDNA.tif",
        "cells.csv",
        "run.json",
    ]


def test_an_empty_patch_has_no_ratio(vsf_edge: Command, model: Path, tmp_path: Path) -> None:
    assert cv2.imwrite(str(tmp_path / "black.png"), np.zeros((16, 16), np.uint8))
    code, out, _ = vsf_edge("run", model, tmp_path / "black.png", "-o", tmp_path / "out", "--json")
    assert code == 0
    assert json.loads(out)["images"][0]["quantities"]["dfi"] is None
    assert rows(tmp_path / "out" / "cells.csv")[0]["dfi"] == ""


def test_two_images_with_one_output_are_wrong_use(vsf_edge: Command, model: Path, tmp_path: Path) -> None:
    save(tmp_path / "cell.png")
    save(tmp_path / "cell.tif")
    code, _, err = vsf_edge("run", model, tmp_path / "cell.png", tmp_path / "cell.tif", "-o", tmp_path / "out")
    assert code == 2
    assert "rename" in err
    assert not (tmp_path / "out").exists()


def test_an_image_is_never_overwritten(vsf_edge: Command, model: Path, tmp_path: Path) -> None:
    save(tmp_path / "cell.tif")
    save(tmp_path / "cell_dsDNA.tif")
    code, _, err = vsf_edge("run", model, tmp_path / "cell.tif", tmp_path / "cell_dsDNA.tif", "-o", tmp_path)
    assert code == 2
    assert "overwritten" in err


def test_an_unknown_runtime_is_wrong_use(vsf_edge: Command, model: Path, tmp_path: Path) -> None:
    save(tmp_path / "cell.png")
    code, _, err = vsf_edge("run", model, tmp_path / "cell.png", "-o", tmp_path / "out", "--runtime", "onnxruntim")
    assert code == 2
    assert "did you mean 'onnxruntime'" in err


def test_an_error_is_one_sentence_and_a_traceback_only_on_request(vsf_edge: Command, tmp_path: Path) -> None:
    code, _, err = vsf_edge("inspect", tmp_path / "absent.vsf")
    assert code == 1
    assert err.startswith("Error: there is no model")
    assert len(err.splitlines()) == 1
    _, _, err = vsf_edge("--debug", "inspect", tmp_path / "absent.vsf")
    assert "Traceback" in err


def test_a_graph_that_the_runtime_cannot_load_is_explained(vsf_edge: Command, make_model: Callable[..., Path]) -> None:
    code, _, err = vsf_edge("inspect", make_model(files={"model.fp32.onnx": b"no graph"}), "--check")
    assert code == 1
    assert "cannot load the graph" in err
    assert len(err.splitlines()) == 1


def test_a_graph_without_a_promised_output_is_refused(vsf_edge: Command, make_model: Callable[..., Path]) -> None:
    from vsf_export.bundle import npy

    quantity = {"name": "area", "unit": "px", "description": "Area.", "output": "area"}
    model = make_model({"quantities": [quantity]}, {"reference/expected_area.npy": npy(np.zeros(2, np.float32))})
    code, _, err = vsf_edge("inspect", model, "--check")
    assert code == 1
    assert "has no area" in err


def test_a_runtime_that_fails_on_one_image_does_not_stop_the_others(model: Path, tmp_path: Path) -> None:
    class Moody:
        calls = 0

        def run(self, brightfield: np.ndarray) -> dict[str, np.ndarray]:
            self.calls += 1
            if self.calls == 1:
                raise RuntimeError("device lost")
            return {"stains": np.zeros((1, 2, 16, 16), np.float32), "dfi": np.zeros(1, np.float32)}

    save(tmp_path / "1.png")
    save(tmp_path / "2.png")
    with open_bundle(model) as bundle:
        images = [tmp_path / "1.png", tmp_path / "2.png"]
        first, second = stain_images(bundle, Moody(), images, tmp_path / "out")
    assert "device lost" in first.problem
    assert second.quantities == {"dfi": 0.0}
