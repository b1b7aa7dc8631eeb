# SPDX-License-Identifier: LGPL-2.1-or-later
"""What page tables map, against what the guests' kernels and drgn say of it."""

from __future__ import annotations

import array
import contextlib
import functools
from collections import Counter
from typing import Any, Dict, Iterator, List, Set

import drgn
import pytest
from drgn.helpers.linux.pid import for_each_task
from drgn.helpers.linux.slab import find_slab_cache, slab_cache_for_each_allocated_object
from dumps import Open
from lab import make

#: Pages whose struct page has a mapcount: what rmap knows.
COUNTED = ("lru", "lru-unevictable", "hugetlb", "tail", "device", "reserved")

Census = Any


@pytest.fixture(params=("light", "full", "census"))
def recipe(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@functools.cache
def program(kernel: str, recipe: str) -> drgn.Program:
    dump = make.dump(kernel, recipe)
    prog = drgn.Program()
    prog.set_core_dump(dump.vmcore)
    prog.load_debug_info([dump.vmlinux])
    return prog


@pytest.fixture
def prog(kernel: str, recipe: str) -> drgn.Program:
    return program(kernel, recipe)


@pytest.fixture
def census(kernel: str, recipe: str, open_dump: Open) -> Census:
    return open_dump(kernel, recipe).kernel.census()


def sections(census: Census) -> "Iterator[tuple[int, list[str], list[int], list[int]]]":
    """First pfn, each page's class, its PTE maps and its leaf's entire maps."""
    names = {value: name for name, value in census["class_names"].items()}
    for nr, classes in census["classes"].items():
        size = len(classes)
        columns = census["accounts"][nr]
        maps = array.array("I", columns.get("maps", bytes(4 * size)))
        entire = array.array("I", columns.get("entire", bytes(4 * (size >> 9))))
        yield nr * size, [names[c & 0x3F] for c in classes], list(maps), list(entire)


def test_kpagecount(kernel: str, recipe: str, census: Census) -> None:
    """Maps of each page as /proc/kpagecount had them, which shows no device memory."""
    told = array.array("Q", make.dump(kernel, recipe).truth("proc/kpagecount"))
    right: "Counter[str]" = Counter()
    wrong = []
    for first, classes, maps, entire in sections(census):
        for i, counted in enumerate(told[first : first + len(classes)]):
            found = maps[i] + entire[i >> 9]
            if classes[i] == "device":
                assert counted == 0
            elif found == counted:
                right[classes[i]] += counted != 0
            elif classes[i] == "used" and not found:
                # Of zsmalloc and other owners, who keep something else there.
                right["other"] += 1
            else:
                wrong.append((first + i, classes[i], found, counted))
    assert wrong == []
    assert right["other"] <= 16
    assert right["lru"] > 10000
    assert right["lru-unevictable"] > 1000
    assert right["tail"] > 10000
    assert right["hugetlb"] >= 4
    # The vdso's.
    assert right["reserved"] >= 1


def stored(prog: drgn.Program, first: int, pages: int) -> "array.array[int]":
    """_mapcount + 1 of each page."""
    size = prog.type("struct page").size
    offset = drgn.offsetof(prog.type("struct page"), "_mapcount")
    vmemmap = prog["vmemmap_base"].value_()
    data = prog.read(vmemmap + first * size, pages * size)
    words = array.array("i", data)
    return array.array("q", (word + 1 for word in words[offset // 4 :: size // 4]))


def test_stored_mapcounts(kernel: str, recipe: str, prog: drgn.Program, census: Census) -> None:
    """_mapcount of what is on an LRU in one page, and of device memory: the PTE maps."""
    checked: "Counter[str]" = Counter()
    for first, classes, maps, _ in sections(census):
        interesting = {"lru", "lru-unevictable", "device"}
        if not interesting.intersection(classes):
            continue
        counts = stored(prog, first, len(classes))
        for i, name in enumerate(classes):
            # A folio's pages are told of below.
            large = i + 1 < len(classes) and classes[i + 1] == "tail"
            if name in interesting and not large:
                assert counts[i] == maps[i], hex(first + i)
                checked[name] += maps[i] > 0
    assert checked["lru"] > 10000
    assert checked["lru-unevictable"] > 1000
    # v6.15 counts what it maps of device memory.
    dax = kernel == "v7" and recipe == "full"
    assert checked["device"] == (2048 if dax else 0)


def test_stored_counts_of_folios(prog: drgn.Program, census: Census) -> None:
    """entire mapcounts, and the pages' own, of THPs and hugetlb folios."""
    page_size = prog.type("struct page").size
    vmemmap = prog["vmemmap_base"].value_()
    before_v6_2 = prog.type("struct page").has_member("compound_mapcount")
    seen: "Counter[str]" = Counter()
    for first, classes, maps, entire in sections(census):
        for i in range(0, len(classes) - 511, 512):
            if classes[i] not in ("lru", "lru-unevictable", "hugetlb"):
                continue
            if set(classes[i + 1 : i + 512]) != {"tail"}:
                continue
            address = vmemmap + (first + i) * page_size
            page = drgn.Object(prog, "struct page *", value=address)
            if before_v6_2:
                leaves = page[1].compound_mapcount.counter.value_() + 1
                double = bool(page[1].flags.value_() >> prog.constant("PG_double_map").value_() & 1)
            else:
                folio = drgn.cast("struct folio *", page)
                leaves = folio._entire_mapcount.counter.value_() + 1
                double = False
                total = folio._large_mapcount.counter.value_() + 1
                assert total == entire[i >> 9] + sum(maps[i : i + 512])
            assert leaves == entire[i >> 9], hex(first + i)
            seen["hugetlb" if classes[i] == "hugetlb" else "huge"] += leaves > 0
            if classes[i] == "hugetlb":
                continue
            anon = page.mapping.value_() & 1
            # cb67f4282bf9 (v6.2) did away with these two.
            more = 0 if not before_v6_2 else int(double) if anon else leaves
            counts = stored(prog, first + i, 512)
            assert [c - more for c in counts] == maps[i : i + 512], hex(first + i)
            seen["double"] += double
            seen["in pieces"] += any(maps[i : i + 512])
    assert seen["huge"] > 10
    assert seen["in pieces"] > 10
    assert seen["hugetlb"] > 1


def test_address_spaces(prog: drgn.Program, census: Census) -> None:
    """All mm_structs that drgn finds, each with the tables that it says it has."""
    mms = {mm["address"]: mm for mm in census["mms"]}
    own = {variable.value_() for variable in variables(prog, "poking_mm", "text_poke_mm")}
    cache = find_slab_cache(prog, "mm_struct")
    assert cache is not None
    allocated = {
        mm.value_()
        for mm in slab_cache_for_each_allocated_object(cache, "struct mm_struct")
        if mm.mm_count.counter.value_() > 0
    }
    tasks = {task.mm.value_() for task in for_each_task(prog) if task.mm}
    assert tasks <= set(mms)
    assert set(mms) == (allocated | tasks) - own
    for address, ours in mms.items():
        mm = drgn.Object(prog, "struct mm_struct *", value=address)
        assert ours["mm_users"] == mm.mm_users.counter.value_()
        assert bool(ours["task"]) == (address in tasks)
        assert ours["unreadable"] == 0
        assert ours["tables_bytes"] == mm.pgtables_bytes.counter.value_()
        assert ours["tables"][-1] + ours["tables"][-2] >= 1
    assert sum(mm["entries"].get("page", 0) for mm in mms.values()) > 40000
    # Of a THP that may be split.
    assert sum(mm["deposited"] for mm in mms.values()) > 10


def variables(prog: drgn.Program, *names: str) -> "Iterator[drgn.Object]":
    """Those of them that the kernel has."""
    for name in names:
        with contextlib.suppress(LookupError):
            yield prog.variable(name)


def test_swap_types(prog: drgn.Program, census: Census) -> None:
    """MAX_SWAPFILES, which only a macro has, is the length of an array."""
    assert census["page_tables"]["nr_swap_types"] == prog["swap_info"].type_.length


def test_entries(recipe: str, prog: drgn.Program, census: Census) -> None:
    """What the workload leaves behind, kind by kind."""
    entries: "Counter[str]" = Counter()
    for mm in census["mms"]:
        entries.update(mm["entries"])
    assert entries["bad"] == 0
    assert entries["special"]
    if recipe == "light":
        assert entries["swap"] == 0
        return
    assert entries["swap"] > 1000
    flags = [name for name, _ in prog.type("enum pageflags").enumerators]
    if recipe == "full" and "PG_hwpoison" in flags:
        assert entries["hwpoison"] >= 3


def test_mm_ids(prog: drgn.Program, census: Census) -> None:
    """Per-mm counts of large folios (v6.15): each slot that is taken, most of them exactly."""
    if not prog.type("struct page").has_member("_mm_id") and not (
        has_folio(prog) and prog.type("struct folio").has_member("_mm_id")
    ):
        assert census["mm_ids"] == []
        return
    ids = {mm["mm_id"] for mm in census["mms"]}
    seen: "Counter[str]" = Counter()
    for folio in census["mm_ids"]:
        for i in range(2):
            if not folio["id"][i]:
                assert folio["stored"][i] == 0
                assert folio["counted"][i] == 0
                continue
            assert folio["id"][i] in ids
            # A slot may know of less maps than its mm has, never of more.
            assert 0 < folio["stored"][i] <= folio["counted"][i]
            seen["exact"] += folio["stored"][i] == folio["counted"][i]
            seen["taken"] += 1
        if not folio["shared"]:
            assert not folio["others"]
            assert not all(folio["counted"])
        seen["shared"] += folio["shared"]
    assert seen["taken"] > 50
    assert seen["exact"] >= 0.9 * seen["taken"]
    assert seen["shared"] >= 4


def has_folio(prog: drgn.Program) -> bool:
    try:
        prog.type("struct folio")
    except LookupError:
        return False
    return True


Mappings = Dict[int, List[Dict[str, Any]]]


@pytest.fixture
def mappings(kernel: str, recipe: str, open_dump: Open) -> Mappings:
    """What page tables name, by mm."""
    return all_mappings(open_dump, kernel, recipe)


@functools.cache
def all_mappings(open_dump: Open, kernel: str, recipe: str) -> Mappings:
    found: Mappings = {}
    for reference in open_dump(kernel, recipe).kernel.references([(0, 1 << 40)]):
        if reference["holder"] == "page table":
            found.setdefault(reference["owner"], []).append(reference)
    return found


def test_pagemap(kernel: str, recipe: str, census: Census, mappings: Mappings) -> None:
    """Every address of every process and its page, as /proc/PID/pagemap had it."""
    dump = make.dump(kernel, recipe)
    right = processes = 0
    for mm in census["mms"]:
        name = f"proc/{mm['pid']}/pagemap"
        if not mm["task"] or not dump.has_truth(name):
            continue
        words = array.array("Q", dump.truth(name))
        told = {
            address: entry & ((1 << 55) - 1)
            for address, entry in zip(words[::2], words[1::2])
            if entry >> 63
        }
        ours: Dict[int, int] = {}
        links: Dict[int, Set[int]] = {}
        for reference in mappings[mm["address"]]:
            if reference["kind"] == "link":
                links.setdefault(reference["index"], set()).add(reference["pfn"])
            if reference["kind"] in ("map", "map-entire"):
                for i in range(512 if reference["kind"] == "map-entire" else 1):
                    ours[reference["index"] + i * 4096] = reference["pfn"] + i
        differ = {}
        for address, pfn in told.items():
            # A leaf that is another mm's, or is not counted, is one link.
            leaves = links.get(address & ~0x1FFFFF, set())
            if (
                ours.pop(address, None) != pfn
                and pfn not in links.get(address, set())
                and pfn - (address >> 12 & 511) not in leaves
            ):
                differ[address] = pfn
        if mm["pid"] == dump.meta["truth_pid"]:
            # Its own buffers changed while it read.
            assert len(differ) <= 16
            continue
        assert differ == {}, mm["comm"]
        assert ours == {}
        right += len(told)
        processes += 1
    assert processes >= 15
    assert right > 40000


def test_tables(kernel: str, recipe: str, census: Census, mappings: Mappings) -> None:
    """Which pages are tables, as /proc/kpageflags and NR_PAGETABLE have it."""
    dump = make.dump(kernel, recipe)
    flags = array.array("Q", dump.truth("proc/kpageflags"))
    marked = {pfn for pfn, flag in enumerate(flags) if flag >> 26 & 1}
    tables = {r["pfn"] for mm in mappings.values() for r in mm if r["kind"] == "get"}
    counts = census["page_tables"]["tables"]
    assert len(tables) == sum(counts) + census["page_tables"]["deposited"]
    # Before v6.8 only the two lowest levels were, before v6.16 not the roots.
    levels = {"v5.10": 2, "v6.1": 2, "v6.12": 3, "v7": 5}[kernel]
    assert len(tables & marked) == sum(counts[:levels]) + census["page_tables"]["deposited"]
    # The kernel's own have no mm that would show them.
    assert len(marked - tables) < 500
    vmstat = dict(line.split() for line in dump.truth("proc/vmstat").decode().splitlines())
    assert int(vmstat["nr_page_table_pages"]) == len(marked)
