"""Signs bundles with an Ed25519 key, so that an edge machine can tell who made them (``vsf-edge inspect --verify``)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from vsf_edge.bundle import open_bundle
from vsf_edge.errors import EdgeError, EdgeUsageError
from vsf_edge.manifest import MANIFEST_NAME
from vsf_edge.signature import SIGNATURE_NAME, sign_manifest
from vsf_export.bundle import write_zip
from vsframework import UsageError, VsfError


def check_signing_key(key: Path) -> None:
    """Check that `key` can sign, before hours of work that would end with a wrong key.

    Raises
    ------
    UsageError
        When it is not an unencrypted Ed25519 private key in PEM form.
    VsfError
        When ``cryptography`` is not installed.
    """
    with _edge_errors():
        sign_manifest(b"", key)


def sign_bundles(files: Sequence[Path], key: Path) -> None:
    """Sign every bundle (``.vsf``) among exported `files`, in place.

    Raises
    ------
    UsageError
        When there is none.
    """
    bundles = [path for path in files if path.suffix == ".vsf"]
    if not bundles:
        raise UsageError("only a bundle (.vsf) can be signed and this target writes none: leave --sign out")
    for path in bundles:
        sign_bundle(path, key)


def sign_bundle(path: Path, key: Path) -> None:
    """Sign the bundle at `path`, in place, with the Ed25519 private key in the PEM file `key`.

    Its other files stay as they are, byte for byte; an old signature is replaced.

    Raises
    ------
    UsageError
        When `key` is no such key.
    VsfError
        When `path` is no whole bundle, or ``cryptography`` is not installed.
    """
    with _edge_errors():
        with open_bundle(path) as bundle:
            manifest = bundle.manifest_bytes
            files = {name: bundle.read(name) for name in bundle.manifest.files}
        write_zip(path, {MANIFEST_NAME: manifest, SIGNATURE_NAME: sign_manifest(manifest, key), **files})


@contextmanager
def _edge_errors() -> Iterator[None]:
    try:
        yield
    except EdgeUsageError as error:
        raise UsageError(str(error)) from error
    except EdgeError as error:
        raise VsfError(str(error)) from error
