# SPDX-License-Identifier: LGPL-2.1-or-later
"""In the guest: the running kernel's memory as a vmcore, to be audited beside it.

Of /proc/kcore the direct map and the notes, zeros left out: no snapshot, but as much to read.
"""

import os
import struct
import sys

EHDR = struct.Struct("<16sHHIQQQIHHHHHH")
PHDR = struct.Struct("<IIQQQQQQ")
PT_LOAD, PT_NOTE = 1, 4
KERNEL_TEXT = 0xFFFF_FFFF_8000_0000
NOWHERE = 0xFFFF_FFFF_FFFF_FFFF
PIECE = 1 << 20
PAGE = 4096


def copy(target: str) -> None:
    """Write the vmcore."""
    source = os.open("/proc/kcore", os.O_RDONLY)
    ehdr = EHDR.unpack(os.pread(source, EHDR.size, 0))
    headers = [
        PHDR.unpack(os.pread(source, PHDR.size, ehdr[5] + i * PHDR.size)) for i in range(ehdr[10])
    ]
    (notes,) = (os.pread(source, h[5], h[2]) for h in headers if h[0] == PT_NOTE)
    loads = [h for h in headers if h[0] == PT_LOAD and h[3] < KERNEL_TEXT and h[4] != NOWHERE]
    count = 1 + len(loads)
    begin = EHDR.size + count * PHDR.size
    at = -(-(begin + len(notes)) // PAGE) * PAGE
    out = EHDR.pack(*ehdr[:5], EHDR.size, *ehdr[6:10], count, 0, 0, 0)
    out += PHDR.pack(PT_NOTE, 0, begin, 0, 0, len(notes), len(notes), 4)
    file = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for _, flags, offset, vaddr, paddr, size, _, _ in loads:
        out += PHDR.pack(PT_LOAD, flags, at, vaddr, paddr, size, size, PAGE)
        for done in range(0, size, PIECE):
            data = os.pread(source, min(PIECE, size - done), offset + done)
            for i in range(0, len(data), PAGE):
                page = data[i : i + PAGE]
                if page.count(0) < len(page):
                    os.pwrite(file, page, at + done + i)
        at += size
    os.pwrite(file, out + notes, 0)
    os.ftruncate(file, at)


copy(sys.argv[1])
