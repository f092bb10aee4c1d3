"""Who wrote a bundle: an optional Ed25519 signature over its manifest, which lists the SHA-256 of every file.

The arithmetic is that of the library ``cryptography`` (extra ``sign``); nothing here needs it until a key is given.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vsf_edge.errors import BundleError, EdgeError, EdgeUsageError

if TYPE_CHECKING:
    from vsf_edge.bundle import Bundle

SIGNATURE_NAME = "manifest.sig"
SIGNATURE_BYTES = 64
MAX_KEY_BYTES = 1 << 16

_CONTEXT = b"vsframework-bundle manifest\n"  # a signature for something else can never pass as one of a bundle
_INSTALL = "pip install 'vsf-edge[sign]'"


def signed_message(manifest: bytes) -> bytes:
    """Give what is signed: a context, then the bytes of ``manifest.json``."""
    return _CONTEXT + manifest


def sign_manifest(manifest: bytes, key: Path) -> bytes:
    """Sign the bytes of a manifest with the private key in the PEM file `key`; the same input gives the same bytes.

    Raises
    ------
    EdgeUsageError
        When `key` is not an unencrypted Ed25519 private key.
    EdgeError
        When ``cryptography`` is not installed.
    """
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError as error:
        raise EdgeError(f"signing needs the library cryptography ({error}): {_INSTALL}") from error
    try:
        private = load_pem_private_key(_pem(key), password=None)
    except EdgeError:
        raise
    except TypeError as error:
        raise EdgeUsageError(f"{key} is locked by a passphrase: give a key without one") from error
    except Exception as error:  # its errors for wrong content have no common base
        raise EdgeUsageError(f"{key} is no private key in PEM form: docs/bundle.md says how to make one") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise EdgeUsageError(f"{key} is not an Ed25519 key: docs/bundle.md says how to make one")
    return private.sign(signed_message(manifest))


def verify_signature(bundle: Bundle, key: Path) -> None:
    """Check that `bundle` was signed with the private half of the public key in the PEM file `key`.

    Raises
    ------
    BundleError
        When it is not signed, was changed, or was signed by someone else.
    EdgeUsageError
        When `key` is not an Ed25519 public key.
    EdgeError
        When ``cryptography`` is not installed.
    """
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    except ImportError as error:
        raise EdgeError(f"checking a signature needs the library cryptography ({error}): {_INSTALL}") from error
    try:
        public = load_pem_public_key(_pem(key))
    except EdgeError:
        raise
    except Exception as error:
        raise EdgeUsageError(f"{key} is no public key in PEM form: docs/bundle.md says how to make one") from error
    if not isinstance(public, Ed25519PublicKey):
        raise EdgeUsageError(f"{key} is not an Ed25519 key: docs/bundle.md says how to make one")
    if bundle.signature is None:
        raise BundleError(f"{bundle.path} is not signed: ask for a signed one ('vsf export --sign')")
    try:
        public.verify(bundle.signature, signed_message(bundle.manifest_bytes))
    except InvalidSignature:
        raise BundleError(
            f"{bundle.path} is not signed by {key}: it was changed or comes from someone else, do not use it"
        ) from None


def _pem(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_KEY_BYTES)
    except OSError as error:
        raise EdgeUsageError(f"the key {path} cannot be read: {error.strerror or error}") from error
