"""Reads mutated files in a process of its own: ``fuzz_worker.py KIND SEED COUNT FOLDER``; it prints JSON.

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
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile
import zarr

from vsframework.errors import VsfError
from vsframework.images import FieldChoice, Image, read_image, write_imagej_tiff, write_ome_tiff, write_ome_zarr

MEMORY = 2 * 2**30
SECONDS = 10
PIXELS = np.stack([np.arange(24 * 20).reshape(24, 20) % 251, np.arange(24 * 20).reshape(24, 20) % 199]).astype(np.uint8)
IMAGE = Image(pixels=PIXELS, channels=("dsDNA", "ssDNA"), pixel_size_um=0.13, bit_depth=8)
DEEP = Image(pixels=PIXELS.astype(np.uint16) * 16, channels=("dsDNA", "ssDNA"), pixel_size_um=0.13, bit_depth=12)
NUMBERS = ["0", "-1", "1", "2", "7", "255", "65536", "2147483647", "4294967296", "99999999999999999999", "1e400", "nan"]
WORDS = [*NUMBERS, "", "é", "\u2028", "../../../etc/passwd", "/etc/passwd", "null", "true", "[]", "{}", "µm", "XYZCT"]


# ------------------------------------------------------------------------------------------------------- sound files


def tiff(path: Path, **options: Any) -> None:
    tifffile.imwrite(path, np.repeat(PIXELS[0, ..., None], 3, axis=-1), photometric="rgb", rowsperstrip=4, **options)


def grey(path: Path, **options: Any) -> None:
    tifffile.imwrite(path, PIXELS.astype(np.uint16), photometric="minisblack", metadata={"axes": "CYX"}, **options)


def stack(path: Path, **options: Any) -> None:
    pixels = np.stack([PIXELS, PIXELS[:, ::-1]])[None]
    tifffile.imwrite(path, pixels, photometric="minisblack", metadata={"axes": "TZCYX"}, **options)


def bytes_of(write: Callable[[Path], object], name: str = "f.ome.tif") -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / name)
        return (Path(folder) / name).read_bytes()


def tiffs() -> list[bytes]:
    return [
        bytes_of(lambda path: write_ome_tiff(path, IMAGE)),
        bytes_of(lambda path: write_ome_tiff(path, DEEP, tile=16)),
        bytes_of(lambda path: write_imagej_tiff(path, DEEP)),
        bytes_of(lambda path: tiff(path), "f.tif"),
        *(
            bytes_of(lambda path, kind=kind: tiff(path, compression=kind), "f.tif")
            for kind in ("lzw", "packbits", "zlib", "zstd", "jpeg")
        ),
        *(
            bytes_of(
                lambda path, kind=kind, tile=tile: grey(path, compression=kind, predictor=True, tile=tile), "f.tif"
            )
            for kind in ("lzw", "zlib", "zstd")
            for tile in (None, (16, 16))
        ),
        bytes_of(lambda path: grey(path, bigtiff=True, compression="zlib", byteorder=">"), "f.tif"),
        bytes_of(lambda path: stack(path, ome=True)),
        bytes_of(lambda path: stack(path, imagej=True), "f.tif"),
    ]


def zarrs(folder: Path) -> list[Path]:
    write_ome_zarr(folder / "own.zarr", DEEP, chunk=16)
    found = [folder / "own.zarr"]
    for version, codec in ((3, "gzip"), (3, "sharded"), (2, "blosc"), (2, "zlib")):
        path = folder / f"v{version}-{codec}.zarr"
        group = zarr.create_group(path, zarr_format=version)  # type: ignore[arg-type]
        options: dict[str, Any] = {"shape": PIXELS.shape, "dtype": np.uint16, "chunks": (1, 8, 10)}
        if codec == "gzip":
            options["compressors"] = zarr.codecs.GzipCodec()
        if codec == "sharded":
            options["shards"] = (1, 24, 20)
        if codec == "zlib":
            options["compressors"] = __import__("numcodecs").Zlib()
        group.create_array("0", **options)[:] = PIXELS
        axes = [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "cyx"]
        levels = [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1, 0.13, 0.13]}]}]
        scales = [{"version": "0.4", "axes": axes, "datasets": levels}]
        if version == 3:
            group.attrs["ome"] = {"version": "0.5", "multiscales": scales}
        else:
            group.attrs["multiscales"] = scales
        found.append(path)
    return found


# --------------------------------------------------------------------------------------------------------- mutations


def mutate_bytes(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        if len(changed) < 8:
            break
        at = chance.randrange(len(changed) - 4)
        match chance.randrange(7):
            case 0:
                changed[at] ^= 1 << chance.randrange(8)
            case 1:  # where the structure is
                changed[chance.randrange(min(len(changed), 300))] = chance.choice([0, 1, 127, 128, 255])
            case 2:
                del changed[at : at + chance.randint(1, 50)]
            case 3:
                value = chance.choice([0, 1, 2**16, 2**31 - 1, 2**32 - 1, len(data), chance.randrange(2**32)])
                changed[at : at + 4] = struct.pack(chance.choice("<>") + "I", value)
            case 4:
                changed[at:at] = chance.randbytes(chance.randint(1, 40))
            case 5:
                del changed[at:]
            case _:
                source = chance.randrange(len(changed))
                changed[at : at + 16] = changed[source : source + 16]
    return bytes(changed)


def mutate_tiff(data: bytes, chance: random.Random) -> bytes:
    """Change the value, the count or the type of one tag, or any bytes."""
    order = "<" if data[:2] == b"II" else ">"
    if data[2:4] in (b"+\0", b"\0+") or chance.random() < 0.4:
        return mutate_bytes(data, chance)
    changed = bytearray(data)
    (start,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, start)
    at = start + 2 + 12 * chance.randrange(count)
    value = chance.choice([0, 1, 2, 3, 8, 255, 65535, 2**31 - 1, 2**32 - 1, chance.randrange(2**32)])
    match chance.randrange(4):
        case 0:
            struct.pack_into(order + "H", changed, at + 2, value & 0xFFFF)
        case 1:
            struct.pack_into(order + "I", changed, at + 4, value)
        case 2:
            struct.pack_into(
                order + "H", changed, at, chance.choice([254, 256, 257, 258, 259, 273, 277, 279, 322, 330])
            )
        case _:
            struct.pack_into(order + "I", changed, at + 8, value)
    return bytes(changed)


def mutate_text(text: str, chance: random.Random) -> str:
    """Change what stands between quotes or after a colon, drop or double a part, or any character."""
    for _ in range(chance.choice((1, 1, 2, 3))):
        quotes = [index for index, letter in enumerate(text) if letter in '"<>:,[{']
        if not quotes:
            break
        at = chance.choice(quotes)
        end = min([index for index in quotes if index > at] or [len(text)])
        match chance.randrange(5):
            case 0 | 1:
                text = text[: at + 1] + chance.choice(WORDS) + text[end:]
            case 2:
                text = text[:at] + text[end:]
            case 3:
                text = text[:end] + text[at:end] * chance.choice((1, 2, 50)) + text[end:]
            case _:
                place = chance.randrange(len(text))
                text = text[:place] + chance.choice('"<>&/{}[]0x\u00b5 ') + text[place + 1 :]
    return text


def mutate_png(data: bytes, chance: random.Random) -> bytes:
    """Change the body of one chunk and make its sum right again, or any bytes."""
    if chance.random() < 0.4:
        return mutate_bytes(data, chance)
    position, chunks = 8, []
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        chunks.append((data[position + 4 : position + 8], data[position + 8 : position + 8 + length]))
        position += 12 + length
    index = chance.randrange(len(chunks))
    kind, body = chunks[index]
    chunks[index] = (chance.choice([kind, kind, kind, b"PLTE", b"tRNS", b"IEND"]), mutate_bytes(body * 1, chance))
    if chance.random() < 0.2:
        chunks.insert(chance.randrange(len(chunks)), chance.choice(chunks))
    parts = [struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in chunks]
    return data[:8] + b"".join(parts)


PLATE = json.dumps(
    {
        "zarr_format": 3,
        "node_type": "group",
        "attributes": {
            "ome": {"version": "0.5", "plate": {"wells": [{"path": "A/1"}]}, "well": {"images": [{"path": "0"}]}}
        },
    }
)

# ------------------------------------------------------------------------------------------------------- what is read


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
            for write in (lambda path: write_ome_tiff(path, DEEP), lambda path: stack(path, ome=True)):
                with tempfile.TemporaryDirectory() as place:
                    path = Path(place) / "f.ome.tif"
                    write(path)
                    with tifffile.TiffFile(path) as opened:
                        self.sound.append((opened.ome_metadata, opened.asarray()))
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
    *("f\u00e9_BF.tif", "f {channel}_BF.tif", "f*_dsDNA.tif", "f\n_BF.tif"),
]
PATTERNS = [
    *("{donor}/{field}_{channel}.tif", "{donor}/{field}.*", "{channel}/{donor}/{field}.png", "{field}", "*", ""),
    *("*.zarr", "{plate}.zarr", "{well}_{field}_{channel}.*", "{donor}{donor}/{field}.*", "../{field}.tif"),
]
TABLES = [
    *("well,donor\nA1,anna\n", "well,donor\nA1,../../x\n", "plate,well,donor\nplate,A/1,\u00e9\n"),
    *("", "\0", "a,b\nc"),
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
    data = {"root": ".", "layout": chance.choice(list(LAYOUTS)), "plate_table": "wells.csv"}
    if chance.random() < 0.7:
        data["pattern"] = chance.choice(PATTERNS)
    data |= {"z": chance.choice(["planes", "max", "focus"]), "stain_z": chance.choice(["refuse", "mean"])}
    experiment = parse_experiment({"data": data}, str(root))

    def act() -> None:
        for field in find_fields(experiment.data, root):
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


CHOICES = [FieldChoice(), FieldChoice(time=0, z="max"), FieldChoice(time=0, z="focus"), FieldChoice(z="planes")]


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
