"""What every reader holds: it takes its own files and no others, describes before it reads, and reads any region."""

from __future__ import annotations

import math
import threading
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from vsframework.errors import VsfError
from vsframework.images.image import DTYPES
from vsframework.readers import Reader, StoredPlanes
from vsframework.testing.component_contract import ComponentContract

OTHERS = {"notes.txt": b"field 3, donor 2: out of focus", "empty": b"", "noise": bytes(range(256)) * 4}
HEAD_BYTES = 512


class ReaderContract(ComponentContract):
    """Contract of ``vsf_readers``: see :class:`~vsframework.readers.Reader`.

    Override the fixture `sample` with a small file of your kind and what is in it.
    """

    kind = "reader"
    protocol = Reader

    @pytest.fixture
    def sample(self, tmp_path: Path) -> tuple[Path, npt.NDArray[np.generic]] | None:
        """A file, and its pixels [T, C, Z, H, W]; None skips what needs one."""
        return None

    @pytest.fixture
    def opened(
        self, part: Reader, sample: tuple[Path, npt.NDArray[np.generic]] | None
    ) -> tuple[StoredPlanes, npt.NDArray[np.generic]]:
        """The sample, opened, and its pixels."""
        if sample is None:
            pytest.skip("there is no file to read: override the fixture 'sample' with one of your kind and its pixels")
        return part.open(sample[0]), sample[1]

    def test_leaves_other_files_alone(self, part: Reader, tmp_path: Path) -> None:
        for name, data in OTHERS.items():
            (tmp_path / name).write_bytes(data)
            assert not part.accepts(tmp_path / name, data[:HEAD_BYTES]), f"accepts() takes a file of {data[:20]!r}"
        assert not part.accepts(tmp_path, b""), "accepts() takes any folder"

    def test_accepts_its_own(self, part: Reader, sample: tuple[Path, npt.NDArray[np.generic]] | None) -> None:
        if sample is None:
            pytest.skip("there is no file to read: override the fixture 'sample' with one of your kind and its pixels")
        head = b"" if sample[0].is_dir() else sample[0].read_bytes()[:HEAD_BYTES]
        assert part.accepts(sample[0], head), "accepts() does not take the sample"

    def test_describes_what_is_there(self, opened: tuple[StoredPlanes, npt.NDArray[np.generic]]) -> None:
        planes, pixels = opened
        assert isinstance(planes, StoredPlanes), f"open() gave a {type(planes).__name__}, not StoredPlanes"
        assert planes.shape == pixels.shape, f"shape is {planes.shape}, and the sample has {pixels.shape}"
        assert planes.dtype.newbyteorder("=") in DTYPES, f"dtype is {planes.dtype}: uint8, uint16 or float32"
        assert len(planes.channels) in (0, planes.shape[1]), "channels are neither none nor as many as there are"
        size = planes.pixel_size_um
        assert size is None or (math.isfinite(size) and size > 0), f"pixel_size_um is {size}"

    def test_reads_every_plane_and_any_region(self, opened: tuple[StoredPlanes, npt.NDArray[np.generic]]) -> None:
        planes, pixels = opened
        height, width = planes.shape[3:]
        regions = [
            (slice(0, height), slice(0, width)),
            (slice(height // 3, height // 3 + 1), slice(0, width)),
            (slice(height // 2, height), slice(width // 3, width // 3 + max(1, width // 4))),
        ]
        for t, c, z in np.ndindex(*planes.shape[:3]):
            for rows, columns in regions:
                part = planes.read(t, c, z, rows, columns)
                expected = pixels[t, c, z, rows, columns]
                assert part.dtype.newbyteorder("=") == planes.dtype.newbyteorder("="), f"read() gave {part.dtype}"
                where = f"plane t{t} c{c} z{z} in {rows}, {columns} is not as stored"
                np.testing.assert_array_equal(part, expected, where)

    def test_reads_from_several_threads(self, opened: tuple[StoredPlanes, npt.NDArray[np.generic]]) -> None:
        planes, pixels = opened
        wrong: list[str] = []

        def read() -> None:
            for t, c, z in np.ndindex(*planes.shape[:3]):
                whole = planes.read(t, c, z, slice(0, planes.shape[3]), slice(0, planes.shape[4]))
                if not np.array_equal(whole, pixels[t, c, z]):
                    wrong.append(f"t{t} c{c} z{z}")

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong, f"read() mixes planes up when several threads read: {', '.join(wrong[:3])}"

    def test_a_cut_file_is_an_error_or_a_right_read(
        self, part: Reader, sample: tuple[Path, npt.NDArray[np.generic]] | None
    ) -> None:
        if sample is None or sample[0].is_dir():
            pytest.skip("there is no file to cut: override the fixture 'sample' with one of your kind and its pixels")
        path, pixels = sample
        data = path.read_bytes()
        for share in (0.02, 0.5, 0.97):
            path.write_bytes(data[: int(len(data) * share)])
            try:
                planes = part.open(path)
                region = slice(0, planes.shape[3]), slice(0, planes.shape[4])
                read = [planes.read(t, c, z, *region) for t, c, z in np.ndindex(*planes.shape[:3])]
            except VsfError:
                continue
            except Exception as error:
                pytest.fail(f"a file cut at {share:.0%} raises {type(error).__name__}, not VsfError: {error}")
            assert len(read) == math.prod(pixels.shape[:3]), f"a file cut at {share:.0%} gives fewer planes, in silence"
            for plane, expected in zip(read, pixels.reshape(-1, *pixels.shape[3:]), strict=True):
                assert np.array_equal(plane, expected), f"a file cut at {share:.0%} gives other pixels, in silence"
