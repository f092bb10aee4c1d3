"""Writes a bundle ``model.vsf``, byte for byte the same for the same content."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vsf_edge.bundle import REFERENCE_INPUT, open_bundle, reference_output
from vsf_edge.errors import EdgeError
from vsf_edge.manifest import FORMAT, MANIFEST_NAME, SCHEMA_VERSION
from vsf_export.model_card import model_card
from vsframework import VsfError
from vsframework.atomic import atomic_path

INTENDED_USE = "research use only"

LICENSE_NAME = "LICENSE"
CARD_NAME = "MODEL_CARD.md"
TRUST_NAME = "trust.json"
DOCUMENT_NAMES = {"licence": LICENSE_NAME, "card": CARD_NAME, "trust": TRUST_NAME}
LICENSE_TEXT = """\
Research use only. Not a medical device; not for diagnosis or for selecting treatment.

The weights and the reference images in this file come from whoever trained the model, on their data. Their owner
decides on the licence; none is stated here. The licence of the vsframework software (Apache-2.0) does not extend to
them.
"""

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date that a zip can hold


def write_bundle(path: Path, manifest: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
    """Write `files` (name to content) and the `manifest`, to which the lists of files and of documents are added.

    The files ``LICENSE``, ``MODEL_CARD.md`` and ``trust.json`` become the bundle's documents; a card is written from
    the manifest where none is given. The zip is stored, its entries sorted after the manifest, without dates: the
    same content gives the same bytes. `path` is there whole or not at all.
    """
    if CARD_NAME not in files:
        files = {**files, CARD_NAME: model_card(manifest).encode("utf-8")}
    records = {
        name: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()} for name, content in files.items()
    }
    documents = {role: name for role, name in DOCUMENT_NAMES.items() if name in files}
    document = {
        "format": FORMAT,
        "schema_version": SCHEMA_VERSION,
        "documents": documents,
        **manifest,
        "files": records,
    }
    text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_zip(path, {MANIFEST_NAME: text.encode("utf-8"), **files})


def add_trust(files: Sequence[Path], run: Path) -> None:
    """Put the trust table of `run` (``trust.json``, from ``vsf calibrate``), where there is one, into its bundles.

    Raises
    ------
    VsfError
        When the table cannot be read, or a bundle is not whole.
    """
    table = run / TRUST_NAME
    if not table.is_file():
        return
    try:
        content = table.read_bytes()
        for path in files:
            if path.suffix == ".vsf":
                with open_bundle(path) as bundle:
                    manifest = dict(bundle.manifest.document)
                    known = {name: bundle.read(name) for name in bundle.manifest.files}
                del manifest["documents"]  # listed anew
                write_bundle(path, manifest, {**known, TRUST_NAME: content})
    except OSError as error:
        raise VsfError(f"{table} cannot be read ({error.strerror or error}): run 'vsf calibrate' again") from error
    except EdgeError as error:
        raise VsfError(str(error)) from error


def write_zip(path: Path, files: Mapping[str, bytes]) -> None:
    """Write `files` as a stored zip: the manifest first, the others by name."""
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files, key=lambda name: (name != MANIFEST_NAME, name)):
            _store(archive, name, files[name])


def reference_files(
    brightfield: npt.NDArray[np.float32], outputs: Mapping[str, npt.NDArray[np.float32]]
) -> dict[str, bytes]:
    """Give the ``reference/`` files: the input [N, C, H, W] and the expected outputs by graph output name."""
    return {
        REFERENCE_INPUT: npy(brightfield),
        **{reference_output(name): npy(values) for name, values in outputs.items()},
    }


def npy(values: npt.NDArray[np.float32]) -> bytes:
    """Give `values` as the bytes of an ``.npy`` file (version 1.0, float32, C order)."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.ascontiguousarray(values, "<f4"), version=(1, 0), allow_pickle=False)
    return stream.getvalue()


def _store(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.create_system = 3
    info.external_attr = 0o100644 << 16
    archive.writestr(info, content)
