# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where an old kernel's pfn_to_online_page() is wrong: recounted from its sections and pgmaps."""

from __future__ import annotations

import array
from typing import Iterator, Set, Tuple

import drgn
import pytest
from drgn.helpers.linux.xarray import xa_for_each
from dumps import Open
from lab import make

KERNEL = "v5.10"
#: SECTION_HAS_MEM_MAP and SECTION_IS_ONLINE; subsections of 2 MiB, sections of 128.
HAS_MEM_MAP, ONLINE = 2, 4
SUBSECTION_PAGES, SUBSECTIONS = 512, 64
KPF_NOPAGE = 1 << 20

Pfns = Set[int]


def online_sections(prog: drgn.Program) -> Iterator[Tuple[int, drgn.Object]]:
    """Number and mem_section of each that is online."""
    per_root = 4096 // drgn.sizeof(prog.type("struct mem_section"))
    for nr in range(int(prog["__highest_present_section_nr"]) + 1):
        root = prog["mem_section"][nr // per_root]
        if root and int(root[nr % per_root].section_mem_map) & ONLINE:
            yield nr, root[nr % per_root]


def device_pfns(prog: drgn.Program) -> Pfns:
    """What the ranges of all pgmaps have, altmaps included."""
    pfns: Pfns = set()
    for _, entry in xa_for_each(prog["pgmap_array"].address_of_()):
        pgmap = drgn.cast("struct dev_pagemap *", entry)
        assert int(pgmap.nr_range) == 1
        pfns.update(range(int(pgmap.range.start) >> 12, int(pgmap.range.end) + 1 >> 12))
    return pfns


@pytest.mark.parametrize("recipe", ["pmem2"])
def test_every_pfn(recipe: str, open_dump: Open) -> None:
    """No section's taint and no subsection is looked at before v5.12."""
    dump = make.dump(KERNEL, recipe)
    prog = drgn.Program()
    prog.set_core_dump(str(dump.vmcore))
    prog.load_debug_info([str(dump.vmlinux)])
    devices = device_pfns(prog)
    device: Pfns = set()
    hole: Pfns = set()
    for nr, section in online_sections(prog):
        assert int(section.section_mem_map) & HAS_MEM_MAP
        words = [int(word) for word in section.usage.subsection_map]
        for i in range(SUBSECTIONS):
            first = (nr * SUBSECTIONS + i) * SUBSECTION_PAGES
            pfns = set(range(first, first + SUBSECTION_PAGES))
            device |= pfns & devices
            if not words[i // 64] >> i % 64 & 1:
                hole |= pfns
    assert device
    assert hole
    # What is in a pgmap has valid subsections.
    assert not device & hole

    found: "dict[str, Pfns]" = {"device memory": set(), "hole": set()}
    for finding in open_dump(KERNEL, recipe).kernel.audit(["zone-device-taint"])["findings"]:
        assert finding["severity"] == "info"
        kind, fix = {
            True: ("device memory", "1f90a3477df3"),
            False: ("hole", "9f9b02e5b346"),
        }["pgmap" in finding["evidence"]]
        assert f"takes this {kind} for RAM (fixed by {fix}, v5.12)" in finding["summary"]
        pfns = set(range(finding["pfn"], finding["pfn_end"]))
        assert not pfns & found[kind]
        found[kind] |= pfns
    assert found == {"device memory": device, "hole": hole}

    # The kernel itself took them for pages of RAM: /proc/kpageflags asks pfn_to_online_page().
    told = array.array("Q", dump.truth("proc/kpageflags"))
    assert not any(told[pfn] & KPF_NOPAGE for pfn in device | hole)
    zone = int(prog.constant("ZONE_DEVICE"))
    sample = sorted(device - altmap_pfns(open_dump, recipe))[::4096]
    for pfn in sample:
        page = prog["vmemmap_base"].value_() + pfn * drgn.sizeof(prog.type("struct page"))
        flags = int(drgn.Object(prog, "struct page", address=page).flags)
        assert flags >> 51 & 7 == zone


def altmap_pfns(open_dump: Open, recipe: str) -> Pfns:
    """Their struct pages need not be of the zone: info blocks are left out."""
    memory = open_dump(KERNEL, recipe).kernel.memory()["map"]
    return {
        pfn
        for run in memory
        if run["state"] == "altmap"
        for pfn in range(run["pfn"], run["pfn_end"])
    }
