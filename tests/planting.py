# SPDX-License-Identifier: LGPL-2.1-or-later
"""Faults planted in real dumps: where, by drgn; into a private copy, with undo.

    with site.planted():
        site.set(site.page(pfn)._refcount.counter, 1)
        site.expect(("buddy-structure", "bug", pfn, pfn + 1))

What a kernel's layout calls something else is settled here, once; the tests say
what is wrong and with which page.
"""

from __future__ import annotations

import contextlib
import functools
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Collection, Iterator, Optional, Tuple

import drgn
from drgn.helpers.linux import mm, mmzone, percpu
from drgn.helpers.linux.list import list_for_each
from lab import make, plant

from drgn_contrib import target
from drgn_contrib._pageaudit import Kernel, Layout

PAGE_SIZE = 4096
#: Where list_del() leaves a node's links.
LIST_POISON = (0xDEAD000000000100, 0xDEAD000000000122)
#: page->page_type of a page that has none.
NO_TYPE = 0xFFFFFFFF
#: MAGIC_HWPOISON: page->private of what take_page_off_buddy() took.
TAKEN_OFF = 0x48575053

#: Check, severity, [pfn, pfn_end).
Expected = Tuple[str, str, Optional[int], Optional[int]]


@dataclass(frozen=True)
class Audited:
    """What an audit said."""

    findings: "list[dict[str, Any]]"
    status: "dict[str, str]"

    def above_info(self) -> "list[Expected]":
        return sorted((key(f) for f in self.findings if f["severity"] != "info"), key=repr)

    def infos(self) -> "set[Expected]":
        return {key(f) for f in self.findings if f["severity"] == "info"}


def key(finding: "dict[str, Any]") -> Expected:
    """A finding without its words."""
    return finding["check"], finding["severity"], finding["pfn"], finding["pfn_end"]


def describe(audited: Audited, expected: Collection[Expected]) -> str:
    """What was found and should not have been, and the other way round; the first few of each."""
    found = audited.above_info()
    extra = [f for f in audited.findings if f["severity"] != "info" and key(f) not in expected]
    lines = [f"missing: {each}" for each in expected if each not in found]
    lines += [f"extra: {f['check']} {f['pfn']} {f['summary']} {f['evidence']}" for f in extra]
    return "\n".join([f"{len(extra)} too many", *lines[:8]])


@dataclass(frozen=True)
class FreeBlock:
    """A free block of the buddy allocator."""

    zone: drgn.Object
    order: int
    migratetype: int
    pfn: int

    @property
    def end(self) -> int:
        return self.pfn + (1 << self.order)

    @property
    def free_area(self) -> drgn.Object:
        return self.zone.free_area[self.order]

    @property
    def list_head(self) -> drgn.Object:
        return self.free_area.free_list[self.migratetype]


class Site:
    """A private copy of a dump, what pageaudit says of it, and what drgn knows of it."""

    def __init__(self, dump: make.Dump, directory: Path) -> None:
        self.dump = dump
        self.core = plant.private_copy(dump.vmcore, directory)
        self.prog = drgn.Program()
        self.prog.set_core_dump(self.core.path)
        self.prog.load_debug_info([dump.vmlinux])
        opened = target.open_target([str(self.core.path)], [str(dump.vmlinux)])
        self._source, self._layout = opened.source, opened.layout
        self._physical = functools.lru_cache(maxsize=None)(self._translate)
        self.baseline = self.audit()

    # The audit.

    def kernel(self) -> Kernel:
        """The kernel as the dump is now."""
        return Kernel(self._source, self._layout)

    def kernel_by_btf(self) -> Kernel:
        """The same by the types that are in the dump now."""
        return Kernel(self._source, Layout.from_btf(self._source))

    def audit(self, kernel: Optional[Kernel] = None) -> Audited:
        """Run all checks on the dump as it is now."""
        result = (kernel or self.kernel()).audit(None, None)
        return Audited(result["findings"], {c["id"]: c["status"] for c in result["checks"]})

    def expect(self, *expected: Expected, partial: Collection[str] = ()) -> "list[dict[str, Any]]":
        """All checks find exactly this above info; gives the findings with their evidence.

        :param partial: Checks that can't be done in full with such a fault.
        """
        audited = self.audit()
        found = audited.above_info()
        assert found == sorted(expected, key=repr), describe(audited, expected)
        status = {
            check: "partial" if check in partial else status
            for check, status in self.baseline.status.items()
        }
        assert audited.status == status, audited.status
        return [f for f in audited.findings if key(f) in expected]

    def expect_nothing(self) -> None:
        """All checks run, and find nothing above info."""
        self.expect()

    def expect_in_second_read(self, check: str, pfn: int) -> None:
        """Were the kernel running, a read would judge it if the one before found it wrong, too."""
        kernel = self.kernel()

        def found(earlier: "tuple[Any, ...]") -> "set[Optional[int]]":
            findings = kernel.audit([check], earlier=earlier)["findings"]
            judged = (f for f in findings if f["severity"] != "info")
            return {f["pfn"] for f in judged if "moved" not in f["evidence"]}

        assert found(()) == set()
        pfns, *unread = kernel.audit([check], earlier=())["earlier"]
        assert pfn in {each for (each,) in struct.iter_unpack("Q", pfns)}
        assert found((pfns, *unread)) == {pfn}
        assert found((b"", *unread)) == set()
        assert found((struct.pack("Q", pfn + 1), *unread)) == set()

    def new_infos(self) -> "set[Expected]":
        """What is worth knowing, and was not on the dump as it came."""
        return self.audit().infos() - self.baseline.infos()

    @contextlib.contextmanager
    def planted(self) -> Iterator[Site]:
        """What is written inside is undone at the end."""
        with self.core.planted():
            yield self

    # Memory.

    def _translate(self, page: int) -> int:
        return int(mm.follow_phys(self.prog["init_mm"].address_of_(), page))

    def phys(self, address: int) -> int:
        """The physical address of a kernel address."""
        offset = address % PAGE_SIZE
        return self._physical(address - offset) + offset

    def write(self, address: int, data: bytes) -> None:
        """Overwrite bytes at a kernel address."""
        while data:
            piece = data[: PAGE_SIZE - address % PAGE_SIZE]
            self.core.write(self.phys(address), piece)
            address += len(piece)
            data = data[len(piece) :]

    def set(self, member: drgn.Object, value: int) -> None:
        """Overwrite an integer, enumerator or pointer; negative values wrap."""
        address, size = member.address_, drgn.sizeof(member)
        assert address is not None
        assert member.bit_offset_ in (None, 0)
        self.write(address, (value % (1 << size * 8)).to_bytes(size, "little"))

    def add(self, member: drgn.Object, amount: int) -> None:
        """Add to an integer."""
        self.set(member, int(member) + amount)

    # Pages.

    def page(self, pfn: int) -> drgn.Object:
        """The struct page * of a pfn."""
        return mm.pfn_to_page(self.prog, pfn)

    def pfn(self, page: drgn.Object) -> int:
        """The pfn of a struct page *."""
        return int(mm.page_to_pfn(page))

    def lru_pages(self) -> "list[int]":
        """Pages of user data, order 0."""
        census = self.kernel().census()
        lru = census["class_names"]["lru"]
        size = self.section_pages
        return [
            nr * size + i
            for nr, classes in census["classes"].items()
            for i, each in enumerate(classes)
            if each & 63 == lru and (i + 1 == size or classes[i + 1] & 63 == lru)
        ]

    def flags(self, pfn: int) -> drgn.Object:
        """page->flags, which is a struct since v6.18."""
        flags = self.page(pfn).flags
        with contextlib.suppress(AttributeError):
            return flags.f
        return flags

    def flag(self, name: str) -> int:
        """The mask of a PG_ flag; 0 where the kernel has none of that name."""
        try:
            return 1 << int(self.prog.constant(name))
        except LookupError:
            return 0

    def compound_word(self, pfn: int) -> drgn.Object:
        """What makes a tail: page->compound_head, a mask since v7."""
        page = self.page(pfn)
        for name in ("compound_info", "compound_head"):
            with contextlib.suppress(LookupError):
                return page.member_(name)
        raise AssertionError("struct page has no compound word")

    def refcount(self, pfn: int) -> drgn.Object:
        return self.page(pfn)._refcount.counter

    def page_type(self, pfn: int) -> drgn.Object:
        return self.page(pfn).page_type

    def lru(self, pfn: int) -> drgn.Object:
        """page->lru, which links free blocks and pcp pages as well."""
        return self.page(pfn).lru

    def links(self, zone: drgn.Object) -> int:
        """Node and zone as the flags of the zone's pages have them."""
        pfn = next(self.free_blocks(zone)).pfn
        return int(self.flags(pfn)) & self.link_mask

    @functools.cached_property
    def link_mask(self) -> int:
        """The bits of page->flags that hold node and zone: those of no other use."""
        nodes = len(self.prog["node_data"]).bit_length() - 1
        zones = self.prog.type("struct pglist_data").member("node_zones").type.length
        assert zones is not None
        width = nodes + (int(zones) - 1).bit_length()
        return int(((1 << width) - 1) << (64 - width))

    # Lists.

    def list_add(self, node: drgn.Object, head: drgn.Object) -> None:
        """Link a node in behind head."""
        self.list_add_address(int(node.address_of_()), head)

    def list_add_address(self, node: int, head: drgn.Object) -> None:
        """Link the two words at an address in behind head."""
        first = int(head.next)
        self.write(node, struct.pack("<QQ", first, int(head.address_of_())))
        self.write(first + 8, struct.pack("<Q", node))
        self.set(head.next, node)

    def list_del(self, node: drgn.Object) -> None:
        """Unlink a node and poison its links, as list_del() does."""
        following, previous = int(node.next), int(node.prev)
        self.write(previous, struct.pack("<Q", following))
        self.write(following + 8, struct.pack("<Q", previous))
        self.set(node.next, LIST_POISON[0])
        self.set(node.prev, LIST_POISON[1])

    # Zones.

    def zones(self) -> "list[drgn.Object]":
        """All zones with memory."""
        return [
            zone
            for pgdat in mmzone.for_each_online_pgdat(self.prog)
            for zone in pgdat.node_zones
            if int(zone.present_pages)
        ]

    def zone(self, name: str) -> drgn.Object:
        """A zone by its name."""
        return next(z for z in self.zones() if z.name.string_().decode() == name)

    def free_pages(self, zone: drgn.Object) -> drgn.Object:
        """The zone's NR_FREE_PAGES, per-cpu deltas apart."""
        return zone.vm_stat[self.prog.constant("NR_FREE_PAGES")].counter

    def free_pages_delta(self, zone: drgn.Object, cpu: int) -> drgn.Object:
        """A CPU's delta to the zone's NR_FREE_PAGES."""
        item = self.prog.constant("NR_FREE_PAGES")
        if has_member(zone, "pageset"):
            return percpu.per_cpu_ptr(zone.pageset, cpu).vm_stat_diff[item]
        return percpu.per_cpu_ptr(zone.per_cpu_zonestats, cpu).vm_stat_diff[item]

    def pcp(self, zone: drgn.Object, cpu: int) -> drgn.Object:
        """A CPU's struct per_cpu_pages of a zone."""
        if has_member(zone, "pageset"):
            return percpu.per_cpu_ptr(zone.pageset, cpu).pcp
        return percpu.per_cpu_ptr(zone.per_cpu_pageset, cpu)[0]

    # The buddy allocator.

    def free_blocks(self, zone: drgn.Object, order: Optional[int] = None) -> Iterator[FreeBlock]:
        """Free blocks of a zone, the largest first, or of one order."""
        orders = range(len(zone.free_area)) if order is None else [order]
        for each in reversed(orders):
            area = zone.free_area[each]
            for migratetype in range(len(area.free_list)):
                for node in list_for_each(area.free_list[migratetype].address_of_()):
                    page = drgn.container_of(node, "struct page", "lru")
                    yield FreeBlock(zone, each, migratetype, self.pfn(page))

    def free_block(self, order: int = 2, zone: Optional[drgn.Object] = None) -> FreeBlock:
        """A free block of an order, whose buddy is not free.

        It is cut out of one of the largest, and its buddy taken by somebody, as
        alloc_pages() without __GFP_COMP would do it: that is no fault.
        """
        for each in [zone] if zone is not None else reversed(self.zones()):
            for block in self.free_blocks(each):
                if block.order <= order:
                    break
                while block.order > order:
                    block, buddy = self.split(block)
                self.allocate(buddy)
                return block
        raise AssertionError(f"no free block of more than order {order} in the dump")

    def take(self, block: FreeBlock) -> None:
        """Take a block off its list and out of all counts: del_page_from_free_list()."""
        page = self.page(block.pfn)
        self.list_del(page.lru)
        self.set(page.page_type, NO_TYPE)
        self.set(page.private, 0)
        self.add(block.free_area.nr_free, -1)
        self.add(self.free_pages(block.zone), -1 << block.order)

    def give(self, block: FreeBlock) -> None:
        """Put a block on its list and into all counts: add_to_free_list()."""
        page = self.page(block.pfn)
        self.list_add(page.lru, block.list_head)
        self.set(page.page_type, self.buddy_type)
        self.set(page.private, block.order)
        self.add(block.free_area.nr_free, 1)
        self.add(self.free_pages(block.zone), 1 << block.order)

    def split(self, block: FreeBlock) -> "tuple[FreeBlock, FreeBlock]":
        """Two free buddies instead of one free block."""
        order = block.order - 1
        halves = (
            FreeBlock(block.zone, order, block.migratetype, block.pfn),
            FreeBlock(block.zone, order, block.migratetype, block.pfn + (1 << order)),
        )
        self.take(block)
        for half in halves:
            self.give(half)
        return halves

    def to_pcp(self, block: FreeBlock, cpu: int = 0, index: int = 0) -> None:
        """Move a page of order 0 from its free list to a CPU's."""
        self.take(block)
        pcp = self.pcp(block.zone, cpu)
        self.list_add(self.lru(block.pfn), pcp.lists[index])
        self.add(pcp.count, 1)

    def allocate(self, block: FreeBlock) -> None:
        """Take a block as alloc_pages() without __GFP_COMP does."""
        self.take(block)
        self.set(self.refcount(block.pfn), 1)

    @functools.cached_property
    def buddy_type(self) -> int:
        """page->page_type of a free block's first page."""
        for zone in self.zones():
            for block in self.free_blocks(zone):
                return int(self.page_type(block.pfn))
        raise AssertionError("nothing is free in the dump")

    # Sections.

    def section(self, nr: int) -> drgn.Object:
        """A struct mem_section by its number."""
        per_root = PAGE_SIZE // drgn.sizeof(self.prog.type("struct mem_section"))
        return self.prog["mem_section"][nr // per_root][nr % per_root]

    def section_of(self, pfn: int) -> drgn.Object:
        return self.section(pfn // self.section_pages)

    def section_range(self, nr: int) -> "tuple[int, int]":
        """[pfn, pfn_end) of a section."""
        return nr * self.section_pages, (nr + 1) * self.section_pages

    @functools.cached_property
    def section_pages(self) -> int:
        pages: int = self.kernel().memory()["section_pages"]
        return pages

    def events(self, name: str) -> "list[dict[str, Any]]":
        """What the recipe's workload said of the things of that name."""
        return [event for event in self.dump.meta["events"] if event["event"] == name]

    def ranges(self, state: str) -> "list[tuple[int, int]]":
        """The ranges of pfns in a state, as pageaudit has them; test_oracle.py proves them."""
        memory = self.kernel().memory()
        return [(r["pfn"], r["pfn_end"]) for r in memory["map"] if r["state"] == state]


def has_member(value: drgn.Object, name: str) -> bool:
    """Whether a structure has a member on this kernel."""
    return bool(value.type_.has_member(name))


#: open_site(kernel, recipe="full"): kept for the session.
OpenSite = Callable[..., Site]


def node_counter(site: Site, name: str) -> Optional[drgn.Object]:
    """A node's counter; None where the kernel has none of that name."""
    try:
        item = int(site.prog.constant(name))
    except LookupError:
        return None
    (node,) = mmzone.for_each_online_pgdat(site.prog)
    return node.vm_stat[item].counter
