# SPDX-License-Identifier: LGPL-2.1-or-later
"""Kernel.snapshot(): what changes of a page, planted in real dumps, and what is not its own."""

from __future__ import annotations

import struct
from typing import Sequence

import pytest
from folios import KINDS, Mapped, count, find
from planting import Site, has_member

COUNTS = (
    "_refcount",
    "_mapcount",
    "entire mapcount",
    "_large_mapcount",
    "_nr_pages_mapped",
)


def digests(site: Site, *pfns: int) -> Sequence[int]:
    taken = site.kernel().snapshot(struct.pack(f"{len(pfns)}Q", *pfns))
    return struct.unpack(f"{len(pfns)}Q", taken)


@pytest.fixture(params=KINDS)
def folio(request: pytest.FixtureRequest, site: Site) -> Mapped:
    """A mapped folio of each kind in turn."""
    return find(site, request.param)


@pytest.mark.parametrize("name", COUNTS)
def test_a_count(site: Site, folio: Mapped, name: str) -> None:
    """The head's are all its pages'; those of a page are that page's alone."""
    counter = count(site, folio, name)
    if counter is None:
        pytest.skip("such folios of this kernel have no such count")
    end = folio.pfn + folio.pages
    pfns = (folio.pfn, folio.page_pfn, end - 1, end)
    before = digests(site, *pfns)
    assert all(before)
    assert digests(site, *pfns) == before
    site.add(counter, 1)
    after = digests(site, *pfns)
    of_page = name == "_mapcount"
    for pfn, one, other in zip(pfns, before, after):
        changes = pfn == folio.page_pfn if of_page else pfn < end
        assert (one != other) == changes, pfn
    site.add(counter, -1)
    assert digests(site, *pfns) == before


def test_pins(site: Site) -> None:
    """Those of a large folio are counted apart, in other places than its mapcounts."""
    folio = find(site, "thp")
    third = site.page(folio.pfn + 2)
    if has_member(third[0], "hpage_pinned_refcount"):
        pins = int(third.hpage_pinned_refcount.counter.address_of_())
    else:
        offset = site.prog.type("struct folio").member("_pincount").offset
        pins = int(site.page(folio.pfn)) + offset
    before = digests(site, folio.pfn, folio.pfn + 511)
    site.write(pins, struct.pack("<I", 77))
    after = digests(site, folio.pfn, folio.pfn + 511)
    assert all(one != other for one, other in zip(before, after))


def test_neighbours_on_a_list(site: Site) -> None:
    """They come and go, and the page is the same; its mapping next to them is its own."""
    pfn = find(site, "anon").pfn
    (before,) = digests(site, pfn)
    lru = site.lru(pfn)
    site.set(lru.next, int(lru.prev))
    site.set(lru.prev, 0)
    assert digests(site, pfn) == (before,)
    site.set(site.page(pfn).mapping, 0)
    assert digests(site, pfn) != (before,)


def test_a_tail_of_another_head(site: Site) -> None:
    """Or of none: what it names need be no struct page."""
    folio = find(site, "thp")
    tail = folio.pfn + 9
    seen = set(digests(site, tail))
    for word in (int(site.page(folio.pfn + 2)) | 1, 1, (1 << 64) - 1, 0):
        site.set(site.compound_word(tail), word)
        seen.update(digests(site, tail))
    assert len(seen) == 5


def test_what_cannot_be_read(site: Site) -> None:
    assert digests(site, 1 << 40, (1 << 64) - 1) == (0, 0)
    assert site.kernel().snapshot(b"") == b""
    with pytest.raises(ValueError, match="8 bytes"):
        site.kernel().snapshot(b"1234567")
    with pytest.raises(TypeError):
        site.kernel().snapshot(1)  # type: ignore[arg-type]
