# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pointers to pages that must not be used, where their type says that they are such pointers.

The C core tells words that look like pointers, as a hint. What drgn knows to be a
``struct page *``, or one to a folio, in a live object or a static variable is one.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Sequence, Tuple

from drgn_contrib.members import Members

if TYPE_CHECKING:
    from drgn_contrib.symbols import Symbols
    from drgn_contrib.target import OpenedTarget

#: Where the kernel keeps what it will use again; a stack may hold what it is done with.
_KEPT = ("slab", "per-cpu", "kernel image")
_ENCODINGS = ("struct page", "struct page, tagged")
#: Findings to look at: each is a page to search for.
_MAX_PAGES = 256
#: Pages whose pfns are looked for: of 4 GiB.
_MAX_PFNS = 1 << 20
_STALE = "stale-page-reference"
#: Memory that must not be used, in the words of the check.
_UNUSABLE = {"offline": "offline", "hole": "in a hole", "altmap": "metadata of an altmap"}


def name_all(
    opened: OpenedTarget,
    symbols: Symbols,
    findings: Sequence[Dict[str, Any]],
    memory: Mapping[str, Any],
) -> "Tuple[List[Dict[str, Any]], Dict[str, int]]":
    """The findings of an audit, and what names its pages by type; what was too much to look at.

    :param memory: What Kernel.memory() says.
    """
    # Without types nothing has a name that is worth a search of all memory.
    if symbols.program() is None:
        return list(findings), {}
    runs = [run for run in memory["map"] if run["state"] in _UNUSABLE]
    unusable = sum(run["pfn_end"] - run["pfn"] for run in runs)
    hints = {found["pfn"] for found in findings if _is_hint(found)}
    named = _name_pointers(opened, symbols, findings)
    return [*named, *_name_numbers(opened, symbols, findings, runs)], {
        "pointers_unjudged": max(len(hints) - _MAX_PAGES, 0),
        "pfns_unjudged": max(unusable - _MAX_PFNS, 0),
    }


def _name_pointers(
    opened: OpenedTarget, symbols: Symbols, findings: Sequence[Dict[str, Any]]
) -> "List[Dict[str, Any]]":
    """The findings, those with a pointer by its type raised to "suspect"."""
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


def _name_numbers(
    opened: OpenedTarget,
    symbols: Symbols,
    findings: Sequence[Dict[str, Any]],
    runs: Sequence[Dict[str, Any]],
) -> "List[Dict[str, Any]]":
    """What is to be said of variables and members that are pfns of unusable memory.

    Whoever has a pfn asks pfn_to_online_page() before it is a page, or should: it is never
    more than worth knowing. Where there never was memory, pfns are those of devices.
    """
    every = itertools.chain.from_iterable(range(run["pfn"], run["pfn_end"]) for run in runs)
    pfns = list(itertools.islice(every, _MAX_PFNS))
    # What else may be told of the page says more.
    told = {found["pfn"] for found in findings if found["check"] == _STALE}
    states = {run["pfn"]: run["state"] for run in runs}
    lines: "Dict[int, List[str]]" = {}
    members = Members(symbols)
    numbers = opened.kernel.numbers()
    for hit in opened.kernel.search(pfns, encodings=("pfn",))["hits"] if pfns else ():
        place = hit["place"]
        named = members.of_place(place) if place["kind"] in _KEPT else None
        if named is not None and named.is_pfn and hit["pfn"] not in told:
            line = f"{named.path} ({named.type}): {place['text']}"
            lines.setdefault(hit["pfn"], []).append(line)
    return [
        {
            "check": _STALE,
            "severity": "info",
            "pfn": pfn,
            "pfn_end": pfn + 1,
            "page": f"{numbers['vmemmap'] + pfn * numbers['page_struct_size']:#x}",
            "summary": f"a pfn is kept of a page that is {_state(states, pfn)}",
            "evidence": {"kept_in": "\n".join(each)},
        }
        for pfn, each in sorted(lines.items())
    ]


def _state(states: "Dict[int, str]", pfn: int) -> str:
    """Of the run that it is in."""
    return _UNUSABLE[states[max(start for start in states if start <= pfn)]]


def _is_hint(found: Dict[str, Any]) -> bool:
    return found["check"] == _STALE and "named_by" in found["evidence"]
