# SPDX-License-Identifier: LGPL-2.1-or-later
"""kdump-compressed files, page by page: smaller ones, and ones with snappy.

makedumpfile compresses with zlib's fastest level, and Debian builds it without snappy; the
dumps that ship should be small, and the readers should be tested with what other
distributions write.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Callable

from .run import LabError

SIGNATURE = b"KDUMP   "
# Where struct disk_dump_header has its members on 64-bit machines, behind utsname and time.
STATUS = 424
FIELDS = struct.Struct("<IiiII")
DESC = struct.Struct("<QIIQ")

ZLIB = 0x1
LZO = 0x2
SNAPPY = 0x4
ZSTD = 0x20
CODECS = ZLIB | LZO | SNAPPY | ZSTD


def zlib_best(page: bytes) -> bytes:
    """As small as zlib can."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 15, 9)
    return packer.compress(page) + packer.flush()


def _snappy_literal(data: bytes) -> bytes:
    out = bytearray()
    for i in range(0, len(data), 60):
        part = data[i : i + 60]
        out.append((len(part) - 1) << 2)
        out += part
    return bytes(out)


def snappy(page: bytes) -> bytes:
    """The snappy format, by a plain greedy search."""
    out = bytearray()
    length = len(page)
    while length >= 0x80:
        out.append(length & 0x7F | 0x80)
        length >>= 7
    out.append(length)
    seen: dict[bytes, int] = {}
    at = literal = 0
    while at + 4 <= len(page):
        word = page[at : at + 4]
        before = seen.get(word)
        seen[word] = at
        if before is None:
            at += 1
            continue
        size = 4
        while size < 64 and at + size < len(page) and page[before + size] == page[at + size]:
            size += 1
        out += _snappy_literal(page[literal:at])
        # A copy with a two-byte offset.
        out.append((size - 1) << 2 | 2)
        out += struct.pack("<H", at - before)
        at += size
        literal = at
    return bytes(out + _snappy_literal(page[literal:]))


def recompress(source: Path, target: Path, codec: int, pack: Callable[[bytes], bytes]) -> None:
    """Write a zlib (or uncompressed) kdump file again with another compression."""
    data = source.read_bytes()
    if data[:8] != SIGNATURE:
        raise LabError(f"{source.name} is not a kdump-compressed file")
    status, block, sub_blocks, bitmap_blocks, _ = FIELDS.unpack_from(data, STATUS)
    bitmaps = (1 + sub_blocks) * block
    descs = bitmaps + bitmap_blocks * block
    # The second half of the bitmaps says which pages are in the file.
    dumped = data[bitmaps + bitmap_blocks * block // 2 : descs]
    count = sum(bin(byte).count("1") for byte in dumped)
    out = bytearray(data[: descs + count * DESC.size])
    struct.pack_into("<I", out, STATUS, status & ~CODECS | codec)
    moved: dict[int, tuple[int, int, int]] = {}
    for i in range(count):
        offset, size, flags, page_flags = DESC.unpack_from(data, descs + i * DESC.size)
        # All pages of zeros share one place.
        if offset not in moved:
            page = data[offset : offset + size]
            if flags & CODECS not in (0, ZLIB):
                raise LabError(f"{source.name} is neither zlib nor uncompressed")
            if flags & ZLIB:
                page = zlib.decompress(page)
            packed = pack(page)
            stored, used = (packed, codec) if len(packed) < len(page) else (page, 0)
            moved[offset] = (len(out), len(stored), used)
            out += stored
        DESC.pack_into(out, descs + i * DESC.size, *moved[offset], page_flags)
    target.write_bytes(out)
