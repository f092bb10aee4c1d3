"""A disk that fills, a folder without rights, a field that disappears: one sentence, and the same command goes on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from vsframework.images import read_image

PROGRAM = "from vsframework.cli import main; main()"
OVERRIDES = ("-o", "patches.size=32")
LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond the limit is then an error, as on a full disk
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, resource.RLIM_INFINITY))
from vsframework.cli import main
main()
"""


@pytest.fixture
def copy(study: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(study, tmp_path / "study"))


def build(root: Path, program: str = PROGRAM, prefix: Sequence[str] = ()) -> tuple[int, str]:
    command = [*prefix, sys.executable, "-c", program, "dataset", "build", str(root / "experiment.toml"), *OVERRIDES]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("limit", [pytest.param(100, marks=pytest.mark.slow), 20_000])
def test_a_disk_that_fills_is_one_sentence_and_the_build_goes_on(copy: Path, limit: int) -> None:
    """No file may grow beyond the limit: what a full disk does, without a disk of one's own."""
    code, said = build(copy, LIMITED.format(limit=limit))
    assert code == 1
    assert "the disk is full while writing" in said
    assert said.count("Error:") == 1
    assert "Traceback" not in said
    assert not (copy / "run" / "dataset").exists()
    code, said = build(copy)
    assert code == 0, said


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_small_disk_that_fills(study: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    pages = sum(1 + path.stat().st_size // 4096 for path in study.rglob("*"))
    size = 4096 * (pages + 12)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        shutil.copytree(study, disk / "study")
        code, said = build(disk / "study")
        assert code == 1
        assert "the disk is full while writing" in said
        subprocess.run(["mount", "-o", f"remount,size={size + 50_000_000}", str(disk)], check=True)
        code, said = build(disk / "study")
        assert code == 0, said
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def without_rights() -> list[str]:
    """Give a command that runs another as root who may not pass by file modes (or as what we are, if not root)."""
    if os.geteuid():
        return []
    if not shutil.which("setpriv"):
        pytest.skip("root ignores the modes of files, and setpriv (util-linux) is not here to change that")
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"]


@pytest.mark.slow
def test_a_folder_without_rights(copy: Path) -> None:
    copy.chmod(0o555)
    code, said = build(copy, prefix=without_rights())
    assert code == 1
    assert "cannot be written: Permission denied" in said
    assert "Traceback" not in said
    copy.chmod(0o755)
    closed = copy / "donor2" / "field000_dsDNA.tif"
    closed.chmod(0)
    code, said = build(copy, prefix=without_rights())
    assert code == 0, said  # one field costs its row
    assert "field000_dsDNA.tif cannot be read: Permission denied" in said
    closed.chmod(0o644)
    code, said = build(copy, prefix=without_rights())
    assert code == 0, said
    assert "Permission denied" not in said


def test_a_field_that_disappears_while_the_study_is_built(copy: Path) -> None:
    """It goes when the first field is read; the others are built, and it is built when it is back."""
    program = f"""
from pathlib import Path
import vsframework.dataset.field as field
from vsframework.cli import main
read, here = field.read_planes, Path({str(copy / "donor3")!r})
def disappearing(*arguments):
    if here.exists():
        here.rename({str(copy / "elsewhere")!r})
    return read(*arguments)
field.read_planes = disappearing
main()
"""
    code, said = build(copy, program)
    assert code == 0, said
    assert "field000_BF.tif does not exist: check the name and the folder" in said
    assert "Traceback" not in said
    (copy / "elsewhere").rename(copy / "donor3")
    code, said = build(copy)
    assert code == 0, said
    assert "does not exist" not in said


def test_a_file_that_shrinks_while_it_is_read(copy: Path) -> None:
    from vsframework.errors import VsfError
    from vsframework.images import open_field

    path = copy / "donor1" / "field000_BF.tif"
    field, whole = open_field(path), read_image(path)
    assert (field.read(0, 10, 0, 10) == whole.pixels[:, :10, :10]).all()
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(VsfError, match="truncated or damaged"):
        field.read(400, 410, 0, 10)
    path.unlink()
    with pytest.raises(VsfError, match="No such file"):
        field.read(0, 10, 0, 10)
