# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes the smallest files that are like a dump."""

from __future__ import annotations

import struct

EM_AARCH64 = 183
EM_X86_64 = 62
ET_EXEC, ET_CORE = 2, 4
PT_LOAD, PT_NOTE = 1, 4

#: Where the page of elf() lies.
PHYS = 0x1000


def elf(
    machine: int = EM_X86_64,
    kind: int = ET_CORE,
    vmcoreinfo: bytes = b"OSRELEASE=6.1.0-test\nPAGESIZE=4096\n",
    memory: bytes = bytes(4096),
) -> bytes:
    """An ELF file with a VMCOREINFO note and a page of memory."""
    name = b"VMCOREINFO\0"
    note = struct.pack("<III", len(name), len(vmcoreinfo), 0)
    note += name.ljust(12, b"\0") + vmcoreinfo.ljust(-(-len(vmcoreinfo) // 4) * 4, b"\0")
    offset = 64 + 2 * 56
    header = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack(
        "<HHIQQQIHHHHHH", kind, machine, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0
    )
    notes = struct.pack("<IIQQQQQQ", PT_NOTE, 0, offset, 0, 0, len(note), len(note), 0)
    start = offset + len(note)
    load = struct.pack("<IIQQQQQQ", PT_LOAD, 7, start, 0xFFFF888000000000, PHYS, 4096, 4096, 0)
    return header + notes + load + note + memory


def kdump(version: int) -> bytes:
    """The start of a kdump header, without what should follow."""
    return b"KDUMP   " + struct.pack("<I", version) + b"Linux".ljust(65, b"\0")
