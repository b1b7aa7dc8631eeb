# SPDX-License-Identifier: LGPL-2.1-or-later
"""Page tables that are wrong themselves, in real dumps."""

from __future__ import annotations

from typing import Any

import drgn
import pytest
from drgn.helpers.linux import mm as drgn_mm
from folios import Entry, entry, find, task
from planting import Site

#: What cannot be done in full where some of the page tables are unknown.
COUNTS = (
    "mapcount-mismatch",
    "refcount-leak",
    "refcount-underflow",
    "counter-drift",
    "page-lock",
    "stale-page-reference",
    "device-page-reference",
    "hwpoison-mapped",
    "soft-offline-leak",
)
#: _PAGE_TABLE: of an entry that names a table.
TABLE = 0x67


def address_space(site: Site) -> "tuple[dict[str, Any], drgn.Object]":
    """A task of the workload, and its mm."""
    (event,) = site.events("thp")
    return event, task(site, event["pid"]).mm


@pytest.mark.parametrize("tables", [1, -1])
def test_bytes_of_tables_are_off(site: Site, tables: int) -> None:
    event, mm = address_space(site)
    site.add(mm.pgtables_bytes.counter, tables * 4096)
    (finding,) = site.expect(("counter-drift", "bug", None, None))
    assert finding["evidence"]["counter"] == "pgtables_bytes"
    assert finding["evidence"]["mm_struct"] == f"{int(mm):#x}"
    assert finding["evidence"]["difference"] == tables * 4096
    assert f"({event['pid']})" in finding["summary"]


def in_part(site: Site) -> "list[str]":
    """Those of them that this kernel has."""
    return [check for check in COUNTS if site.baseline.status[check] == "ran"]


def unused_pmd(site: Site) -> Entry:
    """Where a PMD is that names no table and maps nothing."""
    event, _ = address_space(site)
    for offset in range(-(1 << 30), 1 << 30, 1 << 21):
        found = entry(site, event["pid"], event["address"] + offset)
        if found.order == 9 and not found.value:
            return found
    raise AssertionError("no such PMD")


def test_table_was_freed(site: Site) -> None:
    """What is left in it is not believed."""
    at = unused_pmd(site)
    block = site.free_block(0)
    site.write(at.address, (block.pfn << 12 | TABLE).to_bytes(8, "little"))
    expected = ("stale-page-reference", "bug", block.pfn, block.pfn + 1)
    (finding,) = site.expect(expected, partial=in_part(site))
    assert "page table" in finding["summary"]


def test_table_is_data(site: Site) -> None:
    """A page of an LRU is no table: nothing in it is believed, and nothing is blamed."""
    at = unused_pmd(site)
    site.write(at.address, (find(site, "anon").pfn << 12 | TABLE).to_bytes(8, "little"))
    site.expect(partial=in_part(site))


def test_table_is_its_own(site: Site) -> None:
    """A table that names itself is walked once."""
    at = unused_pmd(site)
    site.write(at.address, (site.phys(at.address) & ~4095 | TABLE).to_bytes(8, "little"))
    event, mm = address_space(site)
    (finding,) = site.expect(("counter-drift", "bug", None, None))
    assert finding["evidence"]["mm_struct"] == f"{int(mm):#x}"
    assert f"({event['pid']})" in finding["summary"]


def new_table(site: Site, like: int) -> int:
    """The pfn of one more page table, with a struct page like that of the table at an address."""
    block = site.free_block(0)
    site.allocate(block)
    known = site.phys(like) >> 12
    site.set(site.page_type(block.pfn), int(site.page_type(known)))
    item = int(site.prog.constant("NR_PAGETABLE"))
    # A zone's before v5.11.
    of_zone = item < int(site.prog.constant("NR_VM_ZONE_STAT_ITEMS"))
    owner = block.zone if of_zone else block.zone.zone_pgdat
    site.add(owner.vm_stat[item].counter, 1)
    site.write(int(drgn_mm.pfn_to_virt(site.prog, block.pfn)), bytes(4096))
    return block.pfn


@pytest.mark.parametrize("index", [272, 271])
def test_tables_of_an_ldt(site: Site, index: int) -> None:
    """map_ldt_struct(): under PTI its tables are the mm's, in the kernel's half; and only there."""
    event, mm = address_space(site)
    like = entry(site, event["pid"], event["address"]).address
    folio = find(site, "anon")
    slot = int(mm.pgd) + index * 8
    assert not site.prog.read_u64(slot)
    for _ in range(3):
        table = new_table(site, like)
        site.write(slot, (table << 12 | TABLE).to_bytes(8, "little"))
        slot = int(drgn_mm.pfn_to_virt(site.prog, table))
    # A page of the LDT, mapped like any of the kernel: read only, and in no count.
    site.write(slot, (folio.pfn << 12 | 1).to_bytes(8, "little"))
    site.add(mm.pgtables_bytes.counter, 3 * 4096)
    if index == 272:
        site.expect_nothing()
        return
    (finding,) = site.expect(("counter-drift", "bug", None, None))
    assert finding["evidence"]["difference"] == 3 * 4096
