# SPDX-License-Identifier: LGPL-2.1-or-later
"""hwpoison-in-buddy, -neighbour-leak and -accounting: poison planted in real dumps."""

from __future__ import annotations

import pytest
from drgn.helpers.linux import mm, mmzone
from dumps import POISONED
from planting import TAKEN_OFF, Expected, FreeBlock, OpenSite, Site, has_member
from poison import block_of, counts_in_blocks, leaves_in_buddy, poison

CHECKS = ("hwpoison-in-buddy", "hwpoison-neighbour-leak", "hwpoison-accounting")

COUNTER: Expected = ("hwpoison-accounting", "bug", None, None)


def in_buddy(site: Site, pfn: int) -> None:
    """Exactly this page is reported as poisoned and free."""
    if not leaves_in_buddy(site):
        (finding,) = site.expect(("hwpoison-in-buddy", "bug", pfn, pfn + 1))
        assert finding["evidence"]["page"] == hex(int(site.page(pfn)))
        return
    site.expect_nothing()
    assert site.new_infos() == {("hwpoison-in-buddy", "info", pfn, pfn + 1)}


def test_no_memory_failure(kernel: str, site: Site) -> None:
    lacks = not site.flag("PG_hwpoison")
    assert lacks == (kernel in ("v5.10", "v6.1"))
    for check in CHECKS:
        assert site.baseline.status[check] == ("not-applicable" if lacks else "ran")


@pytest.mark.parametrize("order", [0, 3, 9])
def test_in_a_free_block(poisoned: Site, order: int) -> None:
    """On any page of it."""
    for offset in {0, (1 << order) // 2, (1 << order) - 1}:
        with poisoned.planted():
            block = poisoned.free_block(order)
            pfn = block.pfn + offset
            poison(poisoned, pfn)
            in_buddy(poisoned, pfn)


def test_two_in_a_free_block(poisoned: Site) -> None:
    block = poisoned.free_block(order=5)
    pfns = block.pfn + 3, block.pfn + 4
    for pfn in pfns:
        poison(poisoned, pfn)
    found = {f[2] for f in poisoned.audit().infos() if f[0] == "hwpoison-in-buddy"}
    if leaves_in_buddy(poisoned):
        assert found >= set(pfns)
    else:
        poisoned.expect(*(("hwpoison-in-buddy", "bug", pfn, pfn + 1) for pfn in pfns))


def test_on_a_pcp_list(poisoned: Site) -> None:
    block = poisoned.free_block(order=0)
    poisoned.to_pcp(block)
    poison(poisoned, block.pfn)
    in_buddy(poisoned, block.pfn)


# Lost neighbours.


def leak(site: Site, block: FreeBlock, *offsets: int) -> None:
    """What check_new_pages() does when it meets poison in what it should hand out."""
    site.take(block)
    for offset in offsets:
        poison(site, block.pfn + offset)


@pytest.mark.parametrize("order", [1, 3, 9])
def test_neighbours(poisoned: Site, order: int) -> None:
    for offset in {0, 1, (1 << order) - 1}:
        with poisoned.planted():
            block = poisoned.free_block(order)
            leak(poisoned, block, offset)
            (finding,) = poisoned.expect(("hwpoison-neighbour-leak", "bug", block.pfn, block.end))
            assert finding["evidence"]["bytes"] == (1 << order) - 1 << 12
            assert finding["evidence"]["poisoned_pages"] == 1
            assert int(finding["evidence"]["poisoned_pfn"], 16) == block.pfn + offset


def test_neighbours_of_two(poisoned: Site) -> None:
    block = poisoned.free_block(order=9)
    leak(poisoned, block, 17, 400)
    (finding,) = poisoned.expect(("hwpoison-neighbour-leak", "bug", block.pfn, block.end))
    assert finding["evidence"]["bytes"] == 510 << 12
    assert finding["evidence"]["poisoned_pages"] == 2


def test_neighbours_counted_as_free(poisoned: Site) -> None:
    """Each block that v5.10 drops stays in NR_FREE_PAGES."""
    block = poisoned.free_block(order=9)
    leak(poisoned, block, 17)
    poisoned.add(poisoned.free_pages(block.zone), 512)
    (finding,) = poisoned.expect(("hwpoison-neighbour-leak", "bug", block.pfn, block.end))
    assert finding["evidence"]["NR_FREE_PAGES_too_high"] == 512


def test_single_page_dropped(poisoned: Site) -> None:
    """A page that free_pages_prepare() did not free: off every list, and that is right."""
    block = poisoned.free_block(order=0)
    leak(poisoned, block, 0)
    poisoned.expect_nothing()


def test_taken_off(poisoned: Site) -> None:
    """What soft offlining leaves of a page, and of one that was free."""
    for private in 0, TAKEN_OFF:
        with poisoned.planted():
            block = poisoned.free_block(order=0)
            leak(poisoned, block, 0)
            poisoned.set(poisoned.refcount(block.pfn), 1)
            poisoned.set(poisoned.page(block.pfn).private, private)
            poisoned.expect_nothing()


def test_poison_in_use(poisoned: Site) -> None:
    """A kernel page that memory_failure() could do nothing about."""
    block = poisoned.free_block(order=3)
    poisoned.allocate(block)
    poison(poisoned, block.pfn)
    poisoned.expect_nothing()


# Accounting.


def last_poisoned(site: Site) -> int:
    """A page of RAM that was poisoned and handled, no hugetlb page."""
    events = [e for e in site.events("poison") if e["kind"] != "hugetlb"]
    pfn: int = events[0]["pfn"]
    assert int(site.flags(pfn)) & site.flag("PG_hwpoison")
    return pfn


def with_block_counts(site: Site) -> Site:
    if not counts_in_blocks(site):
        pytest.skip("the kernel does not count by memory block")
    return site


def test_too_few_counted(poisoned: Site) -> None:
    """More pages flagged than num_poisoned_pages has."""
    number = poisoned.prog["num_poisoned_pages"].counter
    for value in int(number) // 2, 0:
        poisoned.set(number, value)
        poisoned.expect(COUNTER)


def test_block_counts_too_few(poisoned: Site) -> None:
    site = with_block_counts(poisoned)
    pfn = last_poisoned(site)
    site.add(block_of(site, pfn).nr_hwpoison.counter, -1)
    start, end = site.section_range(pfn // site.section_pages)
    site.expect(("hwpoison-accounting", "bug", start, end))


def test_blocks_above_the_total(poisoned: Site) -> None:
    site = with_block_counts(poisoned)
    site.add(block_of(site, last_poisoned(site)).nr_hwpoison.counter, 1)
    site.expect(COUNTER)


@pytest.mark.parametrize("part", ["total", "ignored", "failed", "delayed", "recovered"])
def test_parts_do_not_add_up(poisoned: Site, part: str) -> None:
    (node,) = mmzone.for_each_online_pgdat(poisoned.prog)
    if not has_member(node[0], "mf_stats"):
        pytest.skip("the kernel does not count that")
    poisoned.add(node.mf_stats.member_(part), 1)
    poisoned.expect(COUNTER)


def test_counted_and_not_flagged(poisoned: Site) -> None:
    """Device memory and hugetlb pages may be counted without a flag."""
    poisoned.add(poisoned.prog["num_poisoned_pages"].counter, 5)
    poisoned.expect_nothing()
    assert ("hwpoison-accounting", "info", None, None) in poisoned.audit().infos()


def test_raw_pages_of_hugetlb_folios(poisoned: Site) -> None:
    """Pages on a raw_hwp_list are counted like flagged ones: one less in the total is too few."""
    heads = [
        pfn
        for event in poisoned.events("poison")
        if event["kind"] == "hugetlb"
        and int(poisoned.flags(pfn := event["pfn"] // 512 * 512)) & poisoned.flag("PG_hwpoison")
        and int(poisoned.flags(pfn)) & poisoned.flag("PG_head")
    ]
    try:
        poisoned.prog.type("struct folio").member("_hugetlb_hwpoison")
    except LookupError:
        heads = []
    total = poisoned.prog["num_poisoned_pages"].counter
    with poisoned.planted():
        poisoned.add(total, 5)
        (finding,) = (
            found for found in poisoned.audit().findings if found["check"] == "hwpoison-accounting"
        )
        assert finding["evidence"]["raw_hugetlb_pages"] == len(heads)
    if heads:
        poisoned.add(total, -1)
        (finding,) = poisoned.expect(COUNTER)
        assert finding["evidence"]["raw_hugetlb_pages"] == len(heads)


def test_poison_of_a_device_page(poisoned: Site) -> None:
    """Not in the count of any block."""
    ranges = poisoned.ranges("device")
    if not ranges:
        pytest.skip("no device memory in this dump")
    poison(poisoned, ranges[0][0] + 512, counted=False)
    poisoned.add(poisoned.prog["num_poisoned_pages"].counter, 1)
    poisoned.expect_nothing()


# Real ones.


def completes_another(site: Site, first: int, order: int) -> bool:
    """Behind an allocation that is no compound page, and the second half of an aligned block.

    Nothing in its pages tells that it is not a part of that allocation.
    """
    before = first - (1 << order)
    return (
        first >> order & 1 == 1
        and not mm.PageCompound(site.page(before))
        and not mm.PageLRU(site.page(before))
        and int(site.refcount(before)) > 0
        and not any(int(site.refcount(pfn)) for pfn in range(before + 1, first))
    )


@pytest.mark.parametrize("kernel", [kernel for kernel, _ in POISONED])
def test_real_leak(kernel: str, open_site: OpenSite) -> None:
    """Buffers that the kernel freed with poison in them, and allocations that met it."""
    site = open_site(kernel, "hwpoison-leak")
    expected: "list[Expected]" = []
    for event in site.events("kernel_poison"):
        pfn, first = event["pfn"], event["first"]
        if event["again"]:
            if completes_another(site, first, event["order"]):
                continue
            end = first + (1 << event["order"])
            expected.append(("hwpoison-neighbour-leak", "bug", first, end))
        elif not leaves_in_buddy(site):
            expected.append(("hwpoison-in-buddy", "bug", pfn, pfn + 1))
    assert expected
    site.expect(*expected)
