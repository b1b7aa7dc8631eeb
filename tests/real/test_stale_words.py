# SPDX-License-Identifier: LGPL-2.1-or-later
"""stale-page-reference: pointers to unusable pages, wherever in the kernel's memory they are."""

from __future__ import annotations

import struct
from typing import Iterator

import drgn
import pytest
from drgn.helpers.linux import pid, slab
from places import altmap, batches, free_object, hole, offline, removed, symbols_in_dump
from planting import PAGE_SIZE, Expected, Site

from drgn_contrib import run, target


@pytest.fixture
def targets(site: Site) -> "list[int]":
    """A page of memory that is offline, that was removed, of a hole, and of an altmap."""
    return [offline(site), removed(site), hole(site), altmap(site)]


def stale(pfn: int) -> Expected:
    return "stale-page-reference", "bug", pfn, pfn + 1


def pointer(site: Site, pfn: int) -> bytes:
    return struct.pack("<Q", int(site.page(pfn)))


def told(site: Site) -> "dict[int, str]":
    """What the check says about words, by pfn."""
    return {
        f["pfn"]: f["evidence"]["named_by"]
        for f in site.audit().findings
        if f["check"] == "stale-page-reference" and "named_by" in f["evidence"]
    }


def held_slots(site: Site, holder: str) -> Iterator[int]:
    """Addresses of the slots that a holder has."""
    online = site.ranges("online")
    for reference in site.kernel().references([(online[0][0], online[-1][1])]):
        if reference["holder"] == holder and reference["slot"]:
            yield reference["slot"]


@pytest.mark.parametrize("holder", ["pipe buffer", "page cache"])
def test_slot_of_a_holder(site: Site, targets: "list[int]", holder: str) -> None:
    """What a holder's walk has told of is not told again as a word."""
    slots = held_slots(site, holder)
    for pfn, slot in zip(targets, slots):
        site.write(slot, pointer(site, pfn))
    audited = site.audit()
    found = [f for f in audited.findings if f["check"] == "stale-page-reference"]
    for pfn in targets:
        (finding,) = [f for f in found if f["pfn"] == pfn]
        assert finding["severity"] == "bug"
        assert finding["summary"].startswith(holder)
        assert "also_named_by" not in finding["evidence"]


def test_batch(site: Site) -> None:
    """A slot of a CPU's batch of folios for an LRU list."""
    pfn = offline(site)
    batch = next(b for b in batches(site.prog, 0) if int(b.nr) < 8)
    slots = batch.pages if batch.type_.has_member("pages") else batch.folios
    site.write(int(slots[int(batch.nr)].address_of_()), pointer(site, pfn))
    site.add(batch.nr, 1)
    (finding,) = site.expect(stale(pfn))
    assert finding["summary"].startswith("LRU batch")
    assert "also_named_by" not in finding["evidence"]


def live_frame(site: Site, task: drgn.Object) -> drgn.StackFrame:
    return [each for each in site.prog.stack_trace(task) if not each.is_inline][2]


def test_live_words(site: Site, targets: "list[int]") -> None:
    """In an object in use, on a stack, in static data: a hint each, that says where."""
    assert told(site) == {}
    prog, task = site.prog, pid.find_task(site.prog, 1)
    frame = live_frame(site, task)
    in_object, on_stack, static, both = targets
    comm = int(task.comm.address_of_())
    variable = int(prog["console_printk"].address_of_())
    site.write(comm, pointer(site, in_object))
    site.write(frame.sp, pointer(site, on_stack))
    site.write(variable, pointer(site, static))
    site.write(comm + 8, pointer(site, both))
    site.write(variable + 8, pointer(site, both))
    site.expect_nothing()
    found = told(site)
    assert set(found) == set(targets)
    named = symbols_in_dump(site)
    assert found[in_object] == (
        f"struct page: object {int(task):#x} + {comm - int(task):#x} of task_struct"
    )
    assert f" (1) at {frame.sp:#x}, in " in found[on_stack]
    assert f", in {prog.symbol(frame.pc).name}+" in found[on_stack] or not named
    assert f" at {variable:#x}" in found[static]
    assert "console_printk" in found[static] or not named
    assert len(found[both].splitlines()) == 2


def test_dead_words(site: Site, targets: "list[int]") -> None:
    """Where nobody uses the word, or it is part of something else, it names nothing."""
    task = pid.find_task(site.prog, 1)
    name, dead = free_object(site, ("filp", "dentry", "kmalloc-128", "vm_area_struct"))
    assert slab.find_slab_cache(site.prog, name) is not None
    in_object, on_stack, in_user, in_text = (pointer(site, pfn) for pfn in targets)
    site.write((dead + 7) // 8 * 8, in_object)
    site.write(int(task.thread.sp) - 64, on_stack)
    site.core.write(site.lru_pages()[0] * PAGE_SIZE + 512, in_user)
    site.write(site.prog.symbol("vfs_read").address // 8 * 8 + 8, in_text)
    free = next(site.free_blocks(site.zones()[-1])).pfn
    site.core.write((free + 1) * PAGE_SIZE + 64, in_object)
    # A string that happens to have the bytes, which no pointer could be aligned to.
    site.write(int(site.prog["console_printk"].address_of_()) + 3, in_object)
    site.expect_nothing()
    assert told(site) == {}


def test_device_memory_is_fine(site: Site) -> None:
    """A pointer to a page of device memory is what its drivers have."""
    pfn = site.ranges("device")[0][0] + 1077
    site.write(int(site.prog["console_printk"].address_of_()), pointer(site, pfn))
    site.expect_nothing()
    assert told(site) == {}


def test_typed_pointers(site: Site) -> None:
    """A static variable that is a pointer to a page is one; a number that looks like it is not."""
    prog, pfn, other = site.prog, offline(site), hole(site)
    name = "huge_zero_folio" if "huge_zero_folio" in prog else "huge_zero_page"
    variable = int(prog[name].address_of_())
    site.write(variable, pointer(site, pfn))
    site.write(int(prog["console_printk"].address_of_()), pointer(site, other))
    opened = target.open_target([str(site.core.path)], [str(site.dump.vmlinux)])
    found = {f.pfn: f for f in run.run(opened).findings if f.check == "stale-page-reference"}
    assert found[pfn].severity == "suspect"
    kind = "folio" if name == "huge_zero_folio" else "page"
    typed = str(found[pfn].evidence["typed_pointer"])
    assert typed.startswith(f"{name} (struct {kind} *): ")
    assert hex(variable) in typed
    assert found[other].severity == "info"
    assert "typed_pointer" not in found[other].evidence
