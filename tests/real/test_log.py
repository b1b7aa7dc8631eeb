# SPDX-License-Identifier: LGPL-2.1-or-later
"""The kernel's log and its crash, on real dumps."""

from __future__ import annotations

import drgn
import pytest
from drgn.helpers.linux.pid import find_task
from drgn.helpers.linux.printk import get_printk_records
from dumps import Open
from lab import crash, kernels, make, makedump

from drgn_contrib import _pageaudit, target


def program(dump: make.Dump) -> drgn.Program:
    prog = drgn.Program()
    prog.set_core_dump(dump.vmcore)
    prog.load_debug_info([dump.vmlinux])
    return prog


def kernel_of(dump: make.Dump) -> _pageaudit.Kernel:
    return target.open_target([str(dump.vmcore)], [str(dump.vmlinux)]).kernel


def check_records(dump: make.Dump) -> None:
    log = kernel_of(dump).log_records()
    assert log["error"] is None
    assert (log["lost"], log["unreadable"]) == (0, 0)
    expected = [
        (r.seq, r.timestamp, r.level, r.facility, r.text) for r in get_printk_records(program(dump))
    ]
    assert len(expected) > 300
    assert [
        (r["seq"], r["time_ns"], r["level"], r["facility"], r["text"]) for r in log["records"]
    ] == expected


def test_records_are_drgns(kernel: str) -> None:
    check_records(make.dump(kernel, "light"))


def test_healthy(kernel: str, open_dump: Open) -> None:
    opened = open_dump(kernel)
    assert opened.kernel.crash() is None
    assert opened.kernel.log() == []


def test_records_of_a_crash(kernel: str) -> None:
    """A log that goes to the kernel's last word."""
    dump = crash.dump(kernel, "walker")
    check_records(dump)
    lines = kernel_of(dump).log()
    assert [line["kind"] for line in lines] == ["oops"] * 4 + ["panic"]
    pfn = dump.meta["crash"]["pfn"]
    assert [line["pfn"] for line in lines] == [pfn, None, None, pfn, None]


def test_memory_errors(kernel: str, open_dump: Open) -> None:
    """The log names what the guest's own pagemap named."""
    if not kernels.fetch(kernel).has_config("MEMORY_FAILURE"):
        pytest.skip("the kernel has no CONFIG_MEMORY_FAILURE")
    events = make.dump(kernel, "poison").meta["events"]
    lines = open_dump(kernel, "poison").kernel.log()
    for how, kind in (("hard", "memory-failure"), ("soft", "soft-offline")):
        poisoned = [e["pfn"] for e in events if e["event"] == "poison" and e["how"] == how]
        assert poisoned
        named = {line["pfn"] for line in lines if line["kind"] == kind}
        assert named >= set(poisoned)
    unpoisoned = [e["pfn"] for e in events if e["event"] == "unpoison"]
    assert [line["pfn"] for line in lines if line["kind"] == "unpoison"] == unpoisoned


def test_walker_that_met_a_stale_pfn(kernel: str) -> None:
    """The crash leads to the page: its pfn, and that its section is not there."""
    dump = crash.dump(kernel, "walker")
    found = kernel_of(dump).crash()
    assert found is not None
    facts = dump.meta["crash"]
    prog = program(dump)
    page = prog["vmemmap_base"].value_() + facts["pfn"] * prog.type("struct page").size

    assert found["panic"].startswith("BUG: unable to handle page fault for address: ")
    assert found["panic"].endswith(f"{found['cr2']:016x}")
    assert page <= found["cr2"] < page + 64
    assert find_task(prog, found["pid"]).comm.string_().decode() == found["task"]
    # Where the frame on the stack says it was, there is what the log calls it.
    symbol = prog.symbol(found["rip"])
    name, _, offset = found["rip_symbol"].partition("/")[0].partition("+")
    assert (symbol.name, found["rip"] - symbol.address) == (name, int(offset, 0))

    assert [p["pfn"] for p in found["pages"]] == [facts["pfn"]]
    where = found["pages"][0]
    assert where["register"].startswith("CR2, ")
    assert where["names"] == "struct page"
    assert int(where["page"], 0) == page
    assert int(where["address"], 0) == found["cr2"]
    assert where["state"] == "absent"
    assert where["section"] == facts["pfn"] >> 15
    assert int(found["registers"]["RSP"], 0) >> 63


def test_crash_about_no_page(kernel: str) -> None:
    dump = crash.dump(kernel, "sysrq")
    found = kernel_of(dump).crash()
    assert found is not None
    assert found["panic"] == "Kernel panic - not syncing: sysrq triggered crash"
    assert found["pages"] == []
    assert (found["rip"], found["cr2"]) == (None, None)


@pytest.mark.parametrize("types", ["dwarf", "btf"])
def test_filtered(kernel: str, types: str) -> None:
    """What makedumpfile leaves, and what the kernel itself says of its types, is enough."""
    dump = crash.dump(kernel, "walker")
    symbols = [str(dump.vmlinux)] if types == "dwarf" else []
    files = [str(path) for path in makedump.variety(dump.vmcore, "zlib")]
    opened = target.open_target(files, symbols)
    whole = kernel_of(dump)
    assert opened.kernel.crash() == whole.crash()
    assert opened.kernel.log_records() == whole.log_records()
