"""How images get onto the disk: as which counts, and each file whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


def place(path: Path, content: bytes) -> None:
    """Put `content` at `path`, also where its folder is missing; after an error (`OSError`) `path` is what it was.

    Unlike `vsf_edge.atomic.write_bytes` it does not wait for the disk: a frame comes every 40 ms, and what a killed
    process has written is there. A power failure may take what the system had not yet written.
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        try:
            temporary.write_bytes(content)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(content)
        os.replace(temporary, path)  # noqa: PTH105  (Path.replace builds a second Path per chunk)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def counts(stains: npt.NDArray[np.float32], dtype: np.dtype[Any]) -> npt.NDArray[np.generic]:
    """Give counts as `dtype`; as whole counts they are rounded, and kept within 16 bits."""
    if dtype.kind == "f":
        return np.asarray(stains, dtype)
    whole: npt.NDArray[np.uint16] = np.clip(np.rint(stains), 0, 65535).astype(np.uint16)
    return whole
