"""The dataset on disk."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from vsframework import UsageError, VsfError
from vsframework.dataset.store import PATCHES_PER_SHARD, Patch, PatchDataset, PatchWriter
from vsframework.interfaces import Quantity

DFI = (Quantity(name="dfi", unit="1", description="DNA fragmentation index"),)


def write(path: Path, count: int = 10, rejected_every: int = 4, brightness: float = 0) -> PatchDataset:
    with PatchWriter(path, stains=("dsDNA", "ssDNA"), size=16) as writer:
        for number in range(count):
            good = number % rejected_every != 0
            pixels = np.full((1, 16, 16), number + brightness, dtype=np.float32)
            stains = np.repeat(pixels, 2, axis=0)
            row = {"id": f"c{number}", "donor": f"donor{number % 3}", "field": "f", "dfi": number / 100}
            patch = Patch(brightfield=pixels, raw=stains, denoised=stains) if good else None
            writer.add({**row, "reason": "" if good else "blurred"}, patch)
        return writer.finish({"simulated": True}, DFI, 8)


def test_every_patch_is_found_by_its_row_also_over_several_shards(tmp_path: Path) -> None:
    dataset = write(tmp_path / "ds", count=3 * PATCHES_PER_SHARD)
    for cell in dataset.accepted().itertuples():
        assert float(np.asarray(dataset.brightfield[cell.patch])[0, 0, 0]) == int(cell.id[1:])
    assert len(dataset.accepted()) == dataset.brightfield.shape[0] == dataset.info["patches"]


def test_rejected_cells_keep_their_row_and_reason(tmp_path: Path) -> None:
    dataset = write(tmp_path / "ds")
    rejected = dataset.cells[~dataset.cells["accepted"]]
    assert list(rejected["reason"]) == ["blurred"] * 3
    assert set(rejected["patch"]) == {-1}


def test_donors_are_chosen_and_left_out(tmp_path: Path) -> None:
    dataset = write(tmp_path / "ds")
    assert set(dataset.accepted(["donor1"])["donor"]) == {"donor1"}
    assert "donor1" not in set(dataset.accepted(exclude=["donor1"])["donor"])
    with pytest.raises(UsageError, match=r"no cells of donor donor9; it has donor0, donor1, donor2"):
        dataset.accepted(["donor9"])


def test_the_hash_follows_the_content_and_nothing_else(tmp_path: Path) -> None:
    first, same, other = (write(tmp_path / name, brightness=b) for name, b in (("a", 0), ("b", 0), ("c", 1)))
    assert first.info["hash"] == same.info["hash"] != other.info["hash"]


def test_an_interrupted_build_leaves_the_older_dataset(tmp_path: Path) -> None:
    before = write(tmp_path / "ds").info["hash"]

    def interrupted() -> None:
        with PatchWriter(tmp_path / "ds", stains=("dsDNA",), size=16) as writer:
            writer.add({"id": "c", "donor": "d", "field": "f", "reason": "bad"}, None)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert PatchDataset.open(tmp_path / "ds").info["hash"] == before
    assert [path.name for path in tmp_path.iterdir()] == ["ds"]


def test_a_folder_with_other_things_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="holds no dataset"):
        PatchWriter(tmp_path, stains=("dsDNA",), size=16)
    assert (tmp_path / "thesis.tex").exists()


def test_no_accepted_cell_is_an_error_with_the_commonest_reason(tmp_path: Path) -> None:
    with pytest.raises(VsfError, match=r"none of the 2 cells was accepted; most often because blurred"):
        write(tmp_path / "ds", count=2, rejected_every=1)


def test_missing_newer_and_damaged_datasets_are_one_sentence_each(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="run 'vsf dataset build' first"):
        PatchDataset.open(tmp_path)
    path = write(tmp_path / "ds").path / "dataset.json"
    good = json.loads(path.read_text())
    path.write_text(json.dumps({**good, "schema_version": 99}))
    with pytest.raises(VsfError, match="newer vsframework"):
        PatchDataset.open(tmp_path / "ds")
    path.write_text("{")
    with pytest.raises(VsfError, match="damaged"):
        PatchDataset.open(tmp_path / "ds")
