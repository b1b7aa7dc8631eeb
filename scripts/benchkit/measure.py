# SPDX-License-Identifier: LGPL-2.1-or-later
"""The measurements, a group of figures each."""

from __future__ import annotations

import functools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, List

import lab
from lab import LabError

from benchkit import native, rivals
from benchkit.figures import Group, at_least, at_most
from benchkit.subject import Subject, cache

#: What is measured: a large guest's dump, of the newest kernel and of one that crash knows.
KERNEL, CRASH_KERNEL, RECIPE = "v7", "v6.12", "large"
M = 1e6
MIB = 1 << 20
#: Pages that the drgn loop reads: spread evenly over all of memory.
DRGN_SAMPLE = 50_000


@dataclass
class Bench:
    """What the measurements share."""

    subject: Subject
    programs: Dict[str, Path]
    threads: int
    times: int
    #: Pages a second of processor time, once measured, in millions.
    rate: float = 0.0

    def crash_subject(self) -> Subject:
        return Subject(lab.dump(CRASH_KERNEL, RECIPE))

    def native(self, name: str, threads: int, path: Path, times: int = 1) -> native.Output:
        return native.run(self.programs[name], threads, times, path, self.subject.vmlinux)


def scan(bench: Bench) -> Group:
    """The scan of an uncompressed dump, beside the memory's own speed and other tools."""
    group = Group("Memory map scan, ELF vmcore in the page cache")
    vmcore, threads = bench.subject.vmcore, bench.threads
    cache(vmcore)
    touch_one, scan_one, touch_all, scan_all = native.alternate(
        bench.times,
        lambda: bench.native("bandwidth", 1, vmcore, 3),
        lambda: bench.native("scan", 1, vmcore, 3),
        lambda: bench.native("bandwidth", threads, vmcore, 3),
        lambda: bench.native("scan", threads, vmcore, 3),
    )
    pages = native.wall(scan_one, "pages")
    mapped = pages / native.cpu(touch_one, "mapped") / M
    ours = pages / native.cpu(scan_one, "scan") / M
    ours_wall = pages / native.wall(scan_all, "scan") / M
    bench.rate = ours
    group.add("struct pages", pages / M, "M")
    group.add("scan with all per-page checks", ours, "M/s/core", at_least(200))
    group.add(f"  on {threads} threads, by the wall", ours_wall, "M/s")
    group.add("C loop over four fields, mapped", mapped, "M/s/core")
    group.add(
        "  on all threads, by the wall",
        pages / native.wall(touch_all, "mapped") / M,
        "M/s",
    )
    group.add(
        "C loop over four fields, 1 MiB preads",
        pages / native.cpu(touch_one, "preads") / M,
        "M/s/core",
    )
    group.add("scan / mapped C loop", ours / mapped, "of its speed")
    _crash(bench, group)
    _drgn(bench, group, int(pages))
    return group


def _crash(bench: Bench, group: Group) -> None:
    # A crash that dies on the newest kernel, and on QEMU's notes in an ELF vmcore, is asked
    # about an older one; makedumpfile's file without compression costs it nothing more.
    try:
        older = bench.crash_subject()
        raw = older.kdump("raw")
        cache(raw)
        start, seconds, pages = rivals.crash_kmem(older.vmlinux, raw)
    except (LabError, OSError, subprocess.SubprocessError) as error:
        group.missing.append(f"crash kmem -p: {error}")
        return
    theirs = pages / seconds / M
    release = older.dump.meta["release"]
    group.add("crash kmem -p", theirs, "M/s/core", note=f"{release}; {start:.1f} s to start apart")
    cache(older.vmcore)
    (output,) = native.alternate(
        bench.times,
        lambda: native.run(bench.programs["scan"], 1, 3, older.vmcore, older.vmlinux),
    )
    ours = native.wall(output, "pages") / native.cpu(output, "scan") / M
    group.add("scan of the same dump", ours, "M/s/core")
    group.add("scan / crash", ours / theirs, "times", at_least(50))


def _drgn(bench: Bench, group: Group, pages: int) -> None:
    segments = bench.subject.dump.meta["segments"]
    pfns = [pfn for s in segments for pfn in range(s["phys"] >> 12, (s["phys"] + s["size"]) >> 12)]
    sample = pfns[:: max(1, len(pfns) // DRGN_SAMPLE)]
    seconds = rivals.drgn_loop(bench.subject.vmcore, bench.subject.vmlinux, sample)
    if seconds is None:
        group.missing.append("drgn loop: no drgn")
        return
    theirs = len(sample) / seconds / M
    group.add("drgn Python loop over four fields", theirs, "M/s/core", note=f"{len(sample)} pages")
    group.add("scan / drgn loop, per core", bench.rate / theirs, "times", at_least(1500))


def kdump(bench: Bench) -> Group:
    """The same from kdump files, beside libkdumpfile alone."""
    group = Group("Memory map scan, kdump files")
    for variety in ("lzo", "zlib", "zstd"):
        try:
            path = bench.subject.kdump(variety)
        except LabError as error:
            group.missing.append(f"{variety}: {error}")
            continue
        cache(path)
        for threads in sorted({1, bench.threads}):
            alone, ours = native.alternate(
                bench.times,
                functools.partial(bench.native, "decompress", threads, path),
                functools.partial(bench.native, "scan", threads, path),
            )
            name = f"{variety}, {threads} thread{'s' * (threads > 1)}"
            theirs = native.cpu(alone, "small_cache")
            seconds = native.cpu(ours, "scan")
            group.add(f"{name}: scan", seconds, "s cpu")
            group.add(f"{name}: libkdumpfile alone", theirs, "s cpu")
            group.add(
                f"{name}: libkdumpfile, default cache",
                native.cpu(alone, "default_cache"),
                "s cpu",
            )
            group.add(f"{name}: scan / libkdumpfile", seconds / theirs, "times", at_most(1.3))
    return group


def search(bench: Bench) -> Group:
    """The search for words that name pages, beside drgn's and beside reading alone."""
    group = Group("Search of kernel memory for what names pages")
    vmcore, threads = bench.subject.vmcore, bench.threads
    cache(vmcore)
    one, many = native.alternate(
        bench.times,
        lambda: bench.native("search", 1, vmcore, 3),
        lambda: bench.native("search", threads, vmcore, 3),
    )
    gigabytes = native.wall(one, "bytes") / 1e9
    narrow = gigabytes / native.cpu(one, "one")
    group.add("kernel memory", gigabytes, "GB")
    group.add("pages looked for", native.wall(one, "needles") / M, "M")
    group.add(
        "ELF: for all of them", gigabytes / native.cpu(one, "million"), "GB/s/core", at_least(5)
    )
    group.add(
        f"  on {threads} threads, by the wall", gigabytes / native.wall(many, "million"), "GB/s"
    )
    group.add("ELF: for one page", narrow, "GB/s/core")
    theirs = rivals.drgn_search(vmcore, bench.subject.vmlinux, 0x12345)
    if theirs is None:
        group.missing.append("drgn's search_memory_word: no such drgn")
    else:
        seconds, size = theirs
        group.add("drgn's search_memory_word", size / 1e9 / seconds, "GB/s/core", note="all memory")
        group.add("  seconds of it", seconds, "s cpu")
        group.add(
            "for one page / drgn, a byte", narrow / (size / 1e9 / seconds), "times", at_least(1)
        )
    for variety in ("lzo", "zstd"):
        try:
            path = bench.subject.kdump(variety)
        except LabError as error:
            group.missing.append(f"{variety}: {error}")
            continue
        cache(path)
        (ours,) = native.alternate(bench.times, functools.partial(bench.native, "search", 1, path))
        alone, seconds = native.cpu(ours, "read"), native.cpu(ours, "million")
        group.add(f"{variety}: search for all of them", seconds, "s cpu")
        group.add(f"{variety}: decompressing the same memory alone", alone, "s cpu")
        group.add(f"{variety}: search / decompressing", seconds / alone, "times", at_most(1.3))
    arguments = ["who", "-s", str(bench.subject.vmlinux), str(vmcore), "0x123450"]
    runs = [_command(arguments) for _ in range(bench.times)]
    group.add("pageaudit who VMCORE PFN", _median(runs, "wall"), "s", at_most(3))
    group.add("  processor time of it", _median(runs, "cpu"), "s cpu")
    return group


def audit(bench: Bench) -> Group:
    """The whole audit, its parts and its memory."""
    group = Group("Whole audit, ELF vmcore in the page cache")
    vmcore = bench.subject.vmcore
    cache(vmcore)
    (output,) = native.alternate(
        bench.times, lambda: bench.native("scan", bench.threads, vmcore, 3)
    )
    parts = sorted(name for name in output if name.startswith("part_"))
    group.add("audit, after type loading", native.wall(output, "audit"), "s", at_most(5))
    group.add("  processor time of it", native.cpu(output, "audit"), "s cpu")
    group.add("open the dump, kernel's memory model", native.wall(output, "open"), "s")
    for name in parts:
        group.add(f"census: {name[5:]}", native.wall(output, name), "s")
    group.add("checks after the census", native.wall(output, "checks"), "s")
    pages = native.wall(output, "pages")
    group.add(
        "memory of it, without the file's pages",
        native.wall(output, "anonymous_bytes") / MIB,
        "MiB",
        at_most(pages / MIB + 200),
    )
    runs = [_command(["checks"]) for _ in range(bench.times)]
    group.add("pageaudit checks (starts, opens nothing)", _median(runs, "wall"), "s")
    runs = [_command([str(vmcore)]) for _ in range(bench.times)]
    group.add("pageaudit VMCORE, types from BTF", _median(runs, "wall"), "s", at_most(5))
    group.add("  processor time of it", _median(runs, "cpu"), "s cpu")
    group.add("  peak RSS, with pages of the mapped file", _median(runs, "rss") / MIB, "MiB")
    times = [rivals.makedumpfile_filter(vmcore) for _ in range(bench.times)]
    group.add("makedumpfile -l -d 31 to a file", statistics.median(times), "s")
    return group


def _median(runs: List[Dict[str, float]], key: str) -> float:
    return statistics.median(run[key] for run in runs)


def _command(arguments: List[str]) -> Dict[str, float]:
    """Run the command in a process of its own; what that took."""
    code = "import sys; from drgn_contrib.cli import main; sys.exit(main())"
    with open(os.devnull, "r+b") as null:
        begun = time.monotonic()
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-c", code, *arguments],
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, null.fileno(), 0),
                (os.POSIX_SPAWN_DUP2, null.fileno(), 1),
            ],
        )
        _, status, usage = os.wait4(pid, 0)
        wall = time.monotonic() - begun
    if os.waitstatus_to_exitcode(status) not in (0, 1, 3):
        raise native.NativeError(f"pageaudit {' '.join(arguments)} failed")
    return {
        "wall": wall,
        "cpu": usage.ru_utime + usage.ru_stime,
        "rss": usage.ru_maxrss * 1024,
    }


def types(bench: Bench) -> Group:
    """Loading of types."""
    from drgn_contrib._pageaudit import Layout, Source

    group = Group("Type loading")
    source = Source.open([str(bench.subject.vmcore)])
    vmlinux = [str(bench.subject.vmlinux)]

    def measure(name: str, load: Callable[[], object], limit: float) -> None:
        walls, cpus = [], []
        for _ in range(max(3, bench.times)):
            wall, cpu = time.monotonic(), time.process_time()
            load()
            walls.append(time.monotonic() - wall)
            cpus.append(time.process_time() - cpu)
        group.add(name, statistics.median(cpus), "s cpu", at_most(limit))
        group.add("  by the wall", statistics.median(walls), "s")

    size = bench.subject.vmlinux.stat().st_size / MIB
    measure("from the dump's BTF and kallsyms", lambda: Layout.from_btf(source), 0.3)
    cache(bench.subject.vmlinux)
    measure(
        f"from DWARF, a vmlinux of {size:.0f} MiB", lambda: Layout.from_dwarf(source, vmlinux), 1
    )
    with tempfile.TemporaryDirectory() as directory:
        Layout.from_dwarf(source, vmlinux, cache_dir=directory)
        measure(
            "from the cache",
            lambda: Layout.from_dwarf(source, vmlinux, cache_dir=directory),
            0.05,
        )
    return group


def scale(bench: Bench) -> Group:
    """Growth, on a memory map that is generated as it is read."""
    group = Group("Growth, memory map generated while it is read")
    rates = {}
    for gib in (64, 1024, 4096):
        output = native.run(bench.programs["scale"], bench.threads, gib)
        pages = native.wall(output, "pages")
        rates[gib] = native.cpu(output, "audit") / pages
        name = f"{gib} GiB" if gib < 1024 else f"{gib // 1024} TiB"
        group.add(f"{name}: audit", native.wall(output, "audit"), "s")
        group.add("  of it, making the struct pages", native.wall(output, "generate"), "s cpu")
        group.add("  pages", pages / M, "M", at_least(gib * 0.26))
        group.add("  findings", native.wall(output, "findings"), "", at_most(0))
        group.add(
            "  memory",
            native.wall(output, "peak_bytes") / MIB,
            "MiB",
            at_most(pages / MIB + 200),
        )
    group.add("time a page, 4 TiB / 64 GiB", rates[4096] / rates[64], "times", at_most(1.25))
    return group


#: By the name that --only takes, in the order of the table.
GROUPS: Dict[str, Callable[[Bench], Group]] = {
    "scan": scan,
    "kdump": kdump,
    "search": search,
    "audit": audit,
    "types": types,
    "scale": scale,
}
