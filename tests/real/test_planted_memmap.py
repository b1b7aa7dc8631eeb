# SPDX-License-Identifier: LGPL-2.1-or-later
"""memmap-uninitialised and page-links: faults planted in struct pages."""

from __future__ import annotations

import drgn
import pytest
from planting import Site

POISON = b"\xff" * 64
ZEROS = bytes(64)


def used_page(site: Site) -> int:
    """A page that somebody allocated: the head of nothing, on no list."""
    block = site.free_block(order=0)
    site.allocate(block)
    return block.pfn


def write_page(site: Site, pfn: int, data: bytes) -> None:
    site.write(int(site.page(pfn)), data)


def unusable(site: Site) -> "list[int]":
    """A pfn in each kind of memory that has struct pages and is not online."""
    states = ("offline", "hole")
    return [start + 7 for state in states for start, _ in site.ranges(state)]


@pytest.mark.parametrize("contents", [POISON, ZEROS], ids=["poison", "zeros"])
def test_uninitialised(site: Site, contents: bytes) -> None:
    pfn = used_page(site)
    write_page(site, pfn, contents)
    site.expect(("memmap-uninitialised", "bug", pfn, pfn + 1))


@pytest.mark.parametrize("contents", [POISON, ZEROS], ids=["poison", "zeros"])
def test_uninitialised_run(site: Site, contents: bytes) -> None:
    """Neighbours are one finding."""
    block = site.free_block(order=3)
    site.take(block)
    for pfn in range(block.pfn, block.end):
        write_page(site, pfn, contents)
    site.expect(("memmap-uninitialised", "bug", block.pfn, block.end))


@pytest.mark.parametrize("contents", [POISON, ZEROS], ids=["poison", "zeros"])
def test_uninitialised_inside_of_a_free_block(site: Site, contents: bytes) -> None:
    block = site.free_block(order=3)
    write_page(site, block.pfn + 3, contents)
    site.expect(("memmap-uninitialised", "bug", block.pfn + 3, block.pfn + 4))


@pytest.mark.parametrize("contents", [POISON, ZEROS], ids=["poison", "zeros"])
def test_uninitialised_on_a_list(site: Site, contents: bytes) -> None:
    """The list breaks, which is no defect of its own."""
    cached = first_of_pcp(site)
    thp, hugetlb = (site.events(name)[0]["pfn"] // 512 * 512 for name in ("thp", "hugetlb"))
    for pfn in None, cached, thp, hugetlb:
        with site.planted():
            free = site.free_block(order=3).pfn
            pfn = free if pfn is None else pfn
            write_page(site, pfn, contents)
            site.expect(("memmap-uninitialised", "bug", pfn, pfn + 1))


def first_of_pcp(site: Site) -> int:
    """A page on a CPU's free list."""
    for zone in site.zones():
        for cpu in range(2):
            for head in site.pcp(zone, cpu).lists:
                if int(head.next) != int(head.address_of_()):
                    return site.pfn(drgn.container_of(head.next, "struct page", "lru"))
    raise AssertionError("no CPU has a free page")


def test_no_memory_need_not_be_initialised(site: Site) -> None:
    """Offline memory, and what was no memory at boot."""
    for pfn in unusable(site):
        for contents in POISON, ZEROS:
            write_page(site, pfn, contents)
            site.expect_nothing()


def test_nearly_zeros(site: Site) -> None:
    """Zone 0 of node 0 has no bits, and a refcount is all that such a page may hold."""
    zone = site.zone("DMA")
    block = site.free_block(order=0, zone=zone)
    site.allocate(block)
    assert site.links(zone) == 0
    write_page(site, block.pfn, ZEROS)
    site.set(site.refcount(block.pfn), 1)
    site.expect_nothing()


def links_of_other_zones(site: Site, pfn: int) -> "list[int]":
    """The links of zones, and of nodes, that don't span a pfn."""
    nodes, zones = 10, 3
    assert site.link_mask == (1 << nodes + zones) - 1 << 64 - nodes - zones
    other = [
        site.links(zone)
        for zone in site.zones()
        if not 0 <= pfn - int(zone.zone_start_pfn) < int(zone.spanned_pages)
    ]
    own = int(site.flags(pfn)) & site.link_mask
    no_such_zone = own | 7 << 64 - nodes - zones
    no_such_node = own | 3 << 64 - nodes
    assert other
    return [*other, no_such_zone, no_such_node]


def set_links(site: Site, pfn: int, links: int) -> None:
    flags = site.flags(pfn)
    site.set(flags, int(flags) & ~site.link_mask | links)


def test_wrong_links_of_a_used_page(site: Site) -> None:
    pfn = used_page(site)
    for links in links_of_other_zones(site, pfn):
        set_links(site, pfn, links)
        site.expect(("page-links", "bug", pfn, pfn + 1))


def test_wrong_links_of_a_page_in_a_free_block(site: Site) -> None:
    block = site.free_block(order=2)
    pfn = block.pfn + 1
    for links in links_of_other_zones(site, pfn):
        set_links(site, pfn, links)
        site.expect(("page-links", "bug", pfn, pfn + 1))


def test_wrong_links_of_a_free_page(site: Site) -> None:
    """Of the page that stands for its block on the list, too."""
    block = site.free_block(order=2)
    for links in links_of_other_zones(site, block.pfn):
        set_links(site, block.pfn, links)
        site.expect(("page-links", "bug", block.pfn, block.pfn + 1))


def test_wrong_links_of_a_free_block(site: Site) -> None:
    block = site.free_block(order=4)
    for links in links_of_other_zones(site, block.pfn):
        for pfn in range(block.pfn, block.end):
            set_links(site, pfn, links)
        site.expect(("page-links", "bug", block.pfn, block.end))


def test_wrong_links_of_a_compound_page(site: Site) -> None:
    """The head of a THP, and one of its tails."""
    head = site.events("thp")[0]["pfn"]
    head -= head % 512
    assert int(site.compound_word(head + 1)) & 1
    for pfn in head, head + 9:
        with site.planted():
            links = links_of_other_zones(site, pfn)[0]
            set_links(site, pfn, links)
            site.expect(("page-links", "bug", pfn, pfn + 1))


def test_flags_lost(site: Site) -> None:
    """Of a compound page's head: zone, PG_head and all; its tails have no head then."""
    for name in "thp", "hugetlb":
        with site.planted():
            head = site.events(name)[0]["pfn"] // 512 * 512
            site.set(site.flags(head), 0)
            found = site.audit().above_info()
            assert ("page-links", "bug", head, head + 1) in found
            assert {check for check, *_ in found} <= {"page-links", "hugetlb-pool"}


def test_remains_of_a_namespace(site: Site) -> None:
    """Where device memory was that shares a section with RAM, its links stay."""
    device = int(site.prog.constant("ZONE_DEVICE"))
    start, end = site.ranges("hole")[0]
    links = {int(site.flags(pfn)) & site.link_mask for pfn in range(start, end, 512)}
    assert device << 51 in links
    site.expect_nothing()
    for wrong in links_of_other_zones(site, start + 5):
        set_links(site, start + 5, wrong)
        site.expect_nothing()


def test_links_in_offline_memory(site: Site) -> None:
    for start, _ in site.ranges("offline"):
        for wrong in links_of_other_zones(site, start + 5):
            set_links(site, start + 5, wrong)
        site.expect_nothing()
