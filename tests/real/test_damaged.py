# SPDX-License-Identifier: LGPL-2.1-or-later
"""Real dumps with one header field changed: an answer or one sentence, always."""

from __future__ import annotations

import contextlib
import shutil
import struct
from pathlib import Path
from typing import Iterator, List, Tuple

import pytest
from forked import run_forked
from lab import make, makedump

#: Name, offset and size of every field.
Fields = List[Tuple[str, int, int]]


def fields(prefix: str, base: int, layout: "list[tuple[str, int]]") -> Fields:
    result = []
    for name, size in layout:
        result.append((f"{prefix}.{name}", base, size))
        base += size
    return result


EHDR = [("magic", 4), ("class", 1), ("data", 1), ("ident_version", 1), ("osabi", 1), ("pad", 8)]
EHDR += [("type", 2), ("machine", 2), ("version", 4), ("entry", 8), ("phoff", 8), ("shoff", 8)]
EHDR += [("flags", 4), ("ehsize", 2), ("phentsize", 2), ("phnum", 2), ("shentsize", 2)]
EHDR += [("shnum", 2), ("shstrndx", 2)]
PHDR = [("type", 4), ("flags", 4), ("offset", 8), ("vaddr", 8), ("paddr", 8)]
PHDR += [("filesz", 8), ("memsz", 8), ("align", 8)]
NHDR = [("namesz", 4), ("descsz", 4), ("type", 4), ("name", 4)]

# struct disk_dump_header and struct kdump_sub_header (makedumpfile's
# diskdump_mod.h), with the padding that x86-64's C compilers put in.
KDUMP = [("signature", 8), ("version", 4), ("utsname", 390), ("pad", 6), ("timestamp", 16)]
KDUMP += [("status", 4), ("block_size", 4), ("sub_hdr_size", 4), ("bitmap_blocks", 4)]
KDUMP += [("max_mapnr", 4), ("total_ram_blocks", 4), ("device_blocks", 4)]
KDUMP += [("written_blocks", 4), ("current_cpu", 4), ("nr_cpus", 4)]
KDUMP_SUB = [("phys_base", 8), ("dump_level", 4), ("split", 4), ("start_pfn", 8)]
KDUMP_SUB += [("end_pfn", 8), ("offset_vmcoreinfo", 8), ("size_vmcoreinfo", 8)]
KDUMP_SUB += [("offset_note", 8), ("size_note", 8), ("offset_eraseinfo", 8)]
KDUMP_SUB += [("size_eraseinfo", 8), ("start_pfn_64", 8), ("end_pfn_64", 8), ("max_mapnr_64", 8)]
BLOCK = 4096
PAGE_DESC = [("offset", 8), ("size", 4), ("flags", 4), ("page_flags", 8)]


def elf_fields(head: bytes) -> Fields:
    (phoff,) = struct.unpack_from("<Q", head, 32)
    (phnum,) = struct.unpack_from("<H", head, 56)
    result = fields("ehdr", 0, EHDR)
    for i in range(min(phnum, 4)):
        at = phoff + 56 * i
        result += fields(f"phdr{i}", at, PHDR)
        kind, _, offset = struct.unpack_from("<IIQ", head, at)
        if kind == 4:
            result += fields("note", offset, NHDR)
    return result


def kdump_fields(head: bytes) -> Fields:
    header = fields("header", 0, KDUMP)
    at = {name: offset for name, offset, _ in header}
    (bitmap_blocks,) = struct.unpack_from("<I", head, at["header.bitmap_blocks"])
    (sub_blocks,) = struct.unpack_from("<I", head, at["header.sub_hdr_size"])
    descs = (1 + sub_blocks + bitmap_blocks) * BLOCK
    return [
        *header,
        *fields("sub", BLOCK, KDUMP_SUB),
        *fields("desc", descs, PAGE_DESC),
        ("bitmap", (1 + sub_blocks) * BLOCK, 16),
    ]


def damages(old: bytes) -> "Iterator[bytes]":
    """A field with its lowest bit, its highest bit, and all bits flipped."""
    number = int.from_bytes(old, "little")
    bits = 8 * len(old)
    for mask in (1, 1 << (bits - 1), (1 << bits) - 1):
        yield (number ^ mask).to_bytes(len(old), "little")


@contextlib.contextmanager
def patched(path: Path, offset: int, new: bytes) -> Iterator[None]:
    with open(path, "r+b") as file:
        file.seek(offset)
        old = file.read(len(new))
        file.seek(offset)
        file.write(new)
    yield
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(old)


@pytest.mark.parametrize("variety", ["elf-d31", "zlib"])
def test_every_header_field(variety: str, tmp_path: Path) -> None:
    dump = make.dump("v6.12", "light")
    (original,) = makedump.variety(dump.vmcore, variety)
    path = tmp_path / "vmcore"
    shutil.copy(original, path)
    with open(path, "rb") as file:
        head = file.read(1 << 20)
    found = elf_fields(head) if variety.startswith("elf") else kdump_fields(head)
    output = tmp_path / "stderr"
    arguments = [str(path), "-j", "1", "-s", str(dump.vmlinux)]
    assert run_forked(arguments, output) == 0, output.read_text()
    failures = []
    for name, offset, size in found:
        for new in damages(head[offset : offset + size]):
            with patched(path, offset, new):
                status = run_forked(arguments, output)
            said = output.read_text(errors="replace")
            fine = status in (0, 3) and said == ""
            # What lies elsewhere is another memory, in which nothing is right.
            fine |= status == 1 and said == "" and name.startswith("phdr")
            fine |= status == 2 and said.startswith("pageaudit: ") and said.count("\n") == 1
            if not fine:
                failures.append((name, new.hex(), status, said))
    assert failures == []
    assert run_forked(arguments, output) == 0
