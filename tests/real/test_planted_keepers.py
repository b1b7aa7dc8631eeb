# SPDX-License-Identifier: LGPL-2.1-or-later
"""refcount-leak: references too many whose holder a folio's own state tells of are no fault."""

from __future__ import annotations

import re
import struct
from typing import Any

import drgn
import pytest
from drgn.helpers.linux import mm
from drgn.helpers.linux.list import list_for_each_entry
from drgn.helpers.linux.slab import slab_object_info
from folios import Mapped, find
from planting import LIST_POISON, Expected, Site, has_member, node_counter
from stacks import sleeper

LEAK = "refcount-leak"
#: GUP_PIN_COUNTING_BIAS
PIN_BIAS = 1024


def leak(folio: Mapped, severity: str) -> Expected:
    return LEAK, severity, folio.pfn, folio.pfn + folio.pages


def expect(site: Site, pfn: int, severity: str) -> "dict[str, str]":
    """The leak of that page alone is told, with that severity; gives its evidence."""
    (finding,) = (f for f in site.audit().findings if f["check"] == LEAK and f["pfn"] == pfn)
    told = LEAK, severity, pfn, finding["pfn_end"]
    if severity == "info":
        site.expect_nothing()
        assert told in site.new_infos()
    else:
        site.expect(told)
    evidence: "dict[str, str]" = finding["evidence"]
    assert ("may_hold" in evidence) == (severity == "info")
    return evidence


@pytest.mark.parametrize("flag", ["PG_locked", "PG_writeback", "PG_referenced"])
@pytest.mark.parametrize("kind", ["file", "anon"])
def test_page_of_a_request(site: Site, kind: str, flag: str) -> None:
    """A request of a network file system has a reference of each page, while there is I/O."""
    folio = find(site, kind)
    holder = sleeper(site)
    flags = site.flags(folio.pfn)
    site.set(flags, int(flags) | site.flag(flag))
    site.add(site.refcount(folio.pfn), 1)
    expect(site, folio.pfn, "bug")
    site.set(holder.journal_info, int(site.page(folio.pfn)))
    under_way = kind == "file" and flag != "PG_referenced"
    evidence = expect(site, folio.pfn, "info" if under_way else "suspect")
    if under_way:
        assert evidence["may_hold"] == "I/O that is under way"
        # Another that nothing names.
        site.add(site.refcount(folio.pfn), 1)
        expect(site, folio.pfn, "suspect")


def set_aside(site: Site) -> "list[dict[str, Any]]":
    """What is told of folios that were only added up."""
    found = (f for f in site.audit().findings if f["check"] == LEAK and f["pfn"] is None)
    return [f["evidence"] for f in found]


def aside(pfn: int, pages: int = 1) -> "dict[str, Any]":
    """What is told where one folio has one reference too many."""
    return {"pages": pages, "references": 1, "first_pfn": hex(pfn)}


def test_page_of_an_extent_buffer(site: Site) -> None:
    """What btrfs attached to a page names it, and has a reference that is not PG_private's."""
    folio = find(site, "file")
    holder = sleeper(site)
    page = site.page(folio.pfn)
    mapping = drgn.cast("struct address_space *", page.mapping)
    if not int(site.flags(folio.pfn)) & site.flag("PG_private"):
        flags = site.flags(folio.pfn)
        site.set(flags, int(flags) | site.flag("PG_private"))
        site.add(site.refcount(folio.pfn), 1)
    # Of a structure that names a page somewhere.
    buffer = int(holder.journal_info.address_of_()) - 128
    site.set(page.private, buffer)
    site.set(holder.journal_info, int(page))
    site.add(site.refcount(folio.pfn), 1)
    site.expect(leak(folio, "suspect"))
    site.write(int(holder.comm.address_of_()), b"btrfs\0")
    site.set(mapping.host.i_sb.s_type.name, int(holder.comm.address_of_()))
    site.expect_nothing()
    assert set_aside(site) == [aside(folio.pfn, folio.pages)]
    # One more.
    site.add(site.refcount(folio.pfn), 1)
    site.expect(leak(folio, "suspect"))
    site.add(site.refcount(folio.pfn), -1)
    # Of another page.
    site.set(holder.journal_info, int(site.page(folio.pfn + folio.pages)))
    site.expect(leak(folio, "bug"))
    # Nothing, as page->private of data says.
    site.set(page.private, 1)
    site.expect(leak(folio, "bug"))
    assert set_aside(site) == []


def shmem_page(site: Site) -> int:
    """A page of a file of tmpfs that nobody maps."""
    backed = site.flag("PG_swapbacked")
    for pfn in site.lru_pages():
        page = site.page(pfn)
        mapping = int(page.mapping)
        unmapped = int(page._mapcount.counter) == -1 and int(site.refcount(pfn)) == 1
        if unmapped and mapping and not mapping & 3 and int(site.flags(pfn)) & backed:
            return pfn
    raise AssertionError("no such page in the dump")


def test_page_of_a_graphics_object(site: Site) -> None:
    """drm_gem_get_pages() has references, and nothing may name the page."""
    unevictable = 1 << int(site.prog.constant("AS_UNEVICTABLE"))

    def use(pfn: int) -> None:
        mapping = drgn.cast("struct address_space *", site.page(pfn).mapping)
        site.set(mapping.flags, int(mapping.flags) | unevictable)

    pfn, folio = shmem_page(site), find(site, "shmem")
    site.add(site.refcount(pfn), 1)
    expect(site, pfn, "bug")
    use(pfn)
    site.expect_nothing()
    assert set_aside(site) == [aside(pfn)]
    site.add(site.refcount(pfn), 1)
    expect(site, pfn, "bug")
    site.add(site.refcount(pfn), -2)
    # Memory that is mapped is none of that.
    site.add(site.refcount(folio.pfn), 1)
    use(folio.pfn)
    site.expect(leak(folio, "bug"))
    assert set_aside(site) == []


# Pins.


def pincount(site: Site, folio: Mapped) -> drgn.Object:
    """Of a folio of more than two pages."""
    try:
        whole = drgn.Object(site.prog, "struct folio", address=int(site.page(folio.pfn)))
        if has_member(whole, "_pincount"):
            return whole._pincount.counter
    except LookupError:
        pass
    return site.page(folio.pfn + 2).hpage_pinned_refcount.counter


def pin(site: Site, folio: Mapped, nr: int) -> None:
    """Pin a folio, as pin_user_pages() does."""
    acquired = node_counter(site, "NR_FOLL_PIN_ACQUIRED")
    assert acquired is not None
    site.add(acquired, nr)
    if folio.pages > 2:
        site.add(pincount(site, folio), nr)
        site.add(site.refcount(folio.pfn), nr)
    else:
        site.add(site.refcount(folio.pfn), nr * PIN_BIAS)


def name_module(site: Site, name: str) -> None:
    """Let the first module be one of that name."""
    modules = list_for_each_entry("struct module", site.prog["modules"].address_of_(), "list")
    site.write(int(next(iter(modules)).name.address_of_()), name.encode() + b"\0")


@pytest.mark.parametrize("driver", ["vfio_iommu_type1", "iommufd", "ib_uverbs", "vhost_vdpa"])
def test_guest_memory(site: Site, driver: str) -> None:
    """A driver pinned pages, and has their addresses in the IOMMU only."""
    small, large, huge = (find(site, kind) for kind in ("anon", "thp", "hugetlb"))
    pin(site, small, 2)
    pin(site, large, large.pages)
    pin(site, huge, huge.pages)
    site.expect(*(leak(folio, "bug") for folio in (small, large, huge)))
    assert set_aside(site) == []
    name_module(site, driver)
    site.expect_nothing()
    (evidence,) = set_aside(site)
    assert evidence == {
        "pages": 1 + large.pages + huge.pages,
        "pins": 2 + large.pages + huge.pages,
        "first_pfn": hex(min(small.pfn, large.pfn, huge.pfn)),
    }
    # Beside the pins a reference leaks.
    for folio in (small, huge):
        site.add(site.refcount(folio.pfn), 1)
    site.expect(leak(small, "bug"), leak(huge, "bug"))
    (evidence,) = set_aside(site)
    assert evidence["pins"] == large.pages


def test_driver_of_another_name(site: Site) -> None:
    folio = find(site, "anon")
    pin(site, folio, 1)
    name_module(site, "vfio_iommu_type10")
    site.expect(leak(folio, "bug"))
    # A list that leads nowhere may have any.
    site.set(site.prog["modules"].next, LIST_POISON[0])
    site.expect_nothing()
    (evidence,) = set_aside(site)
    assert evidence["pins"] == 1


@pytest.mark.parametrize("kind", ["anon", "thp"])
def test_pinned_pages_that_are_kept(site: Site, kind: str) -> None:
    """An array of those that a driver pinned (AF_XDP) names each."""
    folio = find(site, kind)
    array = sleeper(site).comm.address_
    assert array is not None
    assert array % 8 == 0
    pin(site, folio, 1)
    # A struct bio_vec, as of a buffer that was registered with a ring.
    site.write(array, struct.pack("<QQ", int(site.page(folio.pfn)), 4096))
    expect(site, folio.pfn, "suspect")
    site.write(array + 8, struct.pack("<Q", int(site.page(folio.pfn + folio.pages))))
    evidence = expect(site, folio.pfn, "info")
    assert evidence["may_hold"] == "who pinned it"
    # One more than words that name it.
    pin(site, folio, 1)
    expect(site, folio.pfn, "suspect")


def test_page_of_a_virtual_cpu(site: Site) -> None:
    """KVM keeps pages of a guest mapped in which that runs guests of its own."""
    folio = find(site, "anon")
    holder = sleeper(site)
    site.add(site.refcount(folio.pfn), 1)
    site.set(holder.journal_info, int(site.page(folio.pfn)))
    expect(site, folio.pfn, "suspect")
    site.write(int(holder.comm.address_of_()), b"kvm_vcpu\0")
    found = slab_object_info(site.prog, holder)
    assert found is not None
    site.set(found.slab_cache.name, int(holder.comm.address_of_()))
    assert expect(site, folio.pfn, "info")["may_hold"] == "a virtual CPU"
    # One more than it names.
    site.add(site.refcount(folio.pfn), 1)
    expect(site, folio.pfn, "suspect")


def test_holder_that_the_types_do_not_tell_of(site: Site) -> None:
    """Whose the pages in pipes are is unknown on a kernel that has other pipes."""
    start, end = (int(site.prog.symbol(f"__{end}_BTF").address) for end in ("start", "stop"))
    (name,) = re.finditer(rb"\0tmp_page\0", site.prog.read(start, end - start))
    site.write(start + name.start() + 1, b"the_page")
    audited = site.audit(site.kernel_by_btf())
    assert audited.above_info() == site.baseline.above_info()
    assert audited.status[LEAK] == "partial"
    kept = {f["pfn"] for f in audited.findings if f["evidence"].get("may_hold") == "pipe buffer"}
    given = {site.pfn(mm.compound_head(site.page(each["pfn"]))) for each in site.events("pipe")}
    assert given <= kept
    # Nothing has the address of this one.
    folio = find(site, "anon")
    site.add(site.refcount(folio.pfn), 1)
    audited = site.audit(site.kernel_by_btf())
    assert [each for each in audited.above_info() if each[2] not in kept] == sorted(
        [*site.baseline.above_info(), leak(folio, "suspect")], key=repr
    )
