# SPDX-License-Identifier: LGPL-2.1-or-later
"""compound-structure: faults planted in compound pages."""

from __future__ import annotations

import drgn
import pytest
from planting import Expected, OpenSite, Site, has_member

#: Where a tail's fault may be: among those that hold the folio's fields, behind, and the last.
TAILS = (5, 63, 64, 300, 511)


def thp(site: Site, name: str) -> int:
    """The pfn of a huge page's head, of anonymous or shmem memory."""
    pfn: int = site.events(name)[-1]["pfn"]
    head = pfn - pfn % 512
    assert int(site.flags(head)) & site.flag("PG_head")
    return head


@pytest.fixture(params=["thp", "shmem", "hugetlb"])
def head(request: pytest.FixtureRequest, site: Site) -> int:
    """The head of a THP, a huge page of shmem, a hugetlb page."""
    return thp(site, request.param)


def broken(pfn: int) -> Expected:
    return "compound-structure", "bug", pfn, pfn + 1


def order(site: Site, head: int) -> drgn.Object:
    """Where the folio's order is, in its second page."""
    page = site.page(head + 1)
    for name in "compound_order", "_folio_order":
        if has_member(page[0], name):
            return page.member_(name)
    folio = drgn.cast("struct folio *", site.page(head))
    if has_member(folio[0], "_folio_order"):
        return folio.member_("_folio_order")
    # The lowest byte of the second page's flags.
    return drgn.Object(site.prog, "unsigned char", address=int(site.page(head + 1)))


def nr_pages(site: Site, head: int) -> drgn.Object:
    """Where the folio says how many pages it has."""
    if has_member(site.page(head)[0], "compound_nr"):
        return site.page(head + 1).compound_nr
    folio = drgn.cast("struct folio *", site.page(head))
    for name in "_folio_nr_pages", "_nr_pages":
        if has_member(folio[0], name):
            return folio.member_(name)
    raise AssertionError("the folio has no number of pages")


@pytest.mark.parametrize("tail", TAILS)
def test_tail_of_another_head(site: Site, head: int, tail: int) -> None:
    word = site.compound_word(head + tail)
    if has_member(site.page(head)[0], "compound_info"):
        # A mask: of half the order.
        site.set(word, ~((1 << 5 + 6) - 1) | 1)
    else:
        site.add(word, 64)
    site.expect(broken(head + tail))


@pytest.mark.parametrize("tail", [1, *TAILS])
def test_tail_that_is_none(site: Site, head: int, tail: int) -> None:
    site.set(site.compound_word(head + tail), 0)
    site.expect(broken(head + tail))


@pytest.mark.parametrize("tail", TAILS)
def test_tail_with_references(site: Site, head: int, tail: int) -> None:
    for refcount in 1, -1:
        site.set(site.refcount(head + tail), refcount)
        site.expect(broken(head + tail))


@pytest.mark.parametrize("tail", TAILS)
def test_mapping_of_a_tail(site: Site, head: int, tail: int) -> None:
    for mapping in 0, int(site.page(head).mapping):
        site.set(site.page(head + tail).mapping, mapping)
        site.expect(broken(head + tail))


def test_order(site: Site, head: int) -> None:
    """Of the folio, too low or too high; its pages are then somebody else's tails."""
    assert int(order(site, head)) == 9
    for wrong in 8, 10, 0, 77:
        site.set(order(site, head), wrong)
        audited = site.audit()
        found = [f[:3] for f in audited.above_info()]
        if wrong == 10 and not found:
            # Where a head of such an order would be somebody may be at work, by his stack.
            start = head - head % (1 << wrong)
            assert site.kernel().dossier(list(range(start, head + 512)))["in_hand"]
            assert ("compound-structure", "info", head) in {f[:3] for f in site.new_infos()}
            continue
        assert found == [("compound-structure", "bug", head)], (wrong, audited.findings)


def test_number_of_pages(site: Site, head: int) -> None:
    assert int(nr_pages(site, head)) == 512
    for wrong in 511, 1, 0:
        site.set(nr_pages(site, head), wrong)
        site.expect(broken(head))


def test_no_head(site: Site) -> None:
    """PG_head gone: the tails name a page that is no head."""
    head = thp(site, "thp")
    flags = site.flags(head)
    site.set(flags, int(flags) & ~site.flag("PG_head"))
    (finding,) = [f for f in site.audit().above_info() if f[0] == "compound-structure"]
    assert finding[1] == "bug"
    assert finding[2] in (head, head + 1)
    assert finding[3] == head + 512


def test_two_faults_of_one_folio_are_one(site: Site, head: int) -> None:
    site.set(site.refcount(head + 64), 1)
    site.set(site.refcount(head + 99), 2)
    site.expect(("compound-structure", "bug", head + 64, head + 100))


def test_two_folios_are_two(site: Site) -> None:
    heads = thp(site, "thp"), thp(site, "hugetlb")
    for head in heads:
        site.set(site.refcount(head + 64), 1)
    site.expect(*(broken(head + 64) for head in heads))


# Near misses.


def has_mm_ids(site: Site) -> bool:
    """Whether a folio keeps mapcounts of single mms."""
    try:
        return bool(site.prog.type("struct folio").has_member("_mm_ids"))
    except LookupError:
        return False


def test_fields_of_the_first_tails(site: Site, head: int) -> None:
    """What the folio keeps in its second and third page: words of any value."""
    # Mapcounts of an mm each, where the kernel has them there.
    if not has_mm_ids(site):
        site.set(site.page(head + 1).private, 0x1234567890)
    site.set(site.page(head + 2).private, 0xFFFF888012345678)
    site.expect_nothing()


def test_flags_of_tails(site: Site, head: int) -> None:
    """PG_anon_exclusive and the like are each page's own."""
    for name in "PG_anon_exclusive", "PG_owner_2", "PG_mappedtodisk", "PG_arch_2":
        for tail in TAILS:
            flags = site.flags(head + tail)
            site.set(flags, int(flags) | site.flag(name))
    site.expect_nothing()


def test_freed_memory_keeps_its_words(site: Site) -> None:
    """Words of a compound page that was, in pages that are free."""
    block = site.free_block(order=9)
    for pfn in range(block.pfn + 1, block.end):
        site.set(site.page(pfn).mapping, 0xDEAD000000000400)
        site.set(site.page(pfn).private, 0x1234)
    site.expect_nothing()


def test_optimised_hugetlb(kernel: str, open_site: OpenSite) -> None:
    """The tails of a hugetlb page with its memmap freed are images of its first 64 pages."""
    if kernel == "v5.10":
        pytest.skip("the kernel cannot do that")
    site = open_site(kernel, "hvo")
    bit = int(site.prog.constant("HPG_vmemmap_optimized"))
    optimised = [
        event["pfn"] - event["pfn"] % 512
        for event in site.events("hugetlb")
        if int(site.page(event["pfn"] - event["pfn"] % 512).private) >> bit & 1
    ]
    assert optimised
    head = optimised[0]
    words = {int(site.compound_word(head + tail)) for tail in range(64, 512, 64)}
    assert len(words) == 1
    site.expect_nothing()
    # What is of its own in its first page of struct pages is judged.
    with site.planted():
        site.set(site.refcount(head + 9), 1)
        found = site.audit().above_info()
        assert ("compound-structure", "bug") in {each[:2] for each in found}
        assert all(head <= each[2] < head + 512 for each in found if each[2] is not None)
