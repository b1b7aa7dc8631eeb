# SPDX-License-Identifier: LGPL-2.1-or-later
"""stale-page-reference: pointers to unusable pages, wherever in the kernel's memory they are."""

from __future__ import annotations

import struct
from typing import Iterator

import drgn
import pytest
from drgn.helpers.linux import pid, slab
from places import altmap, batches, free_object, hole, offline, removed
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


def test_batch(site: Site, targets: "list[int]") -> None:
    """A slot of a CPU's batch of folios for an LRU list."""
    for pfn in targets:
        with site.planted():
            batch = next(b for b in batches(site.prog, 0) if int(b.nr) < 8)
            slots = batch.pages if batch.type_.has_member("pages") else batch.folios
            site.write(int(slots[int(batch.nr)].address_of_()), pointer(site, pfn))
            site.add(batch.nr, 1)
            (finding,) = site.expect(stale(pfn))
            assert finding["summary"].startswith("LRU batch")
            assert "also_named_by" not in finding["evidence"]


def live_frames(site: Site, nr: int) -> "list[tuple[int, drgn.StackFrame]]":
    """Frames of sleeping tasks that are not the scheduler's, each with its task's pid."""
    tasks = [task for task in pid.for_each_task(site.prog) if not task.on_cpu and task.stack]
    traces = ((int(task.pid), site.prog.stack_trace(task)) for task in tasks)
    frames = ((pid, [f for f in trace if not f.is_inline]) for pid, trace in traces)
    # In a system call that calls the scheduler at once there is no other.
    found = [
        (pid, trace[2])
        for pid, trace in frames
        if len(trace) > 3 and "do_syscall_64" not in (trace[1].name, trace[2].name)
    ]
    assert len(found) >= nr
    return found[:nr]


def test_live_words(site: Site, targets: "list[int]") -> None:
    """In objects in use, on a stack, in static data: each target in each, and told where."""
    assert told(site) == {}
    prog, task = site.prog, pid.find_task(site.prog, 1)
    objects = [task, *(t for t in pid.for_each_task(prog) if int(t.pid) > 1)][: len(targets)]
    frames = live_frames(site, len(targets))
    # A name that nobody reads here.
    static = int(prog["init_uts_ns"].name.domainname.address_of_()) // 8 * 8 + 8
    for i, pfn in enumerate(targets):
        site.write(int(objects[i].comm.address_of_()), pointer(site, pfn))
        site.write(frames[i][1].sp, pointer(site, pfn))
        site.write(static + 8 * i, pointer(site, pfn))
    site.expect_nothing()
    found = told(site)
    assert set(found) == set(targets)
    for i, pfn in enumerate(targets):
        lines = found[pfn].splitlines()
        assert len(lines) == 3
        start, comm = int(objects[i]), int(objects[i].comm.address_of_())
        text = f"struct page: object {start:#x} + {comm - start:#x} of task_struct"
        assert text in lines
        sleeper, frame = frames[i]
        at = f" ({sleeper}) at {frame.sp:#x}, in "
        (on_stack,) = [line for line in lines if at in line]
        assert f", in {prog.symbol(frame.pc).name}+" in on_stack
        (in_data,) = [line for line in lines if line.endswith(f" at {static + 8 * i:#x}")]
        assert "init_uts_ns" in in_data


def test_dead_words(site: Site, targets: "list[int]") -> None:
    """Where nobody uses the words, or they are part of something else, they name nothing."""
    prog, task = site.prog, pid.find_task(site.prog, 1)
    name, dead = free_object(site, ("filp", "dentry", "kmalloc-128", "vm_area_struct"))
    cache = slab.find_slab_cache(prog, name)
    assert cache is not None
    words = b"".join(pointer(site, pfn) for pfn in targets)
    # Beside the link to the next free object.
    link = int(cache.offset)
    site.write((dead + 7) // 8 * 8 + (0 if link >= len(words) else link + 8), words)
    site.write(int(task.thread.sp) - 64, words)
    site.core.write(site.lru_pages()[0] * PAGE_SIZE + 512, words)
    site.write(prog.symbol("vfs_read").address // 8 * 8 + 8, words)
    free = next(site.free_blocks(site.zones()[-1])).pfn
    site.core.write((free + 1) * PAGE_SIZE + 64, words)
    # A string that happens to have the bytes, where no pointer could be.
    site.write(int(prog["init_uts_ns"].name.domainname.address_of_()) // 8 * 8 + 11, words)
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
    # So it is with numbers that are pfns by their names, and with those that only have the value.
    kept = next(each for each in ("tsc_pfn", "huge_zero_pfn") if each in prog)
    site.set(prog[kept], pfn + 1)
    site.set(prog["min_pfn_mapped"], pfn + 2)
    site.write(int(prog["console_printk"].address_of_()) + 8, struct.pack("<Q", pfn + 3))
    opened = target.open_target([str(site.core.path)], [str(site.dump.vmlinux)])
    found = {f.pfn: f for f in run.run(opened).findings if f.check == "stale-page-reference"}
    assert found[pfn].severity == "suspect"
    kind = "folio" if name == "huge_zero_folio" else "page"
    typed = str(found[pfn].evidence["typed_pointer"])
    assert typed.startswith(f"{name} (struct {kind} *): ")
    assert hex(variable) in typed
    assert found[other].severity == "info"
    assert "typed_pointer" not in found[other].evidence
    assert found[pfn + 1].severity == "info"
    assert found[pfn + 1].summary == "a pfn is kept of a page that is offline"
    assert str(found[pfn + 1].evidence["kept_in"]).startswith(f"{kept} (unsigned long): ")
    assert not {pfn + 2, pfn + 3} & set(found)
