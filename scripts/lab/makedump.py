# SPDX-License-Identifier: LGPL-2.1-or-later
"""makedumpfile's varieties of a dump, by a makedumpfile that knows the newest kernels."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Callable, Sequence

from . import kdump, plant
from .apt import unpacked_program
from .paths import lock
from .run import LabError, run

# makedumpfile and the libraries it needs.
PACKAGES = (
    "makedumpfile",
    "libc6",
    "libdw1t64",
    "libelf1t64",
    "liblzo2-2",
    "libzstd1",
    "zlib1g",
    "liblzma5",
    "libbz2-1.0",
)

# What a name stands for. `-p` (snappy) is not among them: Debian builds makedumpfile without it.
VARIETIES: dict[str, tuple[str, ...]] = {
    "zlib": ("-c", "-d", "31"),
    "lzo": ("-l", "-d", "31"),
    "zstd": ("-z", "-d", "31"),
    "zlib-d0": ("-c", "-d", "0"),
    "raw": ("-d", "31"),
    "d1": ("-c", "-d", "1"),
    "flat": ("-F", "-c", "-d", "31"),
    "elf-d31": ("-E", "-d", "31"),
    "elf-d31-flat": ("-F", "-E", "-d", "31"),
    "split": ("-c", "-d", "31", "--split"),
}
SPLIT_PARTS = 3

# Bits of /proc/kpageflags.
KPF_TAIL = 1 << 16
# LRU, MMAP, ANON, SWAPCACHE, SWAPBACKED, HUGE, THP: what a dump level of 31 leaves out.
KPF_USER = 1 << 5 | 1 << 11 | 1 << 12 | 1 << 13 | 1 << 14 | 1 << 17 | 1 << 22


def program() -> list[str]:
    """The command line that runs the lab's makedumpfile."""
    return unpacked_program("makedumpfile", PACKAGES)


def filter_dump(source: Path, target: Path, options: Sequence[str]) -> list[Path]:
    """Run makedumpfile with options; returns the files made (several for --split)."""
    new = target.with_name(f".{target.name}.{os.getpid()}")
    argv = [*program(), "--message-level", "0", *options]
    if "-F" in options:
        run(["sh", "-c", '"$@" > "$0"', str(new), *argv, str(source)])
        made = {new: target}
    elif "--split" in options:
        parts = [new.with_name(f"{new.name}.{i}") for i in range(SPLIT_PARTS)]
        run([*argv, str(source), *(str(part) for part in parts)])
        made = {part: target.with_name(f"{target.name}.{i}") for i, part in enumerate(parts)}
    else:
        run([*argv, str(source), str(new)])
        made = {new: target}
    for temporary, final in made.items():
        temporary.rename(final)
    return list(made.values())


def _dropped_tails(vmcore: Path, filtered: Path) -> dict[int, bytes]:
    """Pages that the filter took for a user's but that are the kernel's, by the guest's word.

    makedumpfile up to 1.7.9 judges tail pages of the kernel's own compound pages by members
    that Linux 7.1 uses otherwise, and drops some (its commit f50c015 repairs that).
    """
    flags_file = vmcore.parent / "truth" / "proc" / "kpageflags"
    if not flags_file.exists():
        return {}
    raw = flags_file.read_bytes()
    flags = struct.unpack(f"<{len(raw) // 8}Q", raw)
    have = set(kdump.dumped_pfns(filtered))
    core = plant.Core(vmcore)
    return {
        pfn: core.read(pfn * 4096, 4096)
        for pfn, word in enumerate(flags)
        if word & KPF_TAIL and not word & KPF_USER and pfn not in have
    }


def _complete(vmcore: Path, target: Path) -> None:
    (source,) = variety(vmcore, "zlib")
    extra = _dropped_tails(vmcore, source)
    kdump.recompress(source, target, kdump.ZLIB, kdump.zlib_best, extra)


def _snappy(vmcore: Path, target: Path) -> None:
    (source,) = variety(vmcore, "zlib")
    kdump.recompress(source, target, kdump.SNAPPY, kdump.snappy)


# Made of makedumpfile's zlib variety: with zlib's best level and what the filter dropped of
# the kernel's own put back; and with snappy.
DERIVED: dict[str, Callable[[Path, Path], None]] = {"complete": _complete, "snappy": _snappy}


def variety(vmcore: Path, name: str) -> list[Path]:
    """A variety of a vmcore, cached beside it; a list, since --split makes several files."""
    if name not in VARIETIES and name not in DERIVED:
        known = ", ".join([*VARIETIES, *DERIVED])
        raise LabError(f"no variety {name}: there are {known}")
    target = vmcore.parent / f"vmcore.{name}"
    with lock(f"variety-{vmcore.parent.name}-{name}"):
        have = [target] if target.exists() else sorted(target.parent.glob(target.name + ".[0-9]"))
        if have:
            return have
        if name in VARIETIES:
            return filter_dump(vmcore, target, VARIETIES[name])
        new = target.with_name(f".{target.name}.{os.getpid()}")
        DERIVED[name](vmcore, new)
        new.rename(target)
        return [target]
