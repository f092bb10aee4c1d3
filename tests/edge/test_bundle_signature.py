"""A signature tells who wrote a bundle; without one, or with another's, `--verify` refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.edge.conftest import write_key_pair
from vsf_edge.bundle import open_bundle
from vsf_export.signing import check_signing_key, sign_bundle, sign_bundles
from vsframework import UsageError

Command = Callable[..., tuple[int, str, str]]


def test_a_signed_bundle_is_verified(vsf_edge: Command, model: Path, key_pair: tuple[Path, Path]) -> None:
    private, public = key_pair
    with open_bundle(model) as bundle:
        assert bundle.signature is None
        before = bundle.sha256
    sign_bundle(model, private)
    code, out, err = vsf_edge("inspect", model, "--verify", public, "--json")
    assert code == 0, err
    assert json.loads(out)["signature"] == "verified"
    with open_bundle(model) as bundle:
        assert bundle.sha256 == before  # the signature is not part of the identity
    code, out, _ = vsf_edge("inspect", model)
    assert code == 0
    assert "signed, not verified" in out


def test_signing_again_gives_the_same_bytes(model: Path, key_pair: tuple[Path, Path]) -> None:
    sign_bundle(model, key_pair[0])
    once = model.read_bytes()
    sign_bundle(model, key_pair[0])
    assert model.read_bytes() == once


def test_an_unsigned_bundle_fails_verification(vsf_edge: Command, model: Path, key_pair: tuple[Path, Path]) -> None:
    code, _, err = vsf_edge("inspect", model, "--verify", key_pair[1])
    assert code == 1
    assert "is not signed" in err


def test_a_bundle_of_someone_else_fails_verification(
    vsf_edge: Command, model: Path, key_pair: tuple[Path, Path], tmp_path: Path
) -> None:
    sign_bundle(model, write_key_pair(tmp_path / "other")[0])
    code, _, err = vsf_edge("inspect", model, "--verify", key_pair[1])
    assert code == 1
    assert "comes from someone else" in err
    assert len(err.splitlines()) == 1


def test_what_is_no_key_is_wrong_use(
    vsf_edge: Command, model: Path, key_pair: tuple[Path, Path], tmp_path: Path
) -> None:
    private, public = key_pair
    for wrong in (private, model, tmp_path / "absent.pub"):
        code, _, err = vsf_edge("inspect", model, "--verify", wrong)
        assert code == 2, err
        assert str(wrong) in err
    for wrong in (public, model, tmp_path / "absent.key"):
        with pytest.raises(UsageError, match="key"):
            check_signing_key(wrong)


def test_another_kind_of_key_and_a_locked_one_are_refused(tmp_path: Path, key_pair: tuple[Path, Path]) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    kinds = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
    (tmp_path / "ec.key").write_bytes(other.private_bytes(*kinds, serialization.NoEncryption()))
    with pytest.raises(UsageError, match="not an Ed25519 key"):
        check_signing_key(tmp_path / "ec.key")
    mine = serialization.load_pem_private_key(key_pair[0].read_bytes(), None)
    (tmp_path / "locked.key").write_bytes(mine.private_bytes(*kinds, serialization.BestAvailableEncryption(b"secret")))
    with pytest.raises(UsageError, match="passphrase"):
        check_signing_key(tmp_path / "locked.key")


def test_what_is_no_bundle_cannot_be_signed(tmp_path: Path, key_pair: tuple[Path, Path]) -> None:
    with pytest.raises(UsageError, match="--sign"):
        sign_bundles([tmp_path / "model.xml"], key_pair[0])
