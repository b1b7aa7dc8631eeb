# SPDX-License-Identifier: LGPL-2.1-or-later
"""Faults planted in ELF vmcores: bytes at physical addresses, in a private copy, with undo.

core = plant.private_copy(dump.vmcore, tmp_path)
with core.planted():
    core.write_u32(phys_of_refcount, 2)
    ... audit core.path ...
"""

from __future__ import annotations

import contextlib
import os
import struct
from pathlib import Path
from typing import Iterator

from .elfcore import data_extents, read_loads
from .run import LabError


def sparse_copy(source: Path, target: Path) -> None:
    """Copy a file, holes and all."""
    src = os.open(source, os.O_RDONLY)
    dst = os.open(target, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        size = os.fstat(src).st_size
        os.ftruncate(dst, size)
        for start, length in data_extents(src, 0, size):
            at, end = start, start + length
            while at < end:
                piece = os.pread(src, min(8 << 20, end - at), at)
                os.pwrite(dst, piece, at)
                at += len(piece)
    finally:
        os.close(src)
        os.close(dst)


class Core:
    """An ELF vmcore that may be written to, by physical address. Every write can be undone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._loads = read_loads(path)
        self._undo: list[tuple[int, bytes]] = []

    def _offset(self, phys: int, size: int) -> int:
        for load in self._loads:
            if load.phys <= phys and phys + size <= load.phys + load.size:
                return load.offset + phys - load.phys
        raise LabError(f"{phys:#x}+{size:#x} is not in one range of {self.path.name}")

    def read(self, phys: int, size: int) -> bytes:
        """Bytes at a physical address."""
        with open(self.path, "rb") as file:
            file.seek(self._offset(phys, size))
            return file.read(size)

    def write(self, phys: int, data: bytes) -> None:
        """Overwrite bytes at a physical address."""
        offset = self._offset(phys, len(data))
        with open(self.path, "r+b") as file:
            file.seek(offset)
            self._undo.append((offset, file.read(len(data))))
            file.seek(offset)
            file.write(data)

    def write_u8(self, phys: int, value: int) -> None:
        """Overwrite one byte."""
        self.write(phys, struct.pack("<B", value & 0xFF))

    def write_u32(self, phys: int, value: int) -> None:
        """Overwrite a 32-bit word; negative values wrap."""
        self.write(phys, struct.pack("<I", value & 0xFFFFFFFF))

    def write_u64(self, phys: int, value: int) -> None:
        """Overwrite a 64-bit word; negative values wrap."""
        self.write(phys, struct.pack("<Q", value & 0xFFFFFFFFFFFFFFFF))

    def undo(self) -> None:
        """Take all writes back, the last first."""
        with open(self.path, "r+b") as file:
            while self._undo:
                offset, data = self._undo.pop()
                file.seek(offset)
                file.write(data)

    @contextlib.contextmanager
    def planted(self) -> Iterator[Core]:
        """What is written inside is undone at the end."""
        try:
            yield self
        finally:
            self.undo()


def private_copy(vmcore: Path, directory: Path) -> Core:
    """A sparse copy of a vmcore in a directory of the caller's."""
    target = directory / vmcore.name
    sparse_copy(vmcore, target)
    return Core(target)
