"""Reads mutated files in a process of its own: ``fuzz_worker KIND SEED COUNT FOLDER``; it prints JSON.

The process may take 2 GB of address space, and 10 s for one file; it ends when it takes more. What it was doing is in
the file ``at`` of its folder, so that a crash names the input that made it.
"""

from __future__ import annotations

import faulthandler
import json
import os
import random
import resource
import shutil
import struct
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile

from tests.images.mutations import mutate_bytes, mutate_png, mutate_text, mutate_tiff
from tests.images.sound_files import DEEP, PIXELS, bytes_of, stack, tiffs, two_images, zarrs
from vsframework.errors import VsfError
from vsframework.images import FieldChoice, read_image, write_ome_tiff

MEMORY = 2 * 2**30
SECONDS = 10

PLATE = json.dumps(
    {
        "zarr_format": 3,
        "node_type": "group",
        "attributes": {
            "ome": {"version": "0.5", "plate": {"wells": [{"path": "A/1"}]}, "well": {"images": [{"path": "0"}]}}
        },
    }
)


class Inputs:
    """Writes the next mutated file of one kind into a folder, and says where it is."""

    def __init__(self, kind: str, folder: Path, chance: random.Random) -> None:
        self.chance, self.folder, self.file = chance, folder, folder / "input"
        self.next: Callable[[], Path] = getattr(self, kind.replace("-", "_"))
        self.sound: list[Any] = []
        self.act: Callable[[], object] = bool
        if kind in ("tiff", "layout"):
            self.sound = tiffs()
        elif kind == "ome_xml":
            for write in (
                lambda path: write_ome_tiff(path, DEEP),
                lambda path: stack(path, ome=True),
                lambda path: two_images(path, ome=True),
            ):
                with tempfile.TemporaryDirectory() as place:
                    path = Path(place) / "f.ome.tif"
                    write(path)
                    with tifffile.TiffFile(path) as opened:
                        pixels = np.concatenate([series.asarray() for series in opened.series])
                        self.sound.append((opened.ome_metadata, pixels))
        elif kind == "png":
            colour = np.stack([PIXELS[0], PIXELS[1], PIXELS[0]], axis=-1)
            self.sound = [bytes(imagecodecs.png_encode(pixels)) for pixels in (PIXELS[0], DEEP.pixels[0], colour)]
            self.sound += [bytes(imagecodecs.jpeg8_encode(pixels)) for pixels in (PIXELS[0], colour)]
        elif kind == "numpy":
            for pixels in (PIXELS, DEEP.pixels[0], PIXELS.astype(np.float32)):
                self.sound.append(bytes_of(lambda path, pixels=pixels: np.save(path, pixels), "f.npy"))
        elif kind == "zarr":
            self.sound = [
                {file.relative_to(path): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}
                for path in zarrs(folder)
            ]

    def layout(self) -> Path:
        self.act = study(self, self.chance)
        return self.folder / "input"

    def tiff(self) -> Path:
        self.file.write_bytes(mutate_tiff(self.chance.choice(self.sound), self.chance))
        return self.file

    def ome_xml(self) -> Path:
        xml, pixels = self.chance.choice(self.sound)
        text = mutate_text(xml, self.chance).replace("\0", "")
        tifffile.imwrite(self.file, pixels, photometric="minisblack", description=text.encode(), metadata=None)
        return self.file

    def png(self) -> Path:
        data = self.chance.choice(self.sound)
        self.file.write_bytes((mutate_png if data[:1] == b"\x89" else mutate_bytes)(data, self.chance))
        return self.file

    def numpy(self) -> Path:
        data = self.chance.choice(self.sound)
        end = data.index(b"\n") + 1
        if self.chance.random() < 0.6:
            header = mutate_text(data[10:end].decode("latin-1"), self.chance).encode("latin-1", "ignore")
            data = data[:8] + struct.pack("<H", len(header) & 0xFFFF) + header + data[end:]
        else:
            data = mutate_bytes(data, self.chance)
        self.file.write_bytes(data)
        return self.file

    def zarr(self) -> Path:
        path = self.folder / "input.zarr"
        files = dict(self.chance.choice(self.sound))
        shutil.rmtree(path, ignore_errors=True)
        name = self.chance.choice(sorted(files))
        metadata = [key for key in files if key.name.startswith((".z", "zarr"))]
        name = self.chance.choice(sorted(metadata)) if self.chance.random() < 0.7 else name
        if name in metadata and self.chance.random() < 0.8:
            files[name] = mutate_text(files[name].decode(), self.chance).encode()
        else:
            files[name] = mutate_bytes(files[name], self.chance)
        if self.chance.random() < 0.05:
            del files[name]
        for key, data in files.items():
            (path / key).parent.mkdir(parents=True, exist_ok=True)
            (path / key).write_bytes(data)
        return path


NAMES = [
    *("d1", "d2", "A", "1", "S1", "cells", "dsDNA", "ssDNA", "plate.zarr", "wells.csv", ".hidden", "-o.tif"),
    *("f0_BF.tif", "f0_dsDNA.tif", "f0_ssDNA.tif", "f0_bf.tif", "f0.png", "f0_BF.tif.tmp", "A1_0_BF.tif"),
    *("Green0.tif", "Red0.tif", "BF0.tif", "img001_brightfield.jpg"),
    *("img1_S1_BF0_DFI_2000.png", "img01_S1_BF0_DFI_2000.tif", "DFIs.csv"),
    *("f\u00e9_BF.tif", "f {channel}_BF.tif", "f*_dsDNA.tif", "f\n_BF.tif"),
]
PATTERNS = [
    *("{donor}/{field}_{channel}.tif", "{donor}/{field}.*", "{channel}/{donor}/{field}.png", "{field}", "*", ""),
    *("*.zarr", "{plate}.zarr", "{well}_{field}_{channel}.*", "{donor}{donor}/{field}.*", "../{field}.tif"),
]
TABLES = [
    *("well,donor\nA1,anna\n", "well,donor\nA1,../../x\n", "plate,well,donor\nplate,A/1,\u00e9\n"),
    *("", "\0", "a,b\nc", ",DFI,bad,good,sample,zimg_name\n1,0.2,20,80,S1,BF0\n"),
]


def study(inputs: Inputs, chance: random.Random) -> Callable[[], object]:
    """Lay files of all kinds out at random; give what finds and checks their fields."""
    from vsframework.config import parse_experiment
    from vsframework.dataset.checking import check_study
    from vsframework.dataset.layouts import LAYOUTS, find_fields

    root = inputs.folder / "input"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    for _ in range(chance.randrange(9)):
        path = root.joinpath(*(chance.choice(NAMES) for _ in range(chance.randint(1, 3))))
        if any(parent.is_file() for parent in path.parents) or path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        match chance.randrange(4):
            case 0:
                path.write_text(chance.choice(TABLES))
            case 1:
                path.mkdir()
                (path / "zarr.json").write_text(mutate_text(PLATE, chance))
            case 2:
                path.write_bytes(chance.choice(inputs.sound))
            case _:
                path.write_bytes(mutate_bytes(chance.choice(inputs.sound), chance))
    data = {"root": ".", "layout": chance.choice([*LAYOUTS, "mccallum-crops"]), "plate_table": "wells.csv"}
    if chance.random() < 0.7:
        data["pattern"] = chance.choice(PATTERNS)
    data |= {"z": chance.choice(["planes", "max", "focus"]), "stain_z": chance.choice(["refuse", "mean"])}
    experiment = parse_experiment({"data": data}, str(root))

    def act() -> None:
        for field in find_fields(experiment.data, root) if data["layout"] in LAYOUTS else ():
            assert all(root in path.parents for path in field.files), f"{field.files} are not all in {root}"
        json.dumps(check_study(experiment, root).record(), allow_nan=False)

    return act


def watch_writes(reading: list[bool], found: list[str]) -> None:
    """Note every file that is opened for writing, made, moved or removed while `reading` holds something true."""
    changing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if not reading[0]:
            return
        if event == "open":
            path, _, flags = arguments
            if not isinstance(path, str | bytes | os.PathLike) or not (isinstance(flags, int) and flags & changing):
                return
        elif event in ("os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink", "os.link"):
            path = arguments[0]
        elif event in ("subprocess.Popen", "os.system", "os.exec", "socket.connect", "pickle.find_class"):
            found.append(event)
            return
        else:
            return
        found.append(f"{event} {os.fsdecode(path)}")

    sys.addaudithook(hook)


CHOICES = [
    *(FieldChoice(), FieldChoice(time=0, z="max"), FieldChoice(time=0, z="focus"), FieldChoice(z="planes")),
    *(FieldChoice(scene=0, time=0, z="max"), FieldChoice(scene=1)),
]


def run(kind: str, seed: int, count: int, folder: Path) -> dict[str, Any]:
    """Read `count` mutated files; give how many were read, how many refused, and everything that must not be."""
    chance = random.Random(f"{kind} {seed}")
    inputs = Inputs(kind, folder, chance)
    outcomes: Counter[str] = Counter()
    wrong: list[str] = []
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    reading = [False]
    watch_writes(reading, wrong)
    with (folder / "at").open("w") as at:
        for index in range(count):
            at.seek(0)
            at.write(f"{index:9d}")
            at.flush()
            path = inputs.next()
            faulthandler.dump_traceback_later(SECONDS, exit=True)
            reading[0] = True
            try:
                if kind == "layout":
                    inputs.act()
                else:
                    read_image(path, chance.choice(CHOICES)).check()
                outcomes["read"] += 1
            except VsfError as error:
                outcomes["refused"] += 1
                named = kind == "layout" or str(folder) in str(error)  # a pattern can be wrong without any file
                if "\n" in str(error) or not named:
                    wrong.append(f"{index}: no sentence that names the file: {error}")
            except BaseException as error:
                wrong.append(f"{index}: {type(error).__name__}: {error}")
            reading[0] = False
            faulthandler.cancel_dump_traceback_later()
    return {"kind": kind, "seed": seed, **outcomes, "wrong": wrong[:20], "peak_mb": peak_mb()}


def peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    faulthandler.enable()
    print(json.dumps(run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))))
