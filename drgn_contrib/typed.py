# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pointers to pages that must not be used, where their type says that they are such pointers.

The C core tells words that look like pointers, as a hint. What drgn knows to be a
``struct page *``, or one to a folio, in a live object or a static variable is one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, Sequence

from drgn_contrib.members import Members

if TYPE_CHECKING:
    from drgn_contrib.symbols import Symbols
    from drgn_contrib.target import OpenedTarget

#: Where the kernel keeps what it will use again; a stack may hold what it is done with.
_KEPT = ("slab", "per-cpu", "kernel image")
_ENCODINGS = ("struct page", "struct page, tagged")
#: Findings to look at: each is a page to search for.
_MAX_PAGES = 256


def name_pointers(
    opened: OpenedTarget, symbols: Symbols, findings: Sequence[Dict[str, Any]]
) -> "List[Dict[str, Any]]":
    """The findings of an audit, those with a pointer by its type raised to "suspect"."""
    hints = {
        found["pfn"]: dict(found, evidence=dict(found["evidence"]))
        for found in findings
        if _is_hint(found)
    }
    pfns = sorted(hints)[:_MAX_PAGES]
    if pfns:
        members = Members(symbols)
        for hit in opened.kernel.search(pfns, encodings=_ENCODINGS, max_hits=64)["hits"]:
            named = members.of_place(hit["place"]) if hit["place"]["kind"] in _KEPT else None
            if named is None or not named.is_page:
                continue
            hint = hints[hit["pfn"]]
            hint["severity"] = "suspect"
            line = f"{named.path} ({named.type}): {hit['place']['text']}"
            typed = hint["evidence"].get("typed_pointer")
            hint["evidence"]["typed_pointer"] = f"{typed}\n{line}" if typed else line
    return [hints[found["pfn"]] if _is_hint(found) else found for found in findings]


def _is_hint(found: Dict[str, Any]) -> bool:
    return found["check"] == "stale-page-reference" and "named_by" in found["evidence"]
