# SPDX-License-Identifier: LGPL-2.1-or-later
"""The search for words that name pages: in dumps with such words planted, and beside drgn's."""

from __future__ import annotations

import itertools
import random
import struct
from collections import Counter
from typing import Any, Iterator, Optional

import drgn
import pytest
from drgn.helpers.linux import mm, percpu, pid, sched, slab
from drgn.helpers.linux.list import list_for_each
from lab import makedump
from places import free_object, vmcoreinfo
from planting import PAGE_SIZE, OpenSite, Site
from stacks import zeros

from drgn_contrib import target

THREAD_SIZE = 16384


@pytest.fixture
def light(kernel: str, open_site: OpenSite) -> Iterator[Site]:
    """A small dump of each kernel in turn."""
    site = open_site(kernel, "light")
    with site.planted():
        yield site


class Search:
    """What names some pages, in the dump as it is now."""

    def __init__(self, site: Site, pfns: "list[int]", **options: Any) -> None:
        self.result = site.kernel().search(pfns, max_hits=255, **options)
        # What is in a CPU's registers is not in memory.
        self.hits = {
            hit["phys"]: hit for hit in self.result["hits"] if hit["place"]["kind"] != "register"
        }

    def dropped(self, why: str) -> int:
        return int(self.result["dropped"][why])


@pytest.fixture
def needle(light: Site) -> int:
    """A page of user data that no word in kernel memory names but its holders'."""
    return random.Random(6).choice(light.lru_pages())


class Planting:
    """Words written into a dump."""

    def __init__(self, site: Site, word: int) -> None:
        self.site, self.word = site, word

    def at(self, address: int) -> int:
        """At a kernel address."""
        return self.at_phys(self.site.phys(address))

    def at_phys(self, phys: int) -> int:
        assert phys % 8 == 0
        self.site.core.write(phys, struct.pack("<Q", self.word))
        return phys


def struct_page(site: Site, pfn: int) -> int:
    return int(site.page(pfn))


def sleeping_task(site: Site) -> drgn.Object:
    """The first process, which sleeps."""
    return pid.find_task(site.prog, 1)


def table_page(site: Site, root: int) -> int:
    """Physical address of a table of the lowest level, some levels below a root table."""
    levels = 5 if b"(pgtable_l5_enabled)=1" in vmcoreinfo(site) else 4

    def descend(table: int, level: int) -> Optional[int]:
        if level == 0:
            return table
        words = struct.unpack("<512Q", site.prog.read(table, PAGE_SIZE, physical=True))
        for entry in words:
            if entry & 1 and (not entry & 0x80 or level == levels - 1):
                found = descend(entry & 0x000FFFFFFFFFF000, level - 1)
                if found is not None:
                    return found
        return None

    table = descend(site.phys(root), levels - 1)
    assert table is not None
    return table


def called_end(prog: drgn.Program, task: drgn.Object) -> Optional[int]:
    """Behind the frames of what do_syscall_64() has called, where a task sleeps in that."""
    if task.on_cpu or not task.stack:
        return None
    for frame in prog.stack_trace(task):
        if frame.name == "do_syscall_64":
            return int(frame.sp)
        # Of a fault, or of a module, whose tables are its own.
        start, end = prog.symbol("_stext").address, prog.symbol("_etext").address
        if frame.interrupted or not start <= frame.pc < end:
            return None
    return None


class Oracle:
    """What of memory is the kernel's own and in use, by drgn."""

    def __init__(self, site: Site) -> None:
        self.site, self.prog = site, site.prog
        prog = site.prog
        self.text = self.image("_text", "_etext")
        self.constants = self.image("__start_rodata", "__start_ro_after_init")
        self.more_constants = self.image("__end_ro_after_init", "__end_rodata")
        self.unused = set(self.unused_slots())
        self.memmap = {
            site.phys(struct_page(site, pfn)) // PAGE_SIZE
            for start, end in site.ranges("online")
            for pfn in range(start, end, 64)
        }
        self.free = set(self.free_pages())
        self.stacks: "dict[int, tuple[int, int, int]]" = {}
        for task in pid.for_each_task(prog):
            called = called_end(prog, task)
            self.add_stack(int(task.stack), int(task.thread.sp), bool(task.on_cpu), end=called)
        for cpu in range(2):
            idle = sched.idle_task(prog, cpu)
            if idle.on_cpu:
                sp = prog.stack_trace(idle)[0].register("rsp")
                self.add_stack(int(idle.stack), sp, False)
            # Those of interrupts and exceptions, while the CPU is in none.
            for name in ("irq_stack_backing_store", "exception_stacks"):
                if name in prog:
                    stack = percpu.per_cpu(prog[name], cpu)
                    start, size = int(stack.address_of_()), drgn.sizeof(stack)
                    self.add_stack(start, start + size, False, size)
            for area in percpu.per_cpu(prog["cached_stacks"], cpu):
                if area:
                    self.add_stack(int(area.addr), int(area.addr) + THREAD_SIZE, False)

    def free_pages(self) -> Iterator[int]:
        """The pfns that the buddy allocator or a CPU has for whoever wants them."""
        for zone in self.site.zones():
            for block in self.site.free_blocks(zone):
                yield from range(block.pfn, block.end)
            for cpu in range(2):
                for index, each in enumerate(self.site.pcp(zone, cpu).lists):
                    # order_to_pindex(): three types each, and those of THPs at last.
                    order = index // 3 if index < 12 else 9
                    for node in list_for_each(each.address_of_()):
                        pfn = self.site.pfn(drgn.container_of(node, "struct page", "lru"))
                        yield from range(pfn, pfn + (1 << order))

    def image(self, start: str, end: str) -> range:
        """Physical addresses of what lies between two symbols."""
        phys = self.site.phys(self.prog.symbol(start).address)
        bytes_ = self.prog.symbol(end).address - self.prog.symbol(start).address
        return range(phys, phys + bytes_)

    def unused_slots(self) -> Iterator[int]:
        """Physical addresses of the slots of per-cpu batches that are not in use."""
        for name in ("lru_pvecs", "lru_rotate", "cpu_fbatches", "mlock_pvec", "mlock_fbatch"):
            if name not in self.prog:
                continue
            for cpu in range(2):
                variable = percpu.per_cpu(self.prog[name], cpu)
                if variable.type_.type_name() == "struct pagevec":
                    yield from self.unused_of(variable)
                for member in variable.type_.members or ():
                    if member.type.type_name() in ("struct pagevec", "struct folio_batch"):
                        yield from self.unused_of(variable.member_(str(member.name)))

    def unused_of(self, batch: drgn.Object) -> Iterator[int]:
        slots = batch.folios if batch.type_.type_name() == "struct folio_batch" else batch.pages
        for slot in list(slots)[int(batch.nr) :]:
            yield self.site.phys(int(slot.address_of_()))

    def add_stack(
        self,
        base: int,
        live: int,
        running: bool,
        size: int = THREAD_SIZE,
        end: Optional[int] = None,
    ) -> None:
        start, end = (0, base + size) if running else (live, end or base + size)
        for address in range(base, base + size, PAGE_SIZE) if base else ():
            self.stacks[self.site.phys(address) // PAGE_SIZE] = (address, start, end)

    def why_not(self, phys: int) -> Optional[str]:
        """Why a word does not count, or None if it does."""
        pfn = phys // PAGE_SIZE
        if phys in self.text:
            return "text"
        if phys in self.constants or phys in self.more_constants:
            return "constants"
        if phys in self.unused:
            return "unused_slot"
        if pfn in self.memmap:
            return "memmap"
        if pfn in self.stacks:
            address, start, end = self.stacks[pfn]
            if not start <= address + phys % PAGE_SIZE < end:
                return "dead_stack"
        head = mm.compound_head(self.site.page(pfn))
        if mm.PageSlab(head) or mm.PageReserved(head):
            info = slab.slab_object_info(self.prog, int(mm.phys_to_virt(self.prog, phys)))
            return "free_object" if info is not None and not info.allocated else None
        if mm.PageLRU(head) or head.mapping:
            return "user"
        # Large kmalloc() has no references on newer kernels, nor has what follows the first
        # page of an allocation that is not compound.
        return "free" if pfn in self.free else None


def test_live_words(light: Site, needle: int) -> None:
    """In an object, on a stack, in static and per-cpu data: found, and said where."""
    prog = light.prog
    before = Search(light, [needle])
    plant = Planting(light, struct_page(light, needle))
    task = sleeping_task(light)
    trace = prog.stack_trace(task)
    frame = [each for each in trace if not each.is_inline][2]
    comm = int(task.comm.address_of_())
    slot = plant.at(comm)
    on_stack = plant.at(frame.sp)
    static = plant.at(int(prog["console_printk"].address_of_()))
    counter = percpu.per_cpu(prog["process_counts"], 1)
    per_cpu = plant.at(int(counter.address_of_()))
    search = Search(light, [needle])
    assert set(search.hits) - set(before.hits) == {slot, on_stack, static, per_cpu}
    for name in ("free_object", "dead_stack", "known"):
        assert search.dropped(name) == before.dropped(name)
    for phys in (slot, on_stack, static, per_cpu):
        assert search.hits[phys]["word"] == struct_page(light, needle)
        assert search.hits[phys]["encoding"] == "struct page"

    place = search.hits[slot]["place"]
    assert (place["kind"], place["cache"], place["start"]) == ("slab", "task_struct", int(task))
    assert place["address"] == comm

    place = search.hits[on_stack]["place"]
    assert (place["kind"], place["pid"], place["task"]) == ("stack", 1, int(task))
    assert place["address"] == frame.sp
    assert place["frame"] == frame.pc
    function = prog.symbol(frame.pc).name
    assert f", in {function}+" in place["text"]

    place = search.hits[static]["place"]
    assert place["kind"] == "kernel image"
    assert place["address"] == int(prog["console_printk"].address_of_())
    assert place["text"].startswith("console_printk at ")

    place = search.hits[per_cpu]["place"]
    assert (place["kind"], place["cpu"]) == ("per-cpu", 1)
    assert place["text"].startswith("process_counts of CPU 1 at ")

    # A slot that a holder has told of is nobody else's.
    known = Search(light, [needle], known=[comm])
    assert set(known.hits) == set(search.hits) - {slot}
    assert known.dropped("known") == 1


def test_words_of_earlier_system_calls(light: Site, needle: int) -> None:
    """Behind what do_syscall_64() has called they are in nobody's hands; before that they are."""
    plant = Planting(light, struct_page(light, needle))
    before = Search(light, [needle])
    live: "set[int]" = set()
    dead: "set[int]" = set()
    for task in pid.for_each_task(light.prog):
        end = called_end(light.prog, task)
        if end:
            words = zeros(light, int(task.thread.sp) + 64, end)
            live.update(plant.at(each) for each in itertools.islice(words, 1))
            dead.add(plant.at(end))
    search = Search(light, [needle])
    assert len(dead) > 10
    assert set(search.hits) - set(before.hits) == live
    assert search.dropped("dead_stack") == before.dropped("dead_stack") + len(dead)


def test_cached_stack(light: Site, needle: int) -> None:
    """thread_stack_free_rcu() has left no sign of a stack in it: cached_stacks has it."""
    areas = [
        area
        for cpu in range(2)
        for area in percpu.per_cpu(light.prog["cached_stacks"], cpu)
        if area
    ]
    assert areas
    base = int(areas[0].addr)
    word = next(zeros(light, base + THREAD_SIZE // 2, base + THREAD_SIZE))
    plant = Planting(light, struct_page(light, needle))
    before = Search(light, [needle])
    plant.at(word)
    # An rcu_head: next, and func, which is 0 once it is called.
    light.write(base, bytes(16))
    search = Search(light, [needle])
    assert set(search.hits) == set(before.hits)
    assert search.dropped("dead_stack") == before.dropped("dead_stack") + 1
    # Of nobody's cache it may be anything.
    light.write(int(areas[0].address_of_()), bytes(8))
    assert light.phys(word) in Search(light, [needle]).hits


def test_dead_words(light: Site, needle: int) -> None:
    """The same word where nobody uses it, or where the kernel's things are not: not found."""
    prog = light.prog
    before = Search(light, [needle])
    plant = Planting(light, struct_page(light, needle))
    task = sleeping_task(light)
    _, dead = free_object(light, ("filp", "dentry", "kmalloc-128", "vm_area_struct"))
    plant.at((dead + 7) // 8 * 8)
    plant.at(int(task.thread.sp) - 64)
    user = next(pfn for pfn in light.lru_pages() if pfn != needle)
    plant.at_phys(user * PAGE_SIZE + 512)
    block = next(light.free_blocks(light.zones()[-1]))
    plant.at_phys((block.pfn + 1) * PAGE_SIZE + 64)
    plant.at(int(light.page(block.pfn + 1).private.address_of_()))
    plant.at(prog.symbol("vfs_read").address // 8 * 8 + 8)
    plant.at_phys(table_page(light, int(task.mm.pgd)) + 8 * 300)
    kernel_root = prog.symbol("init_top_pgt").address + 8 * 256
    entries = drgn.Object(prog, "unsigned long [256]", address=kernel_root)
    table = next(int(e) for e in entries if int(e) & 1) & 0x000FFFFFFFFFF000
    plant.at_phys(table + 8 * 200)
    search = Search(light, [needle])
    assert set(search.hits) == set(before.hits)
    assert search.dropped("free_object") == before.dropped("free_object") + 1
    assert search.dropped("dead_stack") == before.dropped("dead_stack") + 1
    assert search.dropped("known") == 0


def test_emptied_batch(light: Site, needle: int) -> None:
    """What a per-cpu batch was emptied of names nothing any more."""
    before = Search(light, [needle])
    slots = sorted(Oracle(light).unused_slots())
    Planting(light, struct_page(light, needle)).at_phys(slots[-1])
    search = Search(light, [needle])
    assert set(search.hits) == set(before.hits)
    assert search.dropped("unused_slot") == before.dropped("unused_slot") + 1


ENCODINGS = {
    "struct page": lambda page, direct, pfn: page,
    "struct page, tagged": lambda page, direct, pfn: page | 2,
    "inside of struct page": lambda page, direct, pfn: page + 8,
    "direct map address": lambda page, direct, pfn: direct + 0x123,
    "physical address": lambda page, direct, pfn: pfn * PAGE_SIZE,
    "pfn": lambda page, direct, pfn: pfn,
    "pfn in half a word": lambda page, direct, pfn: pfn << 32 | 5,
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_encodings(light: Site, needle: int, encoding: str) -> None:
    """A page is known by each of its names."""
    direct = int(mm.pfn_to_virt(light.prog, needle))
    word = ENCODINGS[encoding](struct_page(light, needle), direct, needle)
    address = int(light.prog["console_printk"].address_of_())
    phys = Planting(light, word).at(address)
    hits = Search(light, [needle], encodings=[encoding]).hits
    hit = hits[phys + 4 if encoding == "pfn in half a word" else phys]
    assert hit["encoding"] == encoding


def test_beside_drgn(light: Site) -> None:
    """All hits of drgn's search through all memory, each told or left out for a reason."""
    prog = light.prog
    chooser = random.Random(1)
    census = light.kernel().census()
    kinds = {census["class_names"][name] for name in ("lru", "used", "used-head", "frozen-head")}
    pages = [
        nr * light.section_pages + i
        for nr, classes in census["classes"].items()
        for i, each in enumerate(classes)
        if each & 63 in kinds
    ]
    pfns = chooser.sample(pages, 80)
    # Of those that are named more often not all hits are kept.
    totals = Search(light, pfns).result["totals"]
    pfns = [pfn for pfn in pfns if totals.get(pfn, 0) <= 255][:60]
    values = []
    for pfn in pfns:
        page, direct = struct_page(light, pfn), int(mm.pfn_to_virt(prog, pfn))
        values += [(page, page + 63), (direct, direct + PAGE_SIZE - 1)]
        values.append((pfn * PAGE_SIZE, pfn * PAGE_SIZE))
    base = int(mm.phys_to_virt(prog, 0))
    theirs = {address - base for address, _ in prog.search_memory_word(*values)}
    search = Search(light, pfns)
    assert set(search.hits) <= theirs
    assert not [hit for hit in search.result["hits"] if hit["place"]["dead"]]
    oracle = Oracle(light)
    why = {phys: oracle.why_not(phys) for phys in theirs - set(search.hits)}
    assert [hex(phys) for phys, reason in why.items() if reason is None] == []
    assert [hex(phys) for phys in search.hits if oracle.why_not(phys) is not None] == []
    counts = Counter(why.values())
    assert counts["dead_stack"] == search.dropped("dead_stack")
    assert counts["free_object"] == search.dropped("free_object")
    assert counts["unused_slot"] == search.dropped("unused_slot")
    assert search.hits


@pytest.mark.parametrize("variety", ["zlib", "elf-d31"])
def test_filtered_dumps(light: Site, variety: str) -> None:
    """What is searched, dumps without users' and free pages have whole."""
    (path,) = makedump.variety(light.dump.vmcore, variety)
    filtered = target.open_target([str(path)], [str(light.dump.vmlinux)]).kernel
    pfns = random.Random(2).sample(light.lru_pages(), 300)
    theirs, ours = filtered.search(pfns), light.kernel().search(pfns)
    missing = theirs["excluded_bytes"] + theirs["unreadable_bytes"]
    assert theirs["bytes"] + missing == ours["bytes"]
    if not missing:
        assert theirs["hits"] == ours["hits"]
        assert theirs["totals"] == ours["totals"]
        assert theirs["dropped"] == ours["dropped"]
    assert ours["excluded_bytes"] == ours["unreadable_bytes"] == 0
