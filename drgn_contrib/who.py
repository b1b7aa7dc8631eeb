# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who holds a page: typed holders first, then every other word that names it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, List, Mapping, Optional, Sequence

from drgn_contrib.dossier import dossiers
from drgn_contrib.members import Members
from drgn_contrib.run import Progress
from drgn_contrib.symbols import Symbols

if TYPE_CHECKING:
    from drgn_contrib.target import OpenedTarget

SCHEMA = "pageaudit-who/1"

#: Words to keep of each page.
_MAX_HITS = 64

#: What in memory says most of who holds the page, first to last; the rest after it.
_RANK = ("register", "stack", "slab", "kernel image", "per-cpu", "vmalloc", "page")

#: Names of a folio that hold it; others are links, or may be any number.
_POINTERS = ("struct page", "struct page, tagged", "direct map address")


def who(
    opened: OpenedTarget, pfns: Sequence[int], progress: Optional[Progress] = None
) -> "List[dict[str, Any]]":
    """Holders of the folios of some pages, and what else names them. One pass for all.

    :raises ValueError: There can be no such pfn.

    >>> for page in who(opened, [0x1234]):
    ...     print(page["references"], [word["where"] for word in page["words"]])
    """
    kernel = opened.kernel
    pages = dossiers(opened, pfns, progress)
    slots = kernel.references([_folio(page) for page in pages])
    search = kernel.search(
        sorted({pfn for page in pages for pfn in range(*_folio(page))}),
        max_hits=_MAX_HITS,
        known=[slot["slot"] for slot in slots if slot["slot"]],
    )
    symbols = Symbols(opened)
    members = Members(symbols)
    return [
        {
            "schema": SCHEMA,
            "pfn": page["pfn"],
            "page": page["page"],
            "head_pfn": _folio(page)[0],
            "nr_pages": page["nr_pages"],
            "resource": page["resource"],
            "cma": page["cma"],
            "kind": page["kind"],
            "class": page["class"],
            "refcount": _refcount(page),
            "references": page["references"],
            "holders_unread": page["holders_unread"],
            "waiters": page["waiters"],
            "words": _words(search["hits"], _folio(page), symbols, members),
            "nr_words": sum(search["totals"].get(pfn, 0) for pfn in range(*_folio(page))),
            "searched": {
                "bytes": search["bytes"],
                "free_objects": search["dropped"]["free_object"],
                "dead_stack": search["dropped"]["dead_stack"],
                "excluded_bytes": search["excluded_bytes"],
                "unreadable_bytes": search["unreadable_bytes"],
                "unread_stacks": search["unread_stacks"],
                "seconds": search["seconds"],
            },
            **_unread(page, search),
        }
        for page in pages
    ]


def _folio(page: Mapping[str, Any]) -> "tuple[int, int]":
    """Its pfns, half open."""
    folio = page.get("folio")
    head: int = folio["head_pfn"] if folio else page["pfn"]
    return head, head + max(page["nr_pages"], 1)


def _refcount(page: Mapping[str, Any]) -> "Optional[dict[str, Any]]":
    for count in page["counts"]:
        if count["counter"] == "_refcount":
            return {"stored": count["stored"], "counted": count["counted"]}
    return None


def _words(
    hits: Sequence[Mapping[str, Any]],
    folio: "tuple[int, int]",
    symbols: Symbols,
    members: Members,
) -> "List[dict[str, Any]]":
    """What names the folio, what says most first."""
    found = []
    for hit in hits:
        if not folio[0] <= hit["pfn"] < folio[1]:
            continue
        place = hit["place"]
        stack = place["kind"] == "stack"
        named = members.of_place(place)
        found.append(
            {
                "pfn": hit["pfn"],
                "encoding": hit["encoding"],
                "holds": hit["encoding"] in _POINTERS,
                "word": f"{hit['word']:#x}",
                "place": place["kind"],
                "address": f"{place['address']:#x}" if place["address"] else None,
                "where": place["text"],
                "task": {"pid": place["pid"], "comm": place["comm"]} if place["task"] else None,
                "function": symbols.name(place["frame"]) if stack and place["frame"] else None,
                "member": named.path if named else None,
                "type": named.type if named else None,
                "typed": named is not None
                and (named.is_pfn if hit["encoding"] == "pfn" else named.is_page),
            }
        )
    return sorted(found, key=_rank)


def _rank(word: Mapping[str, Any]) -> "tuple[bool, bool, int]":
    place = word["place"]
    return (
        not word["holds"],
        not word["typed"],
        _RANK.index(place) if place in _RANK else len(_RANK),
    )


def _unread(page: Mapping[str, Any], search: Mapping[str, Any]) -> "dict[str, str]":
    """Why the answer may lack something."""
    unread = []
    if page["holders_unread"]:
        unread.append("some holders")
    if page["waiters_unknown"]:
        unread.append("who waits for it")
    if search["unreadable_bytes"] or search["unread_stacks"]:
        unread.append("some of the kernel's memory")
    return {"unread": ", ".join(unread)} if unread else {}
