# SPDX-License-Identifier: LGPL-2.1-or-later
"""The middle of something: what a task is about to put right is told as that, and as no fault."""

from __future__ import annotations

import stat
import struct
from typing import Any, Iterator

import drgn
import pytest
from drgn.helpers.linux import mm, pid, sched
from folios import find, task
from places import batches
from planting import PAGE_SIZE, OpenSite, Site, has_member, node_counter
from stacks import inside, inside_split, put, room_for_list, running_words, sleeper, sleeping_words

COUNTER = "zone-accounting"


def lock(site: Site, zone: drgn.Object) -> None:
    site.write(int(zone.lock.address_of_()), struct.pack("<I", 1))


# Zones.


def test_count_while_the_lock_is_held(site: Site) -> None:
    """By somebody of whom nothing is to be seen."""
    zone = site.zone("Normal")
    lock(site, zone)
    site.add(site.free_pages(zone), 1)
    site.expect((COUNTER, "suspect", None, None))


def test_count_while_a_task_changes_it(site: Site) -> None:
    zone = site.zone("Normal")
    cpu, words = running_words(site)
    lock(site, zone)
    put(site, words, int(zone.address_of_()))
    site.add(site.free_pages(zone), 1)
    site.expect_nothing()
    assert site.new_infos() == {(COUNTER, "info", None, None)}
    (finding,) = (f for f in site.audit().findings if f["check"] == COUNTER)
    runs = sched.cpu_curr(site.prog, cpu)
    assert finding["evidence"]["task"] == f"{runs.comm.string_().decode()} (pid {int(runs.pid)})"


def test_count_while_another_zone_is_changed(site: Site) -> None:
    zone, other = site.zone("Normal"), site.zone("Movable")
    lock(site, zone)
    lock(site, other)
    put(site, running_words(site)[1], int(other.address_of_()))
    site.add(site.free_pages(zone), 1)
    site.expect((COUNTER, "suspect", None, None))


def test_count_that_the_panic_left(site: Site) -> None:
    """The task that made the kernel panic does not go on."""
    zone = site.zone("Normal")
    cpu, words = running_words(site)
    lock(site, zone)
    put(site, words, int(zone.address_of_()))
    site.add(site.free_pages(zone), 1)
    site.set(site.prog["panic_cpu"].counter, cpu)
    site.expect((COUNTER, "suspect", None, None))


@pytest.mark.parametrize("who", ["nobody", "holder of the lock", "task"])
def test_unmarked_after_it_was_unlisted(site: Site, who: str) -> None:
    """__del_page_from_free_list() in its middle."""
    block = site.free_block(4)
    site.take(block)
    site.set(site.page_type(block.pfn), site.buddy_type)
    site.set(site.page(block.pfn).private, block.order)
    words = running_words(site)[1]
    if who != "nobody":
        lock(site, block.zone)
        put(site, words, int(block.zone.address_of_()))
    if who == "task":
        put(site, words, int(site.page(block.pfn)))
        site.expect_nothing()
    else:
        site.expect(("buddy-structure", "bug", block.pfn, block.end))


# Lists on stacks.


def deferred_offset(site: Site) -> int:
    """From a folio's struct page to its link in the queue of THPs to split."""
    try:
        return int(drgn.offsetof(site.prog.type("struct folio"), "_deferred_list"))
    except LookupError:
        page = site.prog.type("struct page")
        return 2 * int(drgn.sizeof(page)) + int(drgn.offsetof(page, "deferred_list"))


@pytest.mark.parametrize("scan", [False, True])
def test_list_like_that_of_thps_to_split(site: Site, scan: bool) -> None:
    """SLUB links slabs just so: only who scans the queue has THPs on its list."""
    folio = find(site, "thp")
    head, words = room_for_list(site)
    node = int(site.page(folio.pfn)) + deferred_offset(site)
    site.add(site.refcount(folio.pfn), 1)
    site.write(head, struct.pack("<2Q", node, node))
    site.write(node, struct.pack("<2Q", head, head))
    if scan:
        put(site, words, inside(site, "deferred_split_scan"))
        site.expect_nothing()
    else:
        site.expect(("refcount-leak", "bug", folio.pfn, folio.pfn + folio.pages))


@pytest.mark.parametrize("collapses", [False, True])
def test_folio_that_becomes_part_of_a_huge_one(site: Site, collapses: bool) -> None:
    """collapse_file() has isolated it, and found it with a reference before."""
    folio = find(site, "shmem")
    head, words = room_for_list(site)
    node = int(site.lru(folio.pfn).address_of_())
    site.list_del(site.lru(folio.pfn))
    site.write(head, struct.pack("<2Q", node, node))
    site.write(node, struct.pack("<2Q", head, head))
    flags = site.flags(folio.pfn)
    site.set(flags, int(flags) & ~site.flag("PG_lru"))
    site.add(site.refcount(folio.pfn), 2)
    if collapses:
        put(site, words, inside(site, "collapse_file"))
    found = [f for f in site.audit().findings if f["check"] == "refcount-leak"]
    (finding,) = (f for f in found if f["pfn"] == folio.pfn)
    assert finding["severity"] == ("info" if collapses else "bug")
    assert "isolated" in finding["evidence"]["holders"]


def pipe_arrays(site: Site) -> "list[tuple[int, int, int]]":
    """Room in objects of kmalloc(): in a pipe's buffer that is unused, or in so many bytes."""
    found = {}
    for each in pid.for_each_task(site.prog):
        if not each.files:
            continue
        for fd in range(int(each.files.fdt.max_fds)):
            file = each.files.fdt.fd[fd]
            if file and stat.S_ISFIFO(int(file.f_inode.i_mode)):
                pipe = drgn.cast("struct pipe_inode_info *", file.private_data)
                if int(pipe.head) - int(pipe.tail) < int(pipe.ring_size):
                    unused = pipe.bufs[int(pipe.head) % int(pipe.ring_size)]
                    room = 0 if pipe.head != pipe.tail else drgn.sizeof(unused) * pipe.ring_size
                    there = int(unused.private.address_of_())
                    found[int(pipe.bufs)] = (int(pipe.bufs), there, int(room))
    return list(found.values())


@pytest.mark.parametrize("has_zone", [False, True])
def test_block_that_compaction_put_back(site: Site, has_zone: bool) -> None:
    """compaction_free() leaves the block's private at 0: the list says the order."""
    control = site.prog.type("struct compact_control")
    order, block = 2, site.free_block(2)
    member = next(each for each in control.members if each.name == "freepages")
    if member.type.kind != drgn.TypeKind.ARRAY:
        pytest.skip("this kernel splits blocks before it lists them")
    head_at = drgn.offsetof(control, f"freepages[{order}]")
    zone_at = drgn.offsetof(control, "zone")
    (at, _, room) = next(each for each in pipe_arrays(site) if each[2] > zone_at)
    node = int(site.lru(block.pfn).address_of_())
    site.take(block)
    site.set(site.page(block.pfn).private, 0)
    site.write(at, bytes(zone_at))
    site.write(at + head_at, struct.pack("<2Q", node, node))
    site.write(node, struct.pack("<2Q", at + head_at, at + head_at))
    if has_zone:
        site.write(at + zone_at, int(block.zone.address_of_()).to_bytes(8, "little"))
        site.expect_nothing()
    else:
        site.expect(("lost-free-pages", "bug", block.pfn + 1, block.end))


@pytest.mark.parametrize("word", ["lru", "private"])
def test_block_that_is_split(site: Site, word: str) -> None:
    """compaction_alloc() has the lru of a block that it took off a list, and nothing else."""
    block = site.free_block(2)
    site.take(block)
    words = sleeping_words(site, sleeper(site))
    put(site, words, int(getattr(site.page(block.pfn), word).address_of_()))
    if word == "lru":
        site.expect_nothing()
    else:
        site.expect(("lost-free-pages", "bug", block.pfn, block.end))


def add_to_batch(site: Site, cpu: int, pfn: int) -> None:
    """Name a page in a CPU's batch, which has no reference to it."""
    batch = next(batches(site.prog, cpu))
    nr = int(batch.nr)
    slots = batch.folios if has_member(batch, "folios") else batch.pages
    site.set(slots[nr], int(site.page(pfn)))
    site.set(batch.nr, nr + 1)


@pytest.mark.parametrize("drops", [False, True])
def test_page_of_a_batch_that_is_put(site: Site, drops: bool) -> None:
    """folios_put_refs() frees what is in the CPU's batch, and empties that after."""
    block = site.free_block(0)
    site.take(block)
    cpu, words = running_words(site)
    add_to_batch(site, cpu, block.pfn)
    lost = ("lost-free-pages", block.pfn, block.end)
    if drops:
        (puts,) = site.prog.symbols("folios_put_refs") or site.prog.symbols("release_pages")
        put(site, words, puts.address + 16)
        site.expect_nothing()
        assert (lost[0], "info", *lost[1:]) in site.new_infos()
    else:
        site.expect((lost[0], "bug", *lost[1:]))


@pytest.mark.parametrize("emptied", ["", "pagevec_lru_move_fn", "folio_batch_move_lru"])
def test_batch_that_was_put(site: Site, emptied: str) -> None:
    """release_pages() is over, and its caller comes to empty the batch: till folios_put_refs()."""
    functions = site.prog.symbols(emptied) if emptied else []
    if emptied and not functions:
        pytest.skip("not on this kernel")
    folio = find(site, "anon")
    cpu, words = running_words(site)
    add_to_batch(site, cpu, folio.pfn)
    for function in functions:
        put(site, words, function.address + 16)
    if functions and not site.prog.symbols("folios_put_refs"):
        site.expect_nothing()
    else:
        site.expect(("refcount-underflow", "bug", folio.pfn, folio.pfn + 1))


def test_parts_of_a_folio_that_is_split(site: Site) -> None:
    """__folio_split() has the head; parts behind the end of the file are nobody's meanwhile."""
    parts = site.free_block(2)
    site.take(parts)
    words = sleeping_words(site, sleeper(site))
    lost = ("lost-free-pages", "bug", parts.pfn, parts.end)
    head = next(words)
    site.write(head, int(site.page(parts.pfn ^ 64)).to_bytes(8, "little"))
    # Of one who does something else with it.
    site.expect(lost)
    put(site, words, inside_split(site))
    site.expect_nothing()
    assert ("lost-free-pages", "info", parts.pfn, parts.end) in site.new_infos()
    # Of a folio in another pageblock.
    site.write(head, int(site.page(parts.pfn ^ 1024)).to_bytes(8, "little"))
    site.expect(lost)


@pytest.mark.parametrize("function", ["", "free_contig_range"])
def test_range_that_is_freed(site: Site, function: str) -> None:
    """__free_contig_range() has the page that it comes to, and those before have no reference."""
    pages = site.free_block(3)
    site.take(pages)
    words = sleeping_words(site, sleeper(site))
    put(site, words, int(site.page(pages.end)))
    if function:
        put(site, words, inside(site, function))
        site.expect_nothing()
        assert ("lost-free-pages", "info", pages.pfn, pages.end) in site.new_infos()
    else:
        site.expect(("lost-free-pages", "bug", pages.pfn, pages.end))


@pytest.mark.parametrize("held", [False, True])
def test_gigantic_page_that_is_unmade(site: Site, held: bool) -> None:
    """free_pages_prepare() unmakes the tails of more blocks than the buddy allocator knows of."""
    blocks = [b for zone in site.zones() for b in site.free_blocks(zone) if b.order >= 9]
    ends = {block.end: block for block in blocks}
    first, second = next(
        (ends[block.pfn], block)
        for block in blocks
        if block.pfn in ends
        and block.order == ends[block.pfn].order
        and not ends[block.pfn].pfn % (4 << block.order)
    )
    for block in (first, second):
        site.take(block)
    site.set(site.flags(first.pfn), int(site.flags(first.pfn)) | site.flag("PG_head"))
    site.set(site.refcount(first.pfn), 1)
    if held:
        put(site, sleeping_words(site, sleeper(site)), int(site.page(first.pfn)))
        site.expect_nothing()
    else:
        lost = [f for f in site.audit().above_info() if f[0] == "lost-free-pages"]
        assert lost
        assert lost[-1][3] == second.end


@pytest.mark.parametrize("function", ["", "page_reporting_process"])
def test_free_pages_that_are_reported(site: Site, function: str) -> None:
    """They are in a scatterlist while the hypervisor is told of them."""
    block = site.free_block(5)
    site.take(block)
    words = sleeping_words(site, sleeper(site))
    entry = site.prog.type("struct scatterlist")
    _, at, _ = next(each for each in pipe_arrays(site) if each[2] >= 2 * drgn.sizeof(entry))
    listed = drgn.Object(site.prog, entry, address=at + drgn.sizeof(entry))
    site.set(listed.page_link, int(site.page(block.pfn)) | 2)
    site.set(listed.length, PAGE_SIZE << block.order)
    put(site, words, at)
    if function:
        put(site, words, inside(site, function))
        site.expect_nothing()
        assert ("lost-free-pages", "info", block.pfn, block.end) in site.new_infos()
    else:
        site.expect(("lost-free-pages", "bug", block.pfn, block.end))


# Address spaces.


@pytest.mark.parametrize("root", ["its own", "its parent's"])
def test_mm_that_is_a_copy(site: Site, root: str) -> None:
    """dup_mm() copies all of the parent's at first, the root table, too."""
    mm = sleeper(site).mm.read_()
    parent = task(site, 1).mm.read_()
    for each in pid.for_each_task(site.prog):
        if each.mm == mm:
            site.set(each.mm, 0)
    if root == "its parent's":
        site.set(mm.pgd, int(parent.pgd))
    mms = {each["address"] for each in site.kernel().census()["mms"]}
    assert int(parent) in mms
    assert (int(mm) in mms) == (root == "its own")


# Bios.


@pytest.fixture
def requests(kernel: str, open_site: OpenSite) -> Iterator[Site]:
    """A dump with direct I/O in flight."""
    site = open_site(kernel, "census")
    with site.planted():
        yield site


def is_compound(site: Site, pfn: int) -> bool:
    return bool(mm.PageCompound(site.page(pfn)))


def of_bios(site: Site) -> "Iterator[dict[str, Any]]":
    """References of bios that are in no task's hands: not on its stack."""
    stacks = [int(task.stack) for task in pid.for_each_task(site.prog)]
    for each in site.kernel().references([(0, 1 << 18)]):
        if (
            each["holder"] == "block I/O"
            and each["kind"] != "unsure"
            and not any(0 <= each["owner"] - stack < 4 * PAGE_SIZE for stack in stacks)
            and not site.kernel().dossier([each["pfn"]])["in_hand"]
        ):
            yield each


@pytest.mark.parametrize("function", ["", "bio_alloc_bioset", "iomap_dio_bio_end_io"])
def test_bio_that_has_dropped_its_pages(requests: Site, function: str) -> None:
    """A bio in the hands of who makes or ends it has the pages that its vectors say, or not."""
    site = requests
    reference = next(r for r in of_bios(site) if not is_compound(site, r["pfn"]))
    pfn = reference["pfn"]
    words = sleeping_words(site, sleeper(site, "direct"))
    put(site, words, reference["owner"])
    if reference["kind"] == "pin":
        site.add(site.refcount(pfn), -1024)
        released = node_counter(site, "NR_FOLL_PIN_RELEASED")
        assert released is not None
        site.add(released, 1)
    else:
        site.add(site.refcount(pfn), -1)
    if function:
        put(site, words, inside(site, function))
        site.expect_nothing()
    else:
        # Suspect where something else names the page, too.
        ((check, _, *pages),) = site.audit().above_info()
        assert (check, *pages) == ("refcount-underflow", pfn, pfn + 1)


@pytest.mark.parametrize("how", ["", "bio_endio", "bio_dirty_list"])
def test_bio_that_has_ended(requests: Site, how: str) -> None:
    """It has its pages until its end_io() or bio_dirty_fn() drops them."""
    site = requests
    reference = next(of_bios(site))
    bio = drgn.Object(site.prog, "struct bio", address=reference["owner"])
    head = site.pfn(mm.compound_head(site.page(reference["pfn"])))
    site.set(bio.bi_iter.bi_size, 0)
    if how == "bio_endio":
        words = sleeping_words(site, sleeper(site, "direct"))
        put(site, words, reference["owner"], inside(site, how))
    elif how:
        site.set(bio.bi_private, 0)
        site.set(site.prog["bio_dirty_list"], reference["owner"])
    if how:
        site.expect_nothing()
        return
    found = site.audit().findings
    (leak,) = (f for f in found if (f["check"], f["pfn"]) == ("refcount-leak", head))
    # An array that is left of what it was before names the page as well.
    kept = leak["evidence"].get("may_hold") == "who pinned it"
    assert leak["severity"] in ("info" if kept else "suspect", "bug")


# Objects in the hands of those who take many pages.


@pytest.mark.parametrize(
    "takes",
    [
        "",
        "pin_user_pages",
        "bio_iov_iter_get_pages",
        "__blkdev_direct_IO_simple",
        "__blockdev_direct_IO",
        "io_sqe_buffers_register.cold",
    ],
)
def test_array_that_another_array_names(site: Site, takes: str) -> None:
    """io_sqe_buffers_register() has nodes, which name buffers, which name pages."""
    folio = find(site, "anon")
    (first, there, _), (second, here, _), *_ = pipe_arrays(site)
    words = sleeping_words(site, sleeper(site))
    site.add(site.refcount(folio.pfn), 1)
    put(site, words, first)
    site.write(there, second.to_bytes(8, "little"))
    site.write(here, int(site.page(folio.pfn)).to_bytes(8, "little"))
    leak = "refcount-leak", folio.pfn, folio.pfn + folio.pages
    if takes.endswith(".cold") and not site.prog.symbols(takes):
        pytest.skip("nothing of it was moved away")
    if takes:
        put(site, words, inside(site, takes))
        site.expect_nothing()
        assert (leak[0], "info", *leak[1:]) in site.new_infos()
    else:
        site.expect((leak[0], "suspect", *leak[1:]))


# Slabs.


def test_slab_that_has_no_cache_yet(site: Site) -> None:
    """allocate_slab() marks the page as a slab before it says of which cache."""
    folio = mm.compound_head(mm.virt_to_page(site.prog["init_task"].fs.root.dentry))
    try:
        whole = drgn.cast("struct slab *", folio)
    except LookupError:
        whole = folio

    def unreadable() -> int:
        (part,) = (
            p for p in site.kernel().audit(["refcount-leak"])["census"] if p["name"] == "slabs"
        )
        return int(part["unreadable"])

    before = unreadable()
    site.set(whole.slab_cache, 0)
    assert unreadable() == before + 1
    put(site, sleeping_words(site, sleeper(site)), int(folio))
    assert unreadable() == before
