# SPDX-License-Identifier: LGPL-2.1-or-later
"""mapcount-mismatch, refcount-leak and -underflow, counter-drift: counts changed in real dumps."""

from __future__ import annotations

import stat
import struct
from typing import Any, Optional

import drgn
import pytest
from drgn.helpers.linux import mm as drgn_mm
from drgn.helpers.linux.pid import for_each_task
from folios import KINDS, Mapped, count, entry, find, task
from planting import PAGE_SIZE, Expected, OpenSite, Site, has_member, node_counter
from stacks import inside, inside_split, put, running_words, sleeper, sleeping_words

from drgn_contrib import target
from drgn_contrib._pageaudit import Kernel, Source, TargetError

DRIFT: Expected = ("counter-drift", "bug", None, None)
MAPCOUNTS = ("_mapcount", "entire mapcount", "_large_mapcount", "_nr_pages_mapped")


@pytest.fixture(params=KINDS)
def folio(request: pytest.FixtureRequest, site: Site) -> Mapped:
    """A mapped folio of each kind in turn."""
    return find(site, request.param)


def about(check: str, folio: Mapped, severity: str = "bug") -> Expected:
    return check, severity, folio.pfn, folio.pfn + folio.pages


def said(finding: "dict[str, Any]", name: str) -> "tuple[int, int]":
    """What a finding has as stored and as counted."""
    stored, counted = finding["evidence"][name].split(", ")
    return int(stored.removesuffix(" stored")), int(counted.removesuffix(" counted"))


# Mapcounts.


@pytest.mark.parametrize("amount", [1, -1])
@pytest.mark.parametrize("name", MAPCOUNTS)
def test_mapcount_is_off(site: Site, folio: Mapped, name: str, amount: int) -> None:
    counter = count(site, folio, name)
    if counter is None:
        pytest.skip("such folios of this kernel have no such count")
    site.add(counter, amount)
    (finding,) = site.expect(about("mapcount-mismatch", folio))
    stored, counted = said(finding, name)
    assert stored == counted + amount


@pytest.mark.parametrize("amount", [1, -1])
def test_mapcount_of_an_mm_is_off(site: Site, amount: int) -> None:
    """v7 counts the maps of the first two mms of a folio apart."""
    folio = find(site, "thp")
    second = site.page(folio.pfn + 1)[0]
    try:
        whole = drgn.Object(site.prog, "struct folio", address=int(site.page(folio.pfn)))
    except LookupError:
        whole = second
    if not has_member(whole, "_mm_id_mapcount"):
        pytest.skip("this kernel has no such count")
    slot = next(i for i in range(2) if int(whole._mm_id_mapcount[i]) >= 0)
    site.add(whole._mm_id_mapcount[slot], amount)
    (finding,) = site.expect(about("mapcount-mismatch", folio))
    assert said(finding, "_mm_id_mapcount") == (1 + amount, 1)


def test_unmapped_and_not_counted(site: Site, folio: Mapped) -> None:
    """An entry is cleared, and rmap is not told."""
    site.write(folio.entry.address, bytes(8))
    (finding,) = site.expect(about("mapcount-mismatch", folio))
    name = "entire mapcount" if folio.whole else "_mapcount"
    stored, counted = said(finding, name)
    assert stored == counted + 1


def test_unmapped_and_not_yet_counted(site: Site, folio: Mapped) -> None:
    """The same while a task has the folio in hand: it is about to tell rmap."""
    holder = sleeper(site)
    site.write(folio.entry.address, bytes(8))
    put(site, sleeping_words(site, holder), int(site.page(folio.pfn)))
    site.expect_nothing()
    assert site.new_infos() == {about("mapcount-mismatch", folio, "info")}
    (finding,) = (f for f in site.audit().findings if f["check"] == "mapcount-mismatch")
    assert finding["evidence"]["task"] == f"aio (pid {int(holder.pid)})"


def collapser(site: Site) -> str:
    """collapse_huge_page(), or what it is inlined in; khugepaged() may sleep there, as well."""
    functions = ("collapse_huge_page", "hpage_collapse_scan_pmd", "khugepaged")
    return next(name for name in functions if site.prog.symbols(name))


def test_table_is_collapsed(site: Site) -> None:
    """collapse_huge_page() has cleared the PMD; its pages are locked, isolated and in rmap."""
    function = collapser(site)
    folio = find(site, "anon")
    flags, listed = site.flags(folio.pfn), node_counter(site, "NR_LRU_BASE")
    assert listed is not None
    site.list_del(site.lru(folio.pfn))
    site.set(flags, int(flags) & ~site.flag("PG_lru") | site.flag("PG_locked"))
    site.add(listed, -1)
    site.write(folio.entry.address, bytes(8))
    site.expect(about("mapcount-mismatch", folio))
    if function == "khugepaged":
        return
    put(site, sleeping_words(site, sleeper(site)), inside(site, function))
    site.expect_nothing()
    assert about("mapcount-mismatch", folio, "info") in site.new_infos()


@pytest.mark.parametrize("held", ["", "by another", "by a collapser", "by mremap"])
def test_table_in_hand(site: Site, held: str) -> None:
    """collapse_huge_page() has a table that is linked nowhere; not all of its pages are locked.

    So has move_normal_pmd().
    """
    function = "move_page_tables" if held == "by mremap" else collapser(site)
    folio = find(site, "anon")
    table = entry(site, folio.pid, folio.address, 1)
    site.write(table.address, bytes(8))
    words = sleeping_words(site, sleeper(site))
    if held:
        put(site, words, table.value)
    if held in ("by a collapser", "by mremap"):
        put(site, words, inside(site, function))
        found = {each[0] for each in site.audit().above_info()}
        assert found <= ({"counter-drift"} if function == "khugepaged" else set())
        assert about("mapcount-mismatch", folio, "info") in site.new_infos()
    else:
        assert about("mapcount-mismatch", folio) in site.audit().above_info()


def test_table_in_hand_that_is_linked(site: Site) -> None:
    """What it maps is counted: it explains no map that is not."""
    function = collapser(site)
    folio = find(site, "anon")
    site.add(site.page(folio.pfn)._mapcount.counter, 1)
    words = sleeping_words(site, sleeper(site))
    for level in (1, 2):
        put(site, words, entry(site, folio.pid, folio.address, level).value)
    put(site, words, inside(site, function))
    site.expect(about("mapcount-mismatch", folio))


@pytest.mark.parametrize("beside", [0, 8])
def test_isolated_folio_in_list_add(site: Site, beside: int) -> None:
    """list_add() has set the links of its lru, and nobody else's to that."""
    folio = find(site, "anon")
    flags, listed = site.flags(folio.pfn), node_counter(site, "NR_LRU_BASE")
    assert listed is not None
    site.list_del(site.lru(folio.pfn))
    site.set(flags, int(flags) & ~site.flag("PG_lru"))
    site.add(listed, -1)
    site.add(site.refcount(folio.pfn), 1)
    words = sleeping_words(site, sleeper(site))
    put(site, words, int(site.lru(folio.pfn).address_of_()) + beside)
    if beside:
        site.expect(about("refcount-leak", folio))
    else:
        site.expect_nothing()
        assert about("refcount-leak", folio, "info") in site.new_infos()


@pytest.mark.parametrize("running", [False, True])
def test_entry_in_hand(site: Site, folio: Mapped, running: bool) -> None:
    """ptep_modify_prot_start() has cleared an entry that is set again under the same lock."""
    site.write(folio.entry.address, bytes(8))
    words = running_words(site)[1] if running else sleeping_words(site, sleeper(site))
    put(site, words, folio.entry.value)
    if running:
        site.expect_nothing()
        assert about("mapcount-mismatch", folio, "info") in site.new_infos()
    else:
        site.expect(about("mapcount-mismatch", folio))


def unused_entry(site: Site) -> int:
    """Where an entry is that maps nothing, in a page table of pages."""
    (event,) = site.events("thp")
    # Of each folio of the third quarter a part was unmapped.
    found = entry(site, event["pid"], event["address"] + event["size"] // 2 + 110 * PAGE_SIZE)
    assert not found.value
    assert found.order == 0
    return found.address


@pytest.mark.parametrize("kind", ["anon", "thp by pages", "shmem", "file"])
def test_mapped_and_not_counted(site: Site, kind: str) -> None:
    """An entry is there that rmap was never told of."""
    folio = find(site, kind)
    site.write(unused_entry(site), folio.entry.value.to_bytes(8, "little"))
    (finding,) = site.expect(about("mapcount-mismatch", folio))
    stored, counted = said(finding, "_mapcount")
    assert stored == counted - 1


@pytest.mark.parametrize("state", ["offline", "altmap", "hole"])
def test_unusable_page_is_mapped(site: Site, state: str) -> None:
    pfn = site.ranges(state)[0][0] + 77
    bits = find(site, "anon").entry.value & ~(0xFFFFFFFFFF << 12)
    site.write(unused_entry(site), (bits | pfn << 12).to_bytes(8, "little"))
    site.expect(("stale-page-reference", "bug", pfn, pfn + 1))


def test_free_page_is_mapped(site: Site) -> None:
    block = site.free_block(0)
    bits = find(site, "anon").entry.value & ~(0xFFFFFFFFFF << 12)
    site.write(unused_entry(site), (bits | block.pfn << 12).to_bytes(8, "little"))
    site.expect(("stale-page-reference", "bug", block.pfn, block.pfn + 1))


# Without the mapcounts of a large folio's pages: CONFIG_NO_PAGE_MAPCOUNT.


def large_folios(site: Site) -> "list[int]":
    """The first pages of those on an LRU."""
    census = site.kernel().census()
    lru, tail = (census["class_names"][name] for name in ("lru", "tail"))
    return [
        nr * site.section_pages + i
        for nr, classes in census["classes"].items()
        for i in range(site.section_pages - 1)
        if classes[i] & 63 == lru and classes[i + 1] & 63 == tail
    ]


def forget_mapcounts(site: Site) -> "list[int]":
    """All is as if the kernel had never kept them: gives the folios that are mapped by pages."""
    forgotten = []
    for pfn in large_folios(site):
        page = site.page(pfn)
        folio = drgn.Object(site.prog, "struct folio", address=int(page))
        entire = int(folio._entire_mapcount.counter) + 1
        pages = [site.page(pfn + i) for i in range(int(drgn_mm.compound_nr(page)))]
        mapped = [page for page in pages if int(page._mapcount.counter) >= 0]
        for page in mapped:
            site.set(page._mapcount.counter, -1)
        # prep_compound_head() leaves what was there.
        site.set(folio._nr_pages_mapped.counter, 0x4711)
        if int(folio._large_mapcount.counter) + 1 == entire:
            continue
        forgotten.append(pfn)
        name = "NR_ANON_MAPPED" if int(folio.mapping) & 1 else "NR_FILE_MAPPED"
        counter = node_counter(site, name)
        assert counter is not None
        if not entire:
            site.add(counter, len(pages) - len(mapped))
    return forgotten


@pytest.mark.parametrize("kernel", ["v7"])
def test_mapcounts_of_pages_are_not_kept(site: Site) -> None:
    folios = forget_mapcounts(site)
    assert folios
    folio = find(site, "thp by pages")
    assert folio.pfn in folios
    site.expect_nothing()
    # What is counted is as good as ever: the folio's maps, ...
    site.write(folio.entry.address, bytes(8))
    (finding,) = site.expect(about("mapcount-mismatch", folio))
    stored, counted = said(finding, "_large_mapcount")
    assert stored == counted + 1
    assert "_mapcount" not in finding["evidence"]
    assert "_nr_pages_mapped" not in finding["evidence"]
    site.write(folio.entry.address, folio.entry.value.to_bytes(8, "little"))
    # ... and the node's, of whole folios.
    counter = node_counter(site, "NR_ANON_MAPPED")
    assert counter is not None
    site.add(counter, -1)
    site.expect(DRIFT)


@pytest.mark.parametrize("kernel", ["v7"])
def test_mapcounts_of_pages_are_lost(site: Site) -> None:
    """A page of one folio has its mapcount: the kernel keeps them, and lost those of all others."""
    folio = find(site, "thp by pages")
    kept = site.page(folio.page_pfn)._mapcount.counter
    value = int(kept)
    assert value >= 0
    folios = forget_mapcounts(site)
    site.set(kept, value)
    found = {f[2] for f in site.audit().above_info() if f[0] == "mapcount-mismatch"}
    assert found >= set(folios)


# References.


@pytest.mark.parametrize("amount", [1, -1, 2])
def test_refcount_is_off(site: Site, folio: Mapped, amount: int) -> None:
    site.add(site.refcount(folio.pfn), amount)
    check = "refcount-leak" if amount > 0 else "refcount-underflow"
    (finding,) = site.expect(about(check, folio))
    stored, counted = said(finding, "_refcount")
    assert stored == counted + amount


def test_found_by_name_too(site: Site, folio: Mapped) -> None:
    """Of a running kernel what was counted is counted again, by name: of any folio the same."""
    site.add(site.refcount(folio.pfn), 1)
    site.expect_in_second_read("refcount-leak", folio.pfn)


@pytest.mark.parametrize("moves", [False, True])
def test_right_when_looked_at_again(open_site: OpenSite, moves: bool) -> None:
    """Of a running kernel: the struct page says another number when its finding is made."""
    site = open_site("v6.12")
    folio = find(site, "anon")
    counter = count(site, folio, "_mapcount")
    assert counter is not None
    at = site.phys(int(counter.address_of_()))
    below = Source.open([str(site.core.path)])

    def read(phys: int, length: int) -> Optional[bytes]:
        try:
            data = bytearray(below.read(phys, length))
        except TargetError:
            return None
        # The memory map is read in large runs, a page of it that is looked up alone.
        if phys <= at < phys + length and (length > PAGE_SIZE or not moves):
            (number,) = struct.unpack_from("<i", data, at - phys)
            struct.pack_into("<i", data, at - phys, number + 1)
        return bytes(data)

    layout = target.open_target([str(site.core.path)]).layout
    kernel = Kernel(Source.from_callback(read, below.info["vmcoreinfo"], False, 62), layout)
    earlier = kernel.audit(["mapcount-mismatch"], earlier=())["earlier"]
    assert folio.pfn in [pfn for (pfn,) in struct.iter_unpack("Q", earlier[0])]
    found = kernel.audit(["mapcount-mismatch"], earlier=earlier)["findings"]
    assert [(f["pfn"], "moved" in f["evidence"]) for f in found] == [(folio.pfn, moves)]


def test_wrong_in_one_read(site: Site) -> None:
    """Of a running kernel a read judges only what the one before found wrong, too."""
    folio = find(site, "anon")
    site.add(site.refcount(folio.pfn), 1)
    site.expect_in_second_read("refcount-leak", folio.pfn)
    kernel = site.kernel()
    pfns, unreadable, unread = kernel.audit(["refcount-leak"], earlier=())["earlier"]
    for wrong in (
        (pfns[1:], unreadable, unread),
        (pfns, unreadable[1:], unread),
        (pfns, unreadable, unread + b"1"),
    ):
        with pytest.raises(ValueError, match="not that of an audit"):
            kernel.audit(["refcount-leak"], earlier=wrong)


def test_reference_of_a_splitter(site: Site) -> None:
    """Pages of a THP that is being split are locked, and next to those that a stack names."""
    folio = find(site, "anon")
    words = sleeping_words(site, sleeper(site))
    flags = site.flags(folio.pfn)
    site.add(site.refcount(folio.pfn), 1)
    put(site, words, int(site.page(folio.pfn ^ 64)))
    leak = about("refcount-leak", folio)
    site.expect(leak)
    site.set(flags, int(flags) | site.flag("PG_locked"))
    site.expect(leak)
    put(site, words, inside_split(site))
    site.expect_nothing()
    assert about("refcount-leak", folio, "info") in site.new_infos()
    site.set(flags, int(flags) & ~site.flag("PG_locked"))
    site.expect(leak)


@pytest.mark.parametrize("tag", [0, 1])
def test_extra_reference_of_a_task(site: Site, folio: Mapped, tag: int) -> None:
    """The same with the page's address on a stack: whoever it is has it in hand."""
    trace = site.prog.stack_trace(site.events("aio")[0]["pid"])
    holder = sleeper(site)
    site.add(site.refcount(folio.pfn), 1)
    put(site, sleeping_words(site, holder), int(site.page(folio.pfn)) | tag)
    site.expect_nothing()
    assert site.new_infos() == {about("refcount-leak", folio, "info")}
    (finding,) = (f for f in site.audit().findings if f["check"] == "refcount-leak")
    assert f"stack of aio ({int(holder.pid)})" in finding["evidence"]["also_named_by"]
    named = {line.split("+")[0] for line in finding["evidence"]["stack"].split("\n")}
    frames = [f.name for f in trace if not f.is_inline]
    assert set(frames[1:3]) <= named


def test_extra_reference_of_an_object(site: Site, folio: Mapped) -> None:
    """The same with the page's address in an object of the kernel's."""
    holder = sleeper(site)
    assert not holder.journal_info
    site.add(site.refcount(folio.pfn), 1)
    site.set(holder.journal_info, int(site.page(folio.pfn)))
    (finding,) = site.expect(about("refcount-leak", folio, "suspect"))
    named = finding["evidence"]["also_named_by"]
    offset = int(holder.journal_info.address_of_()) - int(holder)
    assert f"object {int(holder):#x} + {offset:#x} of task_struct" in named


def test_reference_of_an_object_that_was_counted(site: Site, folio: Mapped) -> None:
    """A pointer without a reference is no finding."""
    site.set(sleeper(site).journal_info, int(site.page(folio.pfn)))
    site.expect_nothing()
    assert site.new_infos() == set()


# Pipes.


def pipe_buffer(site: Site) -> drgn.Object:
    """The buffer of a pipe that a task has written some bytes to."""
    pid = site.events("pipe")[0]["pid"]
    files = task(site, pid).files.fdt
    for fd in range(int(files.max_fds)):
        file = files.fd[fd]
        if not file or not stat.S_ISFIFO(int(file.f_inode.i_mode)):
            continue
        pipe = drgn.cast("struct pipe_inode_info *", file.private_data)
        return pipe.bufs[int(pipe.tail) % int(pipe.ring_size)]
    raise AssertionError("no pipe")


def test_page_of_a_pipe_was_freed(site: Site) -> None:
    block = site.free_block(0)
    site.set(pipe_buffer(site).page, int(site.page(block.pfn)))
    site.expect(("stale-page-reference", "bug", block.pfn, block.pfn + 1))


# Counters of nodes.


def device_page(site: Site) -> int:
    """The last page of a block device's memory, which nobody uses."""
    pgmaps = site.kernel().memory()["pgmaps"]
    pgmap = next(each for each in pgmaps if each["type"] == "fsdax")
    return int(pgmap["ranges"][0][1]) - 1


@pytest.mark.parametrize("kind", ["anon", "file"])
def test_device_memory_is_mapped(site: Site, kind: str) -> None:
    """HMM's is anonymous, that of a file system the file's."""
    like = find(site, kind)
    pfn = device_page(site)
    page = site.page(pfn)
    bits = like.entry.value & ~(0xFFFFFFFFFF << 12)
    site.set(page.mapping, int(site.page(like.pfn).mapping))
    site.add(page._mapcount.counter, 1)
    site.add(site.refcount(pfn), 1)
    site.write(unused_entry(site), (bits | pfn << 12).to_bytes(8, "little"))
    right, wrong = "NR_ANON_MAPPED", "NR_FILE_MAPPED"
    if kind != "anon":
        right, wrong = wrong, right
    counters = [node_counter(site, name) for name in (right, wrong)]
    assert counters[0] is not None
    assert counters[1] is not None
    (finding,) = site.expect(DRIFT)
    assert finding["evidence"]["counter"] == right
    site.add(counters[0], 1)
    site.expect_nothing()
    site.add(counters[0], -1)
    site.add(counters[1], 1)
    site.expect(DRIFT, DRIFT)


def test_page_of_large_device_memory_is_mapped(site: Site) -> None:
    """The same of HMM's huge pages: each of their pages counts."""
    pgmaps = site.kernel().memory()["pgmaps"]
    large = [each for each in pgmaps if each["vmemmap_shift"]]
    if not large:
        pytest.skip("this kernel has no large device memory")
    like = find(site, "anon")
    pfn = int(large[0]["ranges"][0][1]) - (1 << large[0]["vmemmap_shift"])
    # One whose struct page is its own: those behind the first 64 may be others', too.
    page = site.page(pfn + 5)
    bits = like.entry.value & ~(0xFFFFFFFFFF << 12)
    site.set(site.page(pfn).mapping, int(site.page(like.pfn).mapping))
    site.add(page._mapcount.counter, 1)
    site.add(site.refcount(pfn), 1)
    folio = drgn.Object(site.prog, "struct folio", address=int(site.page(pfn)))
    for name in ("_large_mapcount", "_nr_pages_mapped"):
        if has_member(folio, name):
            site.add(folio.member_(name).counter, 1)
    site.write(unused_entry(site), (bits | (pfn + 5) << 12).to_bytes(8, "little"))
    (finding,) = site.expect(DRIFT)
    assert finding["evidence"]["counter"] == "NR_ANON_MAPPED"
    counter = node_counter(site, "NR_ANON_MAPPED")
    assert counter is not None
    site.add(counter, 1)
    site.expect_nothing()


@pytest.mark.parametrize("amount", [1, -1])
@pytest.mark.parametrize(
    "name",
    [
        "NR_ANON_MAPPED",
        "NR_FILE_MAPPED",
        "NR_ANON_THPS",
        "NR_SHMEM",
        "NR_SHMEM_THPS",
        "NR_SHMEM_PMDMAPPED",
        "NR_FILE_THPS",
        "NR_FILE_PMDMAPPED",
    ],
)
def test_counter_is_off(site: Site, name: str, amount: int) -> None:
    counter = node_counter(site, name)
    if counter is None:
        pytest.skip("this kernel has no such counter")
    site.add(counter, amount)
    (finding,) = site.expect(DRIFT)
    assert finding["evidence"]["difference"] == amount


@pytest.mark.parametrize("amount", [1, -1, 2000, -200000])
@pytest.mark.parametrize("name", ["NR_FOLL_PIN_ACQUIRED", "NR_FOLL_PIN_RELEASED"])
def test_pins_are_off(site: Site, name: str, amount: int) -> None:
    """Less than there are: since v6.5 fs/direct-io.c takes pins that it doesn't count."""
    counter = node_counter(site, name)
    assert counter is not None
    site.add(counter, amount)
    difference = -amount if name.endswith("RELEASED") else amount
    drift = "NR_FOLL_PIN_ACQUIRED less _RELEASED"
    if difference < 0 and site.prog.symbols("folio_add_pin"):
        site.expect_nothing()
        assert site.new_infos() == {("counter-drift", "info", None, None)}
        findings = [f for f in site.audit().findings if f["evidence"].get("counter") == drift]
        assert [f["evidence"]["uncounted"] for f in findings] == ["folio_add_pin()"]
    else:
        findings = site.expect(DRIFT)
        assert "uncounted" not in findings[0]["evidence"]
    assert [f["evidence"]["difference"] for f in findings] == [difference]


def test_not_in_the_page_cache_yet(site: Site) -> None:
    """collapse_file() may sleep with a new folio that has its mapping; nothing counts it."""
    folio = find(site, "shmem thp")
    thps = node_counter(site, "NR_SHMEM_THPS")
    pages = node_counter(site, "NR_SHMEM")
    assert thps is not None
    assert pages is not None
    # v5.10 counts huge pages.
    site.add(thps, -folio.pages if int(thps) >= folio.pages else -1)
    site.add(pages, -folio.pages)
    site.expect(DRIFT, DRIFT)
    # With as many references as the page cache has it is there, with one less it is not.
    missing = about("refcount-underflow", folio)
    refcount = site.refcount(folio.pfn)
    surplus = int(refcount) - folio.pages
    assert surplus > 0
    site.add(refcount, -surplus)
    site.expect(missing, DRIFT, DRIFT)
    site.add(refcount, -1)
    site.expect(missing)


def test_on_its_way_into_the_page_cache(site: Site) -> None:
    """shmem_add_to_page_cache() may sleep with a folio that has its mapping; nothing counts it."""
    folio = find(site, "shmem")
    block = site.free_block(0)
    site.take(block)
    page, flags = site.page(block.pfn), site.flags(block.pfn)
    site.set(page.mapping, int(site.page(folio.pfn).mapping))
    site.set(flags, int(flags) | site.flag("PG_swapbacked") | site.flag("PG_locked"))
    site.set(site.refcount(block.pfn), 1)
    put(site, sleeping_words(site, sleeper(site)), int(page))
    site.expect_nothing()
    pages = node_counter(site, "NR_SHMEM")
    assert pages is not None
    for amount in (-1, 3):
        site.add(pages, amount)
        site.expect(DRIFT)


@pytest.mark.parametrize("name", ["NR_ISOLATED_ANON", "NR_ISOLATED_FILE"])
def test_isolation_is_lost(site: Site, name: str) -> None:
    """A folio that was isolated and put back, and is still counted; and one counted twice."""
    counter = node_counter(site, name)
    assert counter is not None
    site.add(counter, -1)
    (finding,) = site.expect(DRIFT)
    assert "cause" not in finding["evidence"]
    # As if it were a THP: some kernels count those as one page when memory goes offline.
    site.add(counter, -510)
    (finding,) = site.expect(DRIFT)
    known = not site.prog.symbols("isolate_folio_to_list")
    assert ("cause" in finding["evidence"]) == known
    # More than there are folios that somebody may have in hand.
    site.add(counter, 511 + 100000)
    site.expect(DRIFT)


def test_isolation_is_not_counted_yet(site: Site) -> None:
    """The same while a task is in the middle of reclaim, and while kswapd sleeps."""
    counter = node_counter(site, "NR_ISOLATED_ANON")
    assert counter is not None
    site.add(counter, 100000)
    sleeping = next(t for t in for_each_task(site.prog) if t.comm.string_() == b"kswapd0")
    stack = int(sleeping.thread.sp)
    site.write(stack, struct.pack("<Q", site.prog.symbol("kswapd").address + 0x40))
    site.expect(DRIFT)
    site.write(stack, struct.pack("<Q", site.prog.symbol("shrink_node").address + 0x40))
    site.expect_nothing()
    assert {f[:2] for f in site.new_infos()} == {("counter-drift", "info")}
