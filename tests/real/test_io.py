# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pages that sockets, block I/O and vmalloc() hold, beside what drgn finds of them."""

from __future__ import annotations

from collections import Counter
from typing import Any, Iterator

import drgn
import pytest
from drgn.helpers.linux import mm, pid, slab
from drgn.helpers.linux.fs import for_each_file
from drgn.helpers.linux.pid import for_each_task
from drgn.helpers.linux.rbtree import rbtree_inorder_for_each_entry
from dumps import Open
from lab import make
from planting import OpenSite, Site
from stacks import inside, put, sleeper, sleeping_words

PAGE_SIZE = 4096
IPPROTO_TCP = 6
SOCK_STREAM = 1
#: 0x40 + POISON_POINTER_DELTA, above the bits of a DMA mapping's number.
PP_SIGNATURE = 0xDEAD000000000040
PP_MASK = ~(0xFFFFFFFF << 7 | 3)


@pytest.fixture
def program(kernel: str) -> drgn.Program:
    """All that holds pages, by drgn."""
    dump = make.dump(kernel, "census")
    prog = drgn.Program()
    prog.set_core_dump(dump.vmcore)
    prog.load_debug_info([dump.vmlinux])
    return prog


def socket_buffers(prog: drgn.Program) -> "Iterator[drgn.Object]":
    """The struct sk_buff * in the queues of all sockets that tasks have open."""
    seen = set()
    for each in for_each_task(prog):
        for _, file in for_each_file(each) if each.files else ():
            if file.f_op != prog["socket_file_ops"].address_of_():
                continue
            sk = drgn.cast("struct socket *", file.private_data).sk
            if not sk or sk.value_() in seen:
                continue
            seen.add(sk.value_())
            for queue in sk.sk_receive_queue, sk.sk_write_queue:
                head, skb = queue.address_of_(), queue.next
                while skb.value_() != head.value_():
                    yield skb
                    skb = skb.next
            if sk.sk_protocol == IPPROTO_TCP and sk.sk_type == SOCK_STREAM:
                tree = sk.tcp_rtx_queue.address_of_()
                yield from rbtree_inorder_for_each_entry("struct sk_buff", tree, "rbnode")


def is_pools(page: drgn.Object) -> bool:
    head = mm.compound_head(page)
    try:
        return bool(head.pp_magic.value_() & PP_MASK == PP_SIGNATURE)
    except AttributeError:
        return False


def fragments(prog: drgn.Program) -> "set[tuple[int, int]]":
    """Address and pfn of each slot: a fragment's page, and a head that is a fragment."""
    found = set()
    for skb in socket_buffers(prog):
        shared = drgn.Object(prog, "struct skb_shared_info *", (skb.head + skb.end).value_())
        pools = getattr(skb, "pp_recycle", 0)
        for fragment in shared.frags[: int(shared.nr_frags)]:
            try:
                word = fragment.netmem
            except AttributeError:
                word = fragment.bv_page
            page = drgn.cast("struct page *", word)
            if not (pools and is_pools(page)):
                found.add((word.address_, mm.page_to_pfn(page).value_()))
        if skb.head_frag:
            page = mm.virt_to_page(skb.head)
            if not (pools and is_pools(page)):
                found.add((skb.head.address_, mm.page_to_pfn(page).value_()))
    return found


def check_counts(dossier: "dict[str, Any]") -> int:
    """References of user pages are as many as stored; how many pages have counts."""
    counted = 0
    for page in dossier["pages"]:
        for count in page["counts"]:
            assert count["stored"] == count["counted"], page
        counted += bool(page["counts"])
    return counted


def test_sockets(kernel: str, program: drgn.Program, open_dump: Open) -> None:
    """Every page of every socket buffer: sent without a copy, from files, and copied."""
    expected = fragments(program)
    opened = open_dump(kernel, "census").kernel
    dossier = opened.dossier(sorted({pfn for _, pfn in expected}))
    found = [each for each in dossier["references"] if each[0] == "socket buffer"]
    assert {kind for _, kind, *_ in found} == {"get"}
    slots = [(slot, pfn) for _, _, _, pfn, slot, *_ in found]
    assert len(set(slots)) == len(slots)
    assert set(slots) == expected
    # Few are on their way, and in no socket's queue.
    others = opened.census()["holders"]["socket buffer"]["references"] - len(expected)
    assert 0 <= others <= 4
    # Two lots of half a MiB of anonymous memory and a file's MiB, at the least.
    assert check_counts(dossier) > 500


def pfns(task: drgn.Object, address: int, nr: int) -> "list[int]":
    pages = range(address, address + nr * PAGE_SIZE, PAGE_SIZE)
    return [mm.follow_pfn(task.mm, page).value_() for page in pages]


def direct_pages(prog: drgn.Program, kernel: str) -> "list[list[int]]":
    """The pages of each request of the guest's command "direct", those that it waits for last."""
    requests = []
    synchronous = []
    for event in make.dump(kernel, "census").meta["events"]:
        if event["event"] == "direct":
            task = pid.find_task(prog, event["pid"])
            for i in range(6):
                base = event["thp"] + i * 20 * PAGE_SIZE if i & 1 else None
                base = base or event["address"] + i * 10 * PAGE_SIZE
                requests.append(pfns(task, base, i + 1))
        elif event["event"] == "synchronous":
            task = pid.find_task(prog, event["pid"])
            synchronous.append(pfns(task, event["address"], event["pages"]))
    return requests + synchronous


def test_direct(kernel: str, program: drgn.Program, open_dump: Open) -> None:
    """The pages of requests that the device never answers; none of writeback's."""
    requests = direct_pages(program, kernel)
    opened = open_dump(kernel, "census").kernel
    dossier = opened.dossier(sorted({pfn for pages in requests for pfn in pages}))
    found = [each for each in dossier["references"] if each[0] == "block I/O"]
    kind = "pin" if kernel in ("v6.12", "v7") else "get"
    # Who waits for one may have words of the functions that made it on his stack, still.
    kinds = {each[1] for each in found}
    assert {kind} <= kinds <= {kind, "unsure"}
    by_bio: "dict[int, list[tuple[int, int]]]" = {}
    for _, _, _, pfn, _, owner, index in found:
        by_bio.setdefault(owner, []).append((index, pfn))
    held = [[pfn for _, pfn in sorted(pages)] for pages in by_bio.values()]
    assert all(pages in requests for pages in held), (held, requests)
    # The device may have answered reads before it was stopped.
    assert all(pages in held for pages in requests[:4] + requests[6:])
    assert opened.census()["holders"]["block I/O"]["references"] == len(found)
    assert check_counts(dossier) == len({pfn for pages in requests for pfn in pages})


@pytest.fixture
def site(kernel: str, open_site: OpenSite) -> "Iterator[Site]":
    site = open_site(kernel, "census")
    with site.planted():
        yield site


def bio_of(site: Site) -> drgn.Object:
    """A bio in flight that holds its pages."""
    pool = site.prog["blkdev_dio_pool"]
    for each in slab.slab_cache_for_each_allocated_object(pool.bio_slab, "void"):
        address = each.value_() + pool.front_pad.value_()
        bio = drgn.Object(site.prog, "struct bio *", address)
        if bio.bi_pool == pool.address_of_() and bio.bi_vcnt and bio.bi_iter.bi_size:
            return bio
    raise AssertionError("no bio in flight")


@pytest.mark.parametrize("how", ["clone", "ended", "left", "unpinned"])
def test_bio_without_pages(site: Site, how: str) -> None:
    """A clone, one at its end, and one whose flag says so hold nothing."""
    bio = bio_of(site)
    before = site.kernel().census()["holders"]["block I/O"]["references"]
    vectors = [bio.bi_io_vec[i] for i in range(bio.bi_vcnt)]
    pages = sum((int(v.bv_offset + v.bv_len) + PAGE_SIZE - 1) // PAGE_SIZE for v in vectors)
    flags = bio.bi_flags.value_()
    if how == "clone":
        site.set(bio.bi_flags, flags | 1 << int(site.prog.constant("BIO_CLONED")))
    elif how == "ended":
        site.set(bio.bi_iter.bi_size, 0)
    elif how == "left":
        # It ended without being counted down, and its submitter has it still.
        site.set(bio.bi_flags, flags | 1 << int(site.prog.constant("BIO_REFFED")))
        site.set(getattr(bio, "__bi_cnt").counter, 2)
        assert site.kernel().census()["holders"]["block I/O"]["references"] == before
        site.set(getattr(bio, "__bi_cnt").counter, 1)
    else:
        # The same bit says the opposite before v6.5.
        site.set(bio.bi_flags, flags ^ 1)
    assert site.kernel().census()["holders"]["block I/O"]["references"] == before - pages


@pytest.mark.parametrize("ends", ["", "in hand", "to be reaped"])
def test_bio_that_ends(site: Site, ends: str) -> None:
    """bi_size is 0 before its pages are released: those who do that have it in hand."""
    bio = bio_of(site)
    site.set(bio.bi_iter.bi_size, 0)
    if ends == "to be reaped":
        # On a list of its submitter's, who waits for others as well.
        site.set(bio.bi_end_io, site.prog.symbol("dio_bio_end_io").address)
        site.expect_nothing()
    elif ends:
        words = sleeping_words(site, sleeper(site, "direct"))
        put(site, words, bio.value_(), inside(site, "bio_endio"), inside(site, "bio_put"))
        site.expect_nothing()
    references = site.kernel().references([(0, 1 << 21)])
    kinds = {each["kind"] for each in references if each["owner"] == bio.value_()}
    assert kinds == ({"unsure"} if ends else set())


def test_free_bio(site: Site) -> None:
    """What a mempool has in reserve was freed, whatever stands in it."""
    bio = bio_of(site)
    pool = bio.bi_pool.bio_pool
    before = site.kernel().census()["holders"]["block I/O"]["references"]
    assert pool.curr_nr
    site.set(pool.elements[0], bio.value_() - bio.bi_pool.front_pad.value_())
    after = site.kernel().census()["holders"]["block I/O"]["references"]
    assert 0 < before - after <= 6


@pytest.mark.parametrize("page", ["user", "direct map", "between"])
def test_vectors_that_name_no_page(site: Site, page: str) -> None:
    """They are another's memory by now: the bio is unread, and nothing is said of pages."""
    bio = bio_of(site)
    pages = bio.bi_io_vec[0].bv_page
    before = site.kernel().census()["holders"]["block I/O"]
    others = {"user": 0x7FB0_497F_F000, "direct map": bio.value_(), "between": pages.value_() + 8}
    site.set(pages, others[page])
    site.set(bio.bi_io_vec[0].bv_len, 0xD754_B000)
    audited = site.audit()
    assert [f for f in audited.findings if f["check"] == "stale-page-reference"] == [
        f for f in site.baseline.findings if f["check"] == "stale-page-reference"
    ]
    assert audited.status["refcount-leak"] == "partial"
    after = site.kernel().census()["holders"]["block I/O"]
    assert after["unreadable"] == before["unreadable"] + 1
    assert after["references"] < before["references"]


def test_vectors_in_one_read(site: Site) -> None:
    """Of a running kernel a bio is unread that was so in the read before, at the same address."""
    bio = bio_of(site)
    kernel = site.kernel()
    good = kernel.audit(["refcount-leak"], earlier=())["earlier"]

    def status(earlier: "tuple[Any, ...]") -> "tuple[str, tuple[Any, ...]]":
        audited = site.kernel().audit(["refcount-leak"], earlier=earlier)
        return audited["checks"][0]["status"], audited["earlier"]

    site.set(bio.bi_io_vec[0].bv_page, bio.value_())
    # As many could not be read before, but others.
    many = (good[0], tuple(9 for _ in good[1]), good[2])
    first, earlier = status(many)
    second, _ = status((earlier[0], many[1], earlier[2]))
    assert (status(())[0], first, second) == ("partial", "ran", "partial")


def test_hostile_socket_buffers(site: Site) -> None:
    """What says that it is impossible is no socket buffer."""
    before = site.kernel().census()["holders"]["socket buffer"]["references"]
    with_pages = (
        drgn.Object(site.prog, "struct skb_shared_info *", (skb.head + skb.end).value_())
        for skb in socket_buffers(site.prog)
    )
    first, second = (s for _, s in zip(range(2), (s for s in with_pages if s.nr_frags > 1)))
    nr = first.nr_frags.value_() + second.nr_frags.value_()
    site.set(first.nr_frags, 255)
    site.set(second.dataref.counter, 0)
    after = site.kernel().census()["holders"]["socket buffer"]["references"]
    # Their heads may have been fragments.
    assert nr <= before - after <= nr + 2


@pytest.mark.parametrize("free", [False, True])
def test_head_in_a_free_page(site: Site, free: bool) -> None:
    """What is left of a socket buffer names a head that was given back to the buddy allocator."""
    before = site.kernel().census()["holders"]["socket buffer"]
    owners = {each["owner"] for each in site.kernel().references([(0, 1 << 21)])}
    skb = next(s for s in socket_buffers(site.prog) if s.value_() in owners and not s.head_frag)
    head = skb.head.value_()
    info = drgn.Object(site.prog, "struct skb_shared_info *", head + skb.end.value_())
    size = skb.end.value_() + drgn.sizeof(info[0])
    block = site.free_block(2)
    if not free:
        site.allocate(block)
    moved = mm.page_to_virt(site.page(block.pfn)).value_()
    site.write(moved, site.prog.read(head, size))
    site.set(skb.head, moved)
    after = site.kernel().census()["holders"]["socket buffer"]
    gone = info.nr_frags.value_() if free else 0
    assert before["references"] - after["references"] == gone
    assert before["unreadable"] == after["unreadable"]


@pytest.mark.parametrize("frees", [False, True])
def test_socket_buffer_that_is_being_freed(site: Site, frees: bool) -> None:
    """skb_release_data() leaves the fragments as they were."""
    lru = site.flag("PG_lru")
    for skb in socket_buffers(site.prog):
        head = drgn.Object(site.prog, "struct skb_shared_info *", (skb.head + skb.end).value_())
        slot = head.frags[0].address_of_().value_()
        page = drgn.Object(site.prog, "struct page *", site.prog.read_u64(slot))
        # Of the page cache's all references are recounted.
        if head.nr_frags and not int(site.flags(site.pfn(mm.compound_head(page)))) & lru:
            break
    words = sleeping_words(site, sleeper(site, "direct"))
    put(site, words, skb.value_())
    block = site.free_block(0)
    site.write(slot, site.page(block.pfn).value_().to_bytes(8, "little"))
    if frees:
        put(site, words, inside(site, "skb_release_data"))
    found = {(f["check"], f["severity"], f["pfn"]) for f in site.audit().findings}
    assert (("stale-page-reference", "bug", block.pfn) in found) == (not frees)
    assert frees == (not site.audit().above_info())


@pytest.mark.parametrize("refs", [1, 2])
def test_socket_buffer_of_a_pair(site: Site, refs: int) -> None:
    """Where one of two is free nobody can tell which: what each has is its, or not."""

    def shared(skb: drgn.Object) -> drgn.Object:
        return drgn.Object(site.prog, "struct skb_shared_info *", (skb.head + skb.end).value_())

    def has_cached(skb: drgn.Object) -> bool:
        for i in range(shared(skb).nr_frags):
            word = site.prog.read_u64(shared(skb).frags[i].address_of_().value_())
            page = drgn.Object(site.prog, "struct page *", word)
            if int(site.flags(site.pfn(mm.compound_head(page)))) & site.flag("PG_lru"):
                return True
        return False

    skbs = list(socket_buffers(site.prog))
    heads = Counter(skb.head.value_() for skb in skbs)
    owners = {each["owner"] for each in site.kernel().references([(0, 1 << 21)])}
    pairs = [
        drgn.cast("struct sk_buff_fclones *", skb)
        for skb in skbs
        if skb.fclone == 1 and heads[skb.head.value_()] == 1 and skb.value_() in owners
    ]
    # Of which the other has no head.
    pairs = [pair for pair in pairs if pair.fclone_ref.refs.counter == 1 and not pair.skb2.head]
    lender = next(pair for pair in pairs if has_cached(pair.skb1.address_of_()))
    pair = next(pair for pair in pairs if pair.value_() != lender.value_())
    site.write(pair.skb2.address_, site.prog.read(lender.value_(), drgn.sizeof(lender.skb1)))
    fclone = pair.skb2.fclone
    byte = site.prog.read_u8(fclone.address_) & ~(3 << fclone.bit_offset_)
    site.write(fclone.address_, bytes([byte | 2 << fclone.bit_offset_]))
    site.set(pair.fclone_ref.refs.counter, refs)
    # The lender is none any more.
    site.set(lender.fclone_ref.refs.counter, 0)
    site.expect_nothing()
    references = site.kernel().references([(0, 1 << 21)])
    for skb in (pair.skb1, lender.skb1):
        start = skb.head.value_()
        end = start + skb.end.value_() + drgn.sizeof(site.prog.type("struct skb_shared_info"))
        kinds = {each["kind"] for each in references if start <= each["slot"] < end}
        assert kinds == ({"unsure"} if refs == 1 else {"get"})


def test_kernel_pages(kernel: str, program: drgn.Program, open_dump: Open) -> None:
    """Pages that only sockets, fragment caches and vmalloc() hold: the count is theirs."""
    opened = open_dump(kernel, "census").kernel
    census = opened.census()
    classes = {census["class_names"][name] for name in ("used", "used-head")}
    size = opened.memory()["section_pages"]
    dossier = opened.dossier(
        [
            nr * size + i
            for nr, section in census["classes"].items()
            for i, each in enumerate(section)
            if each & 0x3F in classes
        ]
    )
    holders: "dict[int, Counter[str]]" = {}
    for holder, kind, count, pfn, *_ in dossier["references"]:
        if kind != "link":
            head = mm.page_to_pfn(mm.compound_head(mm.pfn_to_page(program, pfn)))
            holders.setdefault(head.value_(), Counter())[holder] += count
    seen: "Counter[str]" = Counter()
    for pfn, counts in holders.items():
        if counts.keys() <= {"socket buffer", "page fragments", "vmalloc area"}:
            stored = mm.pfn_to_page(program, pfn)._refcount.counter.value_()
            assert stored == sum(counts.values()), (hex(pfn), counts)
            seen.update(counts.keys())
    assert seen["vmalloc area"] > 1000
    assert seen["socket buffer"] > 50
    assert seen["page fragments"] == census["holders"]["page fragments"]["references"] > 0


def test_vmalloc(kernel: str, program: drgn.Program, open_dump: Open) -> None:
    """The pages of all areas that have an array of them."""
    expected = 0
    for area in mm.for_each_vmap_area(program):
        # VM_ALLOC, VM_MAP; not VM_UNINITIALIZED.
        if area.vm and area.vm.flags & 6 and not area.vm.flags & 0x20 and area.vm.pages:
            expected += sum(bool(area.vm.pages[i]) for i in range(area.vm.nr_pages))
    found = open_dump(kernel, "census").kernel.census()["holders"]["vmalloc area"]
    assert (found["references"], found["unreadable"]) == (expected, 0)
    assert expected > 1000
