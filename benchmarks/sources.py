"""How fast each source gives frames, and what a frame costs: ``python benchmarks/sources.py``.

Every source at 512, 1024 and 2048 px, as fast as it goes, with a reader that does nothing else. Frames that a camera
lost meanwhile stand beside. ``micromanager`` is Micro-Manager's demo camera, which generates its image;
``micromanager fast`` re-sends one; ``replay`` shows recorded images. Those three need ``make micromanager``.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
import zarr

from _record import circumstances
from vsf_edge.errors import SourceEndError
from vsf_edge.interfaces import Source
from vsf_edge.sources.folder import Folder
from vsf_edge.sources.images import Images
from vsf_edge.sources.micromanager import MicroManager
from vsf_edge.sources.simulator import Simulator
from vsf_edge.sources.video import Video
from vsf_edge.sources.zarr import Zarr

SIZES = (512, 1024, 2048)
FILES = 8
CELLS_PER_PIXEL = 10 / 1024**2


def measured(source: Source, frames: int, seconds: float) -> dict[str, float]:
    """Read up to `frames` frames or for `seconds`; give frames per second, the median time of a read, and losses."""
    source.open()
    try:
        while source.read(1.0) is None:
            pass
        times: list[float] = []
        lost_before, start = source.lost(), time.perf_counter()
        while len(times) < frames and time.perf_counter() - start < seconds:
            before = time.perf_counter()
            try:
                frame = source.read(0.5)
            except SourceEndError:
                break
            if frame is None:
                break  # all files of a folder are read
            times.append(time.perf_counter() - before)
        lost = source.lost() - lost_before
    finally:
        source.close()
    return {"fps": len(times) / sum(times), "read_ms": 1000 * median(times), "frames": len(times), "lost": lost}


def cases(size: int, folder: Path) -> Iterator[tuple[str, Callable[[], Source]]]:
    """Give every source by name, over files of `size` px that are written into `folder`."""
    cells = round(CELLS_PER_PIXEL * size**2)
    simulator = Simulator(width=size, height=size, cells=cells, fps=0)
    yield "simulator", lambda: simulator
    pictures = [simulator.render(5 * index) for index in range(FILES)]
    for index, pixels in enumerate(pictures):
        sixteen = pixels.astype(np.uint16) * 256
        cv2.imwrite(str(folder / f"field{index}.tif"), sixteen, [cv2.IMWRITE_TIFF_COMPRESSION, 1])
    series = np.stack(pictures).astype(np.uint16) * 256
    zarr.create_array(str(folder / "series.zarr"), data=series, chunks=(1, size, size))
    movie = cv2.VideoWriter(str(folder / "movie.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (size, size))
    for pixels in pictures:
        movie.write(cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR))
    movie.release()
    yield "images (TIFF, 16 bit)", lambda: Images(str(folder), loop=True)
    yield "folder (TIFF, 16 bit)", lambda: Folder(str(folder), existing=True, settle=0, poll=0.001)
    yield "zarr (16 bit)", lambda: Zarr(str(folder / "series.zarr"), loop=True)
    yield "video (MJPG)", lambda: Video(str(folder / "movie.avi"), loop=True)
    if find_spec("pymmcore_plus") is None:
        return
    yield "replay", lambda: MicroManager(replay=str(folder), exposure_ms=0.01)
    if find_spec("mm_test_adapters") is not None:
        for name, fast in (("micromanager", 0), ("micromanager fast", 1)):
            config = folder / f"demo{fast}.cfg"
            config.write_text(
                "Device,Camera,DemoCamera,DCam\nProperty,Core,Initialize,1\nProperty,Core,Camera,Camera\n"
                f"Property,Camera,PixelType,16bit\nProperty,Camera,OnCameraCCDXSize,{size}\n"
                f"Property,Camera,OnCameraCCDYSize,{size}\nProperty,Camera,FastImage,{fast}\n"
            )
            yield name, lambda config=config: MicroManager(str(config), exposure_ms=0.1)  # type: ignore[misc]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    load = os.getloadavg()[0]
    results: dict[str, Any] = {}
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            for name, make in cases(size, Path(folder)):
                result = measured(make(), chosen.frames, chosen.seconds)
                results.setdefault(name, {})[str(size)] = result
                figures = f"{result['fps']:8.1f} fps  {result['read_ms']:7.2f} ms a read  {result['lost']} lost"
                print(f"{size:5d} px  {name:24s} {figures}")
    packages = ("vsf-edge", "numpy", "opencv-python-headless", "zarr", "pymmcore", "pymmcore-plus")
    record = {"benchmark": "sources", "results": results, **circumstances(packages, load)}
    if chosen.json:
        chosen.json.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
