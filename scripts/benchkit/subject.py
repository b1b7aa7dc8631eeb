# SPDX-License-Identifier: LGPL-2.1-or-later
"""The dump that is measured, in its formats, and in the page cache."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path

import lab
from lab import makedump

_READ_BYTES = 4 << 20


@dataclass(frozen=True)
class Subject:
    """A dump of a large guest."""

    dump: lab.Dump

    @property
    def vmcore(self) -> Path:
        return self.dump.vmcore

    @property
    def vmlinux(self) -> Path:
        return self.dump.vmlinux

    def kdump(self, variety: str) -> Path:
        """The dump as makedumpfile writes it; the lab keeps it."""
        (path,) = makedump.variety(self.vmcore, variety)
        return path


def cache(path: Path) -> int:
    """Bring a file into the page cache as reading it from the disk does.

    A file that was just written lies there in single pages, whose mapping takes longer than
    all else that is measured here; one that was read lies in large folios where file system
    and kernel have them. Holes are left out. Returns the bytes read.
    """
    total = 0
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        size = os.fstat(fd).st_size
        at = 0
        while at < size:
            try:
                at = os.lseek(fd, at, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    break
                raise
            end = os.lseek(fd, at, os.SEEK_HOLE)
            while at < end:
                data = os.pread(fd, min(_READ_BYTES, end - at), at)
                if not data:
                    break
                at += len(data)
                total += len(data)
    finally:
        os.close(fd)
    return total
