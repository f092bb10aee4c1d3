"""Changes that damage a file: to any byte, or to what its structure says."""

from __future__ import annotations

import random
import struct
import zlib

NUMBERS = ["0", "-1", "1", "2", "7", "255", "65536", "2147483647", "4294967296", "99999999999999999999", "1e400", "nan"]
WORDS = [*NUMBERS, "", "é", "\u2028", "../../../etc/passwd", "/etc/passwd", "null", "true", "[]", "{}", "µm", "XYZCT"]


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
