# SPDX-License-Identifier: LGPL-2.1-or-later
"""The dossier of a page: all that is known of it, as a person pastes it in a bug report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Iterable, Iterator, List, Mapping, Optional, Sequence

from drgn_contrib.dump_page import Printed
from drgn_contrib.run import Progress, log_lines, read_log, with_log
from drgn_contrib.symbols import Symbols

if TYPE_CHECKING:
    from drgn_contrib.target import OpenedTarget

SCHEMA = "pageaudit-page/1"

#: What each counter is, for who reads it beside its recount.
_MEANINGS = {
    "_refcount": "references to the folio: maps, the page cache, pins, whoever uses it",
    "_mapcount": "maps of this page by page table entries; stored less 1",
    "entire mapcount": "maps of the whole folio by entries above the lowest level; stored less 1",
    "_large_mapcount": "maps of the folio and of its pages, all together; stored less 1",
    "_nr_pages_mapped": "pages with a _mapcount above none, + 0x800000 if mapped as a whole",
    "pincount": "FOLL_PIN pins (get_user_pages), each a reference too",
}

#: Counters of a folio as Kernel.page() and as the recount name them.
_STORED = {
    "entire mapcount": "entire_mapcount",
    "_large_mapcount": "large_mapcount",
    "_nr_pages_mapped": "nr_pages_mapped",
    "pincount": "pincount",
}


def dossiers(
    opened: OpenedTarget, pfns: Sequence[int], progress: Optional[Progress] = None
) -> "List[dict[str, Any]]":
    """Everything known of some pages.

    :raises ValueError: There can be no such pfn.

    >>> for page in dossiers(opened, [0x1234]):
    ...     print(page["folio"]["refcount"], [held["holder"] for held in page["references"]])
    """
    kernel = opened.kernel
    pages = [kernel.page(pfn) for pfn in pfns]
    census = kernel.dossier(pfns, progress)
    log = read_log(kernel)
    symbols = Symbols(opened)
    page_size = kernel.numbers()["page_size"]
    new_form = _has_member(opened, "folio._large_mapcount")
    result = []
    for page, counted in zip(pages, census["pages"]):
        end = counted["head_pfn"] + counted["nr_pages"]
        about = {
            "schema": SCHEMA,
            **page,
            "class": counted["class"],
            "on_list": counted["on_list"],
            "kind": counted["kind"],
            "nr_pages": counted["nr_pages"],
            "slab": counted["slab"],
            "poisoned": list(with_log(counted["poisoned"], log)),
            "counts": list(_counts(page, counted)),
            "made_of": counted["made_of"],
            "references": _runs(
                (r for r in census["references"] if counted["head_pfn"] <= r[3] < end),
                census,
                page_size,
            ),
            "holders_unread": [
                {key: held[key] for key in ("holder", "unreadable", "error")}
                for held in census["holders"]
                if held["unreadable"] or held["error"]
            ],
            "in_hand": [h for h in census["in_hand"] if counted["head_pfn"] <= h["pfn"] < end],
            "waiters": [
                waiter for waiter in census["waiters"] if counted["head_pfn"] <= waiter["pfn"] < end
            ],
            "waiters_unknown": census["waiters_unknown"],
            "log": log_lines(log, counted["head_pfn"], end),
        }
        if "raw" in page:
            printed = Printed(page, new_form)
            about["dump_page"] = {
                "lines": printed.lines(),
                "misleading": list(printed.misleading()),
            }
        if page.get("owner"):
            about["owner"] = _owner(page["owner"], symbols)
        result.append(about)
    return result


def _has_member(opened: OpenedTarget, name: str) -> bool:
    return any(
        entry["kind"] == "member" and entry["name"] == name and entry["known"]
        for entry in opened.layout.entries()
    )


def _counts(page: Mapping[str, Any], counted: Mapping[str, Any]) -> "Iterator[dict[str, Any]]":
    """Each counter: as it is stored, and as the holders have it where that is known."""
    if "raw" not in page:
        return
    recount = {each["counter"]: each["counted"] for each in counted["counts"]}
    folio = page["folio"] or {}
    # The folio's, which is its head's, whichever page was asked for.
    stored: "dict[str, tuple[int, str]]" = {}
    if folio:
        stored["_refcount"] = _word(folio["refcount"])
    else:
        stored["_refcount"] = _word(page["refcount"])
    if page["mapcount"] is not None:
        raw = _word(page["mapcount"] - 1)[1]
        stored["_mapcount"] = (page["mapcount"], raw)
    for name, key in _STORED.items():
        if key in folio.get("counters", {}):
            counter = folio["counters"][key]
            # All but two are stored less 1.
            less = 0 if key in ("nr_pages_mapped", "pincount") else 1
            stored[name] = (counter["value"] + less, _word(counter["value"])[1])
    for name, (value, raw) in stored.items():
        known = recount.get(name)
        if name == "_mapcount":
            known = _mapcount_recount(page, counted, value, known)
        yield {
            "counter": name,
            "stored": value,
            "raw": raw,
            "counted": known,
            "meaning": _MEANINGS[name],
        }


def _mapcount_recount(
    page: Mapping[str, Any], counted: Mapping[str, Any], stored: int, known: Optional[int]
) -> Optional[int]:
    """Of the page itself: of a folio's pages the recount names the first that differs."""
    if counted["nr_pages"] == 1 or counted["mapcount_pfn"] == page["pfn"]:
        return known
    if counted["counts"] and not counted["mapcounts_wrong"] and counted["kind"] != "hugetlb":
        return stored
    return None


def _word(value: int) -> "tuple[int, str]":
    """A signed 32-bit number, and its bits."""
    return value, f"{value & 0xFFFFFFFF:#010x}"


def _runs(
    references: Iterable[Sequence[Any]], census: Mapping[str, Any], page_size: int
) -> "List[dict[str, Any]]":
    """References that go on from page to page, each in the next slot, are one.

    Maps come first, by task and address.
    """
    types = {held["holder"]: (held["owner"], held["index"]) for held in census["holders"]}
    # The run that a reference may go on, by what it has in common with it; and its stride.
    last: "dict[Any, tuple[dict[str, Any], int, Optional[int]]]" = {}
    runs: "List[dict[str, Any]]" = []
    for holder, kind, count, pfn, slot, owner, index in references:
        is_map = kind.startswith("map")
        who = _who(census["owners"].get(owner, {}), index)
        vma = who.get("vma")
        key = (
            *(holder, kind, count, owner, vma and vma["start"]),
            pfn - index // (page_size if is_map else 1),
        )
        run, end_slot, stride = last.get(key, ({}, 0, None))
        if run and run["pfn_end"] == pfn and stride in (None, slot - end_slot):
            run["pfn_end"] = pfn + 1
            last[key] = run, slot, slot - end_slot
            continue
        run = {
            "holder": holder,
            "kind": kind,
            "count": count,
            "pfn": pfn,
            "pfn_end": pfn + 1,
            "slot": _hex(slot),
            "owner": _hex(owner),
            "owner_type": types[holder][0],
            "index": index,
            "index_type": types[holder][1],
            **who,
        }
        last[key] = run, slot, None
        runs.append(run)
    return sorted(
        runs, key=lambda run: (run.get("pid", 1 << 32), run["index"] if "pid" in run else 0)
    )


def _who(owner: Mapping[str, Any], index: int) -> "dict[str, Any]":
    """What is known of an owner, with the VMA that a user address lies in."""
    if "pid" in owner:
        vma = next((v for v in owner["vmas"] if v["start"] <= index < v["end"]), None)
        return {
            "task": owner["task"] if int(owner["task"], 16) else None,
            "pid": owner["pid"],
            "comm": owner["comm"],
            "vma": vma,
        }
    return dict(owner)


def _hex(value: int) -> Optional[str]:
    return f"{value:#x}" if value else None


def _owner(owner: Mapping[str, Any], symbols: Symbols) -> "dict[str, Any]":
    """page_owner's record with symbols beside its stacks' addresses."""
    result = dict(owner)
    for end in ("alloc", "free"):
        event = dict(owner[end])
        if event["stack"] is not None:
            event["stack"] = [
                {"address": address, "symbol": symbols.name(int(address, 16))}
                for address in event["stack"]
            ]
        result[end] = event
    return result
