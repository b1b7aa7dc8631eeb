# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the picture says of each page, against what the guest's own kernel said of it."""

from __future__ import annotations

import array
from collections import Counter

import pytest
from dumps import Open
from lab import kernels, make, recipes
from sample import SECTION_PAGES, decode_runs

#: Of /proc/kpageflags (include/uapi/linux/kernel-page-flags.h).
LRU, SLAB, BUDDY, ANON, SWAPBACKED = 1 << 5, 1 << 7, 1 << 10, 1 << 12, 1 << 14
HUGE, HWPOISON, THP, OFFLINE = 1 << 17, 1 << 19, 1 << 22, 1 << 23
TABLE, RESERVED = 1 << 26, 1 << 32

#: Kinds: bits that each page of them has, and bits that none has.
KINDS: "dict[str, tuple[int, int]]" = {
    "reserved": (RESERVED, LRU | BUDDY),
    "free": (BUDDY, LRU | SLAB | ANON),
    "pcp": (0, LRU | BUDDY | SLAB | TABLE | RESERVED | ANON),
    "unreferenced": (0, LRU | BUDDY | TABLE | RESERVED | ANON),
    "anonymous": (ANON, BUDDY | SLAB | RESERVED | HUGE),
    "file": (0, BUDDY | SLAB | RESERVED | HUGE | SWAPBACKED | ANON),
    "shmem": (0, BUDDY | SLAB | RESERVED | HUGE | ANON),
    "hugetlb": (HUGE, BUDDY | SLAB | RESERVED),
    # v6.12 takes low bits of a slab's words for those of page->mapping: ANON says nothing.
    "slab": (SLAB, BUDDY | LRU),
    "page-table": (TABLE, BUDDY | LRU | SLAB | ANON),
    "kernel": (0, BUDDY | LRU | SLAB | HUGE | TABLE | RESERVED | OFFLINE | ANON),
}
#: Kinds that the guest's kernel has no bit for, or hides.
UNTOLD = {"not-memory", "device", "altmap", "in-transit", "balloon", "uninitialised", "unknown"}


@pytest.mark.parametrize("recipe", ["full", "pmem"])
def test_every_page(kernel: str, recipe: str, open_dump: Open) -> None:
    if not recipes.recipe(recipe).applies(kernels.fetch(kernel)):
        pytest.skip("not on this kernel")
    told = array.array("Q", make.dump(kernel, recipe).truth("proc/kpageflags"))
    picture = open_dump(kernel, recipe).kernel.audit(["section-state"], None, picture=True)[
        "picture"
    ]
    pages: "Counter[str]" = Counter()
    wrong: "Counter[tuple[str, str]]" = Counter()
    thps = poisoned = 0
    for nr, _, runs in picture["sections"]:
        pfn = nr * SECTION_PAGES
        for byte, order, length in decode_runs(runs):
            kind = picture["kinds"][byte & 0x1F]
            pages[kind] += length
            flags = told[pfn : pfn + length]
            pfn += length
            if kind in UNTOLD:
                continue
            has, lacks = KINDS[kind]
            for flag, count in Counter(flags).items():
                if flag & has != has or flag & lacks:
                    wrong[kind, hex(flag)] += count
                if bool(flag & HWPOISON) != bool(byte & 0x80):
                    wrong["hwpoison", hex(flag)] += count
                poisoned += count * (byte >> 7)
                thps += count if flag & THP and order >= 9 else 0
                if flag & THP and flag & ANON and order == 0:
                    wrong["part of a THP", hex(flag)] += count
        assert pfn == (nr + 1) * SECTION_PAGES
    # The guest read its files a moment before it was stopped.
    assert sum(wrong.values()) <= 32, wrong
    assert pages == {k: n for k, n in zip(picture["kinds"], picture["pages"]) if n}
    assert poisoned <= picture["poisoned"]
    assert thps >= 512
    for kind in ("free", "anonymous", "shmem", "slab", "page-table", "kernel", "reserved"):
        assert pages[kind] > 30, (kind, pages)
