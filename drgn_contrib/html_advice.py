# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the person who must act can do, by what was found.

It says no more than follows from a finding's check: what may happen next to the
machine, and what ends it.
"""

from __future__ import annotations

from typing import Iterator, List, Mapping, NamedTuple, Optional

from drgn_contrib.report import CheckResult, Finding, Report
from drgn_contrib.text import plural

_LOST = (
    "This memory is lost to the machine until it restarts. Nothing else is wrong for it, "
    "unless it grows: compare with a later dump."
)
_LEAKED = (
    "These pages can't be freed, migrated or taken offline until the machine restarts. Memory "
    "that is offlined, and devices that are removed, may wait for them for ever."
)
_CORRUPT = (
    "The kernel's own records of this memory contradict each other: it may give a page to two "
    "users, or crash when it next touches it. Save what matters and restart the machine soon."
)
_STALE = (
    "Whoever follows this reference reads or writes memory that it must not. Don't offline or "
    "remove memory, and restart the machine when you can."
)
_COUNTERS = (
    "A number is wrong, not memory: reclaim, compaction and limits may misbehave. A restart sets "
    "it right."
)
_WAITS = (
    "Who waits for this page waits for ever as far as can be told: a device can't be torn down, or "
    "a task can't end, until the machine restarts."
)
_POISON = (
    "Memory that the hardware reported as bad may be used again, and then kills a task or the "
    "machine. Find the module (the firmware's event log, rasdaemon) and replace it."
)
_WALKERS = (
    "What goes through memory by pfn may take these pages for ordinary memory and crash: "
    "compaction, memory offlining, memory error handling."
)

#: By check.
CONSEQUENCES: Mapping[str, str] = {
    "section-state": _WALKERS,
    "memmap-uninitialised": _WALKERS,
    "page-links": _CORRUPT,
    "zone-device-taint": _WALKERS,
    "zone-accounting": _COUNTERS,
    "buddy-structure": _CORRUPT,
    "isolated-pageblock": _LOST,
    "lost-free-pages": _LOST,
    "lru-structure": _CORRUPT,
    "hugetlb-pool": _COUNTERS,
    "stale-page-reference": _STALE,
    "compound-structure": _CORRUPT,
    "mapcount-mismatch": _CORRUPT,
    "soft-offline-leak": _WAITS,
    "device-page-reference": _WAITS,
    "refcount-leak": _LEAKED,
    "refcount-underflow": _CORRUPT,
    "counter-drift": _COUNTERS,
    "page-lock": _WAITS,
    "hwpoison-in-buddy": _POISON,
    "hwpoison-neighbour-leak": _LOST,
    "hwpoison-accounting": _COUNTERS,
    "hwpoison-mapped": _POISON,
    "pgmap-dangling": _WALKERS,
}


class Step(NamedTuple):
    """One thing to do, and a command for it if there is one."""

    text: str
    command: Optional[str] = None


class Verdict(NamedTuple):
    """What came of it, in a line and a word."""

    #: "bug", "suspect", "partial", "clean": the page's colour.
    level: str
    text: str


def incomplete(report: Report) -> "List[CheckResult]":
    """Checks that did not look at all that they should."""
    return [c for c in report.checks if c.status in ("partial", "skipped", "failed")]


def verdict(report: Report) -> Verdict:
    """What is first to be said."""
    bugs, suspects = report.count("bug"), report.count("suspect")
    missing = incomplete(report)
    rest = (
        f"{plural(len(missing), 'check')} could not look at everything"
        if missing
        else "every check ran or does not apply"
    )
    if bugs or suspects:
        found = " and ".join(
            plural(count, noun) for count, noun in ((bugs, "bug"), (suspects, "suspect")) if count
        )
        return Verdict("bug" if bugs else "suspect", f"{found} found; {rest}.")
    if missing:
        return Verdict("partial", f"Nothing wrong was found, but {rest}.")
    return Verdict("clean", f"Nothing wrong was found, and {rest}.")


def worst(report: Report, count: int = 3) -> "List[Finding]":
    """The first of each check that found a bug, then of those that suspect one."""
    seen = set()
    result = []
    for finding in report.findings:
        if finding.severity != "info" and finding.check not in seen:
            seen.add(finding.check)
            result.append(finding)
    return result[:count]


def steps(report: Report, target: str) -> "List[Step]":
    """What to do, most urgent first.

    :param target: What the command takes for the target.
    """
    todo = [
        *_about_crash(report, target),
        *_about_findings(report, target),
        *_about_coverage(report),
    ]
    return todo or [
        Step(
            "Nothing, as far as the map of physical memory goes. Other causes of a crash or a "
            "hang are not looked for here."
        )
    ]


def _about_crash(report: Report, target: str) -> Iterator[Step]:
    crash = report.target.crash
    if crash is not None and crash.pages:
        page = f"pageaudit page {target} {crash.pages[0]['pfn']:#x}"
        yield Step("The crash itself had to do with the memory map. Begin with its page:", page)


def _about_findings(report: Report, target: str) -> Iterator[Step]:
    found = worst(report)
    told = set()
    for finding in found:
        text = CONSEQUENCES[finding.check]
        if text not in told:
            told.add(text)
            yield Step(f"{finding.check}: {text}")
    page = next((f.pfn for f in found if f.pfn is not None), None)
    if page is not None:
        yield Step(
            "All that is known of the first bad page, with who maps and holds it, fit for a bug "
            "report:",
            f"pageaudit page {target} {page:#x}",
        )
        yield Step("What else in memory names it:", f"pageaudit who {target} {page:#x}")
    if found:
        yield Step(
            "Keep the dump. The report as text fits a mail to the kernel's maintainers:",
            f"pageaudit {target}",
        )


def _about_coverage(report: Report) -> Iterator[Step]:
    if not report.target.complete:
        yield Step(
            "The dump was cut short: see that there is room for it where it is saved, and take "
            "another one."
        )
    if report.coverage.get("kernel_pages_filtered"):
        yield Step(
            "The makedumpfile that filtered the dump does not know this kernel and dropped pages "
            "of the kernel's own: update it, or dump with a lower level (-d 1)."
        )
    if incomplete(report):
        yield Step("See below which checks are not complete, and why.")
