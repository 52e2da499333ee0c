"""Files, damaged as disks, transfers and other programs damage them."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

EDGES = (0, 1, 2, 3, 7, 127, 128, 255, 2**15, 2**16 - 1, 2**24, 2**30, 2**31 - 1)
EDGES += (2**31, 2**32 - 1, 2**40, 2**53, 2**60, 2**62, 2**63 - 1, 2**63, 2**64 - 1)
WORDS = (
    *(b"-1", b"0", b"1e999", b"nan", b"inf", b"null", b"true", b"[]", b"{}", b'""'),
    *(b"9" * 30, b"1" * 5000, b"[" * 3000, b"{" * 2000, b"a." * 500, b"\0", b"\xff"),
    *(b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\r", b"\n", b",", b'"', b"'", b"=", b"#"),
    *("٣".encode(), "轨".encode(), b"../..", b"1_000", b"0x1F", b"1979-05-27"),
)
TOKEN = re.compile(rb"[A-Za-z0-9_.+-]+")


def damaged(content: bytes, others: Sequence[bytes], draw: random.Random) -> bytes:
    """Return the content after one to three changes.

    Parameters
    ----------
    content : bytes
    others : sequence of bytes
        Files whose pieces may be spliced in.
    draw : Random
    """
    data = bytearray(content)
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        _damage(data, others, draw)
    return bytes(data)


def _damage(data: bytearray, others: Sequence[bytes], draw: random.Random) -> None:
    at = draw.randrange(len(data) + 1)
    length = min(int(draw.expovariate(1 / 40)) + 1, len(data) + 1)
    part = slice(at, at + length)
    match draw.randrange(12):
        case 0 | 1 if at < len(data):
            data[at] ^= 1 << draw.randrange(8)
        case 2:
            del data[at:]
        case 3:
            del data[part]
        case 4:
            data[part] = bytes(len(data[part]))
        case 5:
            data[at:at] = data[part] * draw.choice((1, 1, 2, 50))
        case 6:
            data[part] = draw.randbytes(len(data[part]))
        case 7:
            other = draw.choice(others) or b"\0"
            start = draw.randrange(len(other))
            piece = other[start : start + draw.choice((8, 64, 1024, len(other)))]
            data[at : at + draw.choice((0, len(piece)))] = piece
        case 8 | 9:
            size = draw.choice((1, 2, 4, 8))
            number = draw.choice(EDGES) % 2 ** (8 * size)
            order = draw.choice(("little", "big"))
            data[at : at + size] = number.to_bytes(size, order)
        case 10:
            data[at:at] = draw.choice(WORDS)
        case _:
            tokens = list(TOKEN.finditer(bytes(data)))
            if tokens:
                where = draw.choice(tokens)
                others_here = [token.group() for token in tokens]
                new = draw.choice((*WORDS, *draw.choices(others_here, k=9)))
                data[where.start() : where.end()] = new
