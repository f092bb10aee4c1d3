"""Each contract fails, with the sentence that helps, for a component with one mistake in it."""

from __future__ import annotations

import subprocess
import sys
from xml.etree import ElementTree

import pytest

COMPONENTS = """
import numpy as np
import pytest
import torch
from pydantic import Field
from torch import nn
from vsframework import Component, NoParams, Params
from vsframework.interfaces import Denoised, Detection, ExportRecord, Networks, Quantity, Registration, StoredPlanes
from vsframework.testing import *


def under_test(build, params=NoParams):
    @pytest.fixture
    def component(self):
        return Component(name="wrong", build=lambda params: build(), params=params, summary="Wrong.")
    return component


class InPlace:
    def denoise(self, stains):
        stains -= stains.min()
        return Denoised(
            stains=stains.astype(np.float32), background=np.zeros(len(stains)), mask=np.ones(stains.shape[1:], bool)
        )


class Idle:
    def denoise(self, stains):
        return Denoised(
            stains=stains.astype(np.float32), background=np.zeros(len(stains)), mask=np.ones(stains.shape[1:], bool)
        )


class Pretender(Idle):
    passes_through = True

    def denoise(self, stains):
        return super().denoise(stains // 2)


class Forgetful(Params):
    width: int = 3
    depth: int = Field(3, description="Unbounded.")


class Believer:
    def prepare(self, fixed):
        return fixed

    def register(self, moving, fixed):
        return Registration(matrix=np.eye(3), model="translation", accepted=True, reason="surely")


class Seer:
    def detect(self, field):
        return [Detection(x=0, y=0, angle=9, length=1, score=0.1), Detection(x=0, y=0, angle=0, length=1, score=0.9)]


class BatchDependent:
    stride = 2

    def networks(self, in_channels, out_channels, image_size):
        layers = [nn.Conv2d(in_channels, out_channels, 3, padding=1), nn.BatchNorm2d(out_channels), nn.Dropout(0.5)]
        return Networks(generator=nn.Sequential(*layers), discriminator=None)

    def deploy(self, generator):
        return generator


class Averaging(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        x = nn.functional.dropout(self.layer(x), 0.5, training=self.training)
        return torch.tanh(x - x.mean((2, 3), keepdim=True))


class WholeImage:
    stride = 1

    def networks(self, in_channels, out_channels, image_size):
        generator = Averaging(nn.Conv2d(in_channels, out_channels, 3, padding=1))
        return Networks(generator=generator, discriminator=None)

    def deploy(self, generator):
        return __import__("copy").deepcopy(generator).eval()


class NumpyOnly:
    quantities = (Quantity(name="ratio", unit="1", description="A ratio.", lowest=0, highest=0.5),)

    def measure(self, stains, channels):
        total = stains.sum(axis=(-3, -2, -1))
        if total.max() == 0:
            return {"ratio": total * 0}
        return {"ratio": stains[..., 1, :, :].sum(axis=(-2, -1)) / total}


class Stubborn:
    def fit(self, brightfield, values, donors, seed):
        torch.manual_seed(seed)
        self.offset = values.mean()
        return self

    def predict(self, brightfield):
        means = brightfield.mean(axis=(1, 2, 3), dtype=np.float64)
        return self.offset + means - means.mean()


class Greedy:
    def accepts(self, path, head):
        return True

    def open(self, path, scene=None):
        counts = np.fromfile(path, np.uint8)[5:]
        def read(t, c, z, rows, columns):
            return np.resize(counts, (6, 8))[rows]  # forgets the columns
        return StoredPlanes(shape=(1, 1, 1, 6, 8), dtype=np.dtype(np.uint8), read=read)


class Litterer:
    def export(self, generators, spec, out):
        out.write_bytes(b"half of it")
        generators[0](torch.from_numpy(spec.reference))
        return ExportRecord(files=(out,), parity={})


class TestInPlace(DenoiserContract):
    component = under_test(InPlace)


class TestPretender(DenoiserContract):
    component = under_test(Pretender)


class TestForgetful(DenoiserContract):
    component = under_test(Idle, Forgetful)


class TestBeliever(RegistrarContract):
    component = under_test(Believer)


class TestSeer(DetectorContract):
    component = under_test(Seer)


class TestBatchDependent(GeneratorContract):
    component = under_test(BatchDependent)


class TestWholeImage(GeneratorContract):
    component = under_test(WholeImage)


class TestNumpyOnly(QuantifierContract):
    component = under_test(NumpyOnly)


class TestStubborn(RegressorContract):
    component = under_test(Stubborn)


class TestGreedy(ReaderContract):
    component = under_test(Greedy)

    @pytest.fixture
    def sample(self, tmp_path):
        pixels = np.arange(48, dtype=np.uint8).reshape(1, 1, 1, 6, 8)
        (tmp_path / "f.cam").write_bytes(b"CAM\x08\x06" + pixels.tobytes())
        return tmp_path / "f.cam", pixels


class TestLitterer(ExportTargetContract):
    component = under_test(Litterer)


class TestNameless(DenoiserContract):
    pass


class TestMissing(DenoiserContract):
    name = "not-installed-anywhere"


class TestWrongKind(DetectorContract):
    component = under_test(InPlace)
"""

MISTAKES = {
    "InPlace::test_is_deterministic_and_leaves_the_patch_unchanged": "denoise() changed its input: work on a copy",
    "Pretender::test_removes_the_background_and_keeps_the_cell": "passes_through is True, but the stains are not the",
    "Forgetful::test_removes_the_background_and_keeps_the_cell": "more than half of the background is still there",
    "Forgetful::test_every_parameter_is_described": "parameter 'width': give it Field(description='...')",
    "Believer::test_recovers_a_known_shift": "px off on average",
    "Believer::test_rejects_what_does_not_match_without_raising": "a wrong match must be rejected",
    "Seer::test_finds_nothing_in_a_blank_field": "found 2 cells in a field where every pixel is the same",
    "Seer::test_gives_whole_detections_best_first": "angle = 9 is not in (-pi, pi]",
    "BatchDependent::test_stains_in_range_for_any_number_of_channels": "the generator leaves [-1, 1]: end it with tanh",
    "BatchDependent::test_a_deployed_patch_does_not_depend_on_its_batch": "deploy() left layers that use the",
    "BatchDependent::test_deployed_output_is_not_random": "deploy() is random: is dropout still on?",
    "BatchDependent::test_refuses_a_size_that_does_not_fit": "DID NOT RAISE",
    "BatchDependent::test_deploy_leaves_the_trained_generator_as_it_was": "deploy() changed",
    "WholeImage::test_what_is_trained_in_deploy_mode_is_what_is_deployed": "the generator is still random",
    "WholeImage::test_trained_in_deploy_mode_a_stain_depends_on_nothing_far_away": "px away, so a cell's DFI",
    "NumpyOnly::test_never_decides_by_the_value_of_a_pixel": "cannot be traced into an exported graph",
    "NumpyOnly::test_values_are_what_they_can_be": "ratio is to be at most 0.5, and measure() gave",
    "NumpyOnly::test_finds_its_channels_by_name": "ratio goes by position, not by name",
    "Stubborn::test_learns_what_can_be_seen": "its error on unseen cells is",
    "Stubborn::test_gives_one_value_per_patch": "a cell's value needs its batch",
    "Stubborn::test_leaves_its_input_and_the_random_generators_as_they_were": "fit() reseeds torch",
    "Stubborn::test_fitting_again_leaves_the_first_as_it_was": "return a new object",
    "Greedy::test_leaves_other_files_alone": "accepts() takes a file of b'field 3",
    "Greedy::test_reads_every_plane_and_any_region": "is not as stored",
    "Greedy::test_a_cut_file_is_an_error_or_a_right_read": "gives other pixels, in silence",
    "Litterer::test_writes_its_files_and_their_parity": "export() recorded no parity",
    "Litterer::test_leaves_nothing_where_it_fails": "a failed export() left exported",
    "Nameless::test_is_described_in_one_line": "set name = '...' in TestNameless",
    "Missing::test_is_described_in_one_line": "Is your package installed (pip install -e .)",
    "WrongKind::test_builds_with_its_defaults": "InPlace lacks detect; see Detector",
}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What pytest says about each failed check, over all its cases."""
    folder = tmp_path_factory.mktemp("mistakes")
    folder.joinpath("test_mistakes.py").write_text(COMPONENTS)
    options = ["-q", "-p", "no:cacheprovider", "--import-mode=importlib", "--junitxml=results.xml"]
    subprocess.run([sys.executable, "-m", "pytest", *options], capture_output=True, check=False, cwd=folder)
    sentences: dict[str, list[str]] = {}
    for case in ElementTree.parse(folder / "results.xml").iter("testcase"):
        check = f"{case.attrib['classname'].rpartition('.Test')[2]}::{case.attrib['name'].partition('[')[0]}"
        sentences.setdefault(check, []).extend(problem.text or "" for problem in case if problem.tag != "skipped")
    return sentences


@pytest.mark.parametrize(("check", "sentence"), MISTAKES.items())
def test_a_mistake_is_caught_and_explained(told: dict[str, list[str]], check: str, sentence: str) -> None:
    assert told[check], f"{check} did not fail"
    assert any(sentence in problem for problem in told[check]), told[check][0]


def test_only_what_is_wrong_fails(told: dict[str, list[str]]) -> None:
    assert told["InPlace::test_builds_with_its_defaults"] == []
    assert told["BatchDependent::test_the_seed_decides_the_weights"] == []
    assert told["WholeImage::test_deployed_output_is_not_random"] == []
    assert told["Stubborn::test_the_seed_decides"] == []
    assert told["NumpyOnly::test_leaves_the_stains_unchanged"] == []
