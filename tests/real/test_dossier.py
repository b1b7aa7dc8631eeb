# SPDX-License-Identifier: LGPL-2.1-or-later
"""Dossiers of pages of every kind, beside what drgn says of them."""

from __future__ import annotations

import functools
import re
from typing import Any, Dict, Iterator, NamedTuple, Optional

import drgn
import pytest
from drgn import Object, cast
from drgn.helpers.linux.cpumask import for_each_online_cpu
from drgn.helpers.linux.fs import d_path, inode_path
from drgn.helpers.linux.list import list_for_each_entry
from drgn.helpers.linux.mm import (
    PFN_PHYS,
    compound_head,
    compound_order,
    follow_pfn,
    page_to_pfn,
    pfn_to_page,
    pfn_to_virt,
    vma_find,
)
from drgn.helpers.linux.mmzone import for_each_online_pgdat
from drgn.helpers.linux.percpu import per_cpu_ptr
from drgn.helpers.linux.pid import find_task
from drgn.helpers.linux.slab import find_containing_slab_cache
from dumps import Open
from lab import make
from reports import check_dossier

from drgn_contrib.dossier import dossiers
from drgn_contrib.dossier_text import dossier_text
from drgn_contrib.target import OpenedTarget

Dossier = Dict[str, Any]


class Scene(NamedTuple):
    """One dump, seen by us and by drgn."""

    dump: make.Dump
    opened: OpenedTarget
    prog: drgn.Program

    def event(self, kind: str, **wanted: object) -> Dict[str, Any]:
        """What the guest said of where something is."""
        found: Dict[str, Any] = next(
            event
            for event in self.dump.meta["events"]
            if event["event"] == kind and wanted.items() <= event.items()
        )
        return found

    def pfn_of_class(self, wanted: str) -> int:
        """The first page, of a section in the middle, whose class the pattern matches."""
        census = self.opened.kernel.census()
        names = {value: name for name, value in census["class_names"].items()}
        values = [value for value, name in names.items() if re.fullmatch(wanted, name)]
        # Beside the class a byte has two marks.
        every = bytes(value | marks for value in values for marks in (0, 0x40, 0x80, 0xC0))
        pattern = re.compile(b"[" + re.escape(every) + b"]")
        size = self.opened.kernel.memory()["section_pages"]
        found = [
            nr * size + match.start()
            for nr, classes in census["classes"].items()
            for match in [pattern.search(classes)]
            if match
        ]
        pfn: int = found[len(found) // 2]
        return pfn

    def pfn_of_state(self, state: str) -> Optional[int]:
        """The middle one of the last run of that state."""
        runs = [run for run in self.opened.kernel.memory()["map"] if run["state"] == state]
        return (runs[-1]["pfn"] + runs[-1]["pfn_end"]) // 2 if runs else None

    def page(self, pfn: int) -> Object:
        return pfn_to_page(self.prog, pfn)


@functools.cache
def open_prog(vmcore: str, vmlinux: str) -> drgn.Program:
    prog = drgn.Program()
    prog.set_core_dump(vmcore)
    prog.load_debug_info([vmlinux])
    return prog


@pytest.fixture
def scene(kernel: str, open_dump: Open) -> Scene:
    dump = make.dump(kernel, "full")
    return Scene(dump, open_dump(kernel, "full"), open_prog(str(dump.vmcore), str(dump.vmlinux)))


def resource_path(prog: drgn.Program, phys: int) -> Optional[str]:
    """As /proc/iomem shows it, outermost first."""
    names, resource = [], prog["iomem_resource"].child
    while resource:
        if resource.start <= phys <= resource.end:
            names.append(resource.name.string_().decode())
            resource = resource.child
        else:
            resource = resource.sibling
    return " / ".join(names) or None


def read(scene: Scene, pfn: int) -> Dossier:
    (page,) = dossiers(scene.opened, [pfn])
    check_dossier(page)
    assert page["pfn"] == pfn
    assert page["resource"] == resource_path(scene.prog, pfn << 12)
    if "raw" in page:
        struct_page = scene.page(pfn)
        assert int(page["page"], 16) == struct_page.value_()
        assert page["refcount"] == struct_page._refcount.counter.value_()
        words = scene.prog.read(struct_page.value_(), 64)
        assert [int(word, 16) for word in page["raw"]] == [
            int.from_bytes(words[i : i + 8], "little") for i in range(0, 64, 8)
        ]
    return page


def counts(page: Dossier) -> "Dict[str, int]":
    """As they are stored; each must be what the holders have."""
    for count in page["counts"]:
        assert count["counted"] in (None, count["stored"]), count
    return {count["counter"]: count["stored"] for count in page["counts"]}


def folio_counter(scene: Scene, pfn: int, *names: str) -> int:
    """A counter of a folio as stored: by the first of the names that this kernel has."""
    head = compound_head(scene.page(pfn))
    for name in names:
        kind, _, member = name.partition(".")
        # What struct page had of folios was in the second one.
        if kind == "page":
            base = head + 1
        else:
            try:
                base = cast("struct folio *", head)
            except LookupError:
                continue
        if hasattr(base, member):
            return int(base.member_(member).counter.value_())
    raise AssertionError(f"this kernel has none of {names}")


def check_map(scene: Scene, page: Dossier, pid: int, address: int) -> Dossier:
    """The task maps the page there, by drgn's own walk, in the VMA that drgn finds."""
    task = find_task(scene.prog, pid)
    mm = task.mm.read_()
    (mapping,) = [
        r
        for r in page["references"]
        if r["kind"].startswith("map")
        and r["pid"] == pid
        and r["index"] <= address < r["index"] + (r["pfn_end"] - r["pfn"]) * 4096
    ]
    inside = (address - mapping["index"]) // 4096
    assert follow_pfn(mm, address).value_() == mapping["pfn"] + inside
    assert int(mapping["owner"], 16) == mm.value_()
    assert mapping["comm"] == task.comm.string_().decode()
    vma = vma_find(mm, address)
    assert (mapping["vma"]["start"], mapping["vma"]["end"]) == (
        vma.vm_start.value_(),
        vma.vm_end.value_(),
    )
    found: Dossier = mapping
    return found


def test_anonymous_page(scene: Scene) -> None:
    event = scene.event("anon")
    address = event["address"]
    pfn = follow_pfn(find_task(scene.prog, event["pid"]).mm, address).value_()
    page = read(scene, pfn)
    assert (page["kind"], page["class"], page["folio"]["order"]) == ("anonymous", "lru", 0)
    check_map(scene, page, event["pid"], address)
    stored = counts(page)
    assert stored["_mapcount"] == scene.page(pfn)._mapcount.counter.value_() + 1 == 1
    assert int(page["mapping"], 16) == scene.page(pfn).mapping.value_()


@pytest.mark.parametrize("inside", [0, 1, 300], ids=["head", "first tail", "tail"])
def test_thp(scene: Scene, inside: int) -> None:
    event = scene.event("thp")
    # Of its huge pages: one that the kernel could make whole.
    mm = find_task(scene.prog, event["pid"]).mm.read_()
    for at in range(event["address"], event["address"] + event["size"], 1 << 21):
        pfn = follow_pfn(mm, at).value_()
        if compound_order(compound_head(scene.page(pfn))) == 9:
            break
    else:
        pytest.skip("the guest got no huge page")
    page = read(scene, pfn + inside)
    head = compound_head(scene.page(pfn + inside))
    assert page["folio"]["head_pfn"] == page_to_pfn(head).value_() == pfn
    assert page["folio"]["order"] == compound_order(head).value_()
    assert page["tail"] == (inside > 0)
    assert page["kind"] == "anonymous"
    stored = counts(page)
    entire = folio_counter(scene, pfn, "folio._entire_mapcount", "page.compound_mapcount")
    assert stored["entire mapcount"] == entire + 1
    assert stored["_refcount"] == head._refcount.counter.value_()
    if "_large_mapcount" in stored:
        assert stored["_large_mapcount"] == folio_counter(scene, pfn, "folio._large_mapcount") + 1
    assert (
        sum(r["count"] for r in page["references"] if r["kind"] == "map-entire")
        == (stored["entire mapcount"])
    )
    assert any("as a whole" in s or "all in all" in s for s in page["dump_page"]["misleading"])


def test_file_page(scene: Scene) -> None:
    event = scene.event("file", path="/tmp/file")
    address = event["address"]
    pfn = follow_pfn(find_task(scene.prog, event["pid"]).mm, address).value_()
    page = read(scene, pfn)
    mapping = check_map(scene, page, event["pid"], address)
    host = scene.page(pfn).mapping.host.read_()
    (cached,) = [r for r in page["references"] if r["holder"] == "page cache"]
    assert int(cached["inode"], 16) == host.value_()
    assert cached["file"]["ino"] == host.i_ino.value_()
    assert cached["file"]["file_system"] == host.i_sb.s_type.name.string_().decode()
    path = inode_path(host)
    assert path is not None
    assert cached["file"]["path"] == "/" + path.decode().lstrip("/")
    vma = vma_find(find_task(scene.prog, event["pid"]).mm, address)
    assert d_path(vma.vm_file.f_path).decode().endswith(mapping["vma"]["file"]["path"])
    assert page["made_of"]["references"] == 1
    counts(page)


def test_hugetlb(scene: Scene) -> None:
    event = scene.event("hugetlb")
    page = read(scene, event["shared_pfn"])
    assert page["kind"] == "hugetlb"
    assert page["folio"]["hugetlb"]
    assert page["folio"]["order"] == 9
    check_map(scene, page, event["pid"], event["shared"])
    counts(page)


def test_slab(scene: Scene) -> None:
    task = find_task(scene.prog, 1)
    page = read(scene, (task.value_() - pfn_to_virt(scene.prog, 0).value_()) >> 12)
    cache = find_containing_slab_cache(task)
    assert page["slab"] == cache.name.string_().decode()
    assert f"slab of {page['slab']}" in dossier_text(page)


def zones(scene: Scene) -> Iterator[Object]:
    for pgdat in for_each_online_pgdat(scene.prog):
        for zone in pgdat.node_zones:
            if zone.present_pages:
                yield zone


def test_free_block(scene: Scene) -> None:
    pfn = scene.pfn_of_class(r"free-\d+")
    page = read(scene, pfn)
    order = scene.page(pfn).private.value_()
    assert page["type"] == "buddy"
    assert page["class"] == f"free-{order}"
    assert pfn in {
        page_to_pfn(free).value_()
        for zone in zones(scene)
        for head in zone.free_area[order].free_list
        for free in list_for_each_entry("struct page", head.address_of_(), "lru")
    }
    assert page["on_list"]
    assert not page["references"]
    assert any("of type buddy" in sentence for sentence in page["dump_page"]["misleading"])


def pcp_pages(scene: Scene, zone: Object) -> Iterator[int]:
    """Pages on the per-cpu lists of a zone."""
    for cpu in for_each_online_cpu(scene.prog):
        if hasattr(zone, "per_cpu_pageset"):
            lists = per_cpu_ptr(zone.per_cpu_pageset, cpu).lists
        else:
            lists = per_cpu_ptr(zone.pageset, cpu).pcp.lists
        for head in lists:
            for page in list_for_each_entry("struct page", head.address_of_(), "lru"):
                yield page_to_pfn(page).value_()


def test_page_of_a_per_cpu_list(scene: Scene) -> None:
    pfn = next(pfn for zone in zones(scene) for pfn in pcp_pages(scene, zone))
    page = read(scene, pfn)
    assert (page["class"], page["on_list"], page["refcount"]) == ("pcp", True, 0)
    assert not page["references"]


def test_device_page(scene: Scene) -> None:
    pfn = scene.pfn_of_state("device")
    assert pfn is not None
    page = read(scene, pfn)
    assert page["class"] == "device"
    struct_page = scene.page(pfn)
    pgmap = (
        struct_page.pgmap
        if hasattr(struct_page, "pgmap")
        else cast("struct folio *", struct_page).pgmap
    )
    assert int(page["pgmap"]["address"], 16) == pgmap.value_()
    first = PFN_PHYS(Object(scene.prog, "unsigned long", page["pgmap"]["pfn"])).value_()
    starts = {pgmap.ranges[i].start.value_() for i in range(pgmap.nr_range.value_())}
    assert first in starts


@pytest.mark.parametrize("state", ["offline", "hole", "absent"])
def test_what_is_no_memory(scene: Scene, state: str) -> None:
    pfn = scene.pfn_of_state(state)
    if pfn is None:
        if state != "absent":
            pytest.skip(f"nothing is {state}")
        pfn = 1 << 24
    page = read(scene, pfn)
    assert page["state"] == state
    assert not page["references"]
    assert ("raw" in page) == (state != "absent")


def test_reserved(scene: Scene) -> None:
    page = read(scene, scene.pfn_of_class("reserved"))
    assert page["class"] == "reserved"
    assert "reserved" in page["flag_names"]
    assert [count["counted"] for count in page["counts"]] == [None, None]


def test_tail_of_hvo(kernel: str, open_dump: Open) -> None:
    """A tail whose struct page is in the memmap page that all such tails share."""
    if kernel == "v5.10":
        pytest.skip("no HVO")
    dump = make.dump(kernel, "hvo")
    scene = Scene(dump, open_dump(kernel, "hvo"), open_prog(str(dump.vmcore), str(dump.vmlinux)))
    event = scene.event("hugetlb")
    page = read(scene, event["shared_pfn"] + 500)
    assert page["folio"]["head_pfn"] == event["shared_pfn"]
    assert page["tail"]
    assert page["kind"] == "hugetlb"
    mapping = next(r for r in page["references"] if r["pid"] == event["pid"])
    assert mapping["index"] == event["shared"]


def test_who_waits(kernel: str, open_dump: Open) -> None:
    """A folio that is read from a file system which is frozen, and a task that wants its lock."""
    dump = make.dump(kernel, "census")
    scene = Scene(dump, open_dump(kernel, "census"), open_prog(str(dump.vmcore), str(dump.vmlinux)))
    table = scene.prog[
        "folio_wait_table" if "folio_wait_table" in scene.prog else "page_wait_table"
    ]
    found = 0
    for queue in table:
        for entry in list_for_each_entry(
            scene.prog.type("struct wait_queue_entry"), queue.head.address_of_(), "entry"
        ):
            waiting = drgn.container_of(entry, "struct wait_page_queue", "wait")
            target = waiting.folio if hasattr(waiting, "folio") else waiting.page
            pfn = page_to_pfn(cast("struct page *", target)).value_()
            task = cast("struct task_struct *", entry.private)
            page = read(scene, pfn)
            waiter = next(w for w in page["waiters"] if int(w["entry"], 16) == entry.value_())
            assert int(waiter["task"], 16) == task.value_()
            assert waiter["pid"] == task.pid.value_()
            assert waiter["comm"] == task.comm.string_().decode()
            assert "locked" in page["flag_names"].split("|")
            assert f"pid {waiter['pid']} ({waiter['comm']})" in dossier_text(page)
            assert any(int(h["task"], 16) == task.value_() for h in page["in_hand"])
            found += 1
    assert found


def test_page_owner_of_another_kernel(open_dump: Open) -> None:
    """v5.10's records, where the lab has built that kernel."""
    if make.existing("v5.10-owner", "owner") is None:
        pytest.skip("scripts/lab make v5.10-owner owner has not been run: it builds a kernel")
    opened = open_dump("v5.10-owner", "owner")
    dump = make.dump("v5.10-owner", "owner")
    (about,) = [e for e in dump.meta["events"] if e["event"] == "anon"]
    (page,) = dossiers(opened, [about["pfn"]])
    check_dossier(page)
    assert page["owner"]["allocated"]
    assert page["owner"]["order"] == 0
    assert page["owner"]["alloc"]["pid"] is None
    symbols = [frame["symbol"] for frame in page["owner"]["alloc"]["stack"]]
    assert any(symbol and symbol.startswith("handle_mm_fault+") for symbol in symbols), symbols
