# SPDX-License-Identifier: LGPL-2.1-or-later
"""A report with something of everything, and a kernel that isn't one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Iterable, Optional, cast

from drgn_contrib import report
from drgn_contrib.target import OpenedTarget

PAGE = 0xFFFFEA0000048000

#: What Kernel.audit() returns.
AUDIT: "dict[str, Any]" = {
    "checks": [
        {
            "id": "section-state",
            "status": "ran",
            "reason": None,
            "examined": 8,
            "seconds": 0.00125,
        },
        {
            "id": "hugetlb-pool",
            "status": "not-applicable",
            "reason": "this kernel has no hugetlb pages",
            "examined": 0,
            "seconds": 0.0,
        },
        {
            "id": "lost-free-pages",
            "status": "partial",
            "reason": "12 struct pages were left out of the dump, so runs of pages that "
            "touch them were not judged",
            "examined": 262018,
            "seconds": 0.021,
        },
    ],
    "findings": [
        {
            "check": "zone-device-taint",
            "severity": "info",
            "pfn": 0x28000,
            "pfn_end": 0x30000,
            "page": f"{PAGE + 0x1000:#x}",
            "summary": "pfn_to_online_page() gives a page for device memory",
            "evidence": {"section": 5},
        },
        {
            "check": "lost-free-pages",
            "severity": "bug",
            "pfn": 0x1200,
            "pfn_end": 0x1400,
            "page": f"{PAGE:#x}",
            "summary": "512 pages (2 MiB) with no reference are on no free list and nothing "
            "else accounts for them",
            "evidence": {
                "flags": "0x17ffffc0000000",
                "poisoned_pfn": 0x1234,
                "previous": "pfn 0x11ff: PageBuddy, order 9",
            },
        },
        {
            "check": "zone-accounting",
            "severity": "suspect",
            "pfn": None,
            "pfn_end": None,
            "page": None,
            "summary": "node 0 zone DMA32: NR_FREE_PAGES is 1536 above what the lists hold",
            "evidence": {"counter": 202013, "recount": 200477},
        },
    ],
    "census": [
        {"name": "memory map", "references": 0, "unreadable": 0, "seconds": 0.0125},
        {"name": "page table", "references": 51354477, "unreadable": 2, "seconds": 0.31},
    ],
    "poisoned": [
        {
            "pfn": 0x12347,
            "place": "free list",
            "handling": "delayed",
            "refcount": 0,
            "maps": 0,
            "task": None,
            "raw_pages": None,
            "raw_pages_complete": False,
        },
        {
            "pfn": 0x15800,
            "place": "hugetlb",
            "handling": "in progress",
            "refcount": 2,
            "maps": 1,
            "task": "stress (pid 77)",
            "raw_pages": [0x15809, 0x15864],
            "raw_pages_complete": True,
        },
    ],
    "walkers": [
        {
            "task": "kcompactd0",
            "pid": 31,
            "walk": "compaction",
            "function": "isolate_migratepages_block",
            "compact_control": "0xffffc90000103d18",
            "zone": "node 0 zone Normal",
            "at": [
                {"name": "migrate_pfn", "pfn": 0x12345, "is": "in an offline section"},
                {"name": "page", "pfn": 0x12344, "is": "usable"},
            ],
        }
    ],
    "coverage": {
        "pages_read": 262018,
        "pages_excluded": 12,
        "pages_unreadable": 0,
        "references_found": 584070,
        "references_explained": 584069,
        "folios_of_unknown_owners": 77,
    },
}

#: What Kernel.memory() returns.
MEMORY: "dict[str, Any]" = {
    "sections": 8,
    "sections_online": 7,
    "section_pages": 32768,
    "unread": [],
    "pages": 262030,
    "zones": [
        {
            "node": 0,
            "name": "DMA32",
            "start_pfn": 4096,
            "spanned": 258048,
            "present": 258048,
            "managed": 246016,
            "free": 202013,
        }
    ],
    "pgmaps": [
        {
            "type": "fs-dax",
            "device": "namespace0.0",
            "disk": "pmem0",
            "vmemmap_shift": 0,
            "dead": False,
            "reference": {
                "address": "0xffff888003a40040",
                "atomic": False,
                "dead": False,
                "count": 24577,
            },
            "ranges": [[0x28000, 0x2E000]],
            "altmap": {
                "base_pfn": 0x28000,
                "reserve": 2,
                "free": 510,
                "alloc": 384,
                "end_pfn": 0x2E000,
            },
            "address": "0xffff888003a40010",
        }
    ],
    "blocks": [
        {"id": 0, "state": "online", "pfn": 0, "pfn_end": 0x8000},
        {"id": 1, "state": "online", "pfn": 0x8000, "pfn_end": 0x10000},
        {"id": 2, "state": "offline", "pfn": 0x10000, "pfn_end": 0x18000},
        {"id": 4, "state": "online", "pfn": 0x20000, "pfn_end": 0x28000},
    ],
    "map": [
        {"pfn": 0, "pfn_end": 0x10000, "state": "online"},
        {"pfn": 0x10000, "pfn_end": 0x18000, "state": "offline"},
        {"pfn": 0x20000, "pfn_end": 0x28000, "state": "online"},
        {"pfn": 0x28000, "pfn_end": 0x2E000, "state": "device"},
    ],
}

#: By number, as csrc/census/picture.h has them.
KINDS = (
    "unknown",
    "not-memory",
    "device",
    "altmap",
    "reserved",
    "uninitialised",
    "free",
    "pcp",
    "in-transit",
    "unreferenced",
    "anonymous",
    "file",
    "shmem",
    "hugetlb",
    "slab",
    "page-table",
    "balloon",
    "kernel",
    "stray-tail",
)
SECTION_PAGES = 32768
HUGE, HWPOISON = 0x40, 0x80


def encode_runs(runs: "Iterable[tuple[int, int, int]]") -> bytes:
    """Kind with its marks, order and number of pages of each run."""
    result = bytearray()
    for kind, order, pages in runs:
        result += bytes([kind, order])
        while pages > 0x7F:
            result.append(pages & 0x7F | 0x80)
            pages >>= 7
        result.append(pages)
    return bytes(result)


def decode_runs(data: bytes) -> "list[tuple[int, int, int]]":
    """What encode_runs() made them of."""
    result, at = [], 0
    while at < len(data):
        kind, order, pages, shift = data[at], data[at + 1], 0, 0
        at += 2
        while True:
            pages |= (data[at] & 0x7F) << shift
            shift += 7
            at += 1
            if not data[at - 1] & 0x80:
                break
        result.append((kind, order, pages))
    return result


def _section(nr: int, *runs: "tuple[str, int, int]") -> "tuple[int, bytes, bytes]":
    """A section of runs of named kinds; what is left of it is free."""
    coded = [(KINDS.index(name), order, pages) for name, order, pages in runs]
    coded.append((KINDS.index("free"), 10, SECTION_PAGES - sum(run[2] for run in coded)))
    kinds = b"".join(bytes([kind]) * pages for kind, _, pages in coded)
    cells = bytes(kinds[at] for at in range(0, SECTION_PAGES, 512))
    return nr, cells, encode_runs(coded)


#: What Kernel.audit() returns of the same machine if a picture is wanted.
PICTURE: "dict[str, Any]" = {
    "kinds": list(KINDS),
    "pages": [1000 if name in ("free", "anonymous", "slab", "device") else 0 for name in KINDS],
    "poisoned": 1,
    "cell_pages": 512,
    "sections": [
        _section(0, ("anonymous", 9, 1024), ("slab", 3, 64), ("anonymous", 0, 448)),
        _section(1, ("file", 0, 512), ("page-table", 0, 512)),
        _section(5, ("device", 0, 0x6000), ("not-memory", 0, 0x2000)),
    ],
}

#: What Kernel.log() returns: a dump's strings may hold anything.
LOG: "list[dict[str, Any]]" = [
    {
        "time": 12.5,
        "text": "Memory failure: 0x1234: recovery action for free buddy page: Delayed",
        "kind": "memory-failure",
        "pfn": 0x1234,
    },
    {"time": 13.25, "text": "soft offline: \x1b[31mcaf\u00e9", "kind": "soft-offline", "pfn": None},
]

CRASH: "dict[str, Any]" = {
    "panic": "Oops: 0000 [#1] SMP",
    "task": "kcompactd0",
    "pid": 31,
    "cpu": 1,
    "time": 13.75,
    "rip": 0xFFFFFFFF812A3B40,
    "rip_symbol": "isolate_migratepages_block+0x1f0/0xb20",
    "cr2": PAGE,
    "registers": {"RDI": f"{PAGE:#x}"},
    "pages": [
        {
            "pfn": 0x1200,
            "register": "CR2, RDI",
            "names": "struct page",
            "page": f"{PAGE:#x}",
            "state": "online",
            "section": 0,
            "pgmap": None,
        }
    ],
}


class FakeSource:
    """As much of a Source as a report is made of."""

    info: "dict[str, Any]" = {
        "format_name": "kdump (zstd)",
        "live": False,
        "dump_level": 31,
        "complete": False,
        "vmcoreinfo": b"OSRELEASE=6.12.9-test\nBUILD-ID=8a55a05d35a15fe072cfd7e22593672daae112af\n",
    }


class FakeLayout:
    """As much of a Layout as a report is made of."""

    types_from = "btf"


class FakeKernel:
    """As much of a Kernel as a report is made of."""

    def numbers(self) -> "dict[str, Any]":
        return {
            "arch": "x86_64",
            "page_size": 4096,
            "vmemmap": 0xFFFFEA0000000000,
            "page_struct_size": 64,
        }

    def crash(self) -> "Optional[dict[str, Any]]":
        return CRASH

    def log(self) -> "list[dict[str, Any]]":
        return LOG

    def log_records(self) -> "dict[str, Any]":
        return {"error": None, "lost": 0, "unreadable": 0, "records": LOG}

    def memory(self) -> "dict[str, Any]":
        return MEMORY

    def audit(
        self, checks: object, progress: object, *, max_cpu: int = 0, picture: bool = False
    ) -> "dict[str, Any]":
        return {**AUDIT, "picture": PICTURE} if picture else AUDIT


#: Versions differ from machine to machine.
TOOL = report.Tool("pageaudit", "0", "0", "0", "0")


def opened(path: str) -> OpenedTarget:
    """The sample as an opened target."""
    fake = SimpleNamespace(
        path=path,
        source=FakeSource(),
        layout=FakeLayout(),
        kernel=FakeKernel(),
        prog=None,
        symbols=(),
    )
    return cast(OpenedTarget, fake)
