# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reports as text that fits a mail: plain ASCII, at most 78 columns.

Strings of a dump are anyone's: what is not printable ASCII is escaped, so that
it can't reach a terminal.
"""

from __future__ import annotations

import collections
import itertools
import re
import textwrap
from typing import Any, Iterable, Iterator, Mapping, Optional, Sequence, Tuple

from drgn_contrib.report import (
    SEVERITIES,
    Crash,
    Finding,
    LiveRun,
    Report,
    Target,
    hex_address,
)

WIDTH = 78

#: Findings of one check and lines of the log that are shown unless asked for
#: all.
_FEW = 20

_SIZES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def clean(text: str) -> str:
    """Printable ASCII, the rest escaped; newlines stay."""
    return re.sub(
        r"[^\n\x20-\x7e]",
        lambda match: match.group().encode("unicode_escape", "surrogatepass").decode(),
        text,
    )


def wrap(text: str, first: str = "", rest: Optional[str] = None) -> Iterator[str]:
    """Lines of at most WIDTH columns, the later ones indented by rest."""
    if rest is None:
        rest = " " * len(first)
    for line in clean(text).split("\n"):
        lines = textwrap.wrap(
            line,
            WIDTH,
            initial_indent=first,
            subsequent_indent=rest,
            break_on_hyphens=False,
        )
        yield from lines or [first.rstrip()]
        first = rest


def size(nr_bytes: int) -> str:
    """A number of bytes for people: exact, or with three digits."""
    value = float(nr_bytes)
    for unit in _SIZES:
        if abs(value) < 1024 or unit == _SIZES[-1]:
            break
        value /= 1024
    return f"{value:.4g} {unit}"


def plural(count: int, noun: str) -> str:
    """ "1 page", "2,048 pages"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def pfn_range(pfn: int, pfn_end: int) -> str:
    """A range of pfns in both bases, with its length."""
    if pfn_end - pfn == 1:
        return f"pfn {pfn:#x} ({pfn})"
    return f"pfns [{pfn:#x}, {pfn_end:#x}) ({pfn}-{pfn_end - 1}, {plural(pfn_end - pfn, 'page')})"


def heading(text: str) -> Iterator[str]:
    yield ""
    yield text
    yield "-" * len(text)


def table(rows: Sequence[Sequence[str]], right: Iterable[int] = ()) -> Iterator[str]:
    """Columns as wide as they need; those in right are aligned right."""
    right = set(right)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths))
        ]
        yield from wrap("  ".join(cells).rstrip(), "  ", "      ")


def value(key: str, item: Any) -> str:
    """One thing of evidence or of a page: pfns in both bases, bytes in units."""
    if isinstance(item, bool):
        return "yes" if item else "no"
    if item is None:
        return "unknown"
    if "pfn" in key and re.fullmatch("0x[0-9a-f]+", str(item)):
        item = int(item, 16)
    if "pfn" in key and isinstance(item, int):
        return f"{item:#x} ({item})"
    if "bytes" in key and isinstance(item, int):
        return f"{item} ({size(item)})" if abs(item) >= 1024 else str(item)
    return str(item)


def pairs(items: Mapping[str, Any], indent: int) -> Iterator[str]:
    """One "key  value" a line, the values aligned; nested ones indented."""
    margin = " " * indent
    width = max((len(key) for key in items), default=0)
    for key, item in items.items():
        name = key.replace("_", " ")
        if isinstance(item, Mapping):
            yield f"{margin}{name}"
            yield from pairs(item, indent + 2)
        elif isinstance(item, (list, tuple)) and any(isinstance(i, Mapping) for i in item):
            for each in item:
                yield f"{margin}{name}"
                yield from pairs(each, indent + 2)
        else:
            if isinstance(item, (list, tuple)):
                texts = [value(key, each) for each in item]
                long = any(len(text) > WIDTH // 3 for text in texts)
                item = ("\n" if long else ", ").join(texts) or "none"
            yield from wrap(value(key, item), f"{margin}{name.ljust(width)}  ")


def report_text(report: Report, *, verbose: bool = False, known: Sequence[str] = ()) -> str:
    """The whole report; verbose leaves nothing out.

    :param known: Ids of all checks that there are, run or not.
    """
    return "\n".join(_report_lines(report, verbose, known)) + "\n"


def summary_line(report: Report) -> str:
    """One line for a ticket: the worst that was found, how much there is, and of what."""
    counts = ", ".join(plural(report.count(s), s) for s in SEVERITIES if s != "info")
    line = f"pageaudit: {report.target.release}: {counts}"
    worst = next((f for f in report.findings if f.severity != "info"), None)
    if worst is not None:
        where = "" if worst.pfn is None else f" at pfn {worst.pfn:#x}"
        line += f"; {worst.check}{where}: {worst.summary}"
    partial = sum(c.status in ("partial", "skipped", "failed") for c in report.checks)
    if partial:
        line += f"; {plural(partial, 'check')} not complete"
    return clean(f"{line} ({report.target.path})".replace("\n", " ")) + "\n"


def _report_lines(report: Report, verbose: bool, known: Sequence[str]) -> Iterator[str]:
    yield f"pageaudit {clean(report.tool.version)}: audit of the kernel's map of physical memory"
    yield ""
    yield from target_lines(report.target)
    yield from _memory_lines(report)
    if report.live:
        yield from _live_lines(report.live)
    if report.target.crash:
        yield from _crash_lines(report.target.crash)
    yield from _walker_lines(report)
    yield from _poison_lines(report, verbose)
    yield from _unchecked_lines(report, known)
    yield from _finding_lines(report, verbose)
    yield from _log_lines(report, verbose)
    if verbose:
        yield from _census_lines(report)
        yield from _check_lines(report)


def _census_lines(report: Report) -> Iterator[str]:
    yield from heading("Census")
    yield from table(
        [
            ("part", "references", "unreadable", "seconds"),
            *(
                (part.name, f"{part.references:,}", f"{part.unreadable:,}", f"{part.seconds:.4f}")
                for part in report.census
            ),
        ],
        right=(1, 2, 3),
    )


def target_lines(target: Target) -> Iterator[str]:
    """What was looked at."""
    kind = "running kernel" if target.live else target.format
    level = "" if target.dump_level is None else f", dump level {target.dump_level}"
    yield from wrap(target.path, "target   ")
    yield from wrap(kind + level, "format   ")
    if not target.complete:
        yield from wrap("INCOMPLETE: the dump was cut short", "         ")
    yield from wrap(f"{target.release} {target.arch}", "kernel   ")
    if target.build_id:
        yield from wrap(target.build_id, "build id ")
    types = {"dwarf": "debug info (DWARF)", "btf": "the dump's own BTF and kallsyms"}
    yield from wrap(types[target.types_from], "types    ")


def _memory_lines(report: Report) -> Iterator[str]:
    memory = report.memory
    yield from wrap(
        f"{plural(memory.pages, 'page')} ({size(memory.pages * report.target.page_size)}) in "
        f"{plural(memory.sections, 'section')}, {memory.sections_online} of them online",
        "memory   ",
    )
    coverage = report.coverage
    yield from wrap(
        f"{coverage['pages_read']:,} struct pages; {coverage['pages_excluded']:,} left out of "
        f"the dump, {coverage['pages_unreadable']:,} unreadable",
        "read     ",
    )
    if "references_found" in coverage:
        yield from wrap(
            f"{coverage['references_found']:,} references to pages of processes, files, hugetlb "
            f"and devices, {coverage['references_explained']:,} of them accounted for",
            "census   ",
        )
    if coverage.get("kernel_pages_filtered"):
        yield from wrap(
            f"the dump lacks {plural(coverage['kernel_pages_filtered'], 'page')} of the kernel's "
            "own (slab, page tables): the makedumpfile that filtered it did not know this kernel, "
            "and checks may be partial for it",
            "warning  ",
        )


def _live_lines(live: LiveRun) -> Iterator[str]:
    """One line of what it cost, and what came of reading again."""
    yield from wrap(
        f"{plural(live.reads, 'read')} in {live.seconds:.1f} s: {live.cpu_seconds:.1f} s of "
        f"processor time at nice {live.nice}, {size(live.memory_bytes)} of memory",
        "cost     ",
    )
    if live.dropped or live.unsettled:
        yield from wrap(
            f"{live.dropped:,} that looked wrong were right in a later read, "
            f"{live.unsettled:,} did not hold still",
            "moving   ",
        )


def _crash_lines(crash: Crash) -> Iterator[str]:
    yield from heading("Crash")
    when = "" if crash.time is None else f" at {crash.time:.6f} s"
    yield from wrap((crash.panic or "the kernel died") + when, "  ")
    about: "dict[str, Any]" = {}
    if crash.task is not None:
        about["task"] = f"{crash.task}, pid {crash.pid}, on CPU {crash.cpu}"
    if crash.rip is not None:
        about["rip"] = f"{crash.rip:#x} {crash.rip_symbol or ''}"
    elif crash.rip_symbol is not None:
        about["rip"] = crash.rip_symbol
    if crash.cr2 is not None:
        about["cr2"] = hex_address(crash.cr2)
    yield from pairs(about, 2)
    for page in crash.pages:
        yield from wrap(f"It had to do with pfn {page['pfn']:#x}:", "  ")
        yield from pairs({key: item for key, item in page.items() if item is not None}, 4)


def claims(page: Mapping[str, Any]) -> "dict[str, Any]":
    """Whose memory it is, where it is not simply the kernel's."""
    about = {}
    if page["resource"] and not page["resource"].startswith("System RAM"):
        about["claimed by"] = page["resource"]
    if page["cma"]:
        about["CMA area"] = page["cma"]
    return about


def _walker_lines(report: Report) -> Iterator[str]:
    if not report.walkers:
        return
    yield from heading("Tasks that go through memory by pfn")
    for walker in report.walkers:
        text = f"{walker['walk']} by {walker['task']} (pid {walker['pid']})"
        text += f" in {walker['function']}()"
        if walker["zone"]:
            text += f", {walker['zone']}"
        yield from wrap(text, "  ", "      ")
        for at in walker["at"]:
            yield from wrap(f"{at['name']} {at['pfn']:#x}: {at['is']}", "      ", "          ")
        for each in walker["variables"]:
            text = f"{each['name']} of {each['function']}() {each['pfn']:#x}: {each['is']}"
            if each["memory_block"] not in (None, each["is"]):
                text += f", in a memory block that is {each['memory_block']}"
            text += "".join(f", {name} {value}" for name, value in claims(each).items())
            yield from wrap(text, "      ", "          ")


def poison_line(page: Mapping[str, Any]) -> str:
    """Where a poisoned page is and how far its handling has come."""
    text = f"pfn {page['pfn']:#x} ({page['pfn']}): {page['place']}"
    text += f", handling {page['handling'].replace('given up', 'failed or ignored')}"
    if page["maps"]:
        text += f", {plural(page['maps'], 'mapping')}"
    if page["task"]:
        text += f", by {page['task']}"
    if page["place"] == "hugetlb":
        pfns = ", ".join(f"{pfn:#x}" for pfn in page["raw_pages"] or ())
        text += f", its bad pages: {pfns or 'not known'}"
        text += "" if page["raw_pages_complete"] or not pfns else " and maybe more"
    return text


def _poison_lines(report: Report, verbose: bool) -> Iterator[str]:
    """Pages with memory errors; those that nobody will use only in number."""
    if not report.poisoned:
        return
    yield from heading("Pages with memory errors")
    counts = collections.Counter((page["place"], page["handling"]) for page in report.poisoned)
    telling = [page for page in report.poisoned if page["handling"] != "complete"]
    for (place, handling), count in sorted(counts.items()):
        yield from wrap(f"{place}, handling {handling}: {count:,}", "  ", "      ")
    pages = report.poisoned if verbose else telling
    shown = pages if verbose else pages[:_FEW]
    for page in shown:
        yield from wrap(poison_line(page), "    ", "      ")
    if len(shown) < len(report.poisoned):
        left = len(report.poisoned) - len(shown)
        yield f"    ... and {left:,} more: -v shows them, --json has them"


def _unchecked_lines(report: Report, known: Sequence[str]) -> Iterator[str]:
    checks = [check for check in report.checks if check.status != "ran"]
    ids = [check.id for check in report.checks]
    not_asked = [each for each in known if each not in ids]
    yield from heading("Not checked")
    if not checks and not not_asked:
        yield "  Every check ran."
    for check in checks:
        yield from wrap(f"{check.id}: {check.status}: {check.reason}", "  ", "      ")
    if not_asked:
        yield from wrap(f"not asked for: {', '.join(not_asked)}", "  ", "      ")
    if report.coverage.get("log_not_read"):
        yield "  the kernel's log could not be read"
    for name, count in report.coverage.items():
        if count and _is_unjudged(name):
            yield from wrap(f"{name.replace('_', ' ')}: {count:,}", "  ")


def _is_unjudged(name: str) -> bool:
    """Whether a count of the coverage is of something that was not judged."""
    return any(word in name for word in ("unknown", "unexplained", "unjudged"))


def _finding_lines(report: Report, verbose: bool) -> Iterator[str]:
    yield from heading("Findings")
    counts = [plural(report.count(s), s) for s in SEVERITIES if s != "info"]
    yield f"  {', '.join(counts)}, {report.count('info'):,} info"
    for (severity, check), group in itertools.groupby(
        report.findings, lambda f: (f.severity, f.check)
    ):
        found = list(group)
        shown = found if verbose else found[:_FEW]
        for finding in shown:
            yield ""
            yield from finding_lines(finding)
        if len(shown) < len(found):
            yield ""
            yield from wrap(
                f"... and {len(found) - len(shown):,} more of {severity} {check}: "
                "-v shows them, --json has them",
                "  ",
            )


def finding_lines(finding: Finding) -> Iterator[str]:
    """One finding with its evidence."""
    yield f"{finding.severity.upper()} {finding.check}"
    yield from wrap(finding.summary, "  ")
    where: "dict[str, Any]" = {}
    if finding.pfn is not None and finding.pfn_end is not None:
        where["where"] = pfn_range(finding.pfn, finding.pfn_end)
    address = hex_address(finding.page_address)
    if address is not None:
        where["struct page"] = address
    evidence = dict(finding.evidence)
    # Most checks have the bad page's address there, too.
    if evidence.get("page") == address:
        evidence.pop("page", None)
    yield from pairs({**where, **evidence}, 4)


def _log_lines(report: Report, verbose: bool) -> Iterator[str]:
    if not report.log:
        return
    yield from heading("What the kernel's log says of pages")
    shown = report.log if verbose else report.log[-_FEW:]
    if len(shown) < len(report.log):
        yield f"  ... {len(report.log) - len(shown):,} earlier ones: -v shows them"
    for record in shown:
        yield from wrap(f"[{record.time:12.6f}] {record.text}", "  ", "      ")


def _check_lines(report: Report) -> Iterator[str]:
    yield from heading("Checks")
    yield from table(
        [
            ("check", "status", "examined", "seconds"),
            *(
                (check.id, check.status, f"{check.examined:,}", f"{check.seconds:.3f}")
                for check in report.checks
            ),
        ],
        right=(2, 3),
    )


def map_text(memory: Mapping[str, Any], target: Target) -> str:
    """Answer of "pageaudit map"."""
    return "\n".join(_map_lines(memory, target)) + "\n"


def _map_lines(memory: Mapping[str, Any], target: Target) -> Iterator[str]:
    yield from target_lines(target)
    yield from wrap(
        f"{plural(memory['pages'], 'page')} ({size(memory['pages'] * target.page_size)}) in "
        f"{plural(memory['sections'], 'section')}, {memory['sections_online']} of them online",
        "memory   ",
    )
    for unread in memory["unread"]:
        yield from wrap(f"{unread['part']}: {unread['why']}", "unread   ")

    yield from heading("Physical memory")
    yield from table(
        [
            ("pfn", "end", "size", "state"),
            *(
                (
                    f"{run['pfn']:#x}",
                    f"{run['pfn_end']:#x}",
                    size((run["pfn_end"] - run["pfn"]) * target.page_size),
                    run["state"],
                )
                for run in memory["map"]
            ),
        ],
        right=(0, 1, 2),
    )

    yield from heading("Zones (pages)")
    columns = ("start_pfn", "spanned", "present", "managed", "free")
    yield from table(
        [
            ("node", "zone", "start pfn", *columns[1:]),
            *(
                (
                    str(zone["node"]),
                    clean(zone["name"]),
                    f"{zone['start_pfn']:#x}",
                    *("?" if zone[c] is None else f"{zone[c]:,}" for c in columns[1:]),
                )
                for zone in memory["zones"]
            ),
        ],
        right=range(2, 7),
    )

    if memory["blocks"]:
        yield from heading("Memory blocks")
        yield from table([("block", "pfn", "end", "state"), *block_rows(memory["blocks"])], (1, 2))

    if memory["pgmaps"]:
        yield from heading("Device memory (dev_pagemap)")
    for pgmap in memory["pgmaps"]:
        of = f" of {pgmap['device']}" if pgmap["device"] else ""
        of += f" ({pgmap['disk']})" if pgmap["disk"] else ""
        yield from wrap(f"{pgmap['type']}{of} at {pgmap['address']}", "  ")
        for pfn, pfn_end in pgmap["ranges"]:
            yield from wrap(pfn_range(pfn, pfn_end), "    ", "      ")
        yield from wrap(reference_text(pgmap), "    ", "      ")
        if pgmap["vmemmap_shift"]:
            yield f"    folios of order {pgmap['vmemmap_shift']}"
        if pgmap["altmap"]:
            yield from pairs({"altmap": pgmap["altmap"]}, 4)


def reference_text(pgmap: Mapping[str, Any]) -> str:
    """What holds a pgmap, and whether it is being torn down."""
    reference = pgmap["reference"]
    if reference is None:
        return "its percpu_ref could not be read"
    count = "?" if reference["count"] is None else f"{reference['count']:,}"
    state = "dead: it is being torn down" if reference["dead"] else "live"
    mode = ", counted in one place" if reference["atomic"] else ""
    return f"percpu_ref at {reference['address']}: {state}, references {count}{mode}"


def block_runs(
    blocks: Sequence[Mapping[str, Any]],
) -> Iterator[Tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """First and last of neighbouring blocks of one state and size."""
    first: Optional[Mapping[str, Any]] = None
    last: Mapping[str, Any] = {}
    for block in [*blocks, None]:
        if (
            first is not None
            and block is not None
            and block["state"] == last["state"]
            and block["id"] == last["id"] + 1
            and block["pfn"] == last["pfn_end"]
        ):
            last = block
            continue
        if first is not None:
            yield first, last
        if block is not None:
            first = last = block


def block_rows(blocks: Sequence[Mapping[str, Any]]) -> Iterator[Sequence[str]]:
    """Blocks, pfn, end and state; neighbours share a row."""
    for first, last in block_runs(blocks):
        ids = str(first["id"]) if first is last else f"{first['id']}-{last['id']}"
        yield ids, f"{first['pfn']:#x}", f"{last['pfn_end']:#x}", str(first["state"])


def checks_text(checks: Sequence[Mapping[str, str]], *, full: bool) -> str:
    """Answer of "pageaudit checks": one line each, or all there is to say."""
    lines: "list[str]" = []
    for check in checks:
        if not full:
            lines += wrap(f"{check['id']:24}  {check['summary']}", "", " " * 26)
            continue
        lines += [check["id"], "-" * len(check["id"])]
        lines += wrap(check["summary"])
        for paragraph in check["doc"].strip().split("\n\n"):
            lines += ["", *wrap(" ".join(paragraph.split()))]
        lines.append("")
    return "\n".join(lines).rstrip("\n") + "\n"
