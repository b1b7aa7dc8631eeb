# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who holds a page: known holders, and pointers planted where only the search finds them."""

from __future__ import annotations

import random
from typing import Any, Dict, Iterator

import drgn
import pytest
from drgn.helpers.linux import percpu
from drgn.helpers.linux.pid import find_task
from planting import OpenSite, Site

from drgn_contrib import target
from drgn_contrib.who import who
from drgn_contrib.who_text import who_texts


@pytest.fixture
def light(kernel: str, open_site: OpenSite) -> Iterator[Site]:
    """A small dump of each kernel in turn."""
    site = open_site(kernel, "light")
    with site.planted():
        yield site


def ask(site: Site, pfn: int) -> Dict[str, Any]:
    opened = target.open_target([str(site.core.path)], [site.dump.meta["vmlinux"]])
    (page,) = who(opened, [pfn])
    text = who_texts([page], verbose=True)
    assert all(len(line) <= 78 for line in text.splitlines())
    return page


def test_a_pointer_in_a_task_struct(light: Site) -> None:
    """The object, its cache and the member are named; in a free one nothing would be."""
    pfn = random.Random(8).choice(light.lru_pages())
    before = ask(light, pfn)
    task = find_task(light.prog, 1)
    light.set(task.journal_info, int(light.page(pfn)))
    page = ask(light, pfn)
    assert page["nr_words"] == before["nr_words"] + 1
    (word,) = [w for w in page["words"] if w["member"] == "struct task_struct.journal_info"]
    assert word["holds"]
    assert word["place"] == "slab"
    assert word["address"] == hex(int(task.journal_info.address_of_()))
    # Known holders are told as such, and are none of the words.
    assert page["references"] == before["references"]
    assert page["references"]
    slots = {r["slot"] for r in page["references"]}
    assert not slots & {w["address"] for w in page["words"]}


def test_what_holds_comes_first(light: Site) -> None:
    """A number that happens to be the physical address is behind the pointer."""
    pfn = random.Random(9).choice(light.lru_pages())
    light.set(find_task(light.prog, 1).journal_info, pfn << 12)
    light.set(light.prog["init_task"].journal_info, int(light.page(pfn)))
    words = [
        w for w in ask(light, pfn)["words"] if w["encoding"] in ("struct page", "physical address")
    ]
    assert (words[0]["encoding"], words[0]["place"]) == ("struct page", "kernel image")
    assert [w["holds"] for w in words] == sorted((w["holds"] for w in words), reverse=True)
    assert ("physical address", "struct task_struct.journal_info") in {
        (w["encoding"], w["member"]) for w in words
    }


def test_variables(light: Site) -> None:
    """Static and local ones by their names, what is a pointer to a page by its type first."""
    pfn = random.Random(10).choice(light.lru_pages())
    prog, task = light.prog, find_task(light.prog, 1)
    word = int(light.page(pfn))
    known = prog["huge_zero_folio" if "huge_zero_folio" in prog else "huge_zero_page"]
    counter = percpu.per_cpu(prog["process_counts"], 1)
    name, local = next(
        (name, frame[name])
        for frame in prog.stack_trace(task)
        for name in frame.locals()
        if frame[name].address_ is not None and drgn.sizeof(frame[name]) >= 8
    )
    for address in (known, prog["console_printk"], counter):
        light.write(int(address.address_of_()), word.to_bytes(8, "little"))
    start = (int(local.address_of_()) + 7) // 8 * 8
    light.write(start, word.to_bytes(8, "little"))
    words = [w for w in ask(light, pfn)["words"] if w["encoding"] == "struct page"]
    kind = known.type_.type_name()
    assert (words[0]["typed"], words[0]["type"]) == (True, kind)
    found = {w["member"]: w for w in words}
    static = "huge_zero_folio" if kind == "struct folio *" else "huge_zero_page"
    assert {static, "console_printk[0]"} <= set(found)
    assert not found["process_counts"]["typed"]
    assert found["process_counts"]["type"] == "unsigned long"
    (on_stack,) = [w for w in words if w["address"] == hex(start)]
    assert on_stack["member"].split(".")[0].split("[")[0] == name


def test_area_of_cma(light: Site) -> None:
    """Memory that a range allocation may have, told by its area."""
    if "cma_areas" not in light.prog:
        pytest.skip("the kernel has no CMA")
    pfn = random.Random(11).choice(light.lru_pages()) & ~511
    area = light.prog["cma_areas"][1]
    light.set(light.prog["cma_area_count"], 2)
    light.write(int(area.name.address_of_()), b"planted\0")
    if area.type_.has_member("ranges"):
        light.set(area.nranges, 2)
        area = area.ranges[1]
    light.set(area.base_pfn, pfn)
    light.set(area.count, 512)
    assert [ask(light, each)["cma"] for each in (pfn - 1, pfn, pfn + 511, pfn + 512)] == [
        *(None, "planted", "planted", None)
    ]
