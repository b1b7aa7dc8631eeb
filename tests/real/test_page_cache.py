# SPDX-License-Identifier: LGPL-2.1-or-later
"""The memory manager's own references: page cache, swap cache, batches, lists, mmu_gathers.

An xarray walk of this file's own reads what the super blocks' inodes have.
"""

from __future__ import annotations

import functools
import struct
from collections import Counter
from dataclasses import dataclass
from typing import Any, Iterator

import drgn
import pytest
from drgn.helpers.linux import mm, percpu
from drgn.helpers.linux.cpumask import for_each_possible_cpu
from drgn.helpers.linux.list import list_for_each_entry
from drgn.helpers.linux.mmzone import for_each_online_pgdat
from drgn.helpers.linux.pid import for_each_task
from dumps import Open
from folios import find, task
from lab import make
from places import batches
from planting import LIST_POISON, Expected, Site, has_member

#: S_DAX.
DAX = 1 << 13
#: fs/dax.c: a DAX entry's value.
DAX_ZERO_OR_EMPTY, DAX_SHIFT = 12, 4
#: These count a huge page of hugetlbfs as one.
OLD_HUGETLB = ("v5.10", "v6.1")
ALL_PAGES = [(0, 1 << 40)]


@dataclass(frozen=True)
class Slot:
    """A slot of an xarray that is in use."""

    address: int
    entry: int
    first: int
    last: int


class Guest:
    """A dump, what drgn knows of it, and what the census says."""

    def __init__(self, dump: make.Dump, kernel: Any) -> None:
        self.prog = drgn.Program()
        self.prog.set_core_dump(dump.vmcore)
        self.prog.load_debug_info([dump.vmlinux])
        self.census = kernel.census()
        self.references = kernel.references(ALL_PAGES)

    def told(self, holder: str) -> "list[dict[str, Any]]":
        return [r for r in self.references if r["holder"] == holder]

    def pfn(self, page: int) -> int:
        return int(mm.page_to_pfn(drgn.Object(self.prog, "struct page *", page)))

    def page(self, pfn: int) -> drgn.Object:
        return mm.pfn_to_page(self.prog, pfn)

    def xarray(self, xarray: drgn.Object) -> Iterator[Slot]:
        """All slots of an xarray but empty, retry and zero ones."""
        head = xarray.xa_head
        yield from self._entry(int(head), int(head.address_of_()), 0, 1)

    def _entry(self, entry: int, address: int, first: int, nr: int) -> Iterator[Slot]:
        if entry & 3 == 2:
            if entry > 4096:
                yield from self._node(entry - 2, first)
        elif entry:
            yield Slot(address, entry, first, first + nr - 1)

    def _node(self, address: int, base: int) -> Iterator[Slot]:
        node = drgn.Object(self.prog, "struct xa_node", address=address)
        size = 1 << int(node.shift)
        slots = int(node.slots.address_of_())
        words = struct.unpack("<64Q", self.prog.read(slots, 512))
        for i, word in enumerate(words):
            # Siblings name the slot that they belong to.
            nr = 1
            while i + nr < 64 and words[i + nr] == i << 2 | 2:
                nr += 1
            if word & 3 == 2 and word < 4096:
                continue
            yield from self._entry(word, slots + i * 8, base + i * size, nr * size)

    @functools.cached_property
    def inodes(self) -> "list[drgn.Object]":
        return [
            inode
            for sb in list_for_each_entry(
                "struct super_block", self.prog["super_blocks"].address_of_(), "s_list"
            )
            for inode in list_for_each_entry("struct inode", sb.s_inodes.address_of_(), "i_sb_list")
        ]

    @functools.cached_property
    def mappings(self) -> "dict[int, drgn.Object]":
        """Mappings of inodes on lists that have something in them, by address."""
        found = {}
        for inode in self.inodes:
            for mapping in (inode.i_data.address_of_(), inode.i_mapping):
                if mapping.i_pages.xa_head or mapping.nrpages:
                    found[int(mapping)] = mapping
        return found

    @functools.cached_property
    def slots(self) -> "dict[int, list[Slot]]":
        """By mapping, those that no list has too."""
        unlisted = (m["address"] for m in self.census["mappings"] if m["unlisted"])
        mappings = {
            **self.mappings,
            **{a: drgn.Object(self.prog, "struct address_space *", a) for a in unlisted},
        }
        return {a: list(self.xarray(mapping.i_pages)) for a, mapping in mappings.items()}

    def is_dax(self, mapping: int) -> bool:
        inode = drgn.Object(self.prog, "struct address_space *", mapping).host
        return bool(int(inode.i_flags) & DAX)

    def node_stat(self, name: str) -> int:
        """A node's counter, with what CPUs have not added yet."""
        item = self.prog[name]
        total = int(self.prog["vm_node_stat"][item].counter)
        for pgdat in for_each_online_pgdat(self.prog):
            for cpu in for_each_possible_cpu(self.prog):
                diffs = percpu.per_cpu_ptr(pgdat.per_cpu_nodestats, cpu).vm_node_stat_diff
                total += int(diffs[item])
        return total


@functools.lru_cache(maxsize=1)
def open_guest(kernel: str, recipe: str, open_dump: Open) -> Guest:
    return Guest(make.dump(kernel, recipe), open_dump(kernel, recipe).kernel)


@pytest.fixture(params=("light", "full", "census"))
def guest(request: pytest.FixtureRequest, kernel: str, open_dump: Open) -> Guest:
    return open_guest(kernel, request.param, open_dump)


@pytest.fixture
def full(kernel: str, open_dump: Open) -> Guest:
    return open_guest(kernel, "full", open_dump)


def test_mappings(guest: Guest) -> None:
    """Every mapping with pages, and its nrpages."""
    told = {m["address"]: m for m in guest.census["mappings"]}
    assert {a for a, m in told.items() if not m["unlisted"]} == set(guest.mappings)
    assert len(told) > 10
    for address, mapping in guest.mappings.items():
        assert told[address]["nrpages"] == told[address]["counted"] == int(mapping.nrpages)
        assert told[address]["host"] == int(mapping.host)
        assert told[address]["dax"] == guest.is_dax(address)
        assert not told[address]["unreadable"]
    for address, mapping in told.items():
        values = sum(slot.entry & 1 for slot in guest.slots[address])
        assert mapping["values"] == values


def test_unlisted(full: Guest) -> None:
    """The rings of AIO are in the page cache of an inode that is on no list."""
    unlisted = [m for m in full.census["mappings"] if m["unlisted"]]
    rings = {r["owner"] for r in full.told("AIO ring")}
    assert unlisted
    assert len(unlisted) >= len(rings)
    for told in unlisted:
        mapping = drgn.Object(full.prog, "struct address_space *", told["address"])
        assert mapping == mapping.host.i_mapping
        assert told["nrpages"] == told["counted"] == int(mapping.nrpages)


def test_every_slot(guest: Guest) -> None:
    """Slot by slot: what it names, whose it is, at what index, for how many references."""
    expected = set()
    for mapping, slots in guest.slots.items():
        for slot in slots:
            count = slot.last - slot.first + 1
            if not slot.entry & 1:
                pfn = guest.pfn(slot.entry)
                expected.add((pfn, slot.address, mapping, slot.first, "get", count))
            elif guest.is_dax(mapping) and not slot.entry >> 1 & DAX_ZERO_OR_EMPTY:
                pfn = slot.entry >> 1 + DAX_SHIFT
                expected.update(
                    (pfn + i, slot.address, mapping, slot.first + i, "link", 1)
                    for i in range(count)
                )
    told = [
        (r["pfn"], r["slot"], r["owner"], r["index"], r["kind"], r["count"])
        for r in guest.told("page cache")
    ]
    assert len(told) == len(set(told))
    assert set(told) == expected


def test_folios(kernel: str, guest: Guest) -> None:
    """Each folio on the LRU that has a mapping is cached once for each base page."""
    cached: "Counter[int]" = Counter()
    for reference in guest.told("page cache"):
        if reference["kind"] == "get":
            cached[reference["pfn"]] += reference["count"]
    names = {value: name for name, value in guest.census["class_names"].items()}
    size = len(next(iter(guest.census["classes"].values())))
    page_size = guest.prog.type("struct page").size
    assert page_size
    start = int(guest.page(0))
    mapping_at = guest.prog.type("struct page").member("mapping").offset
    of_files = 0
    for nr, classes in guest.census["classes"].items():
        for i, value in enumerate(classes):
            name = names.get(value & 0x3F)
            if name not in ("lru", "lru-unevictable", "hugetlb"):
                continue
            pfn = nr * size + i
            mapping = guest.prog.read_u64(start + pfn * page_size + mapping_at)
            if not mapping or mapping & 3:
                assert pfn not in cached
                continue
            of_files += 1
            pages = int(mm.compound_nr(guest.page(pfn)))
            if name == "hugetlb" and kernel in OLD_HUGETLB:
                pages = 1
            assert cached.pop(pfn) == pages
    assert of_files > 1000
    # What else is cached is on its way to the LRU, or of inodes that keep off it.
    assert len(cached) < 100


def test_swap_cache(kernel: str, open_dump: Open) -> None:
    """As many as the kernel counts; each is a folio with PG_swapcache, at its slot."""
    guest = open_guest(kernel, "census", open_dump)
    told = guest.told("swap cache")
    assert told
    try:
        assert sum(r["count"] for r in told) == guest.node_stat("NR_SWAPCACHE")
    except KeyError:
        spaces = guest.prog["swapper_spaces"][0]
        nr = guest.prog["nr_swapper_spaces"][0]
        assert len(told) == sum(int(spaces[i].nrpages) for i in range(nr))
    for reference in told:
        page = guest.page(reference["pfn"])
        # page->flags, which is a struct since v6.18, is the first word.
        flags = guest.prog.read_u64(page)
        assert flags >> int(guest.prog.constant("PG_swapcache")) & 1
        assert flags >> int(guest.prog.constant("PG_swapbacked")) & 1
        assert reference["kind"] == "get"
        assert reference["count"] == 1
        if not mm.PageCompound(page):
            # swp_entry_t: the type above the offset.
            entry = int(page.private)
            offset = entry & (1 << 58) - 1
            assert offset & 0x3FFF == reference["index"] & 0x3FFF


def test_batches(guest: Guest) -> None:
    """Every slot of every per-cpu batch."""
    expected: "set[tuple[int, int, int]]" = set()
    for cpu in for_each_possible_cpu(guest.prog):
        for batch in batches(guest.prog, cpu):
            slots = batch.pages if has_member(batch, "pages") else batch.folios
            for i in range(int(batch.nr)):
                slot = slots[i]
                expected.add((guest.pfn(int(slot)), int(slot.address_of_()), cpu))
    told = guest.told("LRU batch")
    assert {(r["pfn"], r["slot"], r["index"]) for r in told} == expected
    assert all(r["count"] == 1 for r in told)


# Planted.


def sleeping_kthread(site: Site) -> drgn.Object:
    """A kernel thread that sleeps: where user registers would be, its stack has nothing."""
    return next(
        task
        for task in for_each_task(site.prog)
        if not task.mm and not task.on_cpu and int(task.pid) > 2
    )


def stack_room(site: Site, task: drgn.Object) -> int:
    """Some 160 bytes at the end of a kernel thread's stack."""
    registers = site.prog.type("struct pt_regs").size
    assert registers
    return int(task.stack) + 16384 - int(registers)


def file_folio(site: Site) -> int:
    """The pfn of a folio of order 0 in the page cache, that is on a list of the LRU."""
    census = site.kernel().census()
    lru = census["class_names"]["lru"] | 0x40
    for nr, classes in census["classes"].items():
        for i, value in enumerate(classes):
            page = site.page(nr * len(classes) + i)
            if (
                value == lru
                and page.mapping
                and not int(page.mapping) & 3
                and not mm.PageCompound(page)
                and not int(site.flags(nr * len(classes) + i)) & site.flag("PG_private")
            ):
                return int(nr * len(classes) + i)
    raise AssertionError("no such folio")


def isolate(site: Site, pfn: int, head: int) -> None:
    """Take a folio off the LRU onto a list, as folio_isolate_lru() does."""
    site.list_del(site.lru(pfn))
    site.set(site.flags(pfn), int(site.flags(pfn)) & ~site.flag("PG_lru"))
    site.add(site.refcount(pfn), 1)
    node = int(site.lru(pfn).address_of_())
    site.write(head, struct.pack("<QQ", node, node))
    site.write(node, struct.pack("<QQ", head, head))


def test_isolated(site: Site) -> None:
    """On a list of a task's, and, just beside, on one that is no task's."""
    task = sleeping_kthread(site)
    pfn = file_folio(site)
    head = stack_room(site, task)
    with site.planted():
        isolate(site, pfn, head)
        told = site.kernel().references([(pfn, pfn + 1)])
        of_list = [r for r in told if r["holder"] == "isolated"]
        assert len(of_list) == 1
        assert (of_list[0]["owner"], of_list[0]["index"]) == (int(task), head)
        assert (of_list[0]["kind"], of_list[0]["count"]) == ("get", 1)
        assert of_list[0]["slot"] == int(site.lru(pfn).address_of_())
        assert sum(r["count"] for r in told if r["kind"] in ("get", "map")) == int(
            site.refcount(pfn)
        )
    with site.planted():
        isolate(site, pfn, int(site.prog["init_task"].comm.address_of_()))
        told = site.kernel().references([(pfn, pfn + 1)])
        assert not [r for r in told if r["holder"] == "isolated"]
    with site.planted():
        isolate(site, pfn, head)
        # Taken off again: the list's head still names it.
        site.write(int(site.lru(pfn).address_of_()), struct.pack("<QQ", *LIST_POISON))
        told = site.kernel().references([(pfn, pfn + 1)])
        assert not [r for r in told if r["holder"] == "isolated"]


class Gather:
    """A mmu_gather to be written to a stack."""

    def __init__(self, site: Site, task: drgn.Object) -> None:
        self.site = site
        self.prog = site.prog
        self.address = stack_room(site, task)
        kind = self.prog.type("struct mmu_gather")
        assert kind.size is not None
        assert kind.size <= site.prog.type("struct pt_regs").size
        site.write(self.address, bytes(kind.size))
        self.tlb = drgn.Object(self.prog, kind, address=self.address)
        user = next(t for t in for_each_task(self.prog) if t.mm)
        site.set(self.tlb.mm, int(user.mm))
        site.set(self.tlb.active, int(self.tlb.local.address_of_()))
        site.set(self.tlb.local.max, 8)

    @property
    def encoded(self) -> bool:
        return has_member(self.tlb.local, "encoded_pages")

    def fill(self, *words: int) -> None:
        self.site.set(self.tlb.local.nr, len(words))
        for i, word in enumerate(words):
            self.site.set(self.tlb.member_("__pages")[i], word)

    def delay(self) -> None:
        """Some mapcounts are still to be dropped."""
        offset = self.tlb.type_.member("delayed_rmap").bit_offset
        byte = self.address + offset // 8
        self.site.write(byte, bytes([self.prog.read(byte, 1)[0] | 1 << offset % 8]))

    def told(self, pfn: int, end: int) -> "list[tuple[int, str, int]]":
        references = self.site.kernel().references([(pfn, end)])
        found = [r for r in references if r["holder"] == "mmu_gather"]
        assert all(r["index"] == self.address for r in found)
        return [(r["pfn"], r["kind"], r["count"]) for r in found]


def test_mmu_gather(site: Site) -> None:
    """Entries of each kind; and nothing of what only looks like a mmu_gather."""
    pfn = file_folio(site)
    page = int(site.page(pfn))
    size = site.prog.type("struct page").size
    assert size
    gather = Gather(site, sleeping_kthread(site))
    gather.fill(page, page)
    assert gather.told(pfn, pfn + 1) == [(pfn, "get", 1)] * 2
    for member, wrong in (
        (gather.tlb.mm, int(gather.tlb.mm) + 8),
        (gather.tlb.active, int(gather.tlb.active) + 8),
        (gather.tlb.local.max, 7),
        (gather.tlb.local.nr, 9),
        (gather.tlb.local.next, gather.address & ~4095),
    ):
        right = int(member)
        site.set(member, wrong)
        assert gather.told(pfn, pfn + 1) == []
        site.set(member, right)
    if not gather.encoded:
        return
    # Mapcounts to be dropped, of one page and of three: only while some are.
    gather.fill(page | 1, page | 3, 3 << 2)
    assert gather.told(pfn, pfn + 3) == [(pfn, "get", 1), (pfn, "get", 3)]
    gather.delay()
    expected = [(pfn, "map", 1), (pfn, "map", 1), (pfn + 1, "map", 1), (pfn + 2, "map", 1)]
    assert gather.told(pfn, pfn + 3) == expected


def test_mapcount_in_a_mmu_gather(site: Site) -> None:
    """It counts for the mm that is unmapped from, which a large folio knows."""
    folio = find(site, "thp by pages")
    mm = task(site, folio.pid).mm
    gather = Gather(site, sleeping_kthread(site))
    if not gather.encoded:
        pytest.skip("this kernel delays no mapcounts")
    site.set(gather.tlb.mm, int(mm))
    gather.fill(int(site.page(folio.page_pfn)) | 1)
    site.write(folio.entry.address, bytes(8))
    differs: Expected = ("mapcount-mismatch", "bug", folio.pfn, folio.pfn + folio.pages)
    site.expect(differs)
    gather.delay()
    site.expect_nothing()
    if has_member(mm[0], "mm_id"):
        other = next(t.mm for t in for_each_task(site.prog) if t.mm and t.mm != mm)
        site.set(gather.tlb.mm, int(other))
        (finding,) = site.expect(differs)
        assert finding["evidence"]["_mm_id_mapcount"] == "512 stored, 511 counted"


def test_cached_free_page(site: Site) -> None:
    """A slot of the page cache that names a free page."""
    pfn = file_folio(site)
    reference = next(
        r for r in site.kernel().references([(pfn, pfn + 1)]) if r["holder"] == "page cache"
    )
    block = site.free_block()
    site.write(reference["slot"], struct.pack("<Q", int(site.page(block.pfn))))
    stale = [
        f
        for f in site.audit().findings
        if f["check"] == "stale-page-reference" and f["severity"] == "bug"
    ]
    assert [f["pfn"] for f in stale] == [block.pfn]
    assert "page cache" in stale[0]["summary"]


def test_broken_inode_list(site: Site) -> None:
    """The other inodes of a list with a broken link are found from its end."""
    before = {m["address"] for m in site.kernel().census()["mappings"]}
    lists = (
        sb.s_inodes
        for sb in list_for_each_entry(
            "struct super_block", site.prog["super_blocks"].address_of_(), "s_list"
        )
    )
    longest = max(
        lists,
        key=lambda head: len(
            list(list_for_each_entry("struct inode", head.address_of_(), "i_sb_list"))
        ),
    )
    inodes = list(list_for_each_entry("struct inode", longest.address_of_(), "i_sb_list"))
    victim = inodes[len(inodes) // 2]
    site.set(victim.i_sb_list.next, 0xDEAD000000000100)
    census = site.kernel().census()
    assert census["holders"]["page cache"]["unreadable"] == 1
    assert {m["address"] for m in census["mappings"]} == before


def test_broken_tree(site: Site) -> None:
    """A node of a tree that says to be another's: the rest of the tree is told."""
    mappings = site.kernel().census()["mappings"]
    large = max((m for m in mappings if not m["dax"]), key=lambda m: int(m["counted"]))
    mapping = drgn.Object(site.prog, "struct address_space *", large["address"])
    root = drgn.Object(site.prog, "struct xa_node *", int(mapping.i_pages.xa_head) - 2)
    child = next(int(root.slots[i]) for i in range(64) if int(root.slots[i]) & 3 == 2)
    node = drgn.Object(site.prog, "struct xa_node *", child - 2)
    site.set(node.offset, int(node.offset) + 1)
    told = next(m for m in site.kernel().census()["mappings"] if m["address"] == large["address"])
    assert told["unreadable"] == 1
    assert large["counted"] - 64 * 512 <= told["counted"] < large["counted"]
