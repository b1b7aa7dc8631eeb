# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tasks that go through memory by pfn: who, where they are, and over what they fall."""

from __future__ import annotations

import re

import drgn
import pytest
from drgn.helpers.linux.pid import find_task
from drgn.helpers.linux.xarray import xa_load
from frames import FRAME_BYTES, Frame
from lab import crash, make
from places import busy_block, hole, isolate, offline, removed
from planting import Audited, Site

from drgn_contrib import run, target


def program(dump: make.Dump) -> drgn.Program:
    prog = drgn.Program()
    prog.set_core_dump(str(dump.vmcore))
    prog.load_debug_info([str(dump.vmlinux)])
    return prog


def compact_control(prog: drgn.Program, task: drgn.Object) -> drgn.Object:
    """The one that drgn's stack trace shows."""
    for frame in prog.stack_trace(task):
        if frame.name in ("compact_node", "compact_zone_order", "kcompactd_do_work"):
            return frame["cc"]
    raise AssertionError("nobody compacts")


def test_crash(kernel: str) -> None:
    """Compaction fell over a page that is not there: the finding leads to it and to its walker."""
    dump = crash.dump(kernel, "walker")
    report = run.run(target.open_target([str(dump.vmcore)], [str(dump.vmlinux)]))
    pfn = dump.meta["crash"]["pfn"]
    assert report.target.crash is not None
    assert report.target.crash.pid is not None
    prog = program(dump)
    task = find_task(prog, report.target.crash.pid)
    control = compact_control(prog, task)
    zone = control.zone

    (walker,) = [w for w in report.walkers if w["pid"] == int(task.pid)]
    assert walker["walk"] == "compaction"
    assert walker["function"] == dump.meta["crash"]["function"]
    assert walker["task"] == task.comm.string_().decode()
    assert walker["compact_control"] == hex(int(control.address_of_()))
    assert walker["zone"] == f"node {int(zone.node)} zone {zone.name.string_().decode()}"
    at = {(each["name"], each["pfn"]) for each in walker["at"]}
    positions = {
        (name, int(control.member_(name)))
        for name in ("migrate_pfn", "free_pfn", "fast_start_pfn")
        if int(control.member_(name))
    }
    assert {each for each in at if each[0] != "page"} == positions
    absent = "in an absent or removed section"
    assert ("page", pfn) in at
    assert {each["is"] for each in walker["at"] if each["pfn"] == pfn} == {absent}

    (finding,) = [f for f in report.findings if f.severity != "info"]
    assert (finding.check, finding.severity) == ("stale-page-reference", "bug")
    assert (finding.pfn, finding.pfn_end) == (pfn, pfn + 1)
    assert finding.summary.startswith("the kernel crashed where compaction by ")
    assert finding.evidence["cr2"] == hex(report.target.crash.cr2 or 0)
    assert finding.evidence["compact_control"] == walker["compact_control"]
    assert f"stack of {walker['task']} ({walker['pid']})" in str(finding.evidence["also_named_by"])


def test_nobody(site: Site) -> None:
    """A machine at rest has none."""
    assert site.kernel().audit(None, None)["walkers"] == []


def stale(audited: Audited, pfn: int) -> "list[str]":
    """Severities of what is said of a page."""
    return [
        f["severity"]
        for f in audited.findings
        if f["check"] == "stale-page-reference" and f["pfn"] == pfn
    ]


def test_compaction(site: Site) -> None:
    """Memory went offline, or away, under compaction that has its pages in hand."""
    for find in offline, removed, hole:
        pfn = find(site)
        with site.planted():
            frame = Frame(site)
            zone, free = site.zone("Movable"), pfn + 512
            control = frame.control(zone, migrate_pfn=pfn & ~511, free_pfn=free)
            frame.enter("isolate_migratepages_block")
            frame.work_on(pfn)
            audited = site.audit()
            assert audited.above_info() == [("stale-page-reference", "suspect", pfn, pfn + 1)]
            (finding,) = [f for f in audited.findings if f["severity"] == "suspect"]
            assert finding["evidence"]["walker"] == "compaction in isolate_migratepages_block()"
            assert finding["evidence"]["zone"] == "node 0 zone Movable"
            assert finding["evidence"]["free_pfn"].startswith(hex(free))
            (walker,) = frame.walkers()
            assert walker["compact_control"] == hex(control)
            assert [at["pfn"] for at in walker["at"] if at["name"] == "page"] == [pfn]


def test_what_compaction_has_passed(site: Site) -> None:
    """Behind its scanners, pfn and struct page both are what it has left on its stack."""
    pfn = offline(site)
    for migrate, free in ((pfn + 512, pfn + 2048), (pfn - 2048, pfn - 512)):
        with site.planted():
            frame = Frame(site)
            frame.control(site.zone("Movable"), migrate_pfn=migrate, free_pfn=free)
            frame.enter("isolate_migratepages_block")
            frame.work_on(pfn)
            site.expect_nothing()
            assert stale(site.audit(), pfn) == ["info"]


@pytest.mark.parametrize(
    ("function", "walk"),
    [
        ("alloc_contig_range", "range allocation"),
        ("isolate_single_pageblock", "isolation of pageblocks"),
        ("soft_offline_page", "memory error handling"),
    ],
)
def test_other_walkers(site: Site, function: str, walk: str) -> None:
    # Where a compiler has made a clone of a function, it is all there is.
    clone = re.compile(r"\.(isra|constprop)\.\d+$")
    names = {clone.sub("", symbol.name): symbol.name for symbol in site.prog.symbols(None)}
    later = {"alloc_contig_range": "alloc_contig_frozen_range_noprof"}
    for name in (function, f"{function}_noprof", later.get(function, function)):
        if name in names:
            function = name
    if function not in names:
        pytest.skip("the kernel has no such function")
    pfn = offline(site)
    frame = Frame(site)
    frame.enter(names[function])
    frame.work_on(pfn)
    assert site.audit().above_info() == [("stale-page-reference", "suspect", pfn, pfn + 1)]
    (walker,) = frame.walkers()
    assert (walker["walk"], walker["function"]) == (walk, function)
    assert walker["compact_control"] is None


# Near misses.


def test_scanner_position(site: Site) -> None:
    """Where a scanner goes on may be anything: it looks before it goes there."""
    pfn = site.ranges("offline")[0][0]
    zone = next(z for z in site.zones() if 0 <= pfn - int(z.zone_start_pfn) < int(z.spanned_pages))
    frame = Frame(site)
    frame.control(zone, migrate_pfn=pfn)
    frame.enter("isolate_migratepages_block")
    site.expect_nothing()
    assert stale(site.audit(), pfn) == ["info"]


def test_left_on_the_stack(site: Site) -> None:
    """A struct page alone may be what an earlier call has left; so may a function's address."""
    pfn = offline(site)
    frame = Frame(site)
    frame.enter("isolate_migratepages_block")
    frame.work_on(pfn)
    site.expect_nothing()
    assert frame.walkers() == []
    frame.control(site.zone("Movable"))
    frame.words -= 16
    frame.push(0)
    site.expect_nothing()
    assert stale(site.audit(), pfn) == ["info"]


def test_below_the_stack_pointer(site: Site) -> None:
    pfn = offline(site)
    frame = Frame(site)
    frame.control(site.zone("Movable"))
    frame.enter("isolate_migratepages_block")
    frame.work_on(pfn)
    site.set(frame.task.thread.sp, frame.bottom + FRAME_BYTES)
    site.expect_nothing()
    assert stale(site.audit(), pfn) == []
    assert frame.walkers() == []


def test_who_offlines_memory(site: Site) -> None:
    """It works on what is offline by then, as it must."""
    pfn = offline(site)
    frame = Frame(site)
    frame.enter("test_pages_isolated")
    frame.enter("offline_pages")
    frame.work_on(pfn)
    assert stale(site.audit(), pfn) == ["info"]


# Whose pageblocks are isolated.


def memory_block(site: Site, pfn: int) -> drgn.Object:
    blocks = site.prog["memory_blocks"].address_of_()
    found = xa_load(blocks, pfn // site.section_pages)
    return drgn.cast("struct memory_block *", found)


def going_offline(site: Site) -> int:
    """A macro of this value, before it was an enumerator."""
    try:
        return int(site.prog.constant("MEM_GOING_OFFLINE"))
    except LookupError:
        return 1 << 1


def test_isolated_pageblock(site: Site) -> None:
    """Who allocates a range isolates it; who offlines memory says so in its memory block."""
    pfn = busy_block(site)
    for function, going, severity in (
        ("start_isolate_page_range", False, "info"),
        ("offline_pages", False, "suspect"),
        ("offline_pages", True, "info"),
    ):
        with site.planted():
            isolate(site, pfn)
            site.add(site.zone("Movable").nr_isolate_pageblock, 1)
            if going:
                site.set(memory_block(site, pfn).state, going_offline(site))
            Frame(site).enter(function)
            found = [f for f in site.audit().findings if f["check"] == "isolated-pageblock"]
            assert severity in {f["severity"] for f in found if f["pfn"] == pfn}
            assert {f["severity"] for f in found} == {severity}
