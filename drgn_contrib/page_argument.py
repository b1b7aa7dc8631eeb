# SPDX-License-Identifier: LGPL-2.1-or-later
"""How people name a page: a pfn, a kernel address, a physical address."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from drgn_contrib._pageaudit import Kernel


class UsageError(Exception):
    """The command line is wrong: exit status 64."""


_PAGE = re.compile(r"(?:(?P<phys>phys:))?(?P<number>0[xX][0-9a-fA-F]+|[0-9]+)\Z")

# x86-64 and arm64 kernel addresses lie in the upper half; pfns never do.
_KERNEL_HALF = 1 << 63


def is_page(text: str) -> bool:
    """Whether it is meant to be a page; everything else is a file."""
    return _PAGE.match(text) is not None


def page_number(text: str) -> "tuple[str, int]":
    """The kind ("pfn", "address", "phys") and the number of a page."""
    match = _PAGE.match(text)
    assert match is not None
    digits = match["number"]
    number = int(digits, 16 if digits[:2].lower() == "0x" else 10)
    if number >= 1 << 64:
        raise UsageError(f"{text} has more than 64 bits")
    if match["phys"]:
        return "phys", number
    return ("address" if number >= _KERNEL_HALF else "pfn"), number


def pfn_of(kernel: Kernel, kind: str, number: int) -> int:
    """The pfn that a page's number means.

    :raises UsageError: It means none, or there can be no such pfn.
    """
    pfn: Optional[int] = number
    if kind == "phys":
        pfn = number // kernel.numbers()["page_size"]
    elif kind == "address":
        pfn = kernel.resolve(number)
    if pfn is None:
        raise UsageError(f"{number:#x} is no address of a struct page or of the direct map")
    try:
        kernel.page(pfn)
    except ValueError as error:
        raise UsageError(str(error)) from None
    return pfn
