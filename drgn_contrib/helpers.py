# SPDX-License-Identifier: LGPL-2.1-or-later
"""Helpers for drgn's users: pages and who holds them, as the kernel itself would find them.

They take and give drgn objects, and read the Program's memory by their own means, in bulk.
A dump is opened by the first of them, which may take a moment, and stays open as long as the
Program is there; a running kernel is opened by each call.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Iterator, List, Optional

from drgn import NULL, Object

from drgn_contrib import target
from drgn_contrib.dossier import dossiers

if TYPE_CHECKING:
    from drgn import IntegerLike, Program


@dataclass(frozen=True)
class PageHolder:
    """Something that refers to a page, or to consecutive pages of a folio."""

    #: "page table", "page cache", "pipe buffer" ...
    holder: str
    #: "map", "map-entire", "get", "pin", "link" ...
    kind: str
    #: References, or maps, for each page.
    count: int
    pfn: int
    pfn_end: int
    #: Address and type of the structure that owns the slot; None where there is none.
    owner: Optional[int]
    owner_type: Optional[str]
    #: User address, page index or number of the slot, by the kind of holder.
    index: int
    #: The process, for page tables.
    pid: Optional[int]


def pfn_to_page(prog: Program, pfn: IntegerLike) -> Object:
    """The struct page of a pfn, whether there is one or not.

    :return: ``struct page *``
    """
    address = target.opened_program(prog).kernel.page(int(pfn))["page"]
    return Object(prog, "struct page *", value=int(address, 16))


def pfn_to_online_page(prog: Program, pfn: IntegerLike) -> Object:
    """The struct page of a pfn, if it is online memory.

    By the rule of kernels since v5.12 on all kernels: device memory and holes that share a
    section with RAM are none (``pfn_to_online_page()``, commit 1f90a3477df3).

    :return: ``struct page *``; ``NULL`` if the page is offline, absent, a hole or a device's.
    """
    page = _page(prog, pfn)
    if page.get("state") != "online":
        return NULL(prog, "struct page *")
    return Object(prog, "struct page *", value=int(page["page"], 16))


def for_each_online_page(prog: Program) -> Iterator[Object]:
    """Every page of online memory whose struct page is in the dump, by rising pfn.

    :return: Iterator of ``struct page *`` objects.
    """
    kernel = target.opened_program(prog).kernel
    census = kernel.census()
    others = {census["class_names"][name] for name in ("not-memory", "device", "altmap", "unknown")}
    page_type = prog.type("struct page *")
    start = int(kernel.page(0)["page"], 16)
    page_size = prog.type("struct page").size
    for nr, classes in sorted(census["classes"].items()):
        for i, each in enumerate(classes):
            if each & 0x3F not in others:
                yield Object(prog, page_type, value=start + (nr * len(classes) + i) * page_size)


def get_dev_pagemap(prog: Program, pfn: IntegerLike) -> Object:
    """The device memory map that a pfn belongs to, dying or not.

    :return: ``struct dev_pagemap *``; ``NULL`` if there is none.
    """
    pgmap = _page(prog, pfn).get("pgmap")
    if not pgmap:
        return NULL(prog, "struct dev_pagemap *")
    return Object(prog, "struct dev_pagemap *", value=int(pgmap["address"], 16))


def page_holders(page: Object) -> List[PageHolder]:
    """Everything that was found to refer to a page's folio.

    One call walks every page table, the page cache, pipes and all other holders.

    :param page: ``struct page *`` or ``struct folio *``
    """
    return [
        PageHolder(
            holder["holder"],
            holder["kind"],
            holder["count"],
            holder["pfn"],
            holder["pfn_end"],
            int(holder["owner"], 16) if holder["owner"] else None,
            holder["owner_type"],
            holder["index"],
            holder.get("pid"),
        )
        for holder in _dossier(page)["references"]
    ]


def page_expected_count(page: Object) -> Optional[int]:
    """The refcount of a page's folio that its holders account for.

    The rule is that of the kernel's own ``folio_expected_ref_count()``, with pins, pipes and
    all other holders that were found.

    :param page: ``struct page *`` or ``struct folio *``
    :return: None where not all that may hold such a page is known.
    """
    for count in _dossier(page)["counts"]:
        if count["counter"] == "_refcount":
            counted: Optional[int] = count["counted"]
            return counted
    return None


def _page(prog: Program, pfn: IntegerLike) -> "dict[str, Any]":
    """What is known of a pfn; nothing of what can be none."""
    kernel = target.opened_program(prog).kernel
    try:
        return kernel.page(int(pfn))
    except (ValueError, OverflowError):
        return {}


def _dossier(page: Object) -> "dict[str, Any]":
    opened = target.opened_program(page.prog_)
    pfn = opened.kernel.resolve(page.value_())
    if pfn is None:
        raise ValueError(f"{page.value_():#x} is no struct page")
    (found,) = dossiers(opened, [pfn])
    return found
