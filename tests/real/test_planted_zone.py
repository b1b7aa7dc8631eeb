# SPDX-License-Identifier: LGPL-2.1-or-later
"""zone-accounting and isolated-pageblock: faults planted in zones and nodes."""

from __future__ import annotations

import struct

import drgn
import pytest
from drgn.helpers.linux import mmzone
from drgn.helpers.linux.pid import for_each_task
from places import busy_block, isolate
from planting import NO_TYPE, Expected, Site
from stacks import room_for_list

ZONES = ("DMA", "DMA32", "Normal", "Movable")

COUNTER: Expected = ("zone-accounting", "bug", None, None)


@pytest.fixture(params=ZONES)
def zone(request: pytest.FixtureRequest, site: Site) -> drgn.Object:
    """Each zone of the machine in turn."""
    return site.zone(request.param)


def largest_order(site: Site, zone: drgn.Object) -> int:
    return next(site.free_blocks(zone)).order


@pytest.mark.parametrize("amount", [1, -1])
def test_nr_free(site: Site, zone: drgn.Object, amount: int) -> None:
    area = zone.free_area[largest_order(site, zone)]
    counted = int(area.nr_free)
    site.add(area.nr_free, amount)
    (finding,) = site.expect(COUNTER)
    assert finding["evidence"]["stored"] == counted + amount
    assert finding["evidence"]["recounted"] == counted
    assert int(finding["evidence"]["zone"], 16) == zone.address_


@pytest.mark.parametrize("amount", [1, -1, 512])
def test_free_pages(site: Site, zone: drgn.Object, amount: int) -> None:
    site.add(site.free_pages(zone), amount)
    (finding,) = site.expect(COUNTER)
    assert finding["evidence"]["difference"] == amount


@pytest.mark.parametrize("amount", [1, -1])
def test_free_pages_of_one_cpu(site: Site, zone: drgn.Object, amount: int) -> None:
    for cpu in range(2):
        with site.planted():
            site.add(site.free_pages_delta(zone, cpu), amount)
            site.expect(COUNTER)


def test_delta_not_yet_folded(site: Site, zone: drgn.Object) -> None:
    """What vm_stat lacks, a CPU has: that is how the kernel counts."""
    site.add(site.free_pages(zone), -3)
    site.add(site.free_pages_delta(zone, 0), 5)
    site.add(site.free_pages_delta(zone, 1), -2)
    site.expect_nothing()


def test_spanned_too_small(site: Site, zone: drgn.Object) -> None:
    """Less than present_pages."""
    site.set(zone.spanned_pages, int(zone.present_pages) - 1)
    assert COUNTER in site.audit().above_info()


def test_present_too_high(site: Site, zone: drgn.Object) -> None:
    """More than there is memory online; the node agrees."""
    hidden = int(zone.spanned_pages) - int(zone.present_pages) + 1
    site.add(zone.present_pages, hidden)
    site.add(zone.zone_pgdat.node_present_pages, hidden)
    site.expect(COUNTER)


def test_present_and_node_differ(site: Site, zone: drgn.Object) -> None:
    for amount in 1, -1:
        with site.planted():
            site.add(zone.zone_pgdat.node_present_pages, amount)
            site.expect(COUNTER)


@pytest.mark.parametrize("amount", [1, -1])
def test_managed(site: Site, zone: drgn.Object, amount: int) -> None:
    site.add(zone.managed_pages.counter, amount)
    site.expect(COUNTER)


def test_managed_more_than_present(site: Site, zone: drgn.Object) -> None:
    site.set(zone.managed_pages.counter, int(zone.present_pages) + 1)
    site.expect(COUNTER)


def test_zone_outside_of_its_node(site: Site) -> None:
    (node,) = mmzone.for_each_online_pgdat(site.prog)
    site.add(node.node_spanned_pages, -1)
    site.expect(COUNTER)


def test_balloon(site: Site) -> None:
    """A page that a balloon took: PageOffline(), and no longer managed."""
    try:
        offline = int(site.prog.constant("PGTY_offline")) << 24
    except LookupError:
        # One bit cleared: PG_offline, a macro then.
        offline = NO_TYPE & ~0x100
    block = site.free_block(order=0)
    site.allocate(block)
    site.set(site.page_type(block.pfn), offline)
    site.expect_nothing()
    site.add(block.zone.managed_pages.counter, -1)
    site.expect_nothing()
    site.add(block.zone.managed_pages.counter, -1)
    site.expect(COUNTER)


@pytest.mark.parametrize("missing", [1, 2, 3])
def test_balloon_that_gives_pages_back(site: Site, missing: int) -> None:
    """leak_balloon() has two on a list, no longer PageOffline(), and waits for the host."""
    head, _ = room_for_list(site)
    block = site.free_block(order=1)
    site.allocate(block)
    site.set(site.refcount(block.pfn + 1), 1)
    first, second = (int(site.lru(pfn).address_of_()) for pfn in (block.pfn, block.pfn + 1))
    for at, links in ((head, (first, second)), (first, (second, head)), (second, (head, first))):
        site.write(at, struct.pack("<2Q", *links))
    managed = block.zone.managed_pages.counter
    site.add(managed, -missing)
    if missing > 2:
        site.expect(COUNTER)
        return
    site.expect_nothing()
    assert (COUNTER[0], "info", None, None) in site.new_infos()
    # Of a list that is broken nothing is known.
    site.write(second + 8, bytes(8))
    site.expect(COUNTER)


# Isolated pageblocks.


ISOLATED: Expected = ("isolated-pageblock", "bug", None, None)


def test_isolate_counter(site: Site, zone: drgn.Object) -> None:
    site.add(zone.nr_isolate_pageblock, 1)
    (finding,) = site.expect(ISOLATED)
    assert finding["evidence"]["nr_isolate_pageblock"] == 1
    assert finding["evidence"]["isolated_pageblocks"] == 0


def test_isolated_and_not_counted(site: Site) -> None:
    pfn = busy_block(site)
    isolate(site, pfn)
    site.expect(("isolated-pageblock", "bug", pfn, pfn + 512))


def test_isolated_by_nobody(site: Site) -> None:
    """Counted, but no task is there that would put them back: neighbours are one finding."""
    pfn = busy_block(site)
    isolate(site, pfn)
    isolate(site, pfn + 512)
    site.add(site.zone("Movable").nr_isolate_pageblock, 2)
    site.expect(("isolated-pageblock", "bug", pfn, pfn + 1024))


def test_isolated_by_nobody_who_was_read(site: Site) -> None:
    """The same where a task's stack is not in the dump: it may be he."""
    tasks = for_each_task(site.prog)
    sleeper = next(t for t in tasks if not t.on_cpu and t.stack and int(t.pid) > 1)
    site.set(sleeper.stack, 0xFFFFC00000000000)
    pfn = busy_block(site)
    isolate(site, pfn)
    site.add(site.zone("Movable").nr_isolate_pageblock, 1)
    audited = site.audit()
    assert audited.status["isolated-pageblock"] == "partial"
    (found,) = (f for f in audited.findings if f["check"] == "isolated-pageblock")
    assert (found["severity"], found["pfn"]) == ("info", pfn)


def test_isolated_in_offline_memory(site: Site) -> None:
    """offline_pages() leaves its pageblocks isolated, and takes them out of the count."""
    for start, _ in site.ranges("offline"):
        isolate(site, start)
        isolate(site, start + 512)
    site.expect_nothing()
