"""Where a run keeps what an evaluation needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vsframework.errors import UsageError, VsfError

SCHEMES = ("leave-one-donor-out",)
"""Ways to hold donors out in turn; each has a folder of that name inside the run, for what it found."""
FOLDS = "folds"
"""Folder inside that one with a run per donor."""


def is_dataset(folder: Path) -> bool:
    """Tell a dataset folder from a run folder."""
    return (folder / "dataset.json").is_file()


def require_run(folder: Path) -> Path:
    """Give `folder` back if it is a run.

    Raises
    ------
    UsageError
        When it is missing or something else.
    """
    if not folder.exists():
        raise UsageError(f"there is no run {folder}; 'vsf train' or 'vsf run' makes one")
    if not (folder / "config.toml").is_file():
        raise UsageError(f"{folder} is no run folder (it holds no config.toml); give the folder that 'vsf train' wrote")
    return folder


def dataset_path(run: Path) -> Path:
    """Give the dataset of `run`: its folder ``dataset``, or that of the run which it is a cross-validation or fold of.

    Raises
    ------
    UsageError
        When it is not there.
    """
    owner = run
    if run.parent.name == FOLDS:
        owner = run.parent.parent.parent
    elif run.name in SCHEMES:
        owner = run.parent
    path = owner / "dataset"
    if not is_dataset(path):
        raise UsageError(f"there is no dataset in {path}; run 'vsf dataset build' first, or put it back")
    return path


def provenance(run: Path) -> dict[str, Any]:
    """Read what ``provenance.json`` of a run says; empty where there is none.

    Raises
    ------
    VsfError
        When it is damaged.
    """
    path = run / "provenance.json"
    if not path.is_file():
        return {}
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise VsfError(f"{path} cannot be read: {error}; remove it or train again") from error
    return document if isinstance(document, dict) else {}
