"""Damages a bundle in repeatable ways: raw bytes as a bad disk does, the structure of the zip as an attacker does."""

from __future__ import annotations

import copy
import io
import json
import random
import struct
import zipfile
from collections.abc import Callable
from typing import Any

SCALARS = [None, True, 0, -1, 2**63, 10**400, 1.5, float("inf"), "", "x", "../x", "a\x1b[2J", "\udc80", [], {}, [[]]]
NAMES = [
    "../x",
    "/x",
    "a\\b",
    "C:x",
    "reference/",
    "x" * 300,
    "LICENSE",
    "manifest.json",
    "ü",
    "a//b",
    ".",
    "manifest.sig",
]


class Mutator:
    """Gives mutants of `whole`; the same seed gives the same ones."""

    def __init__(self, whole: bytes, seed: int) -> None:
        self.whole = whole
        self.random = random.Random(seed)
        with zipfile.ZipFile(io.BytesIO(whole)) as archive:
            self.files = {name: archive.read(name) for name in archive.namelist()}
        self._ways: list[Callable[[], bytes]] = [
            self._bytes, self._bytes, self._headers, self._manifest, self._manifest, self._content, self._members,
        ]  # fmt: skip

    def mutant(self) -> bytes:
        """Give the next one; it may by chance be the whole bundle."""
        return self.random.choice(self._ways)()

    def _bytes(self) -> bytes:
        """Flip, overwrite, cut, insert, repeat or move bytes anywhere, one to three times."""
        data = bytearray(self.whole)
        for _ in range(self.random.randint(1, 3)):
            start = self.random.randrange(len(data) + 1)
            end = min(len(data), start + self.random.choice([1, 1, 2, 4, 30, 500]))
            way = self.random.randrange(6)
            if way == 0 and start < len(data):
                data[start] ^= 1 << self.random.randrange(8)
            elif way == 1:
                data[start:end] = self.random.randbytes(end - start)
            elif way == 2:
                del data[start:end]
            elif way == 3:
                data[start:start] = self.random.randbytes(self.random.randint(1, 40))
            elif way == 4:
                data[start:start] = data[start:end]
            else:
                data = data[:start]
            if not data:
                break
        return bytes(data)

    def _headers(self) -> bytes:
        """Set a field of a local header, a directory entry or the end record to a number that hurts."""
        data = bytearray(self.whole)
        marks = [b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"]
        starts = [place for mark in marks for place in _places(self.whole, mark)]
        place = self.random.choice(starts) + self.random.randrange(4, 46)
        number = self.random.choice([0, 1, 8, 99, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, self.random.randrange(2**32)])
        width = self.random.choice(["<B", "<H", "<I"])
        size = struct.calcsize(width)
        if place + size <= len(data):
            struct.pack_into(width, data, place, number & (256**size - 1))
        return bytes(data)

    def _manifest(self) -> bytes:
        """Change, remove or add an entry of the manifest, with a good checksum in the zip."""
        document = json.loads(self.files["manifest.json"])
        target: Any = document
        while True:
            keys = list(target) if isinstance(target, dict) else list(range(len(target)))
            if not keys:
                break
            key = self.random.choice(keys)
            if not isinstance(target[key], (dict, list)) or self.random.random() < 0.3:
                way = self.random.randrange(3)
                if way == 0:
                    del target[key]
                elif way == 1:
                    target[key] = copy.deepcopy(self.random.choice(SCALARS))
                elif isinstance(target, dict):
                    target[self.random.choice(NAMES)] = target.pop(key)
                else:
                    target.append(copy.deepcopy(target[key]))
                break
            target = target[key]
        text = json.dumps(document, ensure_ascii=self.random.random() < 0.9).encode("utf-8", "surrogatepass")
        if self.random.random() < 0.1:
            text = text.replace(b"{", self.random.choice([b"[" * 5000, b"{,", b'{"format": 1, ']), 1)
        return _zip([*{**self.files, "manifest.json": text}.items()])

    def _content(self) -> bytes:
        """Change a file other than the manifest, with a good checksum in the zip."""
        name = self.random.choice(list(self.files))
        data = bytearray(self.files[name])
        place = self.random.randrange(len(data))
        way = self.random.randrange(3)
        if way == 0:
            data[place] ^= 1 << self.random.randrange(8)
        elif way == 1:
            del data[place:]
        else:
            data[place:place] = self.random.randbytes(8)
        return _zip([*{**self.files, name: bytes(data)}.items()])

    def _members(self) -> bytes:
        """Lose, add, double, rename, swap, compress or link files."""
        members = list(self.files.items())
        place = self.random.randrange(len(members))
        name, data = members[place]
        way = self.random.randrange(7)
        if way == 0:
            del members[place]
        elif way == 1:
            members.append((self.random.choice(NAMES), data))
        elif way == 2:
            members.append((name, self.random.choice([data, b"", data + b"x"])))
        elif way == 3:
            members[place] = (self.random.choice(NAMES), data)
        elif way == 4:
            other = self.random.randrange(len(members))
            members[place], members[other] = (name, members[other][1]), (members[other][0], data)
        return _zip(members, deflated=name if way == 5 else None, link=name if way == 6 else None)


def _places(data: bytes, mark: bytes) -> list[int]:
    found = []
    place = data.find(mark)
    while place >= 0:
        found.append(place)
        place = data.find(mark, place + 1)
    return found


def _zip(members: list[tuple[str, bytes]], deflated: str | None = None, link: str | None = None) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in members:
            info = zipfile.ZipInfo(name)
            if name == link:
                info.external_attr = 0o120777 << 16
            archive.writestr(info, data, zipfile.ZIP_DEFLATED if name == deflated else zipfile.ZIP_STORED)
    return stream.getvalue()
