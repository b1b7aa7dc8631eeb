# SPDX-License-Identifier: LGPL-2.1-or-later
"""kdump-compressed files, page by page: smaller ones, and ones with snappy.

makedumpfile compresses with zlib's fastest level, and Debian builds it without snappy; the
dumps that ship should be small, and the readers should be tested with what other
distributions write.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Mapping, Optional

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


@dataclass(frozen=True)
class Layout:
    """Where things are in a kdump-compressed file."""

    status: int
    block: int
    bitmaps: int
    descs: int

    @property
    def half(self) -> int:
        """The size of each of the two bitmaps: what is memory, what is in the file."""
        return (self.descs - self.bitmaps) // 2


def layout(data: bytes) -> Layout:
    """The layout of a file by its first bytes."""
    if data[:8] != SIGNATURE:
        raise LabError("not a kdump-compressed file")
    status, block, sub_blocks, bitmap_blocks, _ = FIELDS.unpack_from(data, STATUS)
    bitmaps = (1 + sub_blocks) * block
    return Layout(status, block, bitmaps, bitmaps + bitmap_blocks * block)


def dumped_pfns(path: Path) -> list[int]:
    """The pfns whose pages are in the file, in the order of its page descriptors."""
    with open(path, "rb") as file:
        where = layout(file.read(4096))
        file.seek(where.bitmaps + where.half)
        bitmap = file.read(where.half)
    return [
        i * 8 + bit for i, byte in enumerate(bitmap) if byte for bit in range(8) if byte >> bit & 1
    ]


def recompress(
    source: Path,
    target: Path,
    codec: int,
    pack: Callable[[bytes], bytes],
    extra: Optional[Mapping[int, bytes]] = None,
) -> None:
    """Write a zlib (or uncompressed) kdump file again with another compression.

    Pages of EXTRA, by pfn, are put in besides.
    """
    extra = extra or {}
    data = source.read_bytes()
    where = layout(data)
    descs = {
        pfn: DESC.unpack_from(data, where.descs + i * DESC.size)
        for i, pfn in enumerate(dumped_pfns(source))
    }
    pfns = sorted({*descs, *extra})
    out = bytearray(data[: where.descs]) + bytes(len(pfns) * DESC.size)
    struct.pack_into("<I", out, STATUS, where.status & ~CODECS | codec)
    for pfn in extra:
        out[where.bitmaps + where.half + pfn // 8] |= 1 << pfn % 8

    def store(page: bytes) -> tuple[int, int, int]:
        packed = pack(page)
        stored, used = (packed, codec) if len(packed) < len(page) else (page, 0)
        at = len(out)
        out.extend(stored)
        return at, len(stored), used

    moved: dict[int, tuple[int, int, int]] = {}
    for i, pfn in enumerate(pfns):
        if pfn not in descs:
            DESC.pack_into(out, where.descs + i * DESC.size, *store(extra[pfn]), 0)
            continue
        offset, size, flags, page_flags = descs[pfn]
        # All pages of zeros share one place.
        if offset not in moved:
            page = data[offset : offset + size]
            if flags & CODECS not in (0, ZLIB):
                raise LabError(f"{source.name} is neither zlib nor uncompressed")
            moved[offset] = store(zlib.decompress(page) if flags & ZLIB else page)
        DESC.pack_into(out, where.descs + i * DESC.size, *moved[offset], page_flags)
    target.write_bytes(out)
