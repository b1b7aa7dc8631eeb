# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pages in pipes, io_uring and AIO rings: each slot beside the one that drgn finds.

drgn finds the files in the tasks' tables, pageaudit in their slab cache; the guest
said what it put where.
"""

from __future__ import annotations

import contextlib
import functools
import stat
import struct
from dataclasses import dataclass
from typing import Any, Iterator, Tuple

import drgn
import pytest
import stacks
from drgn.helpers.linux import mm, slab
from drgn.helpers.linux.fs import for_each_file
from drgn.helpers.linux.list import list_for_each_entry
from drgn.helpers.linux.mmzone import for_each_online_pgdat
from drgn.helpers.linux.pid import find_task, for_each_task
from drgn.helpers.linux.xarray import xa_for_each
from dumps import KERNELS, Open
from lab import make
from planting import Expected, Site, has_member

#: Kind, pfn, slot, owner, index.
Slot = Tuple[str, int, int, int, int]

#: IORING_SETUP_NO_MMAP, and the flags of an io_mapped_region and an io_buffer_list.
NO_MMAP = 1 << 14
USER_PROVIDED, SINGLE_REF = 2, 4
BL_RING, BL_MMAP = 1, 2

HUGE_PAGES = 512
PIN_BIAS = 1024


@dataclass(frozen=True)
class Guest:
    """A dump, what drgn knows of it, and what pageaudit's holders say."""

    prog: drgn.Program
    events: "list[dict[str, Any]]"
    references: "list[dict[str, Any]]"
    #: Nothing was at work when the guest was stopped.
    still: bool

    def found(self, holder: str) -> "set[Slot]":
        """The slots of a holder; none is told twice."""
        slots = [
            (r["kind"], r["pfn"], r["slot"], r["owner"], r["index"])
            for r in self.references
            if r["holder"] == holder
        ]
        assert all(r["count"] == 1 for r in self.references if r["holder"] == holder)
        assert len(set(slots)) == len(slots)
        return set(slots)

    def said(self, name: str) -> "list[dict[str, Any]]":
        return [event for event in self.events if event["event"] == name]

    def counted(self, pfn: int, pages: int = 1) -> int:
        """References of a folio that has holders: mappings, pins of large ones, others."""
        return sum(
            r["count"] * (PIN_BIAS if r["kind"] == "pin" and pages == 1 else 1)
            for r in self.references
            if pfn <= r["pfn"] < pfn + pages and r["kind"] != "link"
        )

    def refcount(self, pfn: int) -> int:
        return int(mm.pfn_to_page(self.prog, pfn)._refcount.counter)


@pytest.fixture(
    scope="module",
    params=[(kernel, recipe) for kernel in KERNELS for recipe in ("light", "census")],
    ids="-".join,
)
def guest(request: pytest.FixtureRequest, open_dump: Open) -> Guest:
    kernel, recipe = request.param
    return read_guest(open_dump, kernel, recipe)


@pytest.fixture(scope="module")
def light(kernel: str, open_dump: Open) -> Guest:
    """What nothing is at work in."""
    return read_guest(open_dump, kernel, "light")


@functools.lru_cache(maxsize=2)
def read_guest(open_dump: Open, kernel: str, recipe: str) -> Guest:
    dump = make.dump(kernel, recipe)
    prog = drgn.Program()
    prog.set_core_dump(dump.vmcore)
    prog.load_debug_info([dump.vmlinux])
    references = open_dump(kernel, recipe).kernel.references([(0, 1 << 40)])
    return Guest(prog, dump.meta["events"], references, recipe == "light")


def compare(guest: Guest, holder: str, expected: "set[Slot]") -> None:
    """All of what drgn knows, slot by slot.

    A task may be in the middle of fput(): its file is in no table any more.
    """
    owners = {slot[3] for slot in expected}
    found = guest.found(holder)
    assert {slot for slot in found if slot[3] in owners} == expected
    if guest.still:
        assert found == expected


def address(pointer: drgn.Object) -> int:
    """The address of an object, which is what names a page."""
    where = pointer.address_
    assert where is not None
    return int(where)


def pfn(page: drgn.Object) -> int:
    return int(mm.page_to_pfn(drgn.cast("struct page *", page)))


def files(prog: drgn.Program) -> Iterator[drgn.Object]:
    """The open files of all tasks, each once."""
    seen = set()
    for task in for_each_task(prog):
        if not task.files:
            continue
        for _, file in for_each_file(task):
            if file.value_() not in seen:
                seen.add(file.value_())
                yield file


def pipes(prog: drgn.Program) -> "dict[int, drgn.Object]":
    """pipe_inode_infos by address: pipes are inodes of their own kind."""
    found = {}
    for file in files(prog):
        if stat.S_ISFIFO(int(file.f_inode.i_mode)) and file.f_inode.i_pipe:
            found[file.f_inode.i_pipe.value_()] = file.f_inode.i_pipe
    for task in for_each_task(prog):
        if task.splice_pipe:
            found[task.splice_pipe.value_()] = task.splice_pipe
    return found


def spare_pages(pipe: drgn.Object) -> "list[drgn.Object]":
    """pipe->tmp_page, an array since v6.15, counted since v7.3."""
    if has_member(pipe[0], "prealloc"):
        return list(pipe.prealloc.pages)[: int(pipe.prealloc.count)]
    kept = pipe.tmp_page
    return list(kept) if kept.type_.kind == drgn.TypeKind.ARRAY else [kept]


def pipe_slots(pipe: drgn.Object) -> "set[Slot]":
    """Slots in use, and the pages kept for the next write."""
    owner, size = pipe.value_(), int(pipe.ring_size)
    slots = set()
    for i in range(int(pipe.tail), int(pipe.head)):
        buffer = pipe.bufs[i & (size - 1)]
        if buffer.ops:
            page = buffer.page
            slots.add(("get", pfn(page), address(page), owner, i & (size - 1)))
    for i, page in enumerate(spare_pages(pipe)):
        if page:
            slots.add(("get", pfn(page), address(page), owner, size + i))
    return slots


def test_pipes(guest: Guest) -> None:
    """The buffers of every pipe, tail pages too."""
    expected = set()
    for pipe in pipes(guest.prog).values():
        expected |= pipe_slots(pipe)
    assert len(expected) >= 20
    compare(guest, "pipe buffer", expected)


def test_vmspliced(guest: Guest) -> None:
    """What the guest gave to its pipes: written bytes first, then the four pages."""
    slots = guest.found("pipe buffer")
    events = guest.said("pipe")
    assert len(events) == 4
    tails = 0
    for event in events:
        (first,) = [s for s in slots if s[1] == event["pfn"]]
        in_pipe = {s[4]: s[1] for s in slots if s[3] == first[3]}
        assert first[4] == 1
        assert set(in_pipe) >= {0, 1, 2, 3, 4}
        head = pfn(mm.compound_head(mm.pfn_to_page(guest.prog, event["pfn"])))
        for i in range(4):
            page = mm.pfn_to_page(guest.prog, in_pipe[1 + i])
            if mm.PageTail(page):
                assert in_pipe[1 + i] == event["pfn"] + i
                assert pfn(mm.compound_head(page)) == head
                tails += 1
        assert guest.refcount(in_pipe[0]) == 1
    # Two of the four parts are of a THP; the very first page is its head.
    assert tails == 7


def test_references_of_thp(light: Guest) -> None:
    """Of each THP that was given to pipes, every reference has its holder."""
    seen = 0
    for event in light.said("pipe"):
        page = mm.pfn_to_page(light.prog, event["pfn"])
        if not mm.PageCompound(page):
            # The page itself, mapped once and given once.
            assert light.counted(event["pfn"]) == light.refcount(event["pfn"]) == 2
            continue
        head = pfn(mm.compound_head(page))
        assert light.counted(head, HUGE_PAGES) == light.refcount(head)
        seen += 1
    assert seen == 2


def rings(prog: drgn.Program) -> "list[drgn.Object]":
    """The io_ring_ctx of every io_uring."""
    operations = prog["io_uring_fops"].address_of_()
    return [
        drgn.cast("struct io_ring_ctx *", file.private_data)
        for file in files(prog)
        if file.f_op == operations and file.private_data
    ]


def buffers(ring: drgn.Object) -> "list[tuple[int, drgn.Object]]":
    """Registered buffers and their numbers."""
    if has_member(ring[0], "buf_table"):
        nodes = ring.buf_table.nodes
        found = [(i, nodes[i]) for i in range(int(ring.buf_table.nr))]
        return [(i, node.buf) for i, node in found if node]
    found = [(i, ring.user_bufs[i]) for i in range(int(ring.nr_user_bufs))]
    return [(i, buffer) for i, buffer in found if buffer]


def array_slots(ring: drgn.Object, kind: str, pages: drgn.Object, nr: int) -> "set[Slot]":
    return {
        (kind, pfn(pages[i]), address(pages[i]), ring.value_(), i) for i in range(nr) if pages[i]
    }


def region_slots(ring: drgn.Object, region: drgn.Object) -> "set[Slot]":
    nr = 1 if int(region.flags) & SINGLE_REF else int(region.nr_pages)
    kind = "pin" if int(region.flags) & USER_PROVIDED else "get"
    return array_slots(ring, kind, region.pages, nr) if region.pages else set()


def allocated_slots(ring: drgn.Object, pages: drgn.Object, nr: int) -> "set[Slot]":
    """One compound page, or single ones."""
    if nr and mm.PageCompound(pages[0]):
        nr = 1
    return array_slots(ring, "get", pages, nr)


def ring_slots(ring: drgn.Object) -> "set[Slot]":
    """The memory of the rings themselves."""
    if has_member(ring[0], "ring_region"):
        slots = region_slots(ring, ring.ring_region) | region_slots(ring, ring.sq_region)
        return slots | region_slots(ring, ring.param_region)
    if not has_member(ring[0], "ring_pages"):
        return {
            ("get", pfn(mm.virt_to_page(member)), address(member), ring.value_(), 0)
            for member in (ring.rings, ring.sq_sqes)
        }
    slots = set()
    for pages, nr in ((ring.ring_pages, ring.n_ring_pages), (ring.sqe_pages, ring.n_sqe_pages)):
        if int(ring.flags) & NO_MMAP:
            slots |= array_slots(ring, "pin", pages, int(nr))
        else:
            slots |= allocated_slots(ring, pages, int(nr))
    return slots


def group_slots(ring: drgn.Object) -> "set[Slot]":
    """Rings of provided buffers, and what lists of provided buffers are made of."""
    prog, slots = ring.prog_, set()
    if not has_member(ring[0], "io_bl_xa"):
        return set()
    entries = xa_for_each(ring.io_bl_xa.address_of_())
    lists = [drgn.cast("struct io_buffer_list *", entry) for _, entry in entries]
    if has_member(ring[0], "io_bl") and ring.io_bl:
        lists += [ring.io_bl + i for i in range(64)]
    for each in lists:
        if has_member(each[0], "region"):
            slots |= region_slots(ring, each.region)
        elif has_member(each[0], "flags"):
            if int(each.flags) & BL_MMAP:
                slots |= allocated_slots(ring, each.buf_pages, int(each.buf_nr_pages))
            elif int(each.flags) & BL_RING:
                slots |= array_slots(ring, "pin", each.buf_pages, int(each.buf_nr_pages))
        else:
            slots |= array_slots(ring, "pin", each.buf_pages, int(each.buf_nr_pages))
    if has_member(ring[0], "io_buffers_pages"):
        head = ring.io_buffers_pages.address_of_()
        for page in list_for_each_entry(prog.type("struct page"), head, "lru"):
            slots.add(("get", pfn(page), 0, ring.value_(), 0))
    return slots


@pytest.mark.parametrize("ends", ["", "waits", "works"])
def test_ring_whose_file_is_gone(site: Site, ends: str) -> None:
    """io_ring_exit_work() gives back what it holds, sooner or later; that is set up last."""
    ring = next(each for each in rings(site.prog) if buffers(each))
    for file in files(site.prog):
        if file.private_data.value_() == ring.value_():
            site.write(file.private_data.address_, bytes(8))
    if ends == "waits":
        if has_member(ring[0], "buf_table"):
            pytest.skip("the buffers are too many pointers away")
        # For the ring's lock.
        words = stacks.sleeping_words(site, stacks.sleeper(site))
        waits = stacks.inside(site, "io_ring_ctx_wait_and_kill")
        stacks.put(site, words, ring.value_(), waits)
        site.expect_nothing()
    elif ends:
        work = site.prog.symbol("io_ring_exit_work").address
        site.write(ring.exit_work.func.address_, work.to_bytes(8, "little"))
        site.expect_nothing()
    else:
        checks = {check for check, *_ in site.audit().above_info()}
        assert checks == {"refcount-leak"}


def test_ring_whose_buffers_are_gone(site: Site) -> None:
    """io_rsrc_data_free() counts down to less than none before it frees the table."""
    ring = next(each for each in rings(site.prog) if buffers(each))
    if not has_member(ring[0], "buf_table"):
        pytest.skip("this kernel counts otherwise")
    site.set(ring.buf_table.nr, 0xFFFFFFFF)
    audited = site.audit()
    assert set(audited.status.values()) <= {"ran", "not-applicable"}
    assert {check for check, *_ in audited.above_info()} == {"refcount-leak"}


def test_io_uring(guest: Guest) -> None:
    """Registered buffers, rings and provided buffers' rings."""
    expected, seen = set(), set()
    for ring in sorted(rings(guest.prog), key=lambda ring: ring.value_()):
        for number, buffer in buffers(ring):
            if buffer.value_() in seen:
                continue
            seen.add(buffer.value_())
            for i in range(int(buffer.nr_bvecs)):
                page = buffer.bvec[i].bv_page
                expected.add(("pin", pfn(page), address(page), ring.value_(), number))
        expected |= ring_slots(ring) | group_slots(ring)
    assert sum(slot[0] == "pin" for slot in expected) >= 513
    compare(guest, "io_uring", expected)


def pincount(page: drgn.Object) -> drgn.Object:
    """The counter of a compound page's pins."""
    head = mm.compound_head(page)
    with contextlib.suppress(LookupError):
        return drgn.cast("struct folio *", head)._pincount.counter
    # Before v6.3 it is in struct page: in the third before v5.18.
    with contextlib.suppress(AttributeError):
        return head[2].hpage_pinned_refcount.counter
    return head[1].compound_pincount.counter


def test_pins(light: Guest) -> None:
    """A pin for each page, and for each folio where the kernel coalesces folios."""
    (event,) = light.said("uring")
    prog = light.prog
    pinned = [slot for slot in light.found("io_uring") if slot[0] == "pin"]
    head = pfn(mm.compound_head(mm.pfn_to_page(prog, event["pfn"])))
    thp = [slot for slot in pinned if head <= slot[1] < head + HUGE_PAGES]
    small = [slot for slot in pinned if slot not in thp]
    # v6.12 has one bvec a folio.
    coalesced = prog.type("struct io_mapped_ubuf").has_member("folio_shift")
    assert len(thp) == (1 if coalesced else HUGE_PAGES)
    assert len(small) == event["size"] // 2 // 4096
    assert {slot[4] for slot in thp} == {0}
    assert {slot[4] for slot in small} == {1}
    assert int(pincount(mm.pfn_to_page(prog, head))) == len(thp)
    assert light.counted(head, HUGE_PAGES) == light.refcount(head)
    for slot in small:
        assert light.refcount(slot[1]) == light.counted(slot[1]) == PIN_BIAS + 1


def contexts(prog: drgn.Program) -> "list[drgn.Object]":
    """Every kioctx, by the mms that have one."""
    found = {}
    for task in for_each_task(prog):
        if not task.mm or not task.mm.ioctx_table:
            continue
        table = task.mm.ioctx_table
        for i in range(int(table.nr)):
            if table.table[i]:
                found[table.table[i].value_()] = table.table[i]
    return list(found.values())


def test_aio(guest: Guest) -> None:
    """The pages of every AIO ring."""
    expected = set()
    for context in contexts(guest.prog):
        name = "ring_folios" if has_member(context[0], "ring_folios") else "ring_pages"
        for i in range(int(context.nr_pages)):
            page = context.member_(name)[i]
            expected.add(("get", pfn(page), address(page), context.value_(), i))
    assert len(expected) >= 3
    compare(guest, "AIO ring", expected)


def test_aio_references(light: Guest) -> None:
    """The cache and the kioctx have one each; nobody has touched the mapping."""
    (event,) = light.said("aio")
    slots = light.found("AIO ring")
    context = find_task(light.prog, event["pid"]).mm.ioctx_table.table[0]
    assert {slot[3] for slot in slots} == {context.value_()}
    assert int(context.mmap_base) == event["ring"]
    for slot in slots:
        holders = sorted(r["holder"] for r in light.references if r["pfn"] == slot[1])
        assert holders == ["AIO ring", "page cache"]
        assert light.refcount(slot[1]) == light.counted(slot[1]) == 2


# Planted.


def stale(page: int) -> Expected:
    return "stale-page-reference", "bug", page, page + 1


@dataclass(frozen=True)
class Given:
    """A slot with a page that was given to a pipe with vmsplice()."""

    pipe: drgn.Object
    index: int
    pfn: int

    @property
    def buffer(self) -> drgn.Object:
        return self.pipe.bufs[self.index]


@pytest.fixture
def given(site: Site) -> Given:
    """One with a page of a THP."""
    events = {event["pfn"] for event in site.events("pipe")}
    for pipe in pipes(site.prog).values():
        page = pipe.bufs[1].page
        of_event = int(pipe.head) - int(pipe.tail) == 5 and site.pfn(page) in events
        if of_event and mm.PageCompound(page):
            return Given(pipe, 2, site.pfn(pipe.bufs[2].page))
    raise AssertionError("no pipe with pages of a THP")


def give_back(site: Site, given: Given) -> None:
    """The pipe's reference to its page is put."""
    head = mm.compound_head(site.page(given.pfn))
    site.add(head._refcount.counter, -1)


@pytest.mark.parametrize("where", ["offline", "free"])
def test_stale(site: Site, given: Given, where: str) -> None:
    """A slot names a page of an offline section, or one that was freed."""
    if where == "offline":
        target = site.ranges("offline")[0][0] + 77
    else:
        target = next(site.free_blocks(site.zone("Normal"))).pfn + 3
    give_back(site, given)
    site.set(given.buffer.page, int(site.page(target)))
    (finding,) = site.expect(stale(target))
    assert f"pipe_inode_info 0x{given.pipe.value_():x}, slot 0x2" in finding["summary"]
    assert finding["evidence"]["entry"] == f"0x{address(given.buffer.page):x}"


def test_not_a_page(site: Site, given: Given) -> None:
    """A slot names no struct page at all."""
    give_back(site, given)
    site.set(given.buffer.page, int(site.page(given.pfn)) + 8)
    findings = site.expect(stale(given.pfn))
    assert "not at a struct page's start" in findings[0]["summary"]


@pytest.mark.parametrize("near", ["behind", "unfilled", "spare"])
def test_near_stale(site: Site, given: Given, near: str) -> None:
    """What is no live slot may say what it wants; a pipe may keep a page for later."""
    offline = int(site.page(site.ranges("offline")[0][0] + 77))
    if near == "behind":
        # What was read stays in the slot.
        site.set(given.pipe.bufs[int(given.pipe.head)].page, offline)
        site.set(given.pipe.bufs[int(given.pipe.head)].ops, given.buffer.ops.value_())
    elif near == "unfilled":
        give_back(site, given)
        site.set(given.buffer.page, offline)
        site.set(given.buffer.ops, 0)
    else:
        block = site.free_block(0)
        site.allocate(block)
        site.set(spare_pages(given.pipe)[0], int(site.page(block.pfn)))
    site.expect_nothing()


def unregister(site: Site) -> "tuple[int, int]":
    """Take the buffer with a THP out of its table; its address and the THP's first pfn."""
    (ring,) = rings(site.prog)
    table = ring.buf_table.nodes if has_member(ring[0], "buf_table") else ring.user_bufs
    buffer = dict(buffers(ring))[0]
    where = int(buffer.value_())
    head = site.pfn(mm.compound_head(buffer.bvec[0].bv_page))
    site.set(table[0], 0)
    return where, head


def sleeper(site: Site) -> drgn.Object:
    """A task that sleeps."""
    tasks = for_each_task(site.prog)
    return next(t for t in tasks if t.mm and not t.on_cpu and t.stack and int(t.pid) > 1)


def test_lost_buffer(site: Site) -> None:
    """Pins of a buffer that is in no table, with the object that has them."""
    buffer, head = unregister(site)
    (finding,) = site.expect(("refcount-leak", "suspect", head, head + HUGE_PAGES))
    named = finding["evidence"]["also_named_by"]
    assert f"object 0x{buffer:x}" in named or f"at 0x{buffer >> 12:x}" in named


@pytest.mark.parametrize("uses", [False, True])
def test_buffer_of_a_request(site: Site, uses: bool) -> None:
    """One that was taken out of the table is a request's as long as that uses it."""
    if not site.prog.type("struct io_kiocb").has_member("buf_node"):
        pytest.skip("a request has no buffer of its own")
    # The guest has none that waits: a table of signal handlers is as good.
    handlers = slab.find_slab_cache(site.prog, "sighand_cache")
    assert handlers
    site.set(site.prog["req_cachep"], int(handlers))
    address = int(sleeper(site).sighand)
    request = drgn.Object(site.prog, "struct io_kiocb", address=address)
    (ring,) = rings(site.prog)
    node = ring.buf_table.nodes[0].value_()
    _, head = unregister(site)
    site.set(request.buf_node, node)
    used = 1 << int(site.prog.constant("REQ_F_BUF_NODE_BIT"))
    site.set(request.flags, int(request.flags) & ~used | used * uses)
    if uses:
        site.expect_nothing()
    else:
        site.expect(("refcount-leak", "suspect", head, head + HUGE_PAGES))


def test_buffer_in_hand(site: Site) -> None:
    """The same while a task registers it, or unregisters it."""
    buffer, head = unregister(site)
    task = sleeper(site)
    function = site.prog.symbol("io_sqe_buffer_register").address
    # Saved registers are at the end of the live stack.
    words = struct.pack("<QQ", function + 100, buffer)
    site.write(int(task.thread.sp), words)
    site.expect_nothing()
    assert ("refcount-leak", "info", head, head + HUGE_PAGES) in site.new_infos()


@pytest.mark.parametrize("in_hand", [False, True])
def test_half_unpinned(site: Site, in_hand: bool) -> None:
    """A page of a buffer is unpinned; so it may be while a task releases the buffer."""
    (ring,) = rings(site.prog)
    buffer = dict(buffers(ring))[0]
    head = mm.compound_head(buffer.bvec[0].bv_page)
    first = site.pfn(head)
    released = site.prog.constant("NR_FOLL_PIN_RELEASED")
    (node,) = for_each_online_pgdat(site.prog)
    site.add(pincount(head), -1)
    site.add(head._refcount.counter, -1)
    site.add(node.vm_stat[released].counter, 1)
    if not in_hand:
        site.expect(("refcount-underflow", "bug", first, first + HUGE_PAGES))
        return
    name = "io_release_ubuf" if has_member(buffer[0], "release") else "io_buffer_unmap"
    words = struct.pack("<QQ", site.prog.symbol(name).address + 50, buffer.value_())
    site.write(int(sleeper(site).thread.sp), words)
    site.expect_nothing()


@pytest.mark.parametrize("function", ["pipe_release", "free_pipe_info"])
def test_pipe_that_is_freed(site: Site, given: Given, function: str) -> None:
    """No inode has it any more while free_pipe_info() releases its buffers one by one."""
    head = site.pfn(mm.compound_head(site.page(given.pfn)))
    site.set(given.pipe.tail, int(given.pipe.head))
    words = struct.pack("<QQ", site.prog.symbol(function).address + 50, int(given.pipe.bufs))
    site.write(int(sleeper(site).thread.sp), words)
    leak = ("refcount-leak", head, head + HUGE_PAGES)
    if function == "free_pipe_info":
        site.expect_nothing()
        assert (leak[0], "info", *leak[1:]) in site.new_infos()
    else:
        found = site.audit().above_info()
        assert (leak[0], "suspect", *leak[1:]) in found
        assert {each[:2] for each in found} == {(leak[0], "suspect")}


def test_impossible_pipe(site: Site, given: Given) -> None:
    """More slots in use than there are: nothing of it is believed."""
    before = site.kernel().census()["holders"]["pipe buffer"]
    site.set(given.pipe.head, int(given.pipe.tail) + int(given.pipe.ring_size) + 1)
    after = site.kernel().census()["holders"]["pipe buffer"]
    assert after["references"] == before["references"] - 5
    assert after["unreadable"] == before["unreadable"] + 1
