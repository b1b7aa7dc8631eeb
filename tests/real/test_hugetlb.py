# SPDX-License-Identifier: LGPL-2.1-or-later
"""hugetlb-pool on real dumps: what /proc said of the pools, and faults planted in them."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Iterator, Optional

import drgn
import pytest
from drgn.helpers.linux.list import list_for_each
from planting import LIST_POISON, OpenSite, Site, has_member
from stacks import put, sleeper, sleeping_words

HUGE_PAGES = 512

#: enum hugetlb_page_flags in the head's private; v5.10 has none.
FREED = 1 << 3


@dataclass(frozen=True)
class Pool:
    """The pool of huge pages of 2 MiB, and what lies in it."""

    hstate: drgn.Object
    free: "list[int]"
    active: "list[int]"


def pfns(site: Site, head: drgn.Object) -> "list[int]":
    nodes = list_for_each(head.address_of_())
    return [site.pfn(drgn.container_of(node, "struct page", "lru")) for node in nodes]


def pool_of(site: Site) -> Pool:
    states = site.prog["hstates"]
    hstate = next(h for h in states if 1 << int(h.order) == HUGE_PAGES)
    return Pool(
        hstate,
        pfns(site, hstate.hugepage_freelists[0]),
        pfns(site, hstate.hugepage_activelist),
    )


def bug(
    pfn: Optional[int], severity: str = "bug"
) -> "tuple[str, str, Optional[int], Optional[int]]":
    return ("hugetlb-pool", severity, pfn, None if pfn is None else pfn + HUGE_PAGES)


@pytest.fixture(params=["light", "hvo"])
def site(request: pytest.FixtureRequest, kernel: str, open_site: OpenSite) -> Iterator[Site]:
    if kernel == "v5.10" and request.param == "hvo":
        pytest.skip("no vmemmap optimisation")
    site = open_site(kernel, request.param)
    with site.planted():
        yield site


@pytest.fixture
def pool(site: Site) -> Pool:
    return pool_of(site)


def lock(site: Site) -> None:
    """Hold hugetlb_lock."""
    address = site.prog["hugetlb_lock"].address_
    assert address is not None
    site.write(address, struct.pack("<I", 1))


def free_node(pool: Pool) -> drgn.Object:
    return pool.hstate.free_huge_pages_node[0]


# Healthy dumps.


def test_healthy(site: Site, pool: Pool) -> None:
    site.expect_nothing()
    meminfo = {
        line.split(":")[0]: int(line.split()[1])
        for line in site.dump.truth("proc/meminfo").decode().splitlines()
    }
    assert len(pool.free) == meminfo["HugePages_Free"] > 2
    assert len(pool.free) + len(pool.active) == meminfo["HugePages_Total"]
    checks = {c["id"]: c for c in site.kernel().audit(["hugetlb-pool"], None)["checks"]}
    assert checks["hugetlb-pool"]["examined"] == meminfo["HugePages_Total"]
    assert checks["hugetlb-pool"]["status"] == "ran"


# Counters.


@pytest.mark.parametrize("counter", ["nr", "free", "surplus"])
def test_sum_of_nodes(site: Site, pool: Pool, counter: str) -> None:
    site.add(pool.hstate.member_(f"{counter}_huge_pages"), 1)
    (finding,) = site.expect(bug(None))
    assert "its nodes' sum" in finding["summary"]


@pytest.mark.parametrize("counter", ["nr", "free"])
def test_count_of_one_node(site: Site, pool: Pool, counter: str) -> None:
    site.add(pool.hstate.member_(f"{counter}_huge_pages_node")[0], 1)
    (finding,) = site.expect(bug(None))
    assert "of node 0" in finding["summary"]


def test_free_count(site: Site, pool: Pool) -> None:
    """More free pages counted than listed, and none to be found."""
    site.add(pool.hstate.free_huge_pages, 1)
    site.add(free_node(pool), 1)
    site.expect(bug(None))


def test_count_against_the_memory_map(site: Site, pool: Pool) -> None:
    site.add(pool.hstate.nr_huge_pages, 1)
    site.add(pool.hstate.nr_huge_pages_node[0], 1)
    (finding,) = site.expect(bug(None))
    evidence = dict(finding["evidence"])
    assert evidence["folios_in_memory_map"] == len(pool.free) + len(pool.active)


def test_overcommitted(site: Site, pool: Pool) -> None:
    site.set(pool.hstate.resv_huge_pages, len(pool.free) + 1)
    site.expect(bug(None, "suspect"))


def test_all_reserved(site: Site, pool: Pool) -> None:
    site.set(pool.hstate.resv_huge_pages, len(pool.free))
    site.expect_nothing()


def test_counter_under_the_lock(site: Site, pool: Pool) -> None:
    site.add(pool.hstate.free_huge_pages, 1)
    site.add(free_node(pool), 1)
    lock(site)
    site.expect(bug(None, "suspect"))


def test_lock_alone(site: Site) -> None:
    lock(site)
    site.expect_nothing()


# The free list.


def test_page_that_is_dequeued(site: Site, pool: Pool) -> None:
    """list_move() has nothing but its lru, in a register, and the lock is held."""
    pfn = pool.free[0]
    site.list_del(site.lru(pfn))
    lock(site)
    site.expect(bug(pfn, "suspect"))
    put(site, sleeping_words(site, sleeper(site)), int(site.lru(pfn).address_of_()))
    site.expect_nothing()


def test_lost_from_the_free_list(site: Site, pool: Pool) -> None:
    site.list_del(site.lru(pool.free[0]))
    site.expect(bug(pool.free[0]))


def test_removed_from_the_pool(site: Site, pool: Pool) -> None:
    """Off the list and uncounted, as remove_hugetlb_folio() leaves it with its mark kept."""
    site.list_del(site.lru(pool.free[0]))
    for counter in ("nr", "free"):
        site.add(pool.hstate.member_(f"{counter}_huge_pages"), -1)
        site.add(pool.hstate.member_(f"{counter}_huge_pages_node")[0], -1)
    site.expect_nothing()


def test_taken_into_use(site: Site, pool: Pool) -> None:
    """What dequeue_hugetlb_folio_node_exact() does: the pool is sound, but who has the folio?"""
    pfn = pool.free[0]
    site.list_del(site.lru(pfn))
    site.list_add(site.lru(pfn), pool.hstate.hugepage_activelist)
    site.set(site.refcount(pfn), 1)
    private = site.page(pfn).private
    site.set(private, int(private) & ~FREED)
    site.add(pool.hstate.free_huge_pages, -1)
    site.add(free_node(pool), -1)
    site.expect(("refcount-leak", "bug", pfn, pfn + HUGE_PAGES))


def test_isolated_for_migration(site: Site, pool: Pool) -> None:
    """In use, and on a list of whoever migrates it."""
    site.list_del(site.lru(pool.active[0]))
    site.expect_nothing()


def test_free_with_references(site: Site, pool: Pool) -> None:
    site.set(site.refcount(pool.free[0]), 1)
    site.expect(bug(pool.free[0]))


def test_free_with_a_mapping(site: Site, pool: Pool) -> None:
    site.set(site.page(pool.free[0]).mapping, int(site.prog["init_task"].address_of_()))
    site.expect(bug(pool.free[0]))


@pytest.mark.parametrize("link", ["next", "prev"])
def test_broken_list(site: Site, pool: Pool, link: str) -> None:
    site.set(site.lru(pool.free[1]).member_(link), LIST_POISON[0])
    # Forwards it is the second that does not answer for the first.
    site.expect(bug(pool.free[1 if link == "next" else 0]))


def test_wrong_node(site: Site, pool: Pool) -> None:
    pfn = pool.free[0]
    site.list_del(site.lru(pfn))
    site.list_add(site.lru(pfn), pool.hstate.hugepage_freelists[1])
    site.expect(bug(pfn))


def test_ordinary_page_on_the_free_list(site: Site, pool: Pool) -> None:
    """A page that is used, and no hugetlb folio."""
    block = site.free_block(0)
    site.allocate(block)
    site.list_add(site.lru(block.pfn), pool.hstate.hugepage_freelists[0])
    site.expect(("hugetlb-pool", "bug", block.pfn, block.pfn + 1))


def test_poisoned_on_the_free_list(site: Site, pool: Pool) -> None:
    """It could not be dissolved: legal, and lost to the pool."""
    mask = site.flag("PG_hwpoison")
    if not mask:
        pytest.skip("no CONFIG_MEMORY_FAILURE")
    flags = site.flags(pool.free[0])
    site.set(flags, int(flags) | mask)
    assert bug(pool.free[0], "info") in site.new_infos()
    assert not [f for f in site.audit().above_info() if f[0] == "hugetlb-pool"]


def test_no_pages_at_all(site: Site, pool: Pool) -> None:
    """A pool that nobody filled is examined, and empty."""
    gigantic = [h for h in site.prog["hstates"] if int(h.order) > 9]
    assert all(not int(h.nr_huge_pages) for h in gigantic)
    assert has_member(pool.hstate, "nr_huge_pages")
