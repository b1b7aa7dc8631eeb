# SPDX-License-Identifier: LGPL-2.1-or-later
"""stale-page-reference: lists and hints that name pages which must not be used."""

from __future__ import annotations

from typing import Callable

import drgn
import pytest
from places import added, altmap, device, hole, offline, removed
from planting import Expected, Site

#: What must not be on a list.
TARGETS = (offline, added, hole, altmap, device)


@pytest.fixture(params=TARGETS, ids=lambda target: str(target.__name__))
def target(request: pytest.FixtureRequest, site: Site) -> int:
    """A page that must not be used, of each kind in turn."""
    find: Callable[[Site], int] = request.param
    return find(site)


def stale(pfn: int) -> Expected:
    return "stale-page-reference", "bug", pfn, pfn + 1


def lru_list(site: Site) -> drgn.Object:
    """A list of folios of the root memory cgroup that has entries."""
    nodeinfo = site.prog["root_mem_cgroup"].nodeinfo[0]
    lruvec = nodeinfo.lruvec
    if lruvec.type_.has_member("lrugen"):
        lrugen = lruvec.lrugen
        name = "lists" if lrugen.type_.has_member("lists") else "folios"
        candidates = [
            lrugen.member_(name)[gen][kind][zone]
            for gen in range(4)
            for kind in range(2)
            for zone in range(4)
        ]
    else:
        candidates = []
    candidates += list(lruvec.lists)
    return next(each for each in candidates if int(each.next) != int(each.address_of_()))


def free_list(site: Site, order: int) -> "tuple[drgn.Object, drgn.Object]":
    """A zone, and one of its free lists."""
    zone = site.zone("DMA32")
    return zone, zone.free_area[order].free_list[1]


def count(site: Site, zone: drgn.Object, order: int) -> None:
    """As if the page had been freed to the list."""
    site.add(zone.free_area[order].nr_free, 1)
    site.add(site.free_pages(zone), 1 << order)


@pytest.mark.parametrize("order", [0, 9])
def test_on_a_free_list(site: Site, target: int, order: int) -> None:
    zone, head = free_list(site, order)
    site.list_add(site.lru(target), head)
    count(site, zone, order)
    (finding,) = site.expect(stale(target))
    assert finding["evidence"]["list_head"] == hex(int(head.address_of_()))


def test_on_a_pcp_list(site: Site, target: int) -> None:
    pcp = site.pcp(site.zone("DMA32"), 1)
    site.list_add(site.lru(target), pcp.lists[1])
    site.add(pcp.count, 1)
    site.expect(stale(target))


def test_on_an_lru_list(site: Site, target: int) -> None:
    site.list_add(site.lru(target), lru_list(site))
    site.expect(stale(target))


def test_list_names_a_removed_page(site: Site) -> None:
    """It can't be followed any further, but what it names can be told."""
    pfn = removed(site)
    node = int(site.page(pfn)) + 8
    for head in (free_list(site, 0)[1], site.pcp(site.zone("DMA32"), 1).lists[1], lru_list(site)):
        with site.planted():
            site.write(int(head.next) + 8, node.to_bytes(8, "little"))
            site.set(head.next, node)
            assert site.audit().above_info() == [stale(pfn)]


@pytest.mark.parametrize("offset", [16, 24, 40])
def test_not_at_the_start_of_a_page(site: Site, offset: int) -> None:
    """A node in the middle of a struct page: the links fit, the page does not."""
    pfn = offline(site)
    zone, head = free_list(site, 0)
    site.list_add_address(int(site.page(pfn)) + offset, head)
    count(site, zone, 0)
    (found,) = site.audit().above_info()
    assert found[:3] == ("stale-page-reference", "bug", pfn)


def test_compound_head(site: Site) -> None:
    """A tail whose head is in memory that is offline."""
    thp = site.events("thp")[0]["pfn"] // 512 * 512
    pfn = offline(site) // 512 * 512
    if site.page(thp)[0].type_.has_member("compound_info"):
        pytest.skip("tails name their head by a mask: it is never far away")
    for tail in 64, 300:
        with site.planted():
            site.set(site.compound_word(thp + tail), int(site.page(pfn)) + 1)
            (found,) = site.audit().above_info()
            assert found[0] in ("stale-page-reference", "compound-structure")
            assert found[2] in (pfn, thp + tail)


def hints(site: Site, zone: drgn.Object) -> "list[drgn.Object]":
    """Where compaction would go on."""
    return [zone.compact_cached_free_pfn, *zone.compact_cached_migrate_pfn]


def test_hint(site: Site) -> None:
    """Compaction tests what it has kept, before it uses it."""
    zone = site.zone("Movable")
    before = site.audit().infos()
    pfn = offline(site) & ~0x1FF
    for hint in hints(site, zone):
        with site.planted():
            site.set(hint, pfn)
            site.expect_nothing()
            assert site.audit().infos() - before == {("stale-page-reference", "info", pfn, pfn + 1)}


def test_hint_that_was_never_set(site: Site) -> None:
    zone = site.zone("Movable")
    for hint in hints(site, zone):
        site.set(hint, 0)
    site.expect_nothing()
    assert not [f for f in site.audit().infos() if f[0] == "stale-page-reference"]


# Near misses.


def test_free_page_put_elsewhere(site: Site) -> None:
    """What makes such an entry stale is the section, not that somebody moved it."""
    zone, head = free_list(site, 0)
    block = site.free_block(order=0, zone=zone)
    site.list_del(site.lru(block.pfn))
    site.list_add(site.lru(block.pfn), head)
    site.expect_nothing()


def test_links_in_offline_memory(site: Site) -> None:
    """What offline pages say themselves is nobody's reference."""
    for pfn in offline(site), added(site), hole(site):
        lru = site.lru(pfn)
        site.set(lru.next, int(site.page(device(site))) + 8)
        site.set(lru.prev, int(free_list(site, 0)[1].address_of_()))
    site.expect_nothing()
