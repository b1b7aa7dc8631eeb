# SPDX-License-Identifier: LGPL-2.1-or-later
"""Mapped folios of real dumps, found by drgn from what the workload said: where faults go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

import drgn
from drgn.helpers.linux import mm as drgn_mm
from drgn.helpers.linux import pid as drgn_pid
from planting import PAGE_SIZE, Site, has_member

#: "by pages": a THP whose pages are mapped each.
KINDS = ("anon", "thp", "thp by pages", "shmem", "shmem thp", "file", "hugetlb")
#: What a page table's entry has of the physical address, and its bits.
ENTRY_MASK = 0x000F_FFFF_FFFF_F000
PRESENT, LEAF = 1 << 0, 1 << 7


@dataclass(frozen=True)
class Entry:
    """An entry of a page table: its kernel address, and log2 of the pages that it maps."""

    address: int
    order: int
    value: int


def task(site: Site, pid: int) -> drgn.Object:
    """A task by its pid."""
    return drgn_pid.find_task(site.prog, pid)


def entry(site: Site, pid: int, address: int, lowest: int = 0) -> Entry:
    """The lowest entry that there is for a user address of a task, or that of a level."""
    table = int(task(site, pid).mm.pgd)
    # The lab's processor knows of four levels only.
    for level in (3, 2, 1, 0):
        order = 9 * level
        at = table + (address >> (12 + order) & 511) * 8
        value = site.prog.read_u64(at)
        if level == lowest or not value & PRESENT or (level < 3 and value & LEAF):
            return Entry(at, order, value)
        table = int(drgn_mm.phys_to_virt(site.prog, value & ENTRY_MASK))
    raise AssertionError("a page table has a lowest level")


@dataclass(frozen=True)
class Mapped:
    """A folio of a kind, and one place where it is mapped."""

    kind: str
    #: Of the first page, and of the one that the address has.
    pfn: int
    page_pfn: int
    pages: int
    pid: int
    address: int
    entry: Entry

    @property
    def whole(self) -> bool:
        """Whether the place maps all of it with one entry."""
        return self.entry.order > 0


def mapped(site: Site, kind: str, pid: int, address: int) -> Mapped:
    """What is mapped there."""
    found = entry(site, pid, address)
    assert found.value & PRESENT, f"{kind}: nothing is mapped at {address:#x}"
    mask = (1 << found.order) - 1
    pfn = ((found.value & ENTRY_MASK) >> 12 & ~mask) + (address >> 12 & mask)
    head = site.pfn(drgn_mm.compound_head(site.page(pfn)))
    pages = int(drgn_mm.compound_nr(site.page(head)))
    return Mapped(kind, head, pfn, pages, pid, address, found)


def find(site: Site, kind: str) -> Mapped:
    """A folio of one of KINDS, from the events of the workload."""
    if kind == "anon":
        (event,) = site.events("anon")
        return mapped(site, kind, event["pid"], event["address"] + 5 * PAGE_SIZE)
    if kind in ("thp", "thp by pages"):
        (event,) = site.events("thp")
        # Of four parts of it the second is split by a part that is mprotected.
        part = 0 if kind == "thp" else event["size"] // 4
        return mapped(site, kind, event["pid"], event["address"] + part)
    if kind in ("shmem", "shmem thp"):
        event = next(e for e in site.events("shmem") if ("huge" in e["path"]) == ("thp" in kind))
        return mapped(site, kind, event["pid"], event["address"])
    if kind == "file":
        event = next(e for e in site.events("file") if e["path"].startswith("/mnt"))
        pages = range(event["address"], event["address"] + event["size"] // 2, PAGE_SIZE)
        # Some may have been reclaimed.
        address = next(a for a in pages if entry(site, event["pid"], a).value & PRESENT)
        return mapped(site, kind, event["pid"], address)
    assert kind == "hugetlb"
    (event,) = site.events("hugetlb")
    return mapped(site, kind, event["pid"], event["private"])


def count(site: Site, folio: Mapped, name: str) -> Optional[drgn.Object]:
    """A count of a folio by the name of pageaudit; None where the kernel or folio has none."""
    if name == "_refcount":
        return site.refcount(folio.pfn)
    if name == "_mapcount":
        if folio.pages == 1 or not folio.whole:
            return site.page(folio.page_pfn)._mapcount.counter
        return None
    if folio.pages == 1:
        return None
    second = site.page(folio.pfn + 1)[0]
    if name == "entire mapcount" and has_member(second, "compound_mapcount"):
        return second.compound_mapcount.counter if folio.whole else None
    try:
        whole = drgn.Object(site.prog, "struct folio", address=int(site.page(folio.pfn)))
    except LookupError:
        return None
    members = {
        "entire mapcount": "_entire_mapcount",
        "_large_mapcount": "_large_mapcount",
        "_nr_pages_mapped": "_nr_pages_mapped",
    }
    if name in members and has_member(whole, members[name]):
        return whole.member_(members[name]).counter
    return None
