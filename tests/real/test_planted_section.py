# SPDX-License-Identifier: LGPL-2.1-or-later
"""section-state: faults planted in mem_sections and memory blocks."""

from __future__ import annotations

import drgn
import pytest
from drgn.helpers.linux.xarray import xa_load
from planting import OpenSite, Site

PRESENT, HAS_MEM_MAP, ONLINE, EARLY = 1, 2, 4, 8


def sections(site: Site, state: str, *, whole: bool = True) -> "list[int]":
    """Numbers of the sections all of whose pages are in a state, or the first of which is."""
    size = site.section_pages
    return [
        nr
        for start, end in site.ranges(state)
        for nr in range(-(-start // size), -(-end // size))
        if not whole or (nr + 1) * size <= end
    ]


def hot_added(site: Site, how: str) -> int:
    """The first section of a DIMM that was added and onlined so."""
    event = next(e for e in site.events("dimm_add") if e["how"] == how)
    return int(event["address"]) // 4096 // site.section_pages


def never_existed(site: Site) -> int:
    """A section below the highest that no memory was ever in."""
    return 1024 * 1024 * 1024 * 3 // 4096 // site.section_pages


def memory_block(site: Site, nr: int) -> drgn.Object:
    """The memory_block of a section."""
    number = nr // int(site.prog["sections_per_block"])
    entry = xa_load(site.prog["memory_blocks"].address_of_(), number)
    return drgn.cast("struct memory_block *", entry)


def block_state(site: Site, state: str) -> int:
    """A state of memory_block, an enumerator in v7 and a bit before."""
    try:
        return int(site.prog.constant(state))
    except LookupError:
        return {"MEM_ONLINE": 1, "MEM_GOING_OFFLINE": 2, "MEM_OFFLINE": 4}[state]


def flip(site: Site, nr: int, bits: int) -> None:
    """Flip bits of a section's word."""
    word = site.section(nr).section_mem_map
    site.set(word, int(word) ^ bits)


def expect_range(site: Site, severity: str, start: int, end: int) -> None:
    """These pages, nothing else; what is held in such memory is unknown."""
    leaks = ("refcount-leak", "soft-offline-leak", "device-page-reference")
    partial = [check for check in leaks if site.baseline.status[check] == "ran"]
    site.expect(("section-state", severity, start, end), partial=partial)


def expect(site: Site, nr: int) -> None:
    """The section, nothing else."""
    expect_range(site, "bug", *site.section_range(nr))


@pytest.mark.parametrize("bits", [PRESENT, HAS_MEM_MAP, ONLINE])
def test_bit_lost(site: Site, bits: int) -> None:
    """Of a section of boot memory that is in full use."""
    nr = sections(site, "online")[-4]
    assert int(site.section(nr).section_mem_map) & 0xF == PRESENT | HAS_MEM_MAP | ONLINE | EARLY
    flip(site, nr, bits)
    expect(site, nr)


def test_online_in_offline_block(site: Site) -> None:
    for nr in sections(site, "offline"):
        with site.planted():
            flip(site, nr, ONLINE)
            expect(site, nr)


def test_not_online_in_online_block_hot_added(site: Site) -> None:
    nr = hot_added(site, "online_kernel")
    flip(site, nr, ONLINE)
    expect(site, nr)


def test_early_on_a_hot_added_section(site: Site) -> None:
    for how in "online_movable", "none":
        with site.planted():
            nr = hot_added(site, how)
            assert not int(site.section(nr).section_mem_map) & EARLY
            flip(site, nr, EARLY)
            expect(site, nr)


@pytest.mark.parametrize("pages", [1, -1, 1 << 15])
def test_memory_map_elsewhere(site: Site, pages: int) -> None:
    nr = sections(site, "online")[3]
    site.add(site.section(nr).section_mem_map, pages * 64)
    expect(site, nr)


def test_no_usage_map(site: Site) -> None:
    for nr in sections(site, "online")[3], hot_added(site, "none"):
        with site.planted():
            site.set(site.section(nr).usage, 0)
            expect(site, nr)


def test_no_valid_subsection(site: Site) -> None:
    for nr in sections(site, "online")[3], sections(site, "offline")[0]:
        with site.planted():
            for word in site.section(nr).usage.subsection_map:
                site.set(word, 0)
            expect(site, nr)


def test_flags_of_a_section_that_never_was(site: Site) -> None:
    for bits in ONLINE, PRESENT, PRESENT | ONLINE:
        with site.planted():
            nr = never_existed(site)
            site.set(site.section(nr).section_mem_map, bits)
            severity = "suspect" if bits == PRESENT else "bug"
            expect_range(site, severity, *site.section_range(nr))


def test_block_says_offline(site: Site) -> None:
    nr = sections(site, "online")[-4]
    site.set(memory_block(site, nr).state, block_state(site, "MEM_OFFLINE"))
    expect(site, nr)


def test_block_says_online(site: Site) -> None:
    for nr in sections(site, "offline"):
        with site.planted():
            site.set(memory_block(site, nr).state, block_state(site, "MEM_ONLINE"))
            expect(site, nr)


def test_block_in_no_state(site: Site) -> None:
    nr = sections(site, "online")[3]
    site.set(memory_block(site, nr).state, 0x55)
    expect(site, nr)


def test_block_of_another_section(site: Site) -> None:
    nr = sections(site, "online")[3]
    site.add(memory_block(site, nr).start_section_nr, 1)
    expect(site, nr + 1)


# Near misses.


def test_removed_section_keeps_its_usage_map(site: Site) -> None:
    """What section_deactivate() leaves of a section that was there at boot."""
    nr = never_existed(site)
    site.set(site.section(nr).usage, int(site.section(3).usage))
    site.expect_nothing()


def test_block_going_offline(site: Site) -> None:
    """In between, sections may still be online, or not any more; but nobody does it."""
    for nr in sections(site, "online")[-4], sections(site, "offline")[0]:
        with site.planted():
            site.set(memory_block(site, nr).state, block_state(site, "MEM_GOING_OFFLINE"))
            site.expect(("isolated-pageblock", "bug", *site.section_range(nr)))


def test_blocks_with_absent_sections(kernel: str, open_site: OpenSite) -> None:
    """Blocks of many sections: absent ones in the first and last are no fault."""
    if kernel not in ("v5.10", "v7"):
        pytest.skip("a gigabyte of memory map: the oldest and the newest kernel will do")
    site = open_site(kernel, "blocks")
    per_block = int(site.prog["sections_per_block"])
    assert per_block > 1
    blocks = site.kernel().memory()["blocks"]
    size = site.section_pages
    absent = [
        (block["id"], nr)
        for block in blocks
        for nr in range(block["pfn"] // size, block["pfn_end"] // size)
        if not int(site.section(nr).section_mem_map)
    ]
    assert absent
    site.expect_nothing()

    # One more absent section in an offline block can't be: such blocks don't go offline.
    offline = next(block for block in blocks if block["state"] == "offline")
    with site.planted():
        site.set(site.section(offline["pfn"] // size + 1).section_mem_map, 0)
        expect_range(site, "bug", offline["pfn"], offline["pfn_end"])
    # One section of an online block that is offline can't be either.
    online = next(block for block in blocks[1:] if block["state"] == "online")
    with site.planted():
        flip(site, online["pfn"] // size + 1, ONLINE)
        expect(site, online["pfn"] // size + 1)
