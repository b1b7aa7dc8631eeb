# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where poisoned pages are, how far their handling has come, and who is at it just now."""

from __future__ import annotations

import re
import struct
from typing import Any

import drgn
import pytest
from drgn.helpers.linux.mm import pfn_to_virt, virt_to_pfn
from drgn.helpers.linux.xarray import xa_load
from dumps import POISONED, Open
from folios import find
from frames import Frame
from places import altmap, offline
from planting import TAKEN_OFF, Expected, OpenSite, Site
from poison import block_of, counts_in_blocks, leaves_in_buddy, poison
from reports import check_dossier

from drgn_contrib import dossier, dossier_text

ACCOUNTING = "hwpoison-accounting"


def records(site: Site) -> "dict[int, dict[str, Any]]":
    """What an audit says of each poisoned page."""
    return {page["pfn"]: page for page in site.kernel().audit(None, None)["poisoned"]}


def said(site: Site, pfn: int) -> "tuple[str, str]":
    page = records(site)[pfn]
    return page["place"], page["handling"]


# As the kernel left them.


def test_handled_pages(poisoned: Site) -> None:
    """Each page that the guest had offlined or poisoned and not unpoisoned, and no other."""
    again = {event["pfn"] for event in poisoned.events("unpoison")}
    pfns = {
        event["pfn"]
        for event in poisoned.events("poison") + poisoned.events("corrupt")
        if event["pfn"] not in again
    }
    found = records(poisoned)
    assert set(found) == pfns
    assert {page["handling"] for page in found.values()} <= {"complete", "in use"}
    for pfn, page in found.items():
        if page["handling"] == "in use":
            # Kernels keep a poisoned page of a tmpfs for its readers to see.
            assert page["place"] == "page cache"
            folio = drgn.cast("struct folio *", poisoned.page(pfn))
            pages = folio.mapping.i_pages.address_of_()
            assert int(xa_load(pages, int(folio.index))) == int(folio)
        elif page["place"] == "out of use":
            assert int(poisoned.refcount(pfn)) == 1
        else:
            assert (page["place"], int(poisoned.refcount(pfn))) == ("on no list", 0)


def test_what_the_log_says(open_dump: Open) -> None:
    """Of a page that was poisoned, and in the dossier of it and of no other."""
    opened = open_dump("v6.12", "full")
    pfns = [page["pfn"] for page in opened.kernel.audit(None, None)["poisoned"]]
    other = next(pfn for pfn in range(pfns[0], pfns[-1]) if pfn not in pfns)
    pages = dossier.dossiers(opened, [*pfns, other])
    for page in pages:
        check_dossier(page)
    lines = [line for page in pages for each in page["poisoned"] for line in each["log"]]
    assert any("recovery action for" in line for line in lines)
    for pfn, page in zip(pfns, pages):
        (mine,) = page["poisoned"]
        assert mine["pfn"] == pfn
        assert all(f"{pfn:#x}" in line for line in mine["log"])
        assert f"{mine['place']}, handling {mine['handling']}" in dossier_text.dossier_text(page)
    assert pages[-1]["poisoned"] == []


# Places.


def test_places(poisoned: Site) -> None:
    anon = find(poisoned, "anon").pfn
    for where, pfn in (("anonymous", anon), ("slab", slab_page(poisoned))):
        with poisoned.planted():
            poison(poisoned, pfn)
            assert said(poisoned, pfn) == (where, "in use")
    block = poisoned.free_block(0)
    with poisoned.planted():
        poison(poisoned, block.pfn)
        assert said(poisoned, block.pfn) == ("free list", "delayed")
        poisoned.to_pcp(block)
        assert said(poisoned, block.pfn) == ("per-cpu free list", "delayed")
    poisoned.take(block)
    poison(poisoned, block.pfn)
    assert said(poisoned, block.pfn) == ("on no list", "complete")
    poisoned.set(poisoned.refcount(block.pfn), 1)
    poisoned.set(poisoned.page(block.pfn).private, TAKEN_OFF)
    assert said(poisoned, block.pfn) == ("out of use", "complete")
    # Taken off by nobody, and with more references than handling takes.
    poisoned.set(poisoned.page(block.pfn).private, 0)
    poisoned.set(poisoned.refcount(block.pfn), 2)
    assert said(poisoned, block.pfn) == ("kernel", "in use")


def slab_page(site: Site) -> int:
    """One with a task_struct in it."""
    return int(virt_to_pfn(site.prog, int(site.prog["init_task"].tasks.next)))


@pytest.mark.parametrize("poisoned", POISONED[1:2], indirect=True, ids=["v6.12"])
def test_memory_that_is_not_in_use(poisoned: Site) -> None:
    """In an offline section, and where a device keeps its memory map: no fault."""
    for where, pfn in (("offline section", offline(poisoned)), ("altmap", altmap(poisoned))):
        with poisoned.planted():
            poison(poisoned, pfn, counted=False)
            assert said(poisoned, pfn)[0] == where
            poisoned.expect_nothing()
            # Counted when it was in use.
            poisoned.add(poisoned.prog["num_poisoned_pages"].counter, 1)
            poisoned.expect_nothing()
            assert not poisoned.new_infos()


def test_raw_pages(poisoned: Site) -> None:
    """Which pages of a hugetlb folio are bad: on a list of the head's."""
    folio = find(poisoned, "hugetlb")
    poison(poisoned, folio.pfn, counted=False)
    if not has_member_of_folio(poisoned):
        assert records(poisoned)[folio.pfn]["raw_pages"] is None
        return
    bad = [folio.pfn + 300, folio.pfn + 9]
    # Entries in memory that is free: nobody minds what is in it.
    at = int(pfn_to_virt(poisoned.prog, poisoned.free_block(0).pfn))
    node = 0
    for i, pfn in enumerate(bad):
        entry = struct.pack("<2Q", node, int(poisoned.page(pfn)))
        node = at + 64 * i
        poisoned.write(node, entry)
    head = poisoned.prog.type("struct folio").member("_hugetlb_hwpoison").offset
    poisoned.write(int(poisoned.page(folio.pfn)) + head, struct.pack("<Q", node))
    page = records(poisoned)[folio.pfn]
    assert (page["place"], page["handling"], page["raw_pages"]) == ("hugetlb", "in use", bad)
    assert page["raw_pages_complete"]
    # Two are known to be bad, and none of them was counted.
    mapped: Expected = ("hwpoison-mapped", "bug", folio.pfn, folio.pfn + 1)
    found = poisoned.expect((ACCOUNTING, "bug", None, None), mapped)
    assert found[0]["evidence"]["raw_hugetlb_pages"] == 2
    poisoned.add(poisoned.prog["num_poisoned_pages"].counter, 2)
    poisoned.expect(mapped)


def has_member_of_folio(site: Site) -> bool:
    try:
        return bool(site.prog.type("struct folio").has_member("_hugetlb_hwpoison"))
    except LookupError:
        return False


# In the middle of it.

in_flight = pytest.mark.parametrize(
    "poisoned", POISONED[:2], indirect=True, ids=[kernel for kernel, _ in POISONED[:2]]
)


@in_flight
@pytest.mark.parametrize("by", ["pfn", "page"])
def test_flagged_and_not_yet_counted(poisoned: Site, by: str) -> None:
    """memory_failure() before action_result(): its task has the pfn and maybe no more."""
    block = poisoned.free_block(0)
    poisoned.allocate(block)
    pfn = block.pfn
    poison(poisoned, pfn, counted=False)
    expected: "list[Expected]" = [(ACCOUNTING, "bug", None, None)]
    if counts_in_blocks(poisoned):
        first, last = poisoned.section_range(pfn // poisoned.section_pages)
        expected.append((ACCOUNTING, "bug", first, last))
    frame = Frame(poisoned)
    frame.push(pfn if by == "pfn" else int(poisoned.page(pfn)))
    # A number is no evidence by itself.
    poisoned.expect(*expected)
    frame.enter("memory_failure")
    poisoned.expect_nothing()
    task = f"{frame.task.comm.string_().decode()} (pid {int(frame.task.pid)})"
    infos = [f for f in poisoned.audit().findings if f["check"] == ACCOUNTING]
    assert len(infos) == len(expected)
    assert {f["evidence"]["task"] for f in infos} == {
        f"{task}, handling a memory error in memory_failure()"
    }
    page = records(poisoned)[pfn]
    assert (page["handling"], page["task"]) == ("in progress", task)


@in_flight
def test_another_page_is_handled(poisoned: Site) -> None:
    """Who handles one error does not excuse the next."""
    pfns = [block.pfn for block in (poisoned.free_block(0), poisoned.free_block(1))]
    for pfn in pfns:
        poison(poisoned, pfn, counted=False)
    frame = Frame(poisoned)
    frame.enter("soft_offline_page")
    frame.push(pfns[0])
    found = [f for f in poisoned.audit().findings if f["check"] == ACCOUNTING]
    (finding,) = [f for f in found if f["pfn"] is None]
    assert (finding["severity"], finding["evidence"]["being_handled"]) == ("bug", 1)


@in_flight
def test_free_page_before_it_is_taken_off(poisoned: Site) -> None:
    """Since v5.11 memory_failure() flags a free page first, and takes it off its list then."""
    if leaves_in_buddy(poisoned):
        pytest.skip("the kernel leaves it there")
    pfn = poisoned.free_block(3).pfn + 5
    poison(poisoned, pfn)
    frame = Frame(poisoned)
    frame.enter("memory_failure")
    frame.work_on(pfn)
    poisoned.expect_nothing()
    (finding,) = [f for f in poisoned.audit().findings if f["check"] == "hwpoison-in-buddy"]
    assert finding["pfn"] == pfn
    assert finding["summary"].endswith("a task is taking it off")


@in_flight
def test_counters_in_between(poisoned: Site) -> None:
    """An outcome counted and the event not yet; a block's count not yet taken back."""
    if not counts_in_blocks(poisoned):
        pytest.skip("the kernel does not count by memory block or node")
    pfn = next(iter(records(poisoned)))
    with poisoned.planted():
        poisoned.add(block_of(poisoned, pfn).nr_hwpoison.counter, 1)
        poisoned.expect((ACCOUNTING, "bug", None, None))
        Frame(poisoned).enter("unpoison_memory")
        poisoned.expect_nothing()
    node = poisoned.zones()[0].zone_pgdat
    Frame(poisoned).enter("memory_failure")
    poisoned.add(node.mf_stats.recovered, 1)
    poisoned.expect_nothing()
    poisoned.add(node.mf_stats.recovered, 1)
    poisoned.expect((ACCOUNTING, "bug", None, None))


# Memory errors of altmap pfns.


def test_error_of_an_altmap_page(open_site: OpenSite) -> None:
    """memory_failure() has no business there: who works on it is named."""
    site = open_site("v6.12")
    with site.planted():
        pfn = altmap(site)
        frame = Frame(site)
        frame.enter("memory_failure")
        frame.work_on(pfn)
        (finding,) = site.expect(("stale-page-reference", "suspect", pfn, pfn + 1))
        assert finding["evidence"]["target"] == "altmap metadata"
        assert finding["evidence"]["walker"] == "memory error handling in memory_failure()"
        (walker,) = frame.walkers()
        assert {"name": "page", "pfn": pfn, "is": "altmap metadata"} in walker["at"]


def test_altmap_page_in_the_log(open_site: OpenSite) -> None:
    """The log says that the error of such a page was handled as if it were data."""
    site = open_site("v6.12")
    ring = site.prog["prb"].text_data_ring
    text = site.prog.read(int(ring.data), 1 << int(ring.size_bits))
    said = re.search(rb"Memory failure: (0x[0-9a-f]{5}): recovery action", text)
    assert said
    pfn = next(start + 77 for start, _ in site.ranges("altmap") if 0xFFFF < start < 0xFFFFF)
    with site.planted():
        site.write(int(ring.data) + said.start(1), hex(pfn).encode())
        site.expect_nothing()
        assert site.new_infos() == {("stale-page-reference", "info", pfn, pfn + 1)}
