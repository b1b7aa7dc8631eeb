# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the guests' kernels said of their memory at the instant of the dump, and what drgn says."""

from __future__ import annotations

import array
import re
from collections import Counter
from typing import Any, Iterator

import pytest
from drgn.helpers.linux import mm, mmzone
from dumps import Open
from lab import kernels, make, recipes
from lab.page_flags import PLAIN, bits, differing, plain_flags, zones
from planting import OpenSite

#: Those after which nothing is wrong.
RECIPES = (
    "light",
    "files",
    "hotplug",
    "pmem",
    "pmem2",
    "poison",
    "hvo",
    "full",
    "blocks",
    "memmap-on-memory",
)

Target = Any


@pytest.fixture(params=RECIPES)
def healthy(
    request: pytest.FixtureRequest, kernel: str, open_dump: Open
) -> "tuple[make.Dump, Target]":
    """Each healthy dump, and the opened target."""
    recipe: str = request.param
    if not recipes.recipe(recipe).applies(kernels.fetch(kernel)):
        pytest.skip("not on this kernel")
    return make.dump(kernel, recipe), open_dump(kernel, recipe)


def page_flags(dump: make.Dump) -> "array.array[int]":
    if not dump.has_truth("proc/kpageflags"):
        pytest.skip("the guest did not tell of every page")
    return array.array("Q", dump.truth("proc/kpageflags"))


def test_healthy(healthy: "tuple[make.Dump, Target]") -> None:
    """Every check runs, or the kernel lacks the thing; nothing is wrong."""
    _, opened = healthy
    result = opened.kernel.audit(None, None)
    wrong = [finding for finding in result["findings"] if finding["severity"] != "info"]
    assert not wrong
    incomplete = [c for c in result["checks"] if c["status"] not in ("ran", "not-applicable")]
    assert not incomplete


def test_every_page(healthy: "tuple[make.Dump, Target]") -> None:
    """The census' class of every page against /proc/kpageflags."""
    dump, opened = healthy
    told = page_flags(dump)
    census = opened.kernel.census()
    names = {value: name for name, value in census["class_names"].items()}
    size = opened.kernel.memory()["section_pages"]
    wrong: "Counter[tuple[str, int]]" = Counter()
    pages = 0
    for nr, classes in census["classes"].items():
        count, differ = differing(names, classes, told[nr * size : (nr + 1) * size])
        pages += count
        wrong.update(differ)
    # Reserved pages of firmware that no zone spanned at boot are of none.
    assert 0 <= pages - sum(zone["pages"] for zone in census["zones"]) <= 8
    # The guest read its files a moment before it was stopped.
    assert sum(wrong.values()) <= 16, wrong


def sample(dump: make.Dump, opened: Target, step: int) -> "Iterator[dict[str, Any]]":
    """Pages of online memory, here and there."""
    for run in opened.kernel.memory()["map"]:
        if run["state"] == "online":
            for pfn in range(run["pfn"] + 1, run["pfn_end"], step):
                yield opened.kernel.page(pfn)


def test_fields_of_pages(kernel: str, open_dump: Open) -> None:
    """page() against /proc/kpageflags and /proc/kpagecount."""
    dump, opened = make.dump(kernel, "full"), open_dump(kernel, "full")
    flags = page_flags(dump)
    counts = array.array("Q", dump.truth("proc/kpagecount"))
    types = {"buddy": "buddy", "slab": "slab", "table": "pgtable", "offline": "offline"}
    seen: "Counter[str]" = Counter()
    wrong = []
    for page in sample(dump, opened, 97):
        told = flags[page["pfn"]]
        if page["tail"]:
            assert told & bits("tail")
            continue
        names = set(page["flag_names"].split("|"))
        seen.update(names.intersection(PLAIN))
        wrong += [(page["pfn"], name) for name in plain_flags(page, told)]
        if page["type"] in types and not told & bits(types[page["type"]]):
            wrong.append((page["pfn"], page["type"]))
        seen[page["type"]] += 1
        if page["type"] == "none" and "head" not in names:
            seen["mapped"] += page["mapcount"] > 0
            if page["mapcount"] != counts[page["pfn"]]:
                wrong.append((page["pfn"], "mapcount"))
    assert len(wrong) <= 2, wrong
    for name in "lru", "uptodate", "swapbacked", "reserved", "buddy", "slab", "mapped":
        assert seen[name], seen


def test_zones(healthy: "tuple[make.Dump, Target]") -> None:
    """/proc/zoneinfo: sizes exactly, free pages but for the deltas of CPUs."""
    dump, opened = healthy
    truth = zones(dump.truth("proc/zoneinfo").decode())
    counted = {zone["name"]: zone for zone in opened.kernel.census()["zones"]}
    for zone in opened.kernel.memory()["zones"]:
        told = truth[zone["name"]]
        for field in "spanned", "present", "managed", "start_pfn":
            if field in told:
                assert zone[field] == told[field], (zone["name"], field)
        assert abs(zone["free"] - told["free"]) <= 256
        assert abs(counted[zone["name"]]["pcp_pages"] - told["pcp"]) <= 256


def test_free_lists(healthy: "tuple[make.Dump, Target]") -> None:
    """/proc/buddyinfo against the lists, and against the memory map."""
    dump, opened = healthy
    told = {}
    for line in dump.truth("proc/buddyinfo").decode().splitlines():
        words = line.split()
        told[words[3]] = [int(word) for word in words[4:]]
    for zone in opened.kernel.census()["zones"]:
        if zone["name"] not in told:
            assert not zone["free_pages"]
            continue
        assert zone["listed"] == zone["mapped"]
        differ = [a - b for a, b in zip(zone["listed"], told[zone["name"]])]
        # A page or two may have been freed in between.
        assert sum(map(abs, differ)) <= 4, differ


def resources(dump: make.Dump, name: str) -> "list[tuple[int, int]]":
    """Ranges of /proc/iomem in whole pages."""
    found = []
    for line in dump.truth("proc/iomem").decode().splitlines():
        match = re.fullmatch(r"([0-9a-f]+)-([0-9a-f]+) : (.*)", line)
        if match and match[3].startswith(name):
            start, end = int(match[1], 16), int(match[2], 16) + 1
            found.append((-(-start // 4096), end // 4096))
    return found


def test_iomem(healthy: "tuple[make.Dump, Target]") -> None:
    """RAM is online or offline, device memory is a pgmap's or nobody's; all else is nothing."""
    dump, opened = healthy
    runs = opened.kernel.memory()["map"]

    def states(start: int, end: int) -> "set[str]":
        covered = 0
        found = set()
        for run in runs:
            pages = min(end, run["pfn_end"]) - max(start, run["pfn"])
            if pages > 0:
                covered += pages
                found.add(run["state"])
        return found | ({"absent"} if covered < end - start else set())

    ram = resources(dump, "System RAM")
    assert ram
    for start, end in ram:
        assert states(start, end) <= {"online", "offline", "altmap"}
    for start, end in resources(dump, "Persistent Memory"):
        assert states(start, end) <= {"device", "altmap", "hole"}
    # And the other way round, by subsections.
    subsections = {pfn // 512 for start, end in ram for pfn in range(start, end, 256)}
    subsections |= {(end - 1) // 512 for _, end in ram}
    for run in runs:
        if run["state"] in ("online", "offline"):
            assert set(range(run["pfn"] // 512, run["pfn_end"] // 512)) <= subsections


def test_memory_blocks(healthy: "tuple[make.Dump, Target]") -> None:
    """/sys/devices/system/memory: the states, and no block that is not there."""
    dump, opened = healthy
    directory = dump.path / "truth/sys/devices/system/memory"
    told = {
        int(block.name[len("memory") :]): (block / "state").read_text().strip()
        for block in directory.glob("memory[0-9]*")
        if (block / "state").exists()
    }
    assert told
    assert {b["id"]: b["state"] for b in opened.kernel.memory()["blocks"]} == told


def test_valid_pages(kernel: str, open_site: OpenSite) -> None:
    """pfn_valid() as drgn has it, at every edge and inside."""
    site = open_site(kernel)
    valid = [(start, end) for start, end, _ in mm.for_each_valid_page_range(site.prog)]
    ours = site.kernel()
    edges = {pfn for each in valid for pfn in each}
    edges |= {pfn for run in ours.memory()["map"] for pfn in (run["pfn"], run["pfn_end"])}
    pfns = {max(edge + offset, 0) for edge in edges for offset in (-513, -1, 0, 1, 512)}
    for pfn in sorted(pfns):
        expected = any(start <= pfn < end for start, end in valid)
        assert ours.page(pfn)["pfn_valid"] == expected, hex(pfn)


def test_sections(kernel: str, open_site: OpenSite) -> None:
    """Flags of every section as drgn has them."""
    site = open_site(kernel)
    ours = site.kernel()
    present = 0
    for nr, section in mmzone.for_each_present_section(site.prog):
        found = ours.page(int(nr) * site.section_pages)["section"]
        assert found["nr"] == int(nr)
        assert found["present"]
        assert found["has_mem_map"] == mmzone.valid_section(section)
        assert found["early"] == mmzone.early_section(section)
        assert found["online"] == mmzone.online_section(section)
        assert int(found["section_mem_map"], 16) == int(section.section_mem_map)
        present += 1
    assert ours.memory()["sections"] == present
