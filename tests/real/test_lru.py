# SPDX-License-Identifier: LGPL-2.1-or-later
"""lru-structure on real dumps: drgn walks the same lists, and faults are planted in them."""

from __future__ import annotations

import contextlib
import functools
import itertools
import struct
from dataclasses import dataclass
from typing import Iterator, Optional

import drgn
import pytest
from drgn.helpers.linux import cgroup, mmzone, percpu
from drgn.helpers.linux.list import list_for_each
from planting import OpenSite, Site, has_member
from stacks import put, sleeper, sleeping_words

#: /proc/kpageflags: include/uapi/linux/kernel-page-flags.h.
KPF_LRU = 1 << 5
KPF_UNEVICTABLE = 1 << 18
KPF_COMPOUND_TAIL = 1 << 16
KPF_PGTABLE = 1 << 26

#: LRU_GEN_PGOFF and LRU_GEN_MASK of the lab's kernels: 1024 nodes, 5 zones, 8192 CPUs.
GEN_SHIFT = 64 - 10 - 3 - (13 + 8) - 3
GEN_MASK = 7 << GEN_SHIFT


@dataclass(frozen=True)
class LruList:
    """One list of a lruvec."""

    memcg: drgn.Object
    pgdat: drgn.Object
    lruvec: drgn.Object
    head: drgn.Object
    is_file: bool
    active: bool
    gen: Optional[int] = None
    zone: Optional[int] = None


def lru_lists(site: Site) -> Iterator[LruList]:
    """All lists of all memory cgroups and nodes, the empty ones too."""
    root = site.prog["root_mem_cgroup"].css.address_of_()
    for css, pgdat in itertools.product(
        cgroup.css_for_each_descendant_pre(root), mmzone.for_each_online_pgdat(site.prog)
    ):
        memcg = drgn.container_of(css, "struct mem_cgroup", "css")
        lruvec = memcg.nodeinfo[pgdat.node_id].lruvec
        # The fifth, of unevictable folios, is no list since v5.18.
        for lru in range(4):
            head = lruvec.lists[lru]
            yield LruList(memcg, pgdat, lruvec, head, lru >= 2, bool(lru % 2))
        if has_member(lruvec, "lrugen"):
            gens = lruvec.lrugen.folios
            for gen, is_file, zone in itertools.product(range(4), range(2), range(5)):
                head = gens[gen][is_file][zone]
                yield LruList(memcg, pgdat, lruvec, head, bool(is_file), False, gen, zone)


def entries(site: Site, lru: LruList) -> Iterator[int]:
    """The pfns on a list."""
    for node in list_for_each(lru.head.address_of_()):
        yield site.pfn(drgn.container_of(node, "struct page", "lru"))


@functools.lru_cache(maxsize=1)
def contents(site: Site) -> "list[tuple[LruList, list[int]]]":
    """All lists and the pfns on them, as the dump came."""
    return [(lru, list(entries(site, lru))) for lru in lru_lists(site)]


def longest(site: Site, *, memcg: bool = False) -> LruList:
    """The longest list, of the root's, or of another memory cgroup."""
    root = site.prog["root_mem_cgroup"]
    lists = [each for each in contents(site) if (each[0].memcg != root) == memcg]
    return max(lists, key=lambda each: len(each[1]))[0]


def folios(site: Site, lru: LruList) -> "list[int]":
    """The folios on a list, as the dump came."""
    return next(pfns for each, pfns in contents(site) if each is lru)


def small_folios(site: Site, lru: LruList) -> "list[int]":
    """Those of one page, but for the list's ends."""
    head = site.flag("PG_head")
    pfns = folios(site, lru)[1:-1]
    # Those in somebody's hands are on their way.
    held = {each["pfn"] for each in site.kernel().dossier(pfns)["in_hand"]}
    return [pfn for pfn in pfns if pfn not in held and not int(site.flags(pfn)) & head]


def counterpart(site: Site, lru: LruList, **other: object) -> LruList:
    """The list of the same lruvec that differs in just this."""
    wanted = {
        name: other.get(name, getattr(lru, name)) for name in ("is_file", "active", "gen", "zone")
    }
    return next(
        each
        for each, _ in contents(site)
        if each.lruvec.address_ == lru.lruvec.address_
        and all(getattr(each, name) == value for name, value in wanted.items())
    )


def move(site: Site, pfn: int, to: LruList) -> None:
    """Move a folio to another list, whatever its flags say."""
    site.list_del(site.lru(pfn))
    site.list_add(site.lru(pfn), to.head)


def lock(site: Site, lru: LruList) -> None:
    """Hold the list's lru_lock."""
    holder = lru.lruvec if has_member(lru.lruvec, "lru_lock") else lru.pgdat
    address = holder.lru_lock.address_
    assert address is not None
    site.write(address, struct.pack("<I", 1))


def count(site: Site, lru: LruList, is_file: Optional[bool], amount: int) -> None:
    """Add to its node's number of LRU pages: anonymous, file, or None: unevictable."""
    first = int(site.prog.constant("NR_LRU_BASE"))
    item = first + (4 if is_file is None else 2 * is_file)
    site.add(lru.pgdat.vm_stat[item].counter, amount)


def memcg_word(site: Site, pfn: int) -> drgn.Object:
    """What names the memory cgroup that a folio is charged to."""
    page = site.page(pfn)
    return page.mem_cgroup if is_old(site) else page.memcg_data


def is_old(site: Site) -> bool:
    """v5.10: lru_lock is the node's, isolation is under it, unevictable folios are listed."""
    return bool(site.prog.type("struct page").has_member("mem_cgroup"))


def flip(site: Site, pfn: int, mask: int) -> None:
    """Invert bits of page->flags."""
    flags = site.flags(pfn)
    site.set(flags, int(flags) ^ mask)


@pytest.fixture
def site(kernel: str, open_site: OpenSite) -> Iterator[Site]:
    site = open_site(kernel, "cgroups")
    contents(site)
    with site.planted():
        yield site


@pytest.fixture
def lru(site: Site) -> LruList:
    """A list to plant faults in."""
    return longest(site)


@pytest.fixture
def pfn(site: Site, lru: LruList) -> int:
    """A folio of one page on that list."""
    return small_folios(site, lru)[0]


def bug(pfn: Optional[int], severity: str = "bug", pages: int = 1) -> "tuple[str, str, int, int]":
    assert pfn is not None
    return ("lru-structure", severity, pfn, pfn + pages)


# Healthy dumps.


def test_healthy(site: Site) -> None:
    site.expect_nothing()


@pytest.mark.parametrize("recipe", ["cgroups", "cgroups-lru"])
def test_lists_and_flags(kernel: str, recipe: str, open_site: OpenSite) -> None:
    """As drgn walks the lists, and as /proc/kpageflags had it, so does the audit."""
    if kernel == "v5.10" and recipe == "cgroups-lru":
        pytest.skip("no multi-gen LRU")
    site = open_site(kernel, recipe)
    site.expect_nothing()
    listed = [pfn for _, pfns in contents(site) for pfn in pfns]
    assert len(listed) == len(set(listed))
    assert len({int(lru.memcg) for lru, _ in contents(site)}) >= 4

    truth = site.dump.truth("proc/kpageflags")
    flags = struct.unpack(f"<{len(truth) // 8}Q", truth)
    on_lru = {
        pfn for pfn, word in enumerate(flags) if word & KPF_LRU and not word & KPF_COMPOUND_TAIL
    }
    evictable = {pfn for pfn in on_lru if not flags[pfn] & KPF_UNEVICTABLE}
    # The guest ran a little while between reading its truth and the dump.
    assert len(evictable ^ set(listed)) < 64

    checks = {c["id"]: c for c in site.kernel().audit(["lru-structure"], None)["checks"]}
    mask = site.flag("PG_lru")
    with_flag = sum(1 for pfn in on_lru | set(listed) if int(site.flags(pfn)) & mask)
    assert checks["lru-structure"]["examined"] == with_flag


# Folios on no list.


def test_unlisted(site: Site, pfn: int) -> None:
    site.list_del(site.lru(pfn))
    (finding,) = site.expect(bug(pfn))
    assert finding["summary"] == "a folio with PG_lru is on no LRU list"
    site.expect_in_second_read("lru-structure", pfn)


def test_unlisted_large(site: Site) -> None:
    mask = site.flag("PG_head")
    head = next(p for _, pfns in contents(site) for p in pfns if int(site.flags(p)) & mask)
    site.list_del(site.lru(head))
    site.expect(bug(head, pages=512))


def test_isolated(site: Site, lru: LruList, pfn: int) -> None:
    """Off the list and PG_lru clear: isolated."""
    site.list_del(site.lru(pfn))
    flip(site, pfn, site.flag("PG_lru"))
    count(site, lru, lru.is_file, -1)
    site.expect_nothing()


def test_unevictable(site: Site, lru: LruList, pfn: int) -> None:
    """Unevictable folios are on no list since v5.18."""
    site.list_del(site.lru(pfn))
    flip(site, pfn, site.flag("PG_unevictable"))
    count(site, lru, lru.is_file, -1)
    count(site, lru, None, 1)
    if is_old(site):
        site.expect(bug(pfn))
    else:
        site.expect_nothing()


def test_unlisted_under_the_lock(site: Site, lru: LruList, pfn: int) -> None:
    site.list_del(site.lru(pfn))
    lock(site, lru)
    site.expect(bug(pfn, "suspect"))


@pytest.mark.parametrize("beside", [0, 8])
def test_moved_by_its_lru(site: Site, lru: LruList, pfn: int, beside: int) -> None:
    """drain_evictable() has nothing else of a folio that it puts onto another list."""
    site.list_del(site.lru(pfn))
    lock(site, lru)
    words = sleeping_words(site, sleeper(site))
    put(site, words, int(site.lru(pfn).address_of_()) + beside)
    if beside:
        site.expect(bug(pfn, "suspect"))
    else:
        site.expect_nothing()
        assert bug(pfn, "info") in site.new_infos()


@pytest.mark.parametrize("where", ["stack", "elsewhere"])
def test_skipped(site: Site, lru: LruList, where: str) -> None:
    """scan_folios() keeps folios that it skips on a list of its own, three here."""
    pfns = small_folios(site, lru)[:3]
    nodes = [int(site.lru(each).address_of_()) for each in pfns]
    for each in pfns:
        site.list_del(site.lru(each))
    lock(site, lru)
    if where == "stack":
        sleeping = sleeper(site)
        words = sleeping_words(site, sleeping)
        head = next(words)
        while next(words) != head + 8:
            head = next(words)
    else:
        head = int(site.prog["init_task"].comm.address_of_())
    ring = [head, *nodes]
    for i, node in enumerate(ring):
        site.write(node, struct.pack("<QQ", ring[(i + 1) % len(ring)], ring[i - 1]))
    if where == "stack":
        site.expect_nothing()
        assert {bug(each, "info") for each in pfns} <= site.new_infos()
    else:
        assert bug(pfns[1], "suspect") in site.audit().above_info()


def test_lock_alone(site: Site, lru: LruList) -> None:
    lock(site, lru)
    site.expect_nothing()


def test_no_such_cgroup(site: Site, pfn: int) -> None:
    """Unlisted, and charged to what is no memory cgroup: one finding."""
    site.list_del(site.lru(pfn))
    # A task is no memory cgroup, nor, at that place, anybody's obj_cgroup.
    wrong = int(site.prog["init_task"].tasks.address_of_())
    if has_member(contents(site)[0][0].memcg.nodeinfo[0][0], "objcg"):
        wrong -= drgn.offsetof(site.prog.type("struct obj_cgroup"), "memcg")
    site.set(memcg_word(site, pfn), wrong)
    (finding,) = site.expect(bug(pfn))
    assert "no memory cgroup that exists" in finding["summary"]


# Broken lists: one fault, however many folios are behind it.


@pytest.mark.parametrize("link", ["next", "prev"])
@pytest.mark.parametrize("value", ["poison", "elsewhere", "itself"])
def test_broken_link(site: Site, lru: LruList, link: str, value: str) -> None:
    pfns = small_folios(site, lru)
    pfn = pfns[len(pfns) // 2]
    node = site.lru(pfn)
    wrong = {
        "poison": 0xDEAD000000000100,
        "elsewhere": int(site.lru(pfns[0]).address_of_()),
        "itself": int(node.address_of_()),
    }[value]
    site.set(node.member_(link), wrong)
    (finding,) = site.expect(bug(pfn))
    evidence = dict(finding["evidence"])
    assert evidence["folios_not_reached"] == 0
    reached = evidence["folios_from_the_front"] + evidence["folios_from_the_back"]
    assert reached == len(folios(site, lru))


def test_deleted_but_linked(site: Site, lru: LruList) -> None:
    """A folio's own links are poison, though both neighbours still name it."""
    pfns = small_folios(site, lru)
    pfn = pfns[len(pfns) // 2]
    site.set(site.lru(pfn).next, 0xDEAD000000000100)
    site.set(site.lru(pfn).prev, 0xDEAD000000000122)
    site.expect(bug(pfn))


def test_broken_twice(site: Site, lru: LruList) -> None:
    """What lies between two breaks is that finding's evidence."""
    pfns = folios(site, lru)
    first, last = len(pfns) // 3, 2 * len(pfns) // 3
    site.set(site.lru(pfns[first]).next, 0xDEAD000000000100)
    site.set(site.lru(pfns[last]).prev, 0xDEAD000000000122)
    (finding,) = site.audit().findings
    assert finding["severity"] == "bug"
    assert finding["pfn"] == pfns[first]
    assert dict(finding["evidence"])["folios_not_reached"] == last - first - 1


@pytest.mark.parametrize("link", ["next", "prev"])
def test_broken_head(site: Site, lru: LruList, link: str) -> None:
    site.set(lru.head.member_(link), int(lru.head.address_of_()))
    site.expect(("lru-structure", "bug", None, None))


def test_broken_under_the_lock(site: Site, lru: LruList, pfn: int) -> None:
    site.set(site.lru(pfn).next, 0xDEAD000000000100)
    lock(site, lru)
    site.expect(bug(pfn, "suspect"))


# Folios on the wrong list.


def test_wrong_cgroup(site: Site, lru: LruList, pfn: int) -> None:
    move(site, pfn, longest(site, memcg=True))
    (finding,) = site.expect(bug(pfn))
    assert "another memory cgroup" in finding["summary"]


@pytest.mark.parametrize("both", [False, True])
def test_given_to_the_parent(site: Site, both: bool) -> None:
    """memcg_reparent_objcgs() has given the lists away, and not yet said so to the folios."""
    child = longest(site, memcg=True)
    if not has_member(child.lruvec, "lru_lock"):
        pytest.skip("the lock is the node's")
    parent = next(
        each
        for each, _ in contents(site)
        if each.memcg.css.address_of_() == child.memcg.css.parent
        and each.pgdat == child.pgdat
        and (each.is_file, each.active, each.gen, each.zone)
        == (child.is_file, child.active, child.gen, child.zone)
    )
    pfn = small_folios(site, child)[0]
    move(site, pfn, parent)
    lock(site, parent)
    if both:
        lock(site, child)
        site.expect_nothing()
        assert bug(pfn, "info") in site.new_infos()
    else:
        site.expect(bug(pfn, "suspect"))


def test_charged_elsewhere(site: Site, lru: LruList, pfn: int) -> None:
    """Moved, and charged where it was moved to."""
    other = longest(site, memcg=True)
    same = next(
        each
        for each, _ in contents(site)
        if each.memcg == other.memcg
        and each.pgdat == lru.pgdat
        and (each.is_file, each.active, each.gen, each.zone)
        == (lru.is_file, lru.active, lru.gen, lru.zone)
    )
    word = int(memcg_word(site, small_folios(site, other)[0]))
    move(site, pfn, same)
    site.set(memcg_word(site, pfn), word)
    site.expect_nothing()


def test_charged_to_none(site: Site, pfn: int) -> None:
    """What is charged to none is the root's, where it is."""
    site.set(memcg_word(site, pfn), 0)
    site.expect_nothing()


def test_wrong_type(site: Site, lru: LruList, pfn: int) -> None:
    move(site, pfn, counterpart(site, lru, is_file=not lru.is_file))
    (finding,) = site.expect(bug(pfn))
    assert "another type" in finding["summary"]


def test_lazily_freed(site: Site, lru: LruList) -> None:
    """An anonymous folio of MADV_FREE lies with those of files: PG_swapbacked is clear."""
    pfn = next(pfn for pfn in small_folios(site, lru) if int(site.page(pfn).mapping) & 1)
    move(site, pfn, counterpart(site, lru, is_file=not lru.is_file))
    flip(site, pfn, site.flag("PG_swapbacked"))
    count(site, lru, lru.is_file, -1)
    count(site, lru, not lru.is_file, 1)
    site.expect_nothing()


@pytest.mark.parametrize("recipe", ["cgroups", "cgroups-lru"])
def test_activity_or_generation(kernel: str, recipe: str, open_site: OpenSite) -> None:
    if kernel == "v5.10" and recipe == "cgroups-lru":
        pytest.skip("no multi-gen LRU")
    site = open_site(kernel, recipe)
    lru = longest(site)
    pfn = small_folios(site, lru)[0]
    if lru.gen is None:
        with site.planted():
            flip(site, pfn, site.flag("PG_active"))
            site.expect(bug(pfn))
        with site.planted():
            flip(site, pfn, site.flag("PG_active"))
            move(site, pfn, counterpart(site, lru, active=not lru.active))
            site.expect_nothing()
        return
    gen = int(site.flags(pfn)) & GEN_MASK
    assert 1 <= gen >> GEN_SHIFT <= 4
    for wrong in (0, 5, 6, 7):
        with site.planted():
            flip(site, pfn, gen ^ wrong << GEN_SHIFT)
            (finding,) = site.expect(bug(pfn))
            assert "another generation" in finding["summary"]
    # A younger generation by its flags: reclaim will move it.
    for right in (1, 2, 3, 4):
        with site.planted():
            flip(site, pfn, gen ^ right << GEN_SHIFT)
            site.expect_nothing()
    with site.planted():
        assert lru.zone is not None
        move(site, pfn, counterpart(site, lru, zone=lru.zone ^ 1))
        (finding,) = site.expect(bug(pfn))
        assert "another zone" in finding["summary"]


# On a list without PG_lru.


def test_detached(site: Site, pfn: int) -> None:
    """Between the list and whoever isolates it; before v5.11 that is under the lock."""
    flip(site, pfn, site.flag("PG_lru"))
    site.expect(bug(pfn, "bug" if is_old(site) else "suspect"))
    site.expect_in_second_read("lru-structure", pfn)


def test_detached_under_the_lock(site: Site, lru: LruList, pfn: int) -> None:
    flip(site, pfn, site.flag("PG_lru"))
    lock(site, lru)
    site.expect_nothing()
    assert site.new_infos() == {bug(pfn, "info")}


def a_batch(site: Site) -> "tuple[drgn.Object, drgn.Object]":
    """A batch of the second CPU's for the active list, and its slots."""
    batches = {
        "cpu_fbatches": ("lru_activate", "activate"),
        "lru_pvecs": ("activate_page",),
    }
    for symbol, members in batches.items():
        with contextlib.suppress(KeyError):
            per_cpu = percpu.per_cpu(site.prog[symbol], 1)
            member = next(m for m in members if has_member(per_cpu, m))
            batch = per_cpu.member_(member)
    return batch, batch.folios if has_member(batch, "folios") else batch.pages


def test_detached_in_a_batch(site: Site, pfn: int) -> None:
    """v6.11 to v6.17 cleared PG_lru of what waits in a batch to be moved."""
    batch, slots = a_batch(site)
    nr = int(batch.nr)
    site.set(batch.nr, nr + 1)
    site.set(slots[nr], int(site.page(pfn)))
    site.add(site.refcount(pfn), 1)
    flip(site, pfn, site.flag("PG_lru"))
    site.expect_nothing()


def test_slot_of_a_dead_folio(site: Site, pfn: int) -> None:
    """v7.2 takes folios that nobody else holds from a batch, and leaves NULL there."""
    batch, slots = a_batch(site)
    nr = int(batch.nr)
    site.set(batch.nr, nr + 2)
    site.set(slots[nr], 0)
    site.set(slots[nr + 1], int(site.page(pfn)))
    site.add(site.refcount(pfn), 1)
    site.expect_nothing()


def test_no_lru_folio(site: Site, lru: LruList) -> None:
    """A page table's page among folios."""
    truth = site.dump.truth("proc/kpageflags")
    flags = struct.unpack(f"<{len(truth) // 8}Q", truth)
    table = next(pfn for pfn, word in enumerate(flags) if word & KPF_PGTABLE)
    site.list_add(site.lru(table), lru.head)
    (finding,) = site.expect(bug(table))
    assert "no LRU folio" in finding["summary"]


# Stale entries are another check's, and one finding.


@pytest.fixture
def hotplug(kernel: str, open_site: OpenSite) -> Iterator[Site]:
    site = open_site(kernel, "hotplug")
    contents(site)
    with site.planted():
        yield site


def test_offline_page_on_a_list(hotplug: Site) -> None:
    pfn = hotplug.ranges("offline")[0][0] + 7
    hotplug.list_add(hotplug.lru(pfn), longest(hotplug).head)
    hotplug.expect(("stale-page-reference", "bug", pfn, pfn + 1))


def test_offline_page_with_the_flag(hotplug: Site) -> None:
    """What was left in an offline section's memory map is not judged."""
    pfn = hotplug.ranges("offline")[0][0] + 7
    hotplug.set(hotplug.flags(pfn), int(hotplug.flags(pfn)) | hotplug.flag("PG_lru"))
    hotplug.expect_nothing()


def test_not_at_a_page(site: Site, lru: LruList, pfn: int) -> None:
    """A list_head in the middle of a struct page that knows nothing of it."""
    site.list_add_address(int(site.page(pfn)) + 32, lru.head)
    (found,) = {f["check"]: f for f in site.audit().findings if f["severity"] == "bug"}.values()
    assert found["check"] == "stale-page-reference"


def test_free_page(site: Site, lru: LruList) -> None:
    """A free block on an LRU list is not on its free list: each list has its finding."""
    block = site.free_block(0)
    site.list_del(site.lru(block.pfn))
    site.list_add(site.lru(block.pfn), lru.head)
    found = site.audit().above_info()
    assert ("stale-page-reference", "bug", block.pfn, block.pfn + 1) in found
    assert not [f for f in found if f[0] == "lru-structure"]
