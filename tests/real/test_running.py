# SPDX-License-Identifier: LGPL-2.1-or-later
"""pageaudit --live inside a guest: nothing is wrong, until something is."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Iterator

import drgn
import pytest
from drgn.helpers.linux import mm
from lab import kernels, live
from lab.qemu import Hardware
from reports import schema_validator

from drgn_contrib import target

KERNEL = "v6.12"
THP_PAGES = 512


@pytest.fixture(scope="module")
def guest() -> Iterator[live.LiveGuest]:
    """As small as one with THPs can be, and with little to do: a read takes it seconds."""
    hardware = Hardware(memory_mib=640)
    with live.guest(kernels.fetch(KERNEL), ["guest thp 8"], hardware=hardware) as running:
        yield running


def leak_a_reference(guest: live.LiveGuest, path: Path) -> int:
    """Raise the refcount of a THP that nobody else touches; returns its pfn."""
    guest.vmcore(path)
    opened = target.open_target([str(path)])
    for start in range(0, 640 << 8, THP_PAGES):
        page = opened.kernel.page(start)
        anonymous = "swapbacked" in page.get("flag_names", "")
        # Mapped as a whole, by one process.
        if anonymous and page["folio"]["order"] == 9 and page["refcount"] == 1:
            break
    else:
        pytest.fail("the guest has no THP")
    prog = drgn.Program()
    prog.set_core_dump(str(path))
    prog.load_debug_info([str(kernels.fetch(KERNEL).vmlinux)])
    address = drgn.Object(prog, "struct page *", value=int(page["page"], 16))
    at = address._refcount.address_of_().value_()
    guest.write(int(mm.follow_phys(prog["init_mm"].address_of_(), at)), struct.pack("<I", 2))
    return start


def test_live(guest: live.LiveGuest, tmp_path: Path) -> None:
    """What is wrong is found, and nothing of all that changes meanwhile."""
    pfn = leak_a_reference(guest, tmp_path / "vmcore")
    answer = guest.pageaudit("--live", "--nice", "0", "--json", "-")
    report = answer.report
    schema_validator().validate(report)
    assert answer.status == 1, answer
    (leak,) = [f for f in report["findings"] if f["severity"] != "info"]
    assert (leak["check"], leak["severity"]) == ("refcount-leak", "bug")
    assert (leak["pfn"], leak["pfn_end"]) == (pfn, pfn + THP_PAGES)
    assert leak["evidence"]["reads"] >= 4
    assert leak["evidence"]["reads_milliseconds"] > 1000
    assert report["live"]["reads"] >= 4
    assert 0 < report["live"]["memory_bytes"] < 128 << 20
    assert report["target"]["live"] is True
    assert report["target"]["path"] == target.KCORE
    assert report["coverage"]["pages_unreadable"] == 0


def test_bounds(guest: live.LiveGuest) -> None:
    """What it may not have it does not take."""
    small = guest.pageaudit("--live", "--max-memory", "4")
    assert (small.status, small.out) == (2, "")
    assert "--max-memory" in small.err
