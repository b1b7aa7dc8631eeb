# SPDX-License-Identifier: LGPL-2.1-or-later
"""buddy-structure and lost-free-pages: faults planted in the buddy allocator."""

from __future__ import annotations

from typing import Optional

import pytest
from planting import NO_TYPE, Expected, FreeBlock, Site

ORDERS = (0, 1, 4, 8)


@pytest.fixture(params=ORDERS)
def block(request: pytest.FixtureRequest, site: Site) -> FreeBlock:
    """A free block of several orders in turn, whose buddy is not free."""
    return site.free_block(order=request.param)


def broken(pfn: int, end: int) -> Expected:
    return "buddy-structure", "bug", pfn, end


def test_type_lost(site: Site, block: FreeBlock) -> None:
    """On its list, and no longer PageBuddy()."""
    site.set(site.page_type(block.pfn), NO_TYPE)
    site.expect(broken(block.pfn, block.pfn + 1))


def test_in_use_on_a_list(site: Site, block: FreeBlock) -> None:
    """Allocated, but for the list."""
    site.set(site.page_type(block.pfn), NO_TYPE)
    site.set(site.refcount(block.pfn), 1)
    site.expect(broken(block.pfn, block.pfn + 1))
    site.expect_in_second_read("buddy-structure", block.pfn)


def test_order_too_low(site: Site, block: FreeBlock) -> None:
    if not block.order:
        pytest.skip("there is none below 0")
    site.set(site.page(block.pfn).private, block.order - 1)
    site.expect(broken(block.pfn, block.pfn + 1))


def test_order_too_high(site: Site, block: FreeBlock) -> None:
    site.set(site.page(block.pfn).private, block.order + 1)
    site.expect(broken(block.pfn, block.pfn + 1))


def test_order_impossible(site: Site, block: FreeBlock) -> None:
    for order in 11, 64, 1 << 63:
        site.set(site.page(block.pfn).private, order)
        site.expect(broken(block.pfn, block.pfn + 1))


def test_on_the_list_of_another_order(site: Site, block: FreeBlock) -> None:
    """And counted there."""
    areas = block.zone.free_area
    site.list_del(site.lru(block.pfn))
    site.list_add(site.lru(block.pfn), areas[block.order + 1].free_list[block.migratetype])
    site.add(areas[block.order].nr_free, -1)
    site.add(areas[block.order + 1].nr_free, 1)
    site.add(site.free_pages(block.zone), 1 << block.order)
    site.expect(broken(block.pfn, block.pfn + 1))


def test_on_the_list_of_another_zone(site: Site, block: FreeBlock) -> None:
    other = next(z for z in site.zones() if z.address_ != block.zone.address_)
    area = other.free_area[block.order]
    site.list_del(site.lru(block.pfn))
    site.list_add(site.lru(block.pfn), area.free_list[block.migratetype])
    for zone, sign in ((block.zone, -1), (other, 1)):
        site.add(zone.free_area[block.order].nr_free, sign)
        site.add(site.free_pages(zone), sign << block.order)
    site.expect(broken(block.pfn, block.pfn + 1))


def test_on_no_list(site: Site, block: FreeBlock) -> None:
    site.take(block)
    site.set(site.page_type(block.pfn), site.buddy_type)
    site.set(site.page(block.pfn).private, block.order)
    site.expect(broken(block.pfn, block.end))


@pytest.mark.parametrize("link", ["next", "prev"])
def test_broken_list(site: Site, block: FreeBlock, link: str) -> None:
    """A link that is no list's; the entry that has it is named."""
    member = site.lru(block.pfn).member_(link)
    for value in 0, 0xDEAD000000000100, int(member) + 1, int(member) ^ 1 << 45:
        site.set(member, value)
        site.expect(broken(block.pfn, block.pfn + 1))


def test_list_into_itself(site: Site, block: FreeBlock) -> None:
    site.set(site.lru(block.pfn).next, int(site.lru(block.pfn).address_of_()))
    site.expect(broken(block.pfn, block.pfn + 1))


@pytest.mark.parametrize("refcount", [1, -1, 1024])
def test_references(site: Site, block: FreeBlock, refcount: int) -> None:
    """To any page of a free block."""
    for pfn in {block.pfn, block.end - 1}:
        with site.planted():
            block = site.free_block(block.order)
            site.set(site.refcount(pfn), refcount)
            site.expect(broken(pfn, pfn + 1))


def test_mapped(site: Site, block: FreeBlock) -> None:
    """A page of a free block that page tables map: _mapcount is no type."""
    pfn = block.end - 1
    if pfn == block.pfn:
        pytest.skip("the mapcount of a page of order 0 is its type")
    site.set(site.page_type(pfn), 0)
    site.expect(broken(pfn, pfn + 1))


def test_unmerged(site: Site) -> None:
    """Two free buddies."""
    for order in 1, 4, 8:
        with site.planted():
            block = site.free_block(order)
            site.split(block)
            site.expect(broken(block.pfn, block.end))


def test_pcp_count(site: Site) -> None:
    """The lists of a CPU change without a lock that a dump shows."""
    site.add(site.pcp(site.zone("DMA32"), 1).count, 1)
    site.expect(("buddy-structure", "suspect", None, None))


def test_in_use_on_a_pcp_list(site: Site) -> None:
    block = site.free_block(order=0)
    site.to_pcp(block)
    site.set(site.refcount(block.pfn), 1)
    site.expect(("buddy-structure", "suspect", block.pfn, block.pfn + 1))


def test_free_block_on_a_pcp_list(site: Site) -> None:
    block = site.free_block(order=0)
    site.list_del(site.lru(block.pfn))
    pcp = site.pcp(block.zone, 0)
    site.list_add(site.lru(block.pfn), pcp.lists[0])
    site.add(pcp.count, 1)
    site.add(block.free_area.nr_free, -1)
    site.add(site.free_pages(block.zone), -1)
    site.expect(("buddy-structure", "suspect", block.pfn, block.pfn + 1))


# Near misses.


def test_buddy_on_a_pcp_list(site: Site) -> None:
    """Free, and not to be merged with."""
    for cpu in range(2):
        with site.planted():
            free, cached = site.split(site.free_block(order=1))
            site.to_pcp(cached, cpu)
            site.expect_nothing()


def test_buddy_of_another_zone(site: Site) -> None:
    """Zones may overlap: what is next to a free block need not be its buddy."""
    movable = site.zone("Movable")
    block = site.free_block(order=4, zone=movable)
    other = site.zone("DMA32")
    spanned = block.end - int(other.zone_start_pfn)
    if int(other.spanned_pages) < spanned:
        site.set(other.spanned_pages, spanned)
    left, right = site.split(block)
    site.take(right)
    links = site.links(other)
    for pfn in range(right.pfn, right.end):
        site.set(site.flags(pfn), int(site.flags(pfn)) & ~site.link_mask | links)
    for zone, sign in ((movable, -1), (other, 1)):
        site.add(zone.present_pages, sign << right.order)
        site.add(zone.managed_pages.counter, sign << right.order)
    site.give(FreeBlock(other, right.order, right.migratetype, right.pfn))
    site.expect_nothing()
    # The same, but of the same zone.
    with site.planted():
        site.split(site.free_block(order=4, zone=movable))
        assert site.audit().above_info()


def test_other_order_next_to_it(site: Site, block: FreeBlock) -> None:
    """Free, but not as a whole."""
    if not block.order:
        pytest.skip("cannot be split")
    half, other = site.split(block)
    if half.order:
        site.allocate(site.split(other)[1])
    else:
        site.allocate(other)
    site.expect_nothing()


# Lost pages.


def test_lost(site: Site, block: FreeBlock) -> None:
    site.take(block)
    (finding,) = site.expect(("lost-free-pages", "bug", block.pfn, block.end))
    assert finding["evidence"]["bytes"] == 4096 << block.order


def test_lost_next_to_what_is_used(site: Site) -> None:
    """Right behind a whole allocation, and right before one."""
    for order in 1, 4, 7:
        with site.planted():
            left, right = site.split(site.free_block(order + 2))
            for half in site.split(left):
                site.allocate(half)
            lost, used = site.split(right)
            site.allocate(used)
            site.take(lost)
            site.expect(("lost-free-pages", "bug", lost.pfn, lost.end))
        with site.planted():
            left, right = site.split(site.free_block(order + 1))
            site.allocate(right)
            site.take(left)
            site.expect(("lost-free-pages", "bug", left.pfn, left.end))


def test_lost_and_still_counted_as_free(site: Site, block: FreeBlock) -> None:
    """The drift of NR_FREE_PAGES is that defect's, no other."""
    site.take(block)
    site.add(site.free_pages(block.zone), 1 << block.order)
    (finding,) = site.expect(("lost-free-pages", "bug", block.pfn, block.end))
    assert finding["evidence"]["NR_FREE_PAGES_too_high"] == 1 << block.order


@pytest.mark.parametrize("order", range(10))
def test_rest_of_an_allocation(site: Site, order: int) -> None:
    """alloc_pages() without __GFP_COMP gives only the first page a reference."""
    block = site.free_block(order)
    site.allocate(block)
    site.expect_nothing()
    # Without it, nobody has the block.
    site.set(site.refcount(block.pfn), 0)
    site.expect(("lost-free-pages", "bug", block.pfn, block.end))


# Memory that was not there all the time.


def changed_memory(site: Site) -> "dict[str, tuple[int, int]]":
    """Memory that was offlined and onlined again, and DIMMs that were added: their pfns."""
    removed = {event["id"] for event in site.events("dimm_del")}
    blocks = {event["block"] for event in site.events("offline")}
    found = {
        f"block {event['block']}": site.section_range(event["block"])
        for event in site.events("online")
        if event["block"] in blocks
    }
    for event in site.events("dimm_add"):
        if event["id"] not in removed and event["how"] != "none":
            pfn = event["address"] >> 12
            found[event["id"]] = (pfn, pfn + (event["size"] >> 12))
    return found


def free_block_in(site: Site, start: int, end: int, order: int) -> "Optional[FreeBlock]":
    """A free block of an order in a range of pfns, whose buddies are taken by somebody."""
    for zone in site.zones():
        for block in site.free_blocks(zone):
            if start <= block.pfn and block.end <= end and block.order > order:
                while block.order > order:
                    block, buddy = site.split(block)
                    site.allocate(buddy)
                return block
    return None


def test_lost_in_memory_that_came_and_went(site: Site) -> None:
    """The same arithmetic, to the byte."""
    places = changed_memory(site)
    # Offlined and onlined, movable and of the kernel.
    assert {"d0", "d1"} < set(places)
    tried = 0
    for start, end in places.values():
        with site.planted():
            block = free_block_in(site, start, end, 5)
            if block is None:
                continue
            tried += 1
            site.take(block)
            (finding,) = site.expect(("lost-free-pages", "bug", block.pfn, block.end))
            assert finding["evidence"]["bytes"] == 32 * 4096
    # The workload may have all of one.
    assert tried >= 2
