"""Thousands of damaged bundles: each is refused in one sentence, or what is read from it is what was signed.

``VSF_MUTANTS`` sets how many the slow test tries and ``VSF_MUTANTS_SEED`` where it starts.
"""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.edge.mutants import Mutator
from vsf_edge.bundle import Bundle, open_bundle
from vsf_edge.errors import BundleError
from vsf_edge.signature import verify_signature
from vsf_export.bundle import npy
from vsf_export.signing import sign_bundle

SLOW_MUTANTS = int(os.environ.get("VSF_MUTANTS", "50000"))
SEED = int(os.environ.get("VSF_MUTANTS_SEED", "0"))


@pytest.fixture
def tiny(make_model: Callable[..., Path], key_pair: tuple[Path, Path]) -> Path:
    """A signed bundle of a few kilobytes; what its graph does is of no interest here."""
    files = {
        "model.fp32.onnx": b"a graph",
        "reference/brightfield.npy": npy(np.ones((1, 1, 2, 2), np.float32)),
        "reference/expected_stains.npy": npy(np.ones((1, 2, 2, 2), np.float32)),
        "reference/expected_dfi.npy": npy(np.ones(1, np.float32)),
        "LICENSE": b"terms",
    }
    path = make_model(files=files)
    sign_bundle(path, key_pair[0])
    return path


def content(bundle: Bundle) -> dict[str, Any]:
    """Read everything that a program can ask of a bundle."""
    read = {name: bundle.read(name) for name in bundle.manifest.files}
    bundle.reference()
    return {"manifest": bundle.manifest_bytes, "files": read}


def judge(path: Path, mutant: bytes, whole: dict[str, Any], public: Path) -> str:
    """Open `mutant` as a program would and say what became of it; anything but a clean answer fails the test."""
    path.write_bytes(mutant)
    try:
        with open_bundle(path) as bundle:
            read = content(bundle)
            try:
                verify_signature(bundle, public)
            except BundleError as error:
                check_sentence(error, path)
                return "another manifest"  # whole in itself: only the signature can tell who wrote it
            assert read == whole, "a changed bundle passed the signature"
            return "unchanged"
    except BundleError as error:
        check_sentence(error, path)
        return "refused"


def check_sentence(error: BundleError, path: Path) -> None:
    text = str(error)
    assert str(path) in text
    assert text.isprintable(), repr(text)
    assert len(text) < len(str(path)) + 600


def run(tiny: Path, public: Path, seed: int, count: int) -> Counter[str]:
    with open_bundle(tiny) as bundle:
        verify_signature(bundle, public)
        whole = content(bundle)
    mutator = Mutator(tiny.read_bytes(), seed)
    fates: Counter[str] = Counter()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Duplicate name", UserWarning)  # the mutator's own
        for number in range(count):
            try:
                fates[judge(tiny.with_name("mutant.vsf"), mutator.mutant(), whole, public)] += 1
            except Exception as error:
                raise AssertionError(f"mutant {number} of seed {seed}: {error!r}") from error
    return fates


def test_no_mutant_is_accepted_wrongly(tiny: Path, key_pair: tuple[Path, Path]) -> None:
    fates = run(tiny, key_pair[1], seed=SEED, count=400)
    assert fates["refused"] > 300
    assert fates["another manifest"] > 0  # the mutator reaches beyond the checksums
    assert fates["unchanged"] < 40


@pytest.mark.slow
def test_no_mutant_of_very_many_is_accepted_wrongly(tiny: Path, key_pair: tuple[Path, Path]) -> None:
    fates = run(tiny, key_pair[1], seed=SEED + 1, count=SLOW_MUTANTS)
    assert sum(fates.values()) == SLOW_MUTANTS
    assert fates["unchanged"] < SLOW_MUTANTS / 10
