# SPDX-License-Identifier: LGPL-2.1-or-later
"""ELF vmcores: notes taken from one that QEMU wrote, memory taken from the RAM files."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Iterator, Sequence

from .run import LabError

PAGE_SIZE = 4096
PT_LOAD = 1
PT_NOTE = 4
EHDR = struct.Struct("<16sHHIQQQIHHHHHH")
PHDR = struct.Struct("<IIQQQQQQ")

# What is all zero in units of this is left a hole.
HOLE_BYTES = 16 * 1024


@dataclass(frozen=True)
class Segment:
    """A range of guest-physical memory and the file that it lies in."""

    phys: int
    size: int
    file: Path
    offset: int


@dataclass(frozen=True)
class Load:
    """A PT_LOAD of a vmcore."""

    phys: int
    virt: int
    size: int
    offset: int


def _headers(file: BinaryIO) -> Iterator[tuple[int, ...]]:
    file.seek(0)
    ehdr = EHDR.unpack(file.read(EHDR.size))
    if ehdr[0][:6] != b"\x7fELF\x02\x01":
        raise LabError("not a 64-bit little-endian ELF file")
    phoff, phentsize, phnum = ehdr[5], ehdr[9], ehdr[10]
    for i in range(phnum):
        file.seek(phoff + i * phentsize)
        yield PHDR.unpack(file.read(PHDR.size))


def read_notes(path: Path) -> bytes:
    """The contents of all PT_NOTEs."""
    notes = b""
    with open(path, "rb") as file:
        for p_type, _, offset, _, _, filesz, _, _ in _headers(file):
            if p_type == PT_NOTE:
                file.seek(offset)
                notes += file.read(filesz)
    return notes


def read_loads(path: Path) -> list[Load]:
    """The PT_LOADs of a vmcore, as far as they have contents."""
    with open(path, "rb") as file:
        return [
            Load(paddr, vaddr, filesz, offset)
            for p_type, _, offset, vaddr, paddr, filesz, _, _ in _headers(file)
            if p_type == PT_LOAD and filesz
        ]


def data_extents(fd: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The (offset, length) between start and end where a file has data, not holes."""
    at = start
    while at < end:
        try:
            data = os.lseek(fd, at, os.SEEK_DATA)
        except OSError:
            return
        if data >= end:
            return
        hole = min(os.lseek(fd, data, os.SEEK_HOLE), end)
        yield data, hole - data
        at = hole


def _copy_sparse(source: int, target: int, shift: int, start: int, size: int) -> None:
    """Copy [start, start + size) to where it lies shift further, leaving zeros out."""
    zeros = bytes(HOLE_BYTES)
    for offset, length in data_extents(source, start, start + size):
        end = offset + length
        while offset < end:
            piece = os.pread(source, min(4 << 20, end - offset), offset)
            run_start = None
            for i in range(0, len(piece), HOLE_BYTES):
                part = piece[i : i + HOLE_BYTES]
                if part != zeros[: len(part)]:
                    if run_start is None:
                        run_start = i
                elif run_start is not None:
                    os.pwrite(target, piece[run_start:i], offset + shift + run_start)
                    run_start = None
            if run_start is not None:
                os.pwrite(target, piece[run_start:], offset + shift + run_start)
            offset += len(piece)


def write_vmcore(path: Path, notes: bytes, segments: Sequence[Segment], direct_map: int) -> None:
    """Write a sparse ELF vmcore, program headers right behind the ELF header.

    Virtual addresses are those of the direct map, as the kernel's own /proc/vmcore has them.
    """
    count = len(segments) + 1
    notes_offset = EHDR.size + count * PHDR.size
    offset = -(-(notes_offset + len(notes)) // PAGE_SIZE) * PAGE_SIZE
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    headers = EHDR.pack(ident, 4, 62, 1, 0, EHDR.size, 0, 0, EHDR.size, PHDR.size, count, 0, 0, 0)
    headers += PHDR.pack(PT_NOTE, 0, notes_offset, 0, 0, len(notes), len(notes), 4)
    offsets = []
    for segment in segments:
        virt = segment.phys + direct_map if direct_map else 0
        headers += PHDR.pack(
            PT_LOAD, 7, offset, virt, segment.phys, segment.size, segment.size, PAGE_SIZE
        )
        offsets.append(offset)
        offset += segment.size
    target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        os.pwrite(target, headers + notes, 0)
        os.ftruncate(target, offset)
        for segment, at in zip(segments, offsets):
            source = os.open(segment.file, os.O_RDONLY)
            try:
                shift = at - segment.offset
                _copy_sparse(source, target, shift, segment.offset, segment.size)
            finally:
                os.close(source)
    finally:
        os.close(target)
