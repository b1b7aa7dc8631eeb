# SPDX-License-Identifier: LGPL-2.1-or-later
"""The dossier of a page as text that fits a mail: plain ASCII, at most 78 columns."""

from __future__ import annotations

from typing import Any, Iterator, List, Mapping, Sequence

from drgn_contrib.text import claims, heading, pairs, pfn_range, plural, poison_line, table, wrap

#: References of one holder that are shown unless asked for all.
_FEW = 16

_KINDS = {
    "link": "names it, holds no reference",
    "get": "reference",
    "pin": "pin",
    "map": "map",
    "map-entire": "map of the whole",
    "map-uncounted": "map without a count",
    "unsure": "reference that may be dropped already",
}


def dossier_text(page: Mapping[str, Any], *, verbose: bool = False) -> str:
    """One page's dossier; verbose leaves nothing out."""
    return "\n".join(_lines(page, verbose)) + "\n"


def _lines(page: Mapping[str, Any], verbose: bool) -> Iterator[str]:
    title = f"{pfn_range(page['pfn'], page['pfn'] + 1)}, struct page {page['page']}"
    yield title
    yield "=" * len(title)
    yield from pairs({**_place(page), **(_page(page) if "raw" in page else {})}, 0)
    yield from _poison_lines(page)
    if "raw" in page:
        yield from _count_lines(page)
    yield from reference_lines(page, verbose)
    yield from waiter_lines(page)
    yield from _in_hand_lines(page)
    if "raw" in page:
        yield from _owner_lines(page)
    if page["log"]:
        yield from heading("What the kernel's log says of it")
        for line in page["log"]:
            yield from wrap(line, "  ", "      ")
    if "dump_page" in page:
        yield from heading("What dump_page() would have printed")
        for line in page["dump_page"]["lines"]:
            yield from _verbatim(line)
        for line in page["dump_page"]["misleading"]:
            yield from wrap(line, "  * ")


def _verbatim(line: str) -> Iterator[str]:
    """A line of the kernel's, broken where it is too long."""
    yield from wrap(line, "  ", "      ")


def _place(page: Mapping[str, Any]) -> "dict[str, Any]":
    """Where it lies."""
    about: "dict[str, Any]" = {"phys": page["phys"], "state": page["state"]}
    if "unread" in page:
        about["unread"] = f"its struct page: {page['unread']}"
    section = page.get("section")
    if section:
        bits = ("present", "has_mem_map", "online", "early", "taint_zone_device")
        words = [bit.replace("_", " ") for bit in bits if section[bit]]
        if not section["subsection_valid"]:
            words.append("its subsection is no memory")
        about["section"] = f"{section['nr']} ({', '.join(words) or 'none of its bits are set'})"
    block = page.get("memory_block")
    if block:
        about["memory block"] = f"{block['id']} ({block['state']})"
    about.update(claims(page))
    pgmap = page.get("pgmap")
    if pgmap:
        names = ", ".join(name for name in (pgmap["device"], pgmap["disk"]) if name)
        about["pgmap"] = (
            f"{pgmap['type']}{names and ' of ' + names} at {pgmap['address']}, "
            f"{pfn_range(pgmap['pfn'], pgmap['pfn_end'])}, data from {pgmap['data_pfn']:#x}"
        )
    if "raw" in page:
        about["zone"] = f"{page['zone'] or 'unknown'}, node {page['node']}"
    return about


def _article(kind: str) -> str:
    return "an " if kind[:1] in ("a", "e", "i", "o", "u") else "a "


def _what(page: Mapping[str, Any]) -> str:
    """What the page is, in a few words."""
    words: List[str] = []
    folio = page["folio"]
    order = folio["order"] if folio else 0
    kind = "" if page["kind"] == "unknown" else f"{page['kind']} "
    if page["tail"] and folio:
        inside = page["pfn"] - folio["head_pfn"]
        words.append(f"page {inside} of {_article(kind)}{kind}folio of order {order}")
    elif order:
        words.append(
            f"head of {_article(kind)}{kind}folio of order {order} ({plural(1 << order, 'page')})"
        )
    elif kind:
        words.append(f"{kind}page")
    if page["slab"]:
        words.append(f"slab of {page['slab']}")
    if page["type"] != "none":
        words.append(f"type {page['type']}")
    if page["class"]:
        words.append(f"class {page['class']}" + (", found on a list" if page["on_list"] else ""))
    return ", ".join(words)


def _page(page: Mapping[str, Any]) -> "dict[str, Any]":
    """What its struct page says."""
    folio = page["folio"]
    about: "dict[str, Any]" = {"what": _what(page)}
    if folio is None:
        about["folio"] = "it names no head that can be read"
    elif folio["head_pfn"] != page["pfn"]:
        about["head"] = f"{pfn_range(folio['head_pfn'], folio['head_pfn'] + 1)}, {folio['head']}"
    about["flags"] = f"{page['flags']} {page['flag_names'] or '(none)'}"
    if page["tail"] and folio and page["pfn"] == folio["head_pfn"] + 1:
        # Newer kernels have its order in the low byte, and marks of its own in all.
        about["flags"] = f"{page['flags']} (of page 1: the folio's order and marks)"
    if folio and folio["head_pfn"] != page["pfn"]:
        about["head's flags"] = f"{folio['flags']} {folio['flag_names'] or '(none)'}"
    about["mapping"] = page["mapping"]
    about["index"] = page["index"]
    about["private"] = page["private"]
    return about


def _poison_lines(page: Mapping[str, Any]) -> Iterator[str]:
    if page["poisoned"]:
        yield from heading("Its memory errors")
    for poisoned in page["poisoned"]:
        yield from wrap(poison_line(poisoned), "  ", "      ")


def _count_lines(page: Mapping[str, Any]) -> Iterator[str]:
    yield from heading("Counts")
    rows = [("counter", "stored", "raw", "recounted", "")]
    for count in page["counts"]:
        counted = count["counted"]
        rows.append(
            (
                count["counter"],
                f"{count['stored']:,}",
                count["raw"],
                "not judged" if counted is None else f"{counted:,}",
                "" if counted is None or counted == count["stored"] else "DIFFERS",
            )
        )
    yield from table(rows, right=(1, 2, 3))
    for count in page["counts"]:
        yield from wrap(f"{count['counter']}: {count['meaning']}", "    ", "      ")
    made_of = page["made_of"]
    parts = [
        plural(made_of["maps"] + made_of["entire_maps"], "map"),
        plural(made_of["references"], "other reference"),
        plural(made_of["pins"], "pin"),
    ]
    if made_of["own_references"]:
        parts.append(plural(made_of["own_references"], "reference") + " of its own")
    yield from wrap(f"recounted from {', '.join(parts)}", "  ")


def reference_lines(page: Mapping[str, Any], verbose: bool) -> Iterator[str]:
    """Its holders, and what maps it."""
    yield from heading("Who maps and who holds it")
    for maps in (True, False):
        found = [r for r in page["references"] if r["kind"].startswith("map") == maps]
        shown = found if verbose else found[:_FEW]
        for reference in shown:
            yield from _one_reference(page, reference)
        if len(shown) < len(found):
            yield f"  ... and {len(found) - len(shown):,} more: -v shows them, --json has them"
    if not page["references"]:
        yield "  nothing that is known of names it"
    for holder in page["holders_unread"]:
        why = holder["error"] or f"{holder['unreadable']:,} parts of it could not be read"
        yield from wrap(f"not known: {holder['holder']}: {why}", "  ", "      ")


def _file(file: Mapping[str, Any]) -> str:
    name = file["path"] or f"inode {file['ino']}"
    kind = file["file_system"] or "a file system unknown"
    device = f" on {file['device']}" if file["device"] not in ("", file["file_system"]) else ""
    return f"{name} ({kind}{device}, ino {file['ino']})"


def _one_reference(page: Mapping[str, Any], reference: Mapping[str, Any]) -> Iterator[str]:
    nr = reference["pfn_end"] - reference["pfn"]
    kind = _KINDS[reference["kind"]]
    count = f"{reference['count']} x " if reference["count"] > 1 else ""
    where = ""
    if page["nr_pages"] > 1 and reference["kind"] != "map-entire":
        where = f" of pfn {reference['pfn']:#x}"
        if nr > 1:
            where = f" of {pfn_range(reference['pfn'], reference['pfn_end'])}"
    if "vma" in reference or "pid" in reference:
        who = "an mm that no task uses"
        if reference["task"]:
            who = f"pid {reference['pid']} ({reference['comm']})"
        text = f"{who} at {reference['index']:#x}: {count}{kind}{where}"
        vma = reference["vma"]
        if vma is None:
            text += ", in no VMA"
        else:
            text += f", VMA {vma['start']:#x}-{vma['end']:#x}"
            text += f" of {_file(vma['file'])}" if vma["file"] else ", anonymous"
        text += f", {reference['owner_type']} {reference['owner']}"
    else:
        index = f"{reference['index_type']} {reference['index']:#x}"
        if nr > 1:
            index += f"-{reference['index'] + nr - 1:#x}"
        text = f"{reference['holder']}: {count}{kind}{where}, {index}"
        if reference.get("file"):
            text += f" of {_file(reference['file'])}"
        if reference["owner"]:
            text += f", {reference['owner_type']} {reference['owner']}"
    if reference["slot"]:
        text += f", slot {reference['slot']}"
    yield from wrap(text, "  ", "      ")


def waiter_lines(page: Mapping[str, Any]) -> Iterator[str]:
    """Tasks that wait for it, if there are any."""
    unknown = page.get("waiters_unknown")
    if page["waiters"] or unknown:
        yield from heading("Who waits for it")
    if unknown:
        yield from wrap(f"not known: {unknown}", "  ", "      ")
    for waiter in page["waiters"]:
        who = "a request of io_uring"
        if int(waiter["task"], 16):
            who = f"pid {waiter['pid']} ({waiter['comm']}), task {waiter['task']}"
        yield from wrap(f"{who}: for {waiter['waits_for']}", "  ", "      ")


def _in_hand_lines(page: Mapping[str, Any]) -> Iterator[str]:
    if page["in_hand"]:
        yield from heading("Whose stack in use has the address of its struct page")
    for task in page["in_hand"]:
        of = f", of pfn {task['pfn']:#x}" if page["nr_pages"] > 1 else ""
        text = f"pid {task['pid']} ({task['comm']}), task {task['task']}{of}"
        yield from wrap(text, "  ", "      ")


def _event_lines(what: str, event: Mapping[str, Any], comm: str, more: str) -> Iterator[str]:
    words = [what]
    if event["pid"] is not None:
        words.append(f"by pid {event['pid']} ({comm}tgid {event['tgid']})")
    if event["time"] is not None:
        words.append(f"at {event['time']:.9f} s")
    yield from wrap(" ".join(words) + more, "  ", "      ")
    for entry in event["stack"] or ():
        yield from wrap(f"{entry['address']} {entry['symbol'] or ''}", "    ")
    if event["stack"] is None:
        yield "    no stack trace of it"


def _owner_lines(page: Mapping[str, Any]) -> Iterator[str]:
    yield from heading("Who allocated it (page_owner)")
    owner = page["owner"]
    if owner is None:
        yield from wrap(f"not known: {page['owner_unknown']}", "  ", "      ")
        return
    more = f", order {owner['order']}, gfp_mask {owner['gfp_mask']}"
    if owner["migrate_reason"]:
        more += f", migrated since: {owner['migrate_reason']}"
    what = "allocated" if owner["allocated"] else "last allocated"
    comm = f"{owner['comm']}, " if owner["comm"] else ""
    yield from _event_lines(what, owner["alloc"], comm, more)
    if owner["free"]["stack"] is not None:
        what = "freed before that" if owner["allocated"] else "freed"
        yield from _event_lines(what, owner["free"], "", "")


def dossier_texts(pages: Sequence[Mapping[str, Any]], *, verbose: bool = False) -> str:
    """Answer of "pageaudit page"."""
    return "\n".join(dossier_text(page, verbose=verbose) for page in pages)
