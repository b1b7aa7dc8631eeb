# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where tests plant in real dumps: pages that must not be used, and places that may name them."""

from __future__ import annotations

from typing import Iterator

import drgn
from drgn.helpers.linux import percpu, slab
from planting import Site

# Pages that must not be used.


def offline(site: Site) -> int:
    return site.ranges("offline")[0][0] + 77


def added(site: Site) -> int:
    """Memory that was added and never onlined."""
    return site.ranges("offline")[-1][0] + 77


def hole(site: Site) -> int:
    """Where a namespace was, in a section of RAM."""
    return site.ranges("hole")[0][0] + 1077


def altmap(site: Site) -> int:
    return site.ranges("altmap")[0][0] + 77


def device(site: Site) -> int:
    return site.ranges("device")[0][0] + 1077


def removed(site: Site) -> int:
    """A page of memory that was removed: its struct page is not there any more."""
    event = site.events("dimm_add")[-1]
    assert event["id"] == site.events("dimm_del")[0]["id"]
    return int(event["address"]) // 4096 + 77


# Places.


def vmcoreinfo(site: Site) -> bytes:
    return bytes(site.prog["vmcoreinfo_data"].string_())


def free_object(site: Site, names: "tuple[str, ...]") -> "tuple[str, int]":
    """A free object beside allocated ones, and the cache's name."""
    for name in names:
        cache = slab.find_slab_cache(site.prog, name)
        if cache is None:
            continue
        size = int(cache.size)
        for each in slab.slab_cache_for_each_allocated_object(cache, "char"):
            other = int(each) + size
            info = slab.slab_object_info(site.prog, other)
            if info is None or info.slab_cache != cache:
                continue
            if not info.allocated and info.address == other:
                return name, other
    raise AssertionError("no free object")


def batches(prog: drgn.Program, cpu: int) -> Iterator[drgn.Object]:
    """All batches of a CPU of folios on their way to an LRU list or between them."""
    for name in ("lru_pvecs", "cpu_fbatches", "lru_rotate"):
        try:
            of_cpu = percpu.per_cpu(prog[name], cpu)
        except KeyError:
            continue
        for member in of_cpu.type_.members or ():
            if member.type.type_name() in ("struct pagevec", "struct folio_batch"):
                yield of_cpu.member_(member.name or "")


def isolate(site: Site, pfn: int) -> None:
    """Mark a pageblock as isolated, and nothing else."""
    flags = site.section_of(pfn).usage.pageblock_flags
    block = pfn % site.section_pages >> 9
    try:
        bit = int(site.prog.constant("PB_migrate_isolate"))
        bits, value, mask = 8, 1 << bit, 1 << bit
    except LookupError:
        bits, value, mask = 4, int(site.prog.constant("MIGRATE_ISOLATE")), 7
    address = flags.address_
    assert address is not None
    address += block * bits // 64 * 8
    shift = block * bits % 64
    word = site.prog.read_u64(address) & ~(mask << shift) | value << shift
    site.write(address, word.to_bytes(8, "little"))


def busy_block(site: Site) -> int:
    """A pageblock of the zone Movable without a free page in it: a THP."""
    pfn: int = site.events("thp")[0]["pfn"]
    return pfn - pfn % 512
