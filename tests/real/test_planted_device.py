# SPDX-License-Identifier: LGPL-2.1-or-later
"""pgmap-dangling and zone-device-taint: faults planted in device memory."""

from __future__ import annotations

from typing import Any

import drgn
import pytest
from planting import Expected, Site, has_member

TAINT = 16


def pgmaps(site: Site) -> "list[dict[str, Any]]":
    maps: "list[dict[str, Any]]" = site.kernel().memory()["pgmaps"]
    return maps


def pgmap_object(site: Site, pgmap: "dict[str, Any]") -> drgn.Object:
    return drgn.Object(site.prog, "struct dev_pagemap", address=int(pgmap["address"], 16))


def data_range(pgmap: "dict[str, Any]") -> "tuple[int, int]":
    """The pgmap's pfns, without those of its altmap."""
    ((start, end),) = pgmap["ranges"]
    altmap = pgmap["altmap"]
    return start + (altmap["reserve"] + altmap["free"] if altmap else 0), end


def with_altmap(site: Site) -> "list[dict[str, Any]]":
    found = [pgmap for pgmap in pgmaps(site) if pgmap["altmap"]]
    assert found
    return found


def dangling(pfn: int, end: int) -> Expected:
    return "pgmap-dangling", "bug", pfn, end


def page_pgmap(site: Site, pfn: int) -> drgn.Object:
    """Where a device page names its pgmap."""
    page = site.page(pfn)
    if has_member(page[0], "pgmap"):
        return page.pgmap
    return drgn.cast("struct folio *", page).pgmap


def slots_of(site: Site, node: drgn.Object, entry: int) -> "list[drgn.Object]":
    """All slots of an xarray, from a node on, that hold an entry."""
    found = []
    for slot in drgn.cast("struct xa_node *", node).slots:
        value = int(slot)
        if value == entry:
            found.append(slot)
        elif value & 3 == 2 and value > 4096:
            child = drgn.Object(site.prog, "void *", value - 2)
            found += slots_of(site, child, entry)
    return found


def forget(site: Site, pgmap: "dict[str, Any]") -> None:
    """Take a pgmap out of pgmap_array: its entries, and the siblings that stand for them."""
    head = site.prog["pgmap_array"].xa_head
    root = drgn.Object(site.prog, "void *", int(head) - 2)
    slots = slots_of(site, root, int(pgmap["address"], 16))
    assert slots
    for slot in slots:
        site.set(slot, 0)
    # A sibling of an entry that is not there says nothing.


def test_no_pgmap(site: Site) -> None:
    """ZONE_DEVICE pages in valid subsections, and nothing in pgmap_array."""
    for pgmap in pgmaps(site):
        with site.planted():
            forget(site, pgmap)
            ((start, end),) = pgmap["ranges"]
            found = site.audit().above_info()
            assert {check for check, *_ in found} == {"pgmap-dangling"}
            for _, severity, pfn, pfn_end in found:
                assert severity == "bug"
                assert pfn is not None
                assert pfn_end is not None
                assert start <= pfn < pfn_end <= end


def test_page_of_another_pgmap(site: Site) -> None:
    maps = pgmaps(site)
    for pgmap, other in zip(maps, [*maps[1:], maps[0]]):
        start, _ = data_range(pgmap)
        if pgmap["vmemmap_shift"]:
            # The head speaks for its tails.
            assert int(site.compound_word(start + 1)) & 1
        for pfn in {start, start + 512}:
            with site.planted():
                site.set(page_pgmap(site, pfn), int(other["address"], 16))
                site.expect(dangling(pfn, pfn + 1))


def test_pages_of_a_freed_pgmap(site: Site) -> None:
    """Pages that name a pgmap which is not there any more: neighbours are one finding."""
    pgmap = next(pgmap for pgmap in pgmaps(site) if not pgmap["vmemmap_shift"])
    start, _ = data_range(pgmap)
    for pfn in range(start + 100, start + 110):
        site.add(page_pgmap(site, pfn), 4096)
    site.expect(dangling(start + 100, start + 110))


def test_links_of_a_device_page(site: Site) -> None:
    """A page of a pgmap that says that it is of ordinary memory."""
    links = site.links(site.zone("DMA32"))
    for pgmap in pgmaps(site):
        start, _ = data_range(pgmap)
        with site.planted():
            flags = site.flags(start + 512)
            site.set(flags, int(flags) & ~site.link_mask | links)
            site.expect(dangling(start + 512, start + 513))


@pytest.mark.parametrize(
    ("member", "amount"),
    [
        ("base_pfn", 1),
        ("base_pfn", -512),
        ("reserve", 1 << 40),
        ("free", 1 << 20),
        ("alloc", 511),
        ("align", 511),
    ],
)
def test_altmap(site: Site, member: str, amount: int) -> None:
    for pgmap in with_altmap(site):
        with site.planted():
            altmap = pgmap_object(site, pgmap).altmap
            site.add(altmap.member_(member), amount)
            ((start, end),) = pgmap["ranges"]
            assert dangling(start, end) in site.audit().above_info()


def test_range(site: Site) -> None:
    """The pgmap's own range is not what pgmap_array has."""
    for pgmap in pgmaps(site):
        with site.planted():
            site.add(pgmap_object(site, pgmap).range.end, -4096)
            ((start, end),) = pgmap["ranges"]
            site.expect(dangling(start, end))


# Near misses.


def test_dying_pgmap(site: Site) -> None:
    """What memunmap_pages() has killed, and still waits for."""
    for pgmap in pgmaps(site):
        with site.planted():
            ref = pgmap_object(site, pgmap).ref
            ref = ref[0] if ref.type_.kind == drgn.TypeKind.POINTER else ref
            site.set(ref.percpu_count_ptr, int(ref.percpu_count_ptr) | 2)
            site.expect_nothing()


def test_remains_of_a_namespace(site: Site) -> None:
    """Device pages that name a pgmap of old, where no subsection is valid any more."""
    start, end = site.ranges("hole")[0]
    event = site.events("no_namespace")[0]
    assert event
    device = int(site.prog.constant("ZONE_DEVICE")) << 51
    remains = [
        pfn
        for pfn in range(start, end, 64)
        if int(site.flags(pfn)) & site.link_mask == device and int(page_pgmap(site, pfn))
    ]
    assert remains
    site.expect_nothing()
    for pfn in remains[:8]:
        site.set(page_pgmap(site, pfn), 0xDEAD000000000000)
    site.expect_nothing()


def test_words_of_altmap_pages(site: Site) -> None:
    """What holds the memory map of device memory has struct pages that nobody uses."""
    start, end = site.ranges("altmap")[0]
    for pfn in start, start + 1, end - 1:
        site.write(int(site.page(pfn)), b"\xa5" * 64)
    site.expect_nothing()


# zone-device-taint.


def tainted(site: Site) -> "list[int]":
    """Sections of RAM that hold device memory as well."""
    size = site.section_pages
    numbers = {pfn // size for start, end in site.ranges("device") for pfn in (start, end - 1)}
    return sorted(nr for nr in numbers if int(site.section(nr).section_mem_map) & 4)


def has_taint(kernel: str) -> bool:
    return kernel != "v5.10"


def test_taint_lost(kernel: str, site: Site) -> None:
    if not has_taint(kernel):
        pytest.skip("the kernel has no such bit")
    numbers = tainted(site)
    assert numbers
    for nr in numbers:
        with site.planted():
            word = site.section(nr).section_mem_map
            assert int(word) & TAINT
            site.set(word, int(word) & ~TAINT)
            found = site.audit().above_info()
            first, last = site.section_range(nr)
            assert found
            for check, severity, pfn, pfn_end in found:
                assert (check, severity) == ("zone-device-taint", "bug")
                assert pfn is not None
                assert pfn_end is not None
                assert first <= pfn < pfn_end <= last
            pages = {
                pfn
                for pgmap in pgmaps(site)
                for pfn in range(*pgmap["ranges"][0])
                if first <= pfn < last
            }
            named = {pfn for _, _, start, end in found for pfn in range(start or 0, end or 0)}
            assert named == pages


def test_taint_without_device_memory(kernel: str, site: Site) -> None:
    """It is never taken back, so where no device memory is any more it is no fault."""
    if not has_taint(kernel):
        pytest.skip("the kernel has no such bit")
    word = site.section(site.ranges("online")[-1][0] // site.section_pages).section_mem_map
    site.set(word, int(word) | TAINT)
    site.expect_nothing()


def test_hazards_of_a_kernel_without_taint(kernel: str, site: Site) -> None:
    """Where pfn_to_online_page() is wrong, by design: each range is worth knowing."""
    infos = {f[2:] for f in site.baseline.infos() if f[0] == "zone-device-taint"}
    if has_taint(kernel):
        assert not infos
        return
    size = site.section_pages
    expected = set()
    ranges = [tuple(pgmap["ranges"][0]) for pgmap in pgmaps(site)] + site.ranges("hole")
    for start, end in ranges:
        for nr in range(start // size, -(-end // size)):
            if int(site.section(nr).section_mem_map) & 4:
                first, last = site.section_range(nr)
                expected.add((max(start, first), min(end, last)))
    assert infos == expected
