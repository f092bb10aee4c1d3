"""Engines compiled for this machine: built once, checked against the bundle's reference, kept in a cache.

An engine belongs to one bundle, runtime, device and precision, and to everything that the runtime says it depends on
(its version, the driver, the processor or GPU). When any of that changes it is built again and the old one removed.
The cache can be deleted at any time. It is never part of the trust chain: its files are checked by their SHA-256, and
an engine whose numbers drift from the reference is not kept.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vsf_edge import __version__
from vsf_edge.bundle import Bundle
from vsf_edge.errors import EdgeError, EdgeUsageError, brief
from vsf_edge.interfaces import Plan, Runtime, Session
from vsf_edge.locks import locked
from vsf_edge.parity import measure

RECORD = "engine.json"
CACHE_VARIABLE = "VSF_EDGE_CACHE"


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A session that is ready, and what is known of it.

    Attributes
    ----------
    session
        What runs the graph.
    runtime, plan
        How.
    parity
        The drift from torch that was measured when it was built, see `vsf_edge.parity.Parity.record`.
    built
        Whether it was built now and not found in the cache.
    seconds
        What building and checking took then.
    folder
        Where it is kept.
    """

    session: Session
    runtime: str
    plan: Plan
    parity: Mapping[str, float]
    built: bool
    seconds: float
    folder: Path

    @property
    def label(self) -> str:
        """Name it in one word, as ``--runtime`` takes it, and its precision."""
        return f"{self.runtime}:{self.plan.device} {self.plan.precision}"


class DriftError(EdgeError):
    """An engine's numbers are too far from the reference; it was not kept."""


def cache_root() -> Path:
    """Give the folder of the cache: ``VSF_EDGE_CACHE``, or the user's cache folder."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "vsf-edge" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "vsf-edge"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vsf-edge"


def bundle_folder(bundle: Bundle, root: Path | None = None) -> Path:
    """Give the folder of everything that is cached for `bundle`."""
    return (root or cache_root()) / bundle.sha256[:20]


def get_engine(
    bundle: Bundle,
    name: str,
    runtime: Runtime,
    plan: Plan,
    root: Path | None = None,
    rebuild: bool = False,
    tell: Callable[[str], object] = lambda sentence: None,
) -> Engine:
    """Give the engine of `plan`: from the cache, else built, checked and kept. Safe between processes.

    Parameters
    ----------
    name
        Of the `runtime`, as its entry point has it.
    root
        Folder of the cache; default `cache_root`.
    rebuild
        Build also where the cache has it.
    tell
        Told in a sentence what takes long.

    Raises
    ------
    DriftError
        When its numbers drift from the reference by more than is allowed.
    EdgeError
        When it cannot be built here.
    """
    key = {
        "bundle": bundle.sha256,
        "runtime": name,
        "device": plan.device,
        "precision": plan.precision,
        "vsf_edge": __version__,
        "identity": {str(key): str(value) for key, value in runtime.identity(plan).items()},
    }
    stem = f"{name}-{plan.device}-{plan.precision}"
    if not set(stem) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._+"):
        raise EdgeUsageError(f"{stem!r} cannot be the name of an engine: use letters, digits and - . _ +")
    parent = bundle_folder(bundle, root)
    folder = parent / f"{stem}-{_digest(key)[:16]}"
    label = f"{name}:{plan.device} {plan.precision}"
    with locked(parent / f"{stem}.lock", lambda: tell(f"Waiting for another process that builds {label} ...")):
        if not rebuild:
            try:
                return _load(bundle, name, runtime, plan, key, folder)
            except EdgeError:  # absent, damaged, or no longer loadable: all are mended by building it again
                pass
        tell(f"Building {label} for this machine ...")
        _build(bundle, name, runtime, plan, key, folder)
        _remove_stale(parent, stem, folder)
        engine = _load(bundle, name, runtime, plan, key, folder)
    return Engine(**{**vars(engine), "built": True})


def _build(bundle: Bundle, name: str, runtime: Runtime, plan: Plan, key: dict[str, Any], folder: Path) -> None:
    """Build into a folder beside the final one, check it, and move it to its place."""
    stem = f"{name}-{plan.device}-{plan.precision}"
    for left in folder.parent.glob(f".{stem}.building-*"):  # of a process that was killed: this one holds the lock
        shutil.rmtree(left, ignore_errors=True)
    draft: Path | None = None
    start = time.perf_counter()
    try:
        draft = Path(tempfile.mkdtemp(prefix=f".{stem}.building-", dir=folder.parent))
        runtime.build(bundle, plan, draft)
        parity = measure(bundle, runtime.open(bundle, plan, draft), plan.precision)
        if parity.problem:
            raise DriftError(
                f"{bundle.path} with {name}:{plan.device} in {plan.precision} {parity.problem}: "
                "it is not used on this machine"
            )
        record = {
            "key": key,
            "parity": parity.record(),
            "seconds": round(time.perf_counter() - start, 3),
            "files": {file.name: _sha256(file) for file in sorted(draft.iterdir()) if file.is_file()},
        }
        (draft / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        draft.rename(folder)
    except OSError as error:
        raise EdgeError(f"the engine cache {folder.parent} cannot be written: {error.strerror or error}") from error
    finally:
        if draft is not None:
            shutil.rmtree(draft, ignore_errors=True)


def _load(bundle: Bundle, name: str, runtime: Runtime, plan: Plan, key: dict[str, Any], folder: Path) -> Engine:
    """Open what is in the cache; an EdgeError where it is absent, damaged or made for something else."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        whole = record["key"] == key and all(_sha256(folder / file) == sha for file, sha in record["files"].items())
        parity = {str(measure): float(value) for measure, value in record["parity"].items()}
        seconds = float(record["seconds"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise EdgeError(f"there is no whole engine in {folder}: {brief(error)}") from error
    if not whole:
        raise EdgeError(f"the engine in {folder} is damaged")
    session = runtime.open(bundle, plan, folder)
    return Engine(
        session=session, runtime=name, plan=plan, parity=parity, built=False, seconds=seconds, folder=folder
    )  # fmt: skip


def _remove_stale(parent: Path, stem: str, keep: Path) -> None:
    """Remove engines of other keys; one that another process still has open stays where the system insists."""
    for folder in parent.glob(f"{stem}-*"):
        if folder != keep and folder.is_dir():
            shutil.rmtree(folder, ignore_errors=True)


def _digest(key: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode("utf-8")).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
