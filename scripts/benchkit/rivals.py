# SPDX-License-Identifier: LGPL-2.1-or-later
"""What else reads struct pages out of a vmcore, and how fast."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Optional, Sequence

from lab import LabError, makedump
from lab.apt import unpacked_program

#: crash with the libraries it needs: the newest of any suite knows the newest kernels.
CRASH_PACKAGES = (
    "crash",
    "libc6",
    "libgcc-s1",
    "libgmp10",
    "liblzo2-2",
    "libmpfr6",
    "libncursesw6",
    "libsnappy1v5",
    "libstdc++6",
    "libtinfo6",
    "libzstd1",
    "zlib1g",
)
CRASH_SECONDS = 300


def _children_seconds() -> float:
    """Processor time of all processes that were run and have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _crash(vmlinux: Path, dump: Path, commands: Sequence[str]) -> float:
    """Processor seconds that crash takes for commands, its start included."""
    argv = unpacked_program("crash", CRASH_PACKAGES)
    with tempfile.NamedTemporaryFile("w", suffix=".crash") as script:
        script.write("".join(f"{line}\n" for line in [*commands, "quit"]))
        script.flush()
        argv += ["-s", "--no_crashrc", "-i", script.name, str(vmlinux), str(dump)]
        begun = _children_seconds()
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=CRASH_SECONDS,
            check=False,
        )
        seconds = _children_seconds() - begun
    if done.returncode != 0:
        last = (done.stdout.strip().splitlines() or [""])[-1]
        raise LabError(f"crash ended with {done.returncode}: {last}")
    return seconds


def crash_kmem(vmlinux: Path, dump: Path) -> "tuple[float, float, int]":
    """Processor seconds that crash takes to start, and for `kmem -p`; pages that it listed."""
    with tempfile.TemporaryDirectory() as directory:
        listing = os.path.join(directory, "pages")
        start = statistics.median(_crash(vmlinux, dump, []) for _ in range(3))
        both = _crash(vmlinux, dump, [f"kmem -p > {listing}"])
        with open(listing, "rb") as file:
            pages = sum(1 for _ in file) - 1
    if pages <= 0:
        raise LabError("crash listed no pages")
    return start, both - start, pages


def makedumpfile_filter(vmcore: Path) -> float:
    """Seconds that makedumpfile takes to filter the dump (-l -d 31) into a file."""
    with tempfile.TemporaryDirectory(dir=vmcore.parent) as directory:
        argv = [*makedump.program(), "--message-level", "0", "-l", "-d", "31"]
        argv += [str(vmcore), os.path.join(directory, "filtered")]
        begun = time.monotonic()
        subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
        return time.monotonic() - begun


def _reader(page: Any, *paths: str) -> Callable[[Any], int]:
    """Reads the first of some members that struct page has."""
    for path in paths:
        names = path.split(".")

        def read(page: Any, names: Sequence[str] = names) -> int:
            value = page
            for name in names:
                value = getattr(value, name)
            return int(value.value_())

        try:
            read(page)
        except AttributeError:
            continue
        return read
    raise LabError(f"struct page has none of {', '.join(paths)}")


def drgn_search(vmcore: Path, vmlinux: Path, pfn: int) -> "Optional[tuple[float, int]]":
    """Processor seconds of drgn's search for pointers to a struct page; the dump's bytes.

    None where there is no drgn that searches.
    """
    try:
        import drgn
        from drgn.helpers.linux.mm import pfn_to_page
    except ImportError:
        return None
    prog = drgn.Program()
    if not hasattr(prog, "search_memory_word"):
        return None
    prog.set_core_dump(str(vmcore))
    prog.load_debug_info([str(vmlinux)])
    page = int(pfn_to_page(prog, pfn))
    begun = time.process_time()
    for _ in prog.search_memory_word((page, page + 63)):
        pass
    return time.process_time() - begun, vmcore.stat().st_size


def drgn_loop(vmcore: Path, vmlinux: Path, pfns: Sequence[int]) -> Optional[float]:
    """Processor seconds that a drgn loop takes to read four fields of some struct pages.

    None where there is no drgn.
    """
    try:
        import drgn
        from drgn.helpers.linux.mm import pfn_to_page
    except ImportError:
        return None
    prog = drgn.Program()
    prog.set_core_dump(str(vmcore))
    prog.load_debug_info([str(vmlinux)])
    first = pfn_to_page(prog, pfns[0])
    readers = [
        _reader(first, "flags.f", "flags"),
        _reader(first, "compound_info", "compound_head"),
        _reader(first, "_mapcount.counter"),
        _reader(first, "_refcount.counter"),
    ]
    begun = time.process_time()
    for pfn in pfns:
        page = pfn_to_page(prog, pfn)
        for reader in readers:
            reader(page)
    return time.process_time() - begun
