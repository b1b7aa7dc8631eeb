# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the picture of --html is drawn from, and the tables that say the same.

The data is JSON that keeps to schema/pageaudit-picture-1.schema.json; the
script in templates/picture.js draws it.
"""

from __future__ import annotations

import base64
import itertools
import shlex
import zlib
from typing import Any, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from drgn_contrib.report import Picture, Report, hex_address
from drgn_contrib.text import block_runs, clean, size

SCHEMA = "pageaudit-picture/1"

#: Marks in the picture: the crash, findings, tasks, the log; worst first.
MAX_MARKS = 1500
#: Runs of a state, of blocks, pgmaps: no machine that is whole has more.
MAX_RUNS = 2000
#: Sections that are drawn, as in the script: 8 TiB.
MAX_SECTIONS = 65536
#: By so much cells grow until they have room; a tile stays a square.
_COARSER = 4
#: Bits of a cell's byte, of csrc/census/picture.h.
_KIND_MASK = 0x1F
#: Characters of the pages of a section that are all alike, and those round any.
_LEAST = _AROUND = 20
#: Characters of what a mark says.
_LABEL = 160


class Kind(NamedTuple):
    """What a page may be, for people."""

    title: str
    doc: str


#: By the names of csrc/census/picture.c.
KINDS: Mapping[str, Kind] = {
    "free": Kind("free", "in the buddy allocator"),
    "pcp": Kind("free, per CPU", "on a CPU's own free list"),
    "in-transit": Kind("in transit", "taken out of the free lists by a task that has it in hand"),
    "anonymous": Kind("anonymous", "of processes"),
    "file": Kind("file", "page cache"),
    "shmem": Kind("shmem", "tmpfs and shared memory"),
    "hugetlb": Kind("hugetlb", "huge page pool, used or not"),
    "slab": Kind("slab", "objects of the kernel"),
    "page-table": Kind("page tables", "of processes"),
    "kernel": Kind("kernel", "in use; its struct page does not say by whom: drivers, stacks"),
    "unreferenced": Kind(
        "no reference",
        "not free and without a reference: mostly the rest of an allocation of several pages",
    ),
    "reserved": Kind("reserved", "boot memory, firmware, the memory map itself"),
    "balloon": Kind("ballooned", "given back to the hypervisor, or never taken from it"),
    "device": Kind("device", "ZONE_DEVICE memory of a pgmap"),
    "altmap": Kind("altmap", "device memory that holds the device's own memory map"),
    "uninitialised": Kind("uninitialised", "its struct page was never set up"),
    "stray-tail": Kind("stray tail", "a tail page of no folio"),
    "unknown": Kind("unknown", "its struct page is not in the dump"),
    "not-memory": Kind("not online", "offline, removed, or a hole"),
}


def picture_data(report: Report, picture: Picture, target: str, room: int) -> "dict[str, Any]":
    """What the script draws; keeps to its schema.

    :param target: What the command takes for the target.
    :param room: Characters that cells and the pages of sections may take together.
    """
    memory = picture.memory
    marks = _marks(report)
    sections = picture.sections[:MAX_SECTIONS]
    # Cells are seen first.
    factor, cells = _cells([cells for _, cells, _ in sections], room // 2)
    marked = [(mark["pfn"], mark["pfn_end"]) for mark in marks]
    return {
        "schema": SCHEMA,
        "command": f"pageaudit page {target}",
        "page_size": report.target.page_size,
        "section_pages": memory["section_pages"],
        "cell_pages": picture.cell_pages * factor,
        "vmemmap": hex_address(picture.vmemmap),
        "page_struct_size": picture.page_struct_size,
        "kinds": [[name, KINDS[name].title] for name in picture.kinds],
        "states": [[run["pfn"], run["pfn_end"], run["state"]] for run in memory["map"][:MAX_RUNS]],
        "zones": [
            [_zone_name(zone), zone["start_pfn"], zone["start_pfn"] + zone["spanned"]]
            for zone in zones(picture)
        ],
        "blocks": [
            [first["id"], last["id"], first["pfn"], last["pfn_end"], first["state"]]
            for first, last in itertools.islice(block_runs(memory["blocks"]), MAX_RUNS)
        ],
        "pgmaps": [
            {
                "name": pgmap_name(pgmap),
                "ranges": pgmap["ranges"][:MAX_RUNS],
                "altmap": _altmap_range(pgmap),
            }
            for pgmap in memory["pgmaps"][:MAX_RUNS]
        ],
        "sections": _ranges(nr for nr, _, _ in sections),
        "cells": cells,
        "runs": _runs(sections, memory["section_pages"], marked, room - len(cells)),
        "marks": marks,
    }


def target_argument(report: Report, symbols: Sequence[str] = ()) -> str:
    """The target as a shell takes it, with the debug info that was given."""
    files = ["--live"] if report.target.live else report.target.path.split(", ")
    given = [part for name in symbols for part in ("-s", name)]
    return " ".join(map(shlex.quote, [*files, *given]))


def pgmap_name(pgmap: Mapping[str, Any]) -> str:
    """A dev_pagemap for people."""
    disk = f" ({pgmap['disk']})" if pgmap["disk"] else ""
    return clean(f"{pgmap['type']} of {pgmap['device'] or 'an unknown device'}{disk}")


def zones(picture: Picture) -> "List[Mapping[str, Any]]":
    """Zones that span any memory, in the order of their colours."""
    return [zone for zone in picture.memory["zones"] if zone["spanned"]]


def _zone_name(zone: Mapping[str, Any]) -> str:
    return clean(f"node {zone['node']} {zone['name']}")


def _altmap_range(pgmap: Mapping[str, Any]) -> Optional[List[int]]:
    altmap = pgmap["altmap"]
    return [altmap["base_pfn"], altmap["end_pfn"]] if altmap else None


def _packed(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data)).decode("ascii")


def _ranges(numbers: "Iterable[int]") -> "List[List[int]]":
    """First and end of those that follow each other."""
    result: "List[List[int]]" = []
    for number in numbers:
        if result and result[-1][1] == number:
            result[-1][1] += 1
        else:
            result.append([number, number + 1])
    return result


def _cells(sections: Sequence[bytes], room: int) -> "Tuple[int, str]":
    """Cells in their room, each of so many: in the end a section is one."""
    most = max(map(len, sections), default=1)
    factor = 1 if room > 0 else most
    while True:
        packed = _packed(b"".join(_coarser(cells, factor) for cells in sections))
        if len(packed) <= room or factor >= most:
            return factor, packed
        factor *= _COARSER


def _coarser(cells: bytes, factor: int) -> bytes:
    """Each of so many as the census makes one of pages: what most are, and what any has."""
    if factor == 1:
        return cells
    if cells.count(cells[:1]) == len(cells):
        return cells[::factor]
    result = bytearray()
    for at in range(0, len(cells), factor):
        group = cells[at : at + factor]
        kinds = [cell & _KIND_MASK for cell in group]
        flags = 0
        for cell in group:
            flags |= cell & ~_KIND_MASK
        result.append(max(sorted(set(kinds)), key=kinds.count) | flags)
    return bytes(result)


def _runs(
    sections: "Sequence[Tuple[int, bytes, bytes]]",
    pages: int,
    marked: "Sequence[Tuple[int, int]]",
    room: int,
) -> "dict[str, str]":
    """The pages of sections by number, of those with marks first, as long as there is room."""
    has_mark: "set[int]" = set()
    for pfn, end in marked:
        # As many as there is room for in any case.
        has_mark.update(range(pfn // pages, min(-(-end // pages), pfn // pages + len(sections))))
    result: "dict[str, str]" = {}
    for nr, _, runs in sorted(sections, key=lambda section: section[0] not in has_mark):
        if room < _LEAST:
            break
        packed = _packed(runs)
        if len(packed) + _AROUND <= room:
            result[str(nr)] = packed
            room -= len(packed) + _AROUND
    return result


def _mark(kind: str, pfn: int, pfn_end: int, label: str, href: str) -> "dict[str, Any]":
    label = clean(label.split("\n", 1)[0])
    if len(label) > _LABEL:
        label = label[: _LABEL - 3] + "..."
    return {"kind": kind, "pfn": pfn, "pfn_end": pfn_end, "label": label, "href": href}


def _marks(report: Report) -> "List[dict[str, Any]]":
    """What is worth finding in the picture."""
    crash = report.target.crash
    marks = [
        _mark("crash", page["pfn"], page["pfn"] + 1, "the crash had to do with it", "#crash")
        for page in (crash.pages if crash else ())
    ]
    for number, finding in enumerate(report.findings, 1):
        if finding.pfn is None or finding.pfn_end is None:
            continue
        label = f"{finding.check}: {finding.summary}"
        href = f"#finding-{number}"
        marks.append(_mark(finding.severity, finding.pfn, finding.pfn_end, label, href))
    for walker in report.walkers:
        for at in walker["at"]:
            label = f"{at['name']} of {walker['task']}, {walker['walk']}"
            marks.append(_mark("task", at["pfn"], at["pfn"] + 1, label, "#walkers"))
        for each in walker["variables"]:
            label = f"{each['name']} of {each['function']}(), {walker['task']}"
            marks.append(_mark("task", each["pfn"], each["pfn"] + 1, label, "#walkers"))
    for record in report.log:
        if record.pfn is not None:
            marks.append(_mark("log", record.pfn, record.pfn + 1, record.text, "#log"))
    return marks[:MAX_MARKS]


class Share(NamedTuple):
    """A kind's part of all memory."""

    name: str
    kind: Kind
    pages: int
    bytes: str
    percent: float
    #: In a bar of 1000 units.
    start: float
    width: float


def shares(picture: Picture, page_size: int) -> "List[Share]":
    """Kinds that there are any pages of, as parts of all that are known."""
    counted = [(name, picture.kinds[name]) for name in KINDS if name != "not-memory"]
    total = sum(pages for _, pages in counted) or 1
    result: "List[Share]" = []
    start = 0.0
    for name, pages in counted:
        if not pages:
            continue
        width = 1000 * pages / total
        result.append(
            Share(
                name, KINDS[name], pages, size(pages * page_size), 100 * pages / total, start, width
            )
        )
        start += width
    return result


def state_rows(picture: Picture, page_size: int) -> "Iterator[Tuple[str, str, str, str]]":
    """Physical memory by its state: pfn, end, size, state."""
    for run in picture.memory["map"]:
        pages = run["pfn_end"] - run["pfn"]
        yield f"{run['pfn']:#x}", f"{run['pfn_end']:#x}", size(pages * page_size), run["state"]
