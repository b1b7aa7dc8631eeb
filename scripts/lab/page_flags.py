# SPDX-License-Identifier: LGPL-2.1-or-later
"""/proc/kpageflags, and what it has of the pages of each of the census' classes."""

from __future__ import annotations

from collections import Counter
from typing import Any, Mapping, Sequence

#: Bits of /proc/kpageflags (include/uapi/linux/kernel-page-flags.h, fs/proc/page.c).
KPF = {
    "locked": 0,
    "referenced": 2,
    "uptodate": 3,
    "dirty": 4,
    "lru": 5,
    "active": 6,
    "slab": 7,
    "writeback": 8,
    "reclaim": 9,
    "buddy": 10,
    "swapbacked": 14,
    "head": 15,
    "tail": 16,
    "huge": 17,
    "unevictable": 18,
    "hwpoison": 19,
    "nopage": 20,
    "offline": 23,
    "pgtable": 26,
    "reserved": 32,
    "mlocked": 33,
}


def bits(*names: str) -> int:
    """The bits of these names."""
    return sum(1 << KPF[name] for name in names)


#: Class of the census: what /proc/kpageflags has of these bits, exactly.
CLASS_BITS = bits("lru", "buddy", "head", "tail", "huge", "unevictable", "hwpoison", "reserved")
CLASSES: "dict[str, set[int]]" = {
    "reserved": {bits("reserved")},
    "zero": {0},
    "pcp": {0},
    "free": {bits("buddy")},
    "free-body": {bits("buddy")},
    "used": {0},
    "used-head": {bits("head")},
    "lru": {bits("lru"), bits("lru", "head")},
    "lru-unevictable": {bits("lru", "unevictable"), bits("lru", "unevictable", "head")},
    "hugetlb": {bits("head", "huge")},
    # On newer kernels a tail shows flags of its folio's head.
    "tail": {
        bits("tail"),
        bits("tail", "huge"),
        bits("tail", "lru"),
        bits("tail", "lru", "unevictable"),
    },
    "frozen": {0},
    "frozen-head": {bits("head")},
}

#: What pfn_to_online_page() of the kernel hides, or not; and what could not be read.
UNTOLD = ("not-memory", "device", "altmap", "unknown")


def class_name(names: Mapping[int, str], value: int) -> str:
    """The class of one of the census' bytes, as CLASSES has it."""
    name = names[value & 0x3F]
    return "free" if name.startswith("free-") and name != "free-body" else name


def differing(
    names: Mapping[int, str], classes: bytes, told: Sequence[int]
) -> "tuple[int, Counter[tuple[str, int]]]":
    """How many pages of a section the kernel tells of, and those that are not of their class."""
    wrong: "Counter[tuple[str, int]]" = Counter()
    pages = 0
    flags = (flag & CLASS_BITS for flag in told)
    for (value, flag), count in Counter(zip(classes, flags)).items():
        name = class_name(names, value)
        if name in UNTOLD:
            continue
        pages += count
        poison = bits("hwpoison") if value & 0x80 else 0
        if flag ^ poison not in CLASSES.get(name, ()):
            wrong[name, flag] += count
    return pages, wrong


def zones(zoneinfo: str) -> "dict[str, dict[str, int]]":
    """/proc/zoneinfo, the lines of each zone that matter here."""
    found: "dict[str, dict[str, int]]" = {}
    zone: "dict[str, int]" = {}
    for line in zoneinfo.splitlines():
        words = line.split()
        if line.startswith("Node"):
            zone = found.setdefault(words[3], Counter())
        elif words[0] in ("spanned", "present", "managed"):
            zone[words[0]] = int(words[1])
        elif words[:2] == ["pages", "free"]:
            zone["free"] = int(words[2])
        elif words[0] == "start_pfn:":
            zone["start_pfn"] = int(words[1])
        elif words[0] == "count:":
            zone["pcp"] += int(words[1])
    return found


def plain_flags(page: Mapping[str, Any], told: int) -> "set[str]":
    """Flags of one page that pageaudit has and the kernel does not tell, or the other way."""
    names = set(page["flag_names"].split("|"))
    if told & bits("slab", "huge", "buddy"):
        # Their owners use some of the bits for themselves.
        return {"head"} if ("head" in names) != bool(told & bits("head")) else set()
    return {n for n in (*PLAIN, "head") if (n in names) != bool(told & bits(n))}


#: Flags that are the page's own whatever the page is.
PLAIN = (
    *("referenced", "uptodate", "dirty", "lru", "active", "writeback", "reclaim"),
    *("swapbacked", "unevictable", "reserved", "mlocked"),
)
