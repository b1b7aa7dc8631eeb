# SPDX-License-Identifier: LGPL-2.1-or-later
"""Poison, planted: what memory_failure() sets and counts."""

from __future__ import annotations

import drgn
from drgn.helpers.linux.xarray import xa_load
from planting import Site


def leaves_in_buddy(site: Site) -> bool:
    """The kernel leaves hard-poisoned free pages where they are, by design."""
    try:
        site.prog.constant("MF_MSG_BUDDY_2ND")
    except LookupError:
        return False
    return True


def block_of(site: Site, pfn: int) -> drgn.Object:
    """The memory_block of a page."""
    number = pfn // site.section_pages // int(site.prog["sections_per_block"])
    entry = xa_load(site.prog["memory_blocks"].address_of_(), number)
    return drgn.cast("struct memory_block *", entry)


def counts_in_blocks(site: Site) -> bool:
    return bool(site.prog.type("struct memory_block").has_member("nr_hwpoison"))


def poison(site: Site, pfn: int, *, counted: bool = True) -> None:
    """Flag a page as poisoned, as memory_failure() does."""
    flags = site.flags(pfn)
    site.set(flags, int(flags) | site.flag("PG_hwpoison"))
    if counted:
        site.add(site.prog["num_poisoned_pages"].counter, 1)
        if counts_in_blocks(site):
            site.add(block_of(site, pfn).nr_hwpoison.counter, 1)
